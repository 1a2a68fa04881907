//! A backend that answers as a test has written down, on the test's own clock, and notes when it was asked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::backend::{
    Acquired, Applied, Backend, BoxFuture, Claim, EachRenewed, Failure, FailureKind, Leave, Released, Renewed, Stored,
    Turn, Value, Wakeup,
};
use crate::grant::Grant;
use crate::hold::{Hold, HoldId};
use crate::manager::Shared;
use crate::telemetry::Telemetry;
use crate::terms::{DEFAULT_TTL, DEFAULT_WAIT, Spec, Terms};
use crate::{Fence, Key};

/// When an answer comes, and which.
pub(crate) type Answer<T> = (Duration, Result<T, Failure>);

pub(crate) const AT_ONCE: Duration = Duration::ZERO;

/// What is asked for beyond what was written down gets no answer in time.
#[derive(Default)]
pub(crate) struct Scripted {
    acquires: Mutex<VecDeque<Answer<Acquired>>>,
    releases: Mutex<VecDeque<Answer<Released>>>,
    /// The moments of the requests.
    asked: Mutex<Vec<(Instant, Asked)>>,
    is_quorum: bool,
    reserves_fences: bool,
    /// How many fences each question of one that waits was for.
    pub(crate) fences: Mutex<Vec<u64>>,
    pub(crate) route: AtomicU64,
    /// How many leases each renewal was about, and how long it had; all of them are extended.
    pub(crate) renewed: Mutex<Vec<(usize, Duration)>>,
    /// The moments of these.
    pub(crate) renewed_at: Mutex<Vec<Instant>>,
    /// How long a renewal takes.
    pub(crate) renewal: Mutex<Duration>,
    /// Counts what may have lost locks.
    pub(crate) disturbed: watch::Sender<u64>,
    /// The driver of the renewals, or an acquire after a fifth of a second, is to panic so many times.
    pub(crate) panics: AtomicUsize,
    /// How many wake-ups were made. None of them ever arms or wakes.
    pub(crate) wakeups: AtomicUsize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// For this token.
    Acquire(String),
    Release(Leave),
}

/// A failure that may pass.
pub(crate) fn failed<T>(kind: FailureKind, applied: Applied) -> Result<T, Failure> {
    Err(Failure {
        kind,
        applied,
        reason: "as it is written".to_owned(),
        source: None,
    })
}

/// A request that reached nobody, and may be sent again.
pub(crate) fn unsent<T>() -> Result<T, Failure> {
    failed(FailureKind::Transient, Applied::No)
}

/// A request whose answer was lost.
pub(crate) fn unknown<T>() -> Result<T, Failure> {
    failed(FailureKind::Transient, Applied::Unknown)
}

pub(crate) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

impl Scripted {
    pub(crate) fn acquires(self, answers: impl IntoIterator<Item = Answer<Acquired>>) -> Self {
        self.acquires.lock().unwrap().extend(answers);
        self
    }

    pub(crate) fn releases(self, answers: impl IntoIterator<Item = Answer<Released>>) -> Self {
        self.releases.lock().unwrap().extend(answers);
        self
    }

    /// With as many fences as it is asked for.
    pub(crate) fn with_fences(self) -> Self {
        Self {
            reserves_fences: true,
            ..self
        }
    }

    /// As a majority of several servers.
    pub(crate) fn with_quorum(self, is_quorum: bool) -> Self {
        Self { is_quorum, ..self }
    }

    /// With what a manager has around it, on the runtime and the clock of the test.
    pub(crate) fn shared(self) -> (Arc<Self>, Arc<Shared>) {
        let backend = Arc::new(self);
        let owner = "owner".to_owned();
        let shared = Shared::new(
            Arc::clone(&backend) as Arc<dyn Backend>,
            String::new(),
            owner,
            DEFAULT_TTL,
            DEFAULT_WAIT,
            false,
            true,
        );
        (backend, Arc::new(shared))
    }

    /// How long after `began` the acquires were sent, in tens of milliseconds.
    pub(crate) fn acquired(&self, began: Instant) -> Vec<u128> {
        self.times(began, |asked| matches!(asked, Asked::Acquire(_)))
    }

    /// How long after `began` the releases were sent, in tens of milliseconds.
    pub(crate) fn released(&self, began: Instant) -> Vec<u128> {
        self.times(began, |asked| matches!(asked, Asked::Release(_)))
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .map(|(_, asked)| asked.clone())
            .collect()
    }

    fn times(&self, began: Instant, which: impl Fn(&Asked) -> bool) -> Vec<u128> {
        let asked = self.asked.lock().unwrap();
        let asked = asked.iter().filter(|(_, asked)| which(asked));
        // Growing pauses are a little longer than they look, because they are counted in floats.
        asked
            .map(|(at, _)| at.duration_since(began).as_millis() / 10 * 10)
            .collect()
    }

