//! Requests that go out together.
//!
//! The client library writes each request by itself, and a write costs more than all the rest of a request. So where
//! several are under way on a lane already, what comes in one turn of its runtime goes out in one piece.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::poll;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Value};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// So many may be under way that each went out by itself: few gain nothing by waiting for others.
const ALONE: usize = 4;

/// The requests of one connection.
#[derive(Default)]
pub(super) struct Together {
    /// A std mutex, held for a few operations on counts and a list.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many have been sent, or wait to be, and have no answer yet.
    under_way: usize,
    waiting: Vec<Waiting>,
    /// A task is going to send those who wait. While it does, nobody overtakes them.
    planned: bool,
}

struct Waiting {
    request: Cmd,
    answer: oneshot::Sender<RedisResult<Value>>,
}

impl Together {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request, over this connection and from its runtime, behind all that were sent before.
    ///
    /// Cancel safe: it is sent, or not, but nothing else is lost with it.
    pub(super) async fn send(
        self: &Arc<Self>,
        connection: &mut MultiplexedConnection,
        runtime: &Handle,
        request: &Cmd,
    ) -> RedisResult<Value> {
        let Some(answer) = self.join(connection, runtime, request) else {
            let _under_way = UnderWay {
                together: Arc::clone(self),
                count: 1,
            };
            return connection.send_packed_command(request).await;
        };
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// To those who wait; `None`: it is to be sent alone, and counts as under way.
    fn join(
        self: &Arc<Self>,
        connection: &MultiplexedConnection,
        runtime: &Handle,
        request: &Cmd,
    ) -> Option<oneshot::Receiver<RedisResult<Value>>> {
        let mut state = self.state();
        state.under_way += 1;
        if state.under_way <= ALONE && !state.planned {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        state.waiting.push(Waiting {
            request: request.clone(),
            answer,
        });
        let is_first = !std::mem::replace(&mut state.planned, true);
        drop(state);
        if is_first {
            let plan = Plan {
                together: Arc::clone(self),
                over: false,
            };
            runtime.spawn(plan.carry_out(connection.clone()));
        }
        Some(answered)
    }
}

/// That those who wait will be sent. Dropped with its runtime, they are told so.
struct Plan {
    together: Arc<Together>,
    over: bool,
}

impl Plan {
    async fn carry_out(mut self, connection: MultiplexedConnection) {
        while !self.over {
            // Who is ready to run may want to send something, too.
            tokio::task::yield_now().await;
            let mut sending = Box::pin(self.take().send(connection.clone()));
            // From its first poll on it is in the connection's own queue. Who comes now is behind it.
            if poll!(&mut sending).is_pending() {
                tokio::spawn(sending);
            }
            let mut state = self.together.state();
            state.planned = !state.waiting.is_empty();
            self.over = !state.planned;
        }
    }

    fn take(&self) -> Batch {
        let waiting = std::mem::take(&mut self.together.state().waiting);
        let under_way = UnderWay {
            together: Arc::clone(&self.together),
            count: waiting.len(),
        };
        Batch {
            waiting,
            _under_way: under_way,
        }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        if !self.over {
            drop(self.take());
            self.together.state().planned = false;
        }
    }
}

/// Requests that are sent together.
struct Batch {
    waiting: Vec<Waiting>,
    _under_way: UnderWay,
}

impl Batch {
    async fn send(mut self, mut connection: MultiplexedConnection) {
        // Who has given up needs no answer.
        self.waiting.retain(|waiting| !waiting.answer.is_closed());
        let mut pipeline = Pipeline::with_capacity(self.waiting.len());
        let mut answers = Vec::with_capacity(self.waiting.len());
        for waiting in self.waiting.drain(..) {
            pipeline.add_command(waiting.request);
            answers.push(waiting.answer);
        }
        if answers.is_empty() {
            return;
        }
        let replies = connection.send_packed_commands(&pipeline, 0, answers.len()).await;
        let mut replies = match replies {
            Ok(replies) => Ok(replies.into_iter()),
            Err(error) => Err(error),
        };
        for answer in answers {
            let reply = match &mut replies {
                Ok(replies) => replies.next().ok_or_else(gone),
                Err(error) => Err(error.clone()),
            };
            // Whoever has given up has cleared up.
            let _ = answer.send(reply);
        }
    }
}

/// Counts so many as under way.
struct UnderWay {
    together: Arc<Together>,
    count: usize,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.together.state().under_way -= self.count;
    }
}

fn gone() -> RedisError {
    RedisError::from((ErrorKind::Io, "the runtime of this connection has ended"))
}
