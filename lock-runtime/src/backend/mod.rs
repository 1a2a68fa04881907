//! What the rest of the crate asks of a place where locks are kept, and the three answers that it may give: done,
//! not done, unknown.
//!
//! A backend knows nothing of policies, waiting or bodies. Every operation is one atomic step there, safe to be
//! sent twice, and compares the holder's token before it changes anything.

mod armed;
pub(crate) mod memory;
#[cfg(feature = "queue")]
pub(crate) mod queue;
pub(crate) mod redis;
pub(crate) mod redlock;

use std::any::Any;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Fence, Key, LockError};

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An operation over a connection of the caller's own runtime.
pub(crate) struct UnderWay<T> {
    /// The route that it takes.
    pub(crate) route: u64,
    /// The longest that it makes sense to wait for the answer.
    pub(crate) within: Duration,
    /// Nothing was sent before its first poll.
    pub(crate) answer: BoxFuture<'static, Result<T, Failure>>,
}

/// Who holds, or wants to hold, which lock.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// In its namespace.
    pub(crate) key: Key,
    pub(crate) value: Value,
}

impl Claim {
    /// The full name: namespace and key.
    pub(crate) fn name(&self) -> &str {
        self.key.name()
    }
}

/// What the backend stores for a hold. As a text only where it is sent: a hold keeps it for as long as it lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Value {
    /// No other hold has it.
    pub(crate) token: Uuid,
    /// The manager's label, for operators. `None` in this process, where the store is told it once for many holds.
    pub(crate) owner: Option<Arc<str>>,
}

impl Value {
    /// The token, a space, the owner label.
    pub(crate) fn text(&self) -> String {
        self.parts(|parts| parts.concat())
    }

    /// As [`text`](Self::text), in parts, for who puts them where they belong.
    pub(crate) fn parts<T>(&self, take: impl FnOnce([&str; 3]) -> T) -> T {
        let mut token = Uuid::encode_buffer();
        let token: &str = self.token.hyphenated().encode_lower(&mut token);
        take([token, " ", self.owner.as_deref().unwrap_or_default()])
    }
}

/// The answer to an acquire.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Acquired {
    /// The claim holds the lock now (or held it already, from an attempt whose answer was lost).
    Granted(Fence),
    /// Another claim holds it, for this much longer unless it is renewed; `None`: it has no ttl.
    Busy(Option<Duration>),
}

/// What a claim asks for that waits until the lock is free.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// The lease, counted from the request that gets it.
    pub(crate) ttl: Duration,
    /// The lease that a release gives to the first in line, whose answer may be late. Whoever gets it makes it longer.
    pub(crate) first_lease: Duration,
    /// How long the claim keeps its place without asking again.
    pub(crate) stay: Duration,
    /// The number of this question, larger than that of the claim's last one.
    pub(crate) question: u64,
    /// How many fences in a row it is given, at least 1: the first, and as many for those that it hands the lease to.
    pub(crate) fences: u64,
}

/// The answer to a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewed {
    Extended,
    /// The key is gone. It is never created again by a renewal.
    Missing,
    /// The key holds something else.
    Taken,
}

/// The answers to some of several renewals, by their places, which have come together.
pub(crate) type Answers<'a> = &'a mut (dyn Iterator<Item = (usize, Result<Renewed, Failure>)> + 'a);

/// Who is told them.
pub(crate) type EachRenewed<'a> = dyn Fn(Answers<'_>) + Send + Sync + 'a;

/// What a release leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    Nothing,
    /// The lock stays taken for so much longer (`hold_at_least`).
    TakenFor(Duration),
}

/// The answer to a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Released {
    Done,
    /// The key was gone; nothing was changed.
    Missing,
    /// The key holds something else, which was left alone.
    Taken,
}

/// What is stored under a name, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) value: String,
    /// `None`: no ttl.
    pub(crate) remaining: Option<Duration>,
}

