//! What the rest of the crate asks of a place where calls are stored that wait for a lock.
//!
//! The life of a call there, by the place's own clock:
//!
//! ```text
//!             store                claim (token, lease)           settle: done, cancelled
//!   ─────────────────► waiting ───────────────────────► running ──────────────────────────► ended
//!                       ▲  ▲ │                           │ │ │                               ▲
//!                       │  │ └───────── cancel ──────────┼─┼─┼───────────────────────────────┘
//!                       │  └─ settle: again, handed back ┘ │ │
//!                       │     the claim's lease is over ◄──┘ │ settle: dead; no attempt is left
//!                       └──────────── send back ──────── dead ◄┘
//! ```
//!
//! Calls of one lane (a lock's key) stand in the order in which they were stored, and only the first one can be claimed.
//! It stays in its place until it has ended or is dead. Every step is one atomic operation that may be sent twice.

#[cfg(test)]
pub(in crate::backend) mod tests;

use std::time::Duration;

use uuid::Uuid;

use super::{BoxFuture, Failure};

/// The longest pause between two attempts, unless the call's own first pause is longer.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// A call that a worker was killed with is not given up before so many attempts, whatever it says itself: of one
/// attempt, the body may never have been begun.
pub(crate) const CRASHES: u32 = 3;
/// How long the end of a call is remembered, for those who wait for it, and so that a store that is sent again late
/// stores nothing.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(600);

/// A call to be stored.
#[derive(Debug, Clone)]
pub(crate) struct NewCall {
    pub(crate) id: Uuid,
    /// The lock's key: calls with the same one run in their order.
    pub(crate) lane: String,
    pub(crate) payload: String,
    /// The pause before the first attempt; the later ones grow.
    pub(crate) delay: Duration,
    /// How often it is tried.
    pub(crate) attempts: u32,
    /// How many calls may be stored that have not ended and are not dead.
    pub(crate) limit: u64,
}

/// The answer to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storing {
    /// It is stored now, or was before.
    Stored,
    /// So many are stored already.
    Full(u64),
}

/// What a worker asks for.
#[derive(Debug, Clone)]
pub(crate) struct ClaimRequest {
    /// One for each call that is wanted. Sent again, the same tokens get the same calls.
    pub(crate) tokens: Vec<Uuid>,
    /// How long a claim lasts that is not kept.
    pub(crate) lease: Duration,
    /// For operators: who claims.
    pub(crate) worker: String,
    /// Which calls that wait for their lock should be told, when there are fewer due ones than were asked for.
    pub(crate) upcoming: Ahead,
}

/// Which of the first calls of their lanes that are not due yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ahead {
    Nothing,
    /// So many that are due the soonest.
    Soonest(usize),
    /// So many that are due the latest: the newest, where their delays are alike.
    Latest(usize),
}

/// The answer to a claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) claimed: Vec<Claimed>,
    /// First calls of their lanes that wait for their lock and are not due yet.
    pub(crate) upcoming: Vec<Upcoming>,
    /// Calls that ran out of attempts because their workers stopped.
    pub(crate) buried: Vec<Uuid>,
    /// How long until there may be something to claim again; `None`: nothing is stored that will be due by itself.
    pub(crate) next: Option<Duration>,
}

/// A call, and the right to run it for the time of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) id: Uuid,
    pub(crate) token: Uuid,
    pub(crate) lane: String,
    pub(crate) payload: String,
    /// How often it was tried before.
    pub(crate) tried: u32,
    pub(crate) attempts: u32,
    pub(crate) delay: Duration,
    /// How much earlier this is than was planned: the lock may be free. Zero: it was due.
    pub(crate) early: Duration,
    /// How long ago it was stored.
    pub(crate) age: Duration,
}

/// The first call of a lane, which waits for its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upcoming {
    pub(crate) id: Uuid,
    pub(crate) lane: String,
}

/// What became of a claimed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It ran to its end. This stands whoever has the claim by now: it need not run again.
    Done,
    /// It is not tried again by itself.
    Dead { cause: String, error: String },
    /// That was an attempt. Another one after `pause`, unless none is left; then it is dead. `for_lock`: it waits for
    /// its lock, whose release makes it due earlier.
    Again {
        pause: Duration,
        for_lock: bool,
        error: String,
    },
    /// That was no attempt: it waits for the time that was planned.
    HandedBack,
}

/// The answer to a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    AsAsked,
    /// That was the last attempt.
    Exhausted,
    /// The claim is not ours any more, or the call has ended; nothing was changed.
    NotOurs,
}

/// Where a stored call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its time has come, and it waits for a worker or for an earlier call of its lane.
    Due,
    /// Its time has not come.
    Delayed,
    Running,
    Dead,
}

/// How many calls stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) due: u64,
    pub(crate) delayed: u64,
    pub(crate) running: u64,
    pub(crate) dead: u64,
    /// For how long the call is due that is due for the longest.
    pub(crate) oldest_due: Option<Duration>,
    /// The place's clock, in milliseconds since 1970.
    pub(crate) now: u64,
}

