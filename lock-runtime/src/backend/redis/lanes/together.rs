//! Requests that go out together.
//!
//! The client library writes each request by itself, and a write costs more than all the rest of a request. So where
//! several are under way on a lane already, what comes in one turn of its runtime goes out in one piece.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::poll;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Value};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// So many may be under way that each went out by itself: few gain nothing by waiting for others.
const ALONE: usize = 4;

/// After so long without an answer they may as well: a server that hangs gains nothing either, and to wait costs a turn.
const SILENT: Duration = Duration::from_millis(20);

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
    /// When something was answered, or given up, last.
    heard: Option<Instant>,
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
        if !state.planned && (state.under_way <= ALONE || state.is_silent()) {
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

impl State {
    fn is_silent(&self) -> bool {
        self.heard.is_some_and(|heard| heard.elapsed() > SILENT)
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
            to_the_back().await;
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
            let mut state = self.together.state();
            state.planned = false;
            let waiting = std::mem::take(&mut state.waiting);
            state.under_way -= waiting.len();
            drop(state);
            drop(waiting);
        }
    }
}

/// Lets the tasks run that are ready. Not `yield_now`: that waits for the worker on which it is called, which may have gone
/// on to something that blocks; in the queue another worker takes it.
async fn to_the_back() {
    let mut is_woken = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_woken, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
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
        let count = answers.len();
        let replies = tokio::select! {
            biased;
            replies = connection.send_packed_commands(&pipeline, 0, count) => replies,
            // Nobody waits any more, be it that there will be no answer.
            () = given_up(&mut answers) => return,
        };
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

/// Resolves when nobody waits for any of these.
async fn given_up(answers: &mut [oneshot::Sender<RedisResult<Value>>]) {
    for answer in answers {
        answer.closed().await;
    }
}

/// Counts so many as under way.
struct UnderWay {
    together: Arc<Together>,
    count: usize,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.together.state();
        state.under_way -= self.count;
        if state.under_way >= ALONE {
            state.heard = Some(Instant::now());
        }
    }
}

fn gone() -> RedisError {
    RedisError::from((ErrorKind::Io, "the runtime of this connection has ended"))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use redis::cmd;

    use super::super::super::server::Server;
    use super::*;

    async fn connected(server: &Server) -> MultiplexedConnection {
        let client = redis::Client::open(server.url()).unwrap();
        // Without timers, as a lane's.
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .unwrap()
    }

    fn append(number: usize) -> Cmd {
        let mut request = cmd("APPEND");
        request.arg("order").arg(format!("{number} "));
        request
    }

    fn is_idle(together: &Together) -> bool {
        let state = together.state();
        state.under_way == 0 && state.waiting.is_empty() && !state.planned
    }

    #[tokio::test]
    async fn each_gets_its_own_answer_and_they_are_sent_in_their_order() {
        let server = Server::start();
        let (connection, together) = (connected(&server).await, Arc::<Together>::default());
        let here = Handle::current();
        let asked = (0..100).map(|number| {
            let (mut connection, together, here) = (connection.clone(), Arc::clone(&together), here.clone());
            async move { together.send(&mut connection, &here, &append(number)).await }
        });
        let answers = join_all(asked).await;
        let mut length = 0;
        for (number, answer) in answers.into_iter().enumerate() {
            length += format!("{number} ").len();
            assert_eq!(answer.unwrap(), Value::Int(i64::try_from(length).unwrap()));
        }
        let order: String = server.ask(&["GET", "order"]);
        assert_eq!(order, (0..100).map(|number| format!("{number} ")).collect::<String>());
        assert!(is_idle(&together));
    }

    #[tokio::test]
    async fn who_gives_up_before_it_is_sent_is_not_sent_and_holds_up_nobody() {
        let server = Server::start();
        let (connection, together) = (connected(&server).await, Arc::<Together>::default());
        let here = Handle::current();
        let mut connections: Vec<_> = (0..20).map(|_| connection.clone()).collect();
        let requests: Vec<_> = (0..20).map(append).collect();
        let mut asked: Vec<_> = std::iter::zip(&mut connections, &requests)
            .map(|(connection, request)| Box::pin(together.send(connection, &here, request)))
            .collect();
        assert!(asked.iter_mut().all(|asked| asked.now_or_never().is_none()));
        // The first went out alone, and the others wait for this task.
        let kept = asked.split_off(15);
        drop(asked);
        assert!(join_all(kept).await.iter().all(Result::is_ok));
        let order: String = server.ask(&["GET", "order"]);
        // Of the first ones, which were to go out alone, the client library may have sent some.
        assert!(order.ends_with("15 16 17 18 19 ") && !order.contains("4 5"), "{order}");
        assert!(is_idle(&together));
    }

    #[tokio::test]
    async fn a_server_s_error_is_for_the_one_who_asked_and_a_dead_connection_for_all() {
        let server = Server::start();
        let (connection, together) = (connected(&server).await, Arc::<Together>::default());
        let here = Handle::current();
        let ask = |request: Cmd| {
            let (mut connection, together, here) = (connection.clone(), Arc::clone(&together), here.clone());
            async move { together.send(&mut connection, &here, &request).await }
        };
        let mut wrong = cmd("LPUSH");
        wrong.arg("order").arg("1");
        let requests: Vec<_> = (0..20)
            .map(|number| if number == 10 { wrong.clone() } else { append(number) })
            .collect();
        let answers = join_all(requests.into_iter().map(ask)).await;
        for (number, answer) in answers.into_iter().enumerate() {
            assert_eq!(matches!(answer.unwrap(), Value::ServerError(_)), number == 10);
        }
        ask(cmd("QUIT")).await.unwrap();
        let answers = join_all((0..20).map(append).map(ask)).await;
        assert!(answers.iter().all(Result::is_err));
        assert!(is_idle(&together));
    }

    #[test]
    fn the_end_of_its_runtime_is_told_to_those_who_wait() {
        let server = Server::start();
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
        };
        let (theirs, ours) = (runtime(), runtime());
        let connection = theirs.block_on(connected(&server));
        let together = Arc::<Together>::default();
        let here = theirs.handle().clone();
        let requests: Vec<_> = (0..10).map(append).collect();
        let mut connections: Vec<_> = (0..10).map(|_| connection.clone()).collect();
        let mut asked: Vec<_> = std::iter::zip(&mut connections, &requests)
            .map(|(connection, request)| Box::pin(together.send(connection, &here, request)))
            .collect();
        assert!(asked.iter_mut().all(|asked| asked.now_or_never().is_none()));
        drop(theirs);
        assert!(ours.block_on(join_all(asked)).iter().all(Result::is_err));
        assert!(is_idle(&together));
    }

    #[tokio::test]
    async fn while_there_is_no_answer_each_goes_out_by_itself() {
        let server = Server::start();
        let (connection, together) = (connected(&server).await, Arc::<Together>::default());
        let join = || together.join(&connection, &Handle::current(), &append(1));
        together.state().under_way = 10;
        together.state().heard = Some(Instant::now() - SILENT * 2);
        assert!(join().is_none());
        together.state().heard = Some(Instant::now() + SILENT);
        assert!(join().is_some());
    }
}