/// An operation that did not give its answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// Whether it may have been carried out all the same.
    pub(crate) applied: Applied,
    /// For the error's text: what happened and what to look at.
    pub(crate) reason: String,
    pub(crate) source: Option<Box<dyn Error + Send + Sync>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Out of reach, or refusing for now: another try may pass.
    Transient,
    /// Refusing for good: a wrong password, a missing permission.
    Permanent,
    /// A value of another type is stored under this name.
    WrongType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    No,
    /// It was not sent: there was no connection in time, and there may be one soon.
    NotSent,
    Unknown,
}

/// A wake-up for whoever waits for a name: resolves when it may be free. It may resolve without need, and a wake-up
/// may be missed, so the waiter keeps a timer as well. Dropping it passes an unused wake-up on.
pub(crate) trait Wakeup: Send {
    /// Resolves once wake-ups will arrive: only a try after this cannot miss a release.
    #[cfg(any(feature = "queue", test))]
    fn armed(&mut self) -> BoxFuture<'_, ()>;
    /// Resolves at the next wake-up. Cancel safe.
    fn woken(&mut self) -> BoxFuture<'_, ()>;
}

/// A claim that waits, and is told that the lock is its own: at once, on whichever thread the word arrives.
pub(crate) trait Grantee: Send + Sync {
    /// It is this claim's, for [`Turn::first_lease`] from an unknown moment on, unless it has been released since.
    fn granted(&self, told: Told);
}

/// A grant that nobody has asked for just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    /// The first of its fences.
    pub(crate) fence: Fence,
    /// The last question that was heard before.
    pub(crate) question: u64,
}

