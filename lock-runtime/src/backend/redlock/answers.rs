//! The answers of several servers to one caller, who is woken only when there may be enough of them.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use tokio::task::unconstrained;

use super::super::{BoxFuture, Failure};

/// A question that is under way.
pub(super) struct Asked<T> {
    pub(super) server: usize,
    /// The number of the lane that it took; `None`: none of its caller's.
    pub(super) lane: Option<u64>,
    pub(super) answer: BoxFuture<'static, Result<T, Failure>>,
}

pub(super) struct Answers<T> {
    under_way: Vec<Asked<T>>,
    calls: Arc<Calls>,
    /// Counts in `calls`.
    waker: Waker,
}

impl<T> Answers<T> {
    pub(super) fn new(under_way: Vec<Asked<T>>) -> Self {
        let calls = Arc::<Calls>::default();
        Self {
            under_way,
            waker: Waker::from(Arc::clone(&calls)),
            calls,
        }
    }

    /// Tells `each` the answers that there are, and from which server; it says how many more are needed at least before
    /// anything is decided. The caller is woken again when there are so many, or all.
    pub(super) fn poll(
        &mut self,
        context: &Context<'_>,
        mut needed: usize,
        mut each: impl FnMut(usize, Result<T, Failure>) -> usize,
    ) {
        self.calls.caller.register(context.waker());
        loop {
            self.calls.heard.store(0, Ordering::SeqCst);
            let mut waker = Context::from_waker(&self.waker);
            self.under_way
                // Unconstrained: out of budget, tokio would wake all of them at once, or only one.
                .retain_mut(
                    |asked| match pin!(unconstrained(asked.answer.as_mut())).poll(&mut waker) {
                        Poll::Ready(answer) => {
                            needed = each(asked.server, answer);
                            false
                        }
                        Poll::Pending => true,
                    },
                );
            let enough = needed.min(self.under_way.len());
            self.calls.enough.store(enough, Ordering::SeqCst);
            // What came meanwhile may have found a higher number.
            if enough == 0 || self.calls.heard.load(Ordering::SeqCst) < enough {
                return;
            }
        }
    }

    pub(super) fn under_way(&self) -> &[Asked<T>] {
        &self.under_way
    }

    pub(super) fn take(&mut self) -> Vec<Asked<T>> {
        std::mem::take(&mut self.under_way)
    }
}

/// Who calls the caller.
#[derive(Default)]
struct Calls {
    caller: AtomicWaker,
    /// Since all were looked at.
    heard: AtomicUsize,
    enough: AtomicUsize,
}

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let heard = self.heard.fetch_add(1, Ordering::SeqCst) + 1;
        if heard >= self.enough.load(Ordering::SeqCst) {
            self.caller.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use tokio::sync::oneshot;

    use super::*;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn asked(count: usize) -> (Vec<oneshot::Sender<usize>>, Answers<usize>) {
        let (senders, asked) = (0..count)
            .map(|server| {
                let (sender, receiver) = oneshot::channel();
                let answer = Box::pin(async move { Ok(receiver.await.unwrap()) });
                let lane = None;
                (sender, Asked { server, lane, answer })
            })
            .unzip();
        (senders, Answers::new(asked))
    }

    #[test]
    fn nobody_is_woken_before_there_may_be_enough() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let context = Context::from_waker(&waker);
        let (mut senders, mut answers) = asked(5);
        let mut heard = Vec::new();
        answers.poll(&context, 3, |_, _| 3);
        for (answer, times) in [(0, 0), (1, 0), (2, 1)] {
            senders.remove(0).send(answer).unwrap();
            assert_eq!(woken.0.load(Ordering::SeqCst), times);
        }
        // None of the three decides anything: two more are needed, or one that has come meanwhile.
        answers.poll(&context, 3, |server, answer| {
            heard.push((server, answer.unwrap()));
            2
        });
        assert_eq!(heard, [(0, 0), (1, 1), (2, 2)]);
        senders.remove(0).send(3).unwrap();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        senders.remove(0).send(4).unwrap();
        assert_eq!(woken.0.load(Ordering::SeqCst), 2);
        answers.poll(&context, 2, |_, _| 0);
        assert!(answers.under_way().is_empty());
    }

    #[test]
    fn the_last_ones_wake_even_where_more_would_be_needed() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let (mut senders, mut answers) = asked(1);
        answers.poll(&Context::from_waker(&waker), 3, |_, _| 3);
        senders.remove(0).send(7).unwrap();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn an_answer_that_is_there_at_once_counts_at_once() {
        let (mut senders, mut answers) = asked(2);
        senders.remove(0).send(1).unwrap();
        let mut heard = 0;
        answers.poll(&Context::from_waker(Waker::noop()), 1, |_, _| {
            heard += 1;
            0
        });
        assert_eq!((heard, answers.under_way().len()), (1, 1));
    }
}
