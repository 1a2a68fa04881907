//! A runtime without locks, for `crate = crate::double`: it writes down what the expansion asks of
//! it and when the lock would be given back.

#![allow(unreachable_pub, missing_docs)] // it stands where a public crate would

use std::cell::RefCell;
use std::fmt;

thread_local! {
    static EVENTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static LOSE: RefCell<bool> = const { RefCell::new(false) };
    static HELD: RefCell<usize> = const { RefCell::new(0) };
}

/// Something happened, in this thread.
pub fn note(event: impl Into<String>) {
    EVENTS.with_borrow_mut(|events| events.push(event.into()));
}

/// What happened since the last call, in one line.
pub fn events() -> String {
    EVENTS.take().join(" ")
}

/// Something, while a body is being polled.
pub fn current() -> Option<()> {
    HELD.with_borrow(|held| *held > 0).then_some(())
}

/// The next body that pends is aborted as if its lease were lost.
pub fn lose_the_next_lease() {
    LOSE.set(true);
}

/// Writes its name down when it is dropped.
#[derive(Debug)]
pub struct Noted(pub &'static str);

impl Drop for Noted {
    fn drop(&mut self) {
        note(self.0);
    }
}

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The error of the double.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused;

/// Why a lease was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostReason {
    /// Somebody else has it.
    Taken,
}

/// What the expansion calls.
pub mod __private {
    pub use crate::double_queue as queue;

    use super::{HELD, LOSE, LostReason, Refused, note};
    use std::fmt::Display;
    use std::future::{Future, poll_fn};
    use std::marker::PhantomData;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;

    #[derive(Debug)]
    #[allow(dead_code)] // read through Debug
    pub struct Spec {
        pub policy: &'static str,
        pub ttl: Option<Duration>,
        pub wait: Option<Duration>,
        pub backoff: Option<(Duration, Duration)>,
        pub renew_every: Option<Duration>,
        pub never_renew: bool,
        pub max_hold: Option<Duration>,
        pub hold_at_least: Option<Duration>,
        pub continue_when_lost: bool,
        pub reentrant: bool,
    }

    macro_rules! setters {
        ($($name:ident ( $($arg:ident : $ty:ty),* ) = $value:expr;)*) => {
            $(pub const fn $name(mut self, $($arg: $ty),*) -> Spec { self.$name = $value; self })*
        };
    }

    impl Spec {
        const fn new(policy: &'static str) -> Spec {
            Spec {
                policy,
                ttl: None,
                wait: None,
                backoff: None,
                renew_every: None,
                never_renew: false,
                max_hold: None,
                hold_at_least: None,
                continue_when_lost: false,
                reentrant: false,
            }
        }
        pub const FAIL: &'static Spec = &Spec::fail();
        pub const RETRY: &'static Spec = &Spec::retry();
        pub const SKIP: &'static Spec = &Spec::skip();
        pub const fn fail() -> Spec {
            Spec::new("fail")
        }
        pub const fn retry() -> Spec {
            Spec::new("retry")
        }
        pub const fn skip() -> Spec {
            Spec::new("skip")
        }
        setters! {
            ttl(it: Duration) = Some(it);
            wait(it: Duration) = Some(it);
            backoff(min: Duration, max: Duration) = Some((min, max));
            renew_every(it: Duration) = Some(it);
            never_renew() = true;
            max_hold(it: Duration) = Some(it);
            hold_at_least(it: Duration) = Some(it);
            continue_when_lost() = true;
            reentrant() = true;
        }
    }

    pub struct Returns<R>(pub(crate) PhantomData<fn() -> R>);

    pub trait Lockable {}
    impl<T, E: From<Refused>> Lockable for Result<T, E> {}

    pub const fn returns<R: Lockable>() -> Returns<R> {
        Returns(PhantomData)
    }
    pub const fn returns_or_skips<R: Lockable>() -> Returns<R> {
        Returns(PhantomData)
    }

    pub fn call<R: Lockable>(spec: &'static Spec) -> Call<R> {
        Call::new(spec, returns())
    }
    pub fn call_or_skip<R: Lockable>(spec: &'static Spec) -> Call<R> {
        Call::new(spec, returns_or_skips())
    }