/// A stored call, as an operator sees it. Times are milliseconds since 1970 by the place's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallRecord {
    pub(crate) id: Uuid,
    pub(crate) standing: Standing,
    pub(crate) lane: String,
    pub(crate) payload: String,
    pub(crate) stored: u64,
    /// When it is due, its claim's lease is over, or it died.
    pub(crate) at: u64,
    pub(crate) tried: u32,
    pub(crate) attempts: u32,
    /// Who runs it.
    pub(crate) worker: Option<String>,
    /// Why it is dead.
    pub(crate) cause: Option<String>,
    /// Of the last attempt.
    pub(crate) error: Option<String>,
}

/// What is known of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is stored.
    Call(Box<CallRecord>),
    Done,
    Cancelled,
    /// It was never stored, or ended so long ago that it is forgotten.
    Nothing,
}

/// The answer to a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancelling {
    /// It will not run.
    Cancelled,
    /// It runs.
    Running,
    /// There is no such call.
    Nothing,
}

/// What to do with dead calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sweep {
    SendBack,
    Forget,
}

/// A place where calls are stored, for one namespace.
///
/// `within` is each operation's own deadline: after it, the answer is a [`Failure`], whatever hangs.
pub(crate) trait CallStore: Send + Sync + 'static {
    /// The name by which [`Backend::bell`](super::Backend::bell) tells that something may be claimed.
    fn bell(&self) -> &str;

    /// The same for the end of one call, or its death.
    fn end_bell(&self, id: Uuid) -> String;

    /// Adds a call to the end of its lane.
    fn store<'a>(&'a self, call: &'a NewCall, within: Duration) -> BoxFuture<'a, Result<Storing, Failure>>;

    /// Takes calls that are due, or whose lock may be free; and back what dead workers had, which counts as an attempt.
    /// Fewer than there are tokens where they are large: then the answer's `next` is zero.
    fn claim<'a>(&'a self, request: &'a ClaimRequest, within: Duration) -> BoxFuture<'a, Result<Claims, Failure>>;

    /// Begins the lease of each claim anew; whether it is still a claim.
    fn keep<'a>(
        &'a self,
        claims: &'a [(Uuid, Uuid)],
        lease: Duration,
        within: Duration,
    ) -> BoxFuture<'a, Result<Vec<bool>, Failure>>;

    /// Ends a claim. `ring`: others should look for what may be claimed now.
    ///
    /// When a call leaves its lane, the next one may be claimed at once if it waits for its lock, which was probably
    /// released just now; it is then planned for its delay from now at the earliest, so that this first try is early.
    fn settle<'a>(
        &'a self,
        id: Uuid,
        token: Uuid,
        verdict: &'a Verdict,
        ring: bool,
        within: Duration,
    ) -> BoxFuture<'a, Result<Settled, Failure>>;

    /// The lock of a call may be free that waits for it: it may be claimed at once, if it is the first of its lane.
    fn hasten(&self, id: Uuid, within: Duration) -> BoxFuture<'_, Result<(), Failure>>;

    fn census(&self, within: Duration) -> BoxFuture<'_, Result<Census, Failure>>;

    /// The calls that stand there, the earliest first (the dead: those that died last first). Fewer than `limit` where
    /// they are large: the next page begins behind the last one that was told.
    fn page(
        &self,
        standing: Standing,
        offset: u64,
        limit: u32,
        within: Duration,
    ) -> BoxFuture<'_, Result<Vec<CallRecord>, Failure>>;

    fn find(&self, id: Uuid, within: Duration) -> BoxFuture<'_, Result<Found, Failure>>;

    /// Ends a call that is waiting or dead.
    fn cancel(&self, id: Uuid, within: Duration) -> BoxFuture<'_, Result<Cancelling, Failure>>;

    /// Nobody waits for this store any more: a call that waits is cancelled, and one that is not there (yet) is not stored
    /// if it comes later.
    fn withdraw(&self, id: Uuid, within: Duration) -> BoxFuture<'_, Result<(), Failure>>;

    /// A dead call waits again, at the end of its lane, due at once, with all its attempts. Whether it was dead. `request`
    /// is the same when this is asked again: by then the call may have died once more.
    fn send_back(&self, id: Uuid, request: Uuid, within: Duration) -> BoxFuture<'_, Result<bool, Failure>>;

    /// Sends back, or forgets, at most `limit` of the calls that died at `until` or before, those that died first first.
    /// How many; none: there are no more of them.
    fn sweep_dead(&self, until: u64, limit: u32, sweep: Sweep, within: Duration)
    -> BoxFuture<'_, Result<u64, Failure>>;
}

/// The pause before the attempt after `tried` failed ones, before jitter: doubled each time, within bounds.
pub(crate) fn growing(delay: Duration, tried: u32) -> Duration {
    let cap = LONGEST_DELAY.max(delay);
    delay
        .saturating_mul(1_u32.checked_shl(tried).unwrap_or(u32::MAX))
        .min(cap)
}