/// A place where locks are kept.
///
/// `within` is each operation's own deadline: after it, the answer is a [`Failure`], whatever hangs.
pub(crate) trait Backend: Send + Sync + 'static {
    /// The locks, where they are in this process: then everything is done at once, wherever it is called.
    fn store(&self) -> Option<&Arc<memory::Store>> {
        None
    }

    /// Operations complete at once, wherever they are called: no need of a thread of our own.
    fn is_local(&self) -> bool {
        self.store().is_some()
    }

    /// Connects and asks whether locks can be kept there. For the start of a program: the error says which part of
    /// the URL is wrong.
    fn check(&self, _within: Duration) -> BoxFuture<'_, Result<(), LockError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Makes `claim` the holder for `ttl` if nobody else is; an own claim is armed anew.
    fn acquire<'a>(
        &'a self,
        claim: &'a Claim,
        ttl: Duration,
        within: Duration,
    ) -> BoxFuture<'a, Result<Acquired, Failure>>;

    /// As [`acquire`](Self::acquire), for a claim that waits: where others do so too, it is served in the order in which
    /// they came, and keeps its place by asking again. It is told through [`place`](Self::place).
    fn acquire_in_turn<'a>(
        &'a self,
        claim: &'a Claim,
        turn: Turn,
        within: Duration,
    ) -> BoxFuture<'a, Result<Acquired, Failure>> {
        self.acquire(claim, turn.ttl, within)
    }

    /// Whether a claim that waits has a place there, which a release gives up.
    fn keeps_places(&self) -> bool {
        false
    }

    /// Whether [`acquire_in_turn`](Self::acquire_in_turn) gives as many fences as it is asked for.
    fn reserves_fences(&self) -> bool {
        false
    }

    /// Extends each claim to its ttl from now if it is the holder. `each` is told one answer for each, by its place, as
    /// soon as there is one: no claim waits for another.
    fn renew<'a>(
        &'a self,
        claims: &'a [(&'a Claim, Duration)],
        within: Duration,
        each: &'a EachRenewed<'a>,
    ) -> BoxFuture<'a, ()>;

    /// Ends the hold of `claim` if it is the holder, and wakes who waits.
    fn release<'a>(
        &'a self,
        claim: &'a Claim,
        leave: Leave,
        within: Duration,
    ) -> BoxFuture<'a, Result<Released, Failure>>;

    /// What is stored under `name`.
    fn inspect<'a>(&'a self, name: &'a str, within: Duration) -> BoxFuture<'a, Result<Option<Stored>, Failure>>;

    /// Deletes whatever hold is stored under `name`, and wakes who waits. Whether there was one.
    fn force_release<'a>(&'a self, name: &'a str, within: Duration) -> BoxFuture<'a, Result<bool, Failure>>;

    /// Requests that take the same route arrive in their order. Another number: an earlier request may still arrive
    /// after a later one. 0: no request can be under way.
    fn route(&self) -> u64 {
        0
    }

    /// As [`acquire`](Self::acquire), over a connection of the caller's own runtime; `None`: there is none (yet; `runtime`
    /// is where a task may be started that opens one, or goes on). It sets no timer and may wait for ever: whoever gives
    /// up says so by [`no_answer`](Self::no_answer).
    fn acquire_here(&self, _claim: &Claim, _ttl: Duration, _runtime: &Handle) -> Option<UnderWay<Acquired>> {
        None
    }

    /// As [`acquire_here`](Self::acquire_here), for a release that leaves nothing behind.
    fn release_here(&self, _claim: &Claim, _runtime: &Handle) -> Option<UnderWay<Released>> {
        None
    }

    /// As [`release`](Self::release), behind everything that took this route before; `None`: that cannot be.
    fn release_after<'a>(
        &'a self,
        route: u64,
        claim: &'a Claim,
        within: Duration,
    ) -> Option<BoxFuture<'a, Result<Released, Failure>>> {
        (route == self.route()).then(|| self.release(claim, Leave::Nothing, within))
    }

    /// An operation on this route has no answer for so long that its caller gave up.
    fn no_answer(&self, _route: u64) {}

    /// Locks are kept by a majority of several. An attempt that fails is taken back by the backend itself, and the next
    /// one needs a token of its own, because that may still be under way. A release is finished by the backend itself, on
    /// each server, also where the answer is a failure. A lost lease may have left something with the minority.
    fn is_quorum(&self) -> bool {
        false
    }

    /// Counts what may have lost locks, where that is noticed: a reconnection, a failover. Every hold is renewed then.
    fn disturbances(&self) -> Option<watch::Receiver<u64>> {
        None
    }

    /// What keeps the runtime alive that operations run on: what goes on in the background holds it.
    fn runs_on(&self, _runtime: Weak<dyn Any + Send + Sync>) {}

    /// Ends what still goes on in the background: a shutdown waits for it. What waits for requests that may be late does
    /// so until the `last_call`. Cancel safe.
    fn settle<'a>(&'a self, _last_call: &'a CancellationToken) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Nothing is asked any more: closes what lives on the callers' runtimes.
    fn close(&self) {}

    /// Where calls of `namespace` are stored that wait for their lock; `None`: calls cannot be stored here.
    #[cfg(feature = "queue")]
    fn calls(&self, _namespace: &str) -> Option<Arc<dyn queue::CallStore>> {
        None
    }

    /// As [`wakeup`](Self::wakeup), for a name of a [`CallStore`](queue::CallStore): everybody is woken who listens.
    #[cfg(feature = "queue")]
    fn bell(&self, name: &str, runtime: &Handle) -> Box<dyn Wakeup> {
        self.wakeup(name, runtime)
    }

    /// Where `claim` is told that it may be its turn, and `grantee` that it is: on the runtime `near`, if that can be.
    /// `runtime` is where a task may be started for it.
    fn place(
        &self,
        claim: &Claim,
        _near: Option<&Handle>,
        _grantee: Arc<dyn Grantee>,
        runtime: &Handle,
    ) -> Box<dyn Wakeup> {
        self.wakeup(claim.name(), runtime)
    }

    /// Starts listening for `name`, of which one listener is woken at a time; `runtime` is where a task may be started
    /// for it.
    fn wakeup(&self, name: &str, runtime: &Handle) -> Box<dyn Wakeup>;
}