    fn is_to_panic(&self) -> bool {
        let left = self
            .panics
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.is_ok()
    }

    fn note(&self, asked: Asked) {
        self.asked.lock().unwrap().push((Instant::now(), asked));
    }
}

/// A hold of the lock `k` that was granted just now, renewed and watched.
pub(crate) fn hold(shared: &Arc<Shared>, spec: &Spec, doubtful: bool) -> Arc<Hold> {
    let hold = unwatched(shared, spec, doubtful);
    hold.timeline().unwrap().watch(&hold);
    hold
}

/// As [`hold`], and nobody looks after it.
pub(crate) fn unwatched(shared: &Arc<Shared>, spec: &Spec, doubtful: bool) -> Arc<Hold> {
    let key = Key::from("k");
    let timeline = shared.timeline(&key).unwrap();
    let terms = Terms::new(spec, DEFAULT_TTL, DEFAULT_WAIT, &key).unwrap();
    let now = timeline.clock.now();
    let grant = Grant {
        id: HoldId::next(),
        claim: claim("token"),
        fence: Fence::from(1),
        deadline: crate::grant::deadline(now, terms.ttl),
        next_renewal: crate::grant::next_renewal(now, &terms.hold),
        granted: now,
        hand_over: crate::grant::HandOver::NONE,
        doubtful,
    };
    let telemetry = Telemetry::here(false);
    assert!(shared.present.enter());
    Arc::new(Hold::new(
        grant,
        terms.hold,
        Arc::clone(shared),
        Some(timeline),
        telemetry,
    ))
}

pub(crate) fn claim(token: &str) -> Claim {
    Claim {
        key: Key::from("k"),
        value: Value {
            token: Uuid::from_u128(token.bytes().fold(0, |sum, byte| sum * 256 + u128::from(byte))),
            owner: Some("owner".into()),
        },
    }
}

/// The next written answer when its time has come, or none in time.
async fn answer<T>(written: Option<Answer<T>>, within: Duration) -> Result<T, Failure> {
    match written {
        Some((after, answer)) if after <= within => {
            sleep(after).await;
            answer
        }
        Some(_) | None => {
            sleep(within).await;
            unknown()
        }
    }
}

impl Backend for Scripted {
    fn acquire<'a>(
        &'a self,
        claim: &'a Claim,
        _ttl: Duration,
        within: Duration,
    ) -> BoxFuture<'a, Result<Acquired, Failure>> {
        self.note(Asked::Acquire(claim.value.text()));
        if self.is_to_panic() {
            return Box::pin(async {
                sleep(ms(200)).await;
                panic!("the test wants it");
            });
        }
        let written = self.acquires.lock().unwrap().pop_front();
        Box::pin(answer(written, within))
    }

    fn renew<'a>(
        &'a self,
        claims: &'a [(&'a Claim, Duration)],
        within: Duration,
        each: &'a EachRenewed<'a>,
    ) -> BoxFuture<'a, ()> {
        self.renewed.lock().unwrap().push((claims.len(), within));
        self.renewed_at.lock().unwrap().push(Instant::now());
        let takes = *self.renewal.lock().unwrap();
        Box::pin(async move {
            sleep(takes).await;
            each(&mut (0..claims.len()).map(|index| (index, Ok(Renewed::Extended))));
        })
    }

    fn release<'a>(
        &'a self,
        _claim: &'a Claim,
        leave: Leave,
        within: Duration,
    ) -> BoxFuture<'a, Result<Released, Failure>> {
        self.note(Asked::Release(leave));
        let written = self.releases.lock().unwrap().pop_front();
        Box::pin(answer(written, within))
    }

    fn inspect<'a>(&'a self, _name: &'a str, _within: Duration) -> BoxFuture<'a, Result<Option<Stored>, Failure>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn force_release<'a>(&'a self, _name: &'a str, _within: Duration) -> BoxFuture<'a, Result<bool, Failure>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn route(&self) -> u64 {
        self.route.load(Ordering::Relaxed)
    }

    fn is_quorum(&self) -> bool {
        self.is_quorum
    }

    fn acquire_in_turn<'a>(
        &'a self,
        claim: &'a Claim,
        turn: Turn,
        within: Duration,
    ) -> BoxFuture<'a, Result<Acquired, Failure>> {
        self.fences.lock().unwrap().push(turn.fences);
        self.acquire(claim, turn.ttl, within)
    }

    fn reserves_fences(&self) -> bool {
        self.reserves_fences
    }

    fn disturbances(&self) -> Option<watch::Receiver<u64>> {
        assert!(!self.is_to_panic(), "the test wants it");
        Some(self.disturbed.subscribe())
    }

    fn wakeup(&self, _name: &str, _runtime: &Handle) -> Box<dyn Wakeup> {
        self.wakeups.fetch_add(1, Ordering::Relaxed);
        Box::new(Silent)
    }
}

struct Silent;

impl Wakeup for Silent {
    fn armed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn woken(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}