    #[allow(clippy::empty_loop)] // nothing calls it
    pub const fn never<R>() -> R {
        loop {}
    }

    pub fn key(key: impl Into<String>) -> String {
        key.into()
    }

    /// Unlocks when it is dropped or ended, whichever is first.
    pub struct Call<R> {
        locked: bool,
        /// Until it is asked for.
        key: Option<String>,
        returns: PhantomData<fn() -> R>,
    }

    pub enum Ended<R> {
        Finished(R),
        Lost,
    }

    impl<R> Drop for Call<R> {
        fn drop(&mut self) {
            self.unlock();
        }
    }

    impl<R> Call<R> {
        pub fn new(spec: &'static Spec, _: Returns<R>) -> Call<R> {
            SPECS.with_borrow_mut(|specs| specs.push(format!("{spec:?}")));
            Call {
                locked: false,
                key: None,
                returns: PhantomData,
            }
        }
        fn unlock(&mut self) {
            if std::mem::take(&mut self.locked) {
                note("UNLOCK");
            }
        }
        pub fn key(&mut self, key: String) {
            self.key = Some(key);
        }
        pub fn ask(&mut self) {
            KEYS.with_borrow_mut(|keys| keys.extend(self.key.take()));
        }
        pub fn text(&mut self, text: &str) {
            self.key.get_or_insert_default().push_str(text);
        }
        pub fn part<V: Display + ?Sized>(&mut self, text: &str, value: &V) {
            *self.key.get_or_insert_default() += &format!("{text}{value}");
        }
        pub fn manager<M: ?Sized>(&mut self, _: &M) {
            note("manager");
        }
        pub async fn run<F: Future<Output = R>>(&mut self, mut body: Pin<&mut F>) -> Ended<R> {
            poll_fn(|cx| self.poll_run(body.as_mut(), cx)).await
        }
        fn poll_run(&mut self, body: Pin<&mut dyn Future<Output = R>>, cx: &mut Context<'_>) -> Poll<Ended<R>> {
            self.ask();
            self.locked = true;
            let _inside = Inside::enter();
            match body.poll(cx) {
                Poll::Ready(output) => Poll::Ready(Ended::Finished(output)),
                Poll::Pending if LOSE.take() => Poll::Ready(Ended::Lost),
                Poll::Pending => Poll::Pending,
            }
        }
        pub async fn end(&mut self, ended: Ended<R>) -> R {
            self.unlock();
            match ended {
                Ended::Finished(output) => output,
                Ended::Lost => std::future::pending().await,
            }
        }
        pub async fn end_or_lost(&mut self, ended: Ended<R>) -> Result<R, LostReason> {
            self.unlock();
            match ended {
                Ended::Finished(output) => Ok(output),
                Ended::Lost => Err(LostReason::Taken),
            }
        }
    }

    pub struct Complete<'a, R, F> {
        pub call: &'a mut Call<R>,
        pub body: Pin<&'a mut Option<F>>,
    }

    impl<R, F: Future<Output = R>> Future for Complete<'_, R, F> {
        type Output = R;

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
            let Complete { call, body } = self.get_mut();
            let Some(running) = body.as_mut().as_pin_mut() else {
                return Poll::Pending;
            };
            let ended = std::task::ready!(call.poll_run(running, cx));
            body.set(None);
            call.unlock();
            match ended {
                Ended::Finished(output) => Poll::Ready(output),
                Ended::Lost => Poll::Pending,
            }
        }
    }

    struct Inside;

    impl Inside {
        fn enter() -> Inside {
            HELD.with_borrow_mut(|held| *held += 1);
            Inside
        }
    }

    impl Drop for Inside {
        fn drop(&mut self) {
            HELD.with_borrow_mut(|held| *held -= 1);
        }
    }

    thread_local! {
        static KEYS: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
        static SPECS: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
    }

    /// The keys since the last call.
    pub fn keys() -> Vec<String> {
        KEYS.take()
    }

    /// The specs since the last call.
    pub fn specs() -> Vec<String> {
        SPECS.take()
    }
}
