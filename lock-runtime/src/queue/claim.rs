//! The right to run one stored call: kept while it is used, given back when it is dropped without a verdict.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use uuid::Uuid;

use super::Ticket;
use super::client::{Client, Patience};
use crate::LockError;
use crate::backend::Failure;
use crate::backend::queue::{Claimed, Settled, Verdict, growing};
use crate::clock::Moment;

/// How many claims one request keeps.
const BATCH: usize = 100;

/// All claims of one worker, and what keeps them.
pub(super) struct Claims {
    client: Client,
    lease: Duration,
    /// By call. A std mutex, held for a map operation.
    held: Mutex<BTreeMap<Uuid, Held>>,
    /// Has the verdicts that are not told yet.
    settling: TaskTracker,
    /// The worker takes no more calls: what becomes free is for others.
    stopping: AtomicBool,
}

/// A claim that is kept.
#[derive(Clone, Copy)]
struct Held {
    token: Uuid,
    /// Before the request was sent that was answered with it: the lease counts from here.
    since: Moment,
}

impl Claims {
    /// And the heartbeat, which ends with its handle. It runs on the lock thread: a worker whose bodies block its
    /// executor keeps its claims.
    pub(super) fn new(client: Client, lease: Duration) -> (Arc<Self>, AbortOnDropHandle<()>) {
        let claims = Arc::new(Self {
            client,
            lease,
            held: Mutex::default(),
            settling: TaskTracker::new(),
            stopping: AtomicBool::new(false),
        });
        let heartbeat = Arc::clone(&claims).heartbeat();
        let heartbeat = AbortOnDropHandle::new(claims.client.timeline().spawn(heartbeat));
        (claims, heartbeat)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn lease(&self) -> Duration {
        self.lease
    }

    fn now(&self) -> Moment {
        self.client.timeline().clock.now()
    }

    /// From now on what is handed back, or follows a call that ended, is announced to other workers.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Waits until every verdict is told.
    pub(super) async fn settled(&self) {
        self.settling.close();
        self.settling.wait().await;
    }

    /// A third of the lease: two more tries fit, should one fail.
    async fn heartbeat(self: Arc<Self>) {
        let clock = self.client.timeline().clock;
        loop {
            clock.sleep_until(clock.now().plus(self.lease / 3)).await;
            self.keep_all().await;
        }
    }

    /// Begins the lease of every claim anew.
    pub(super) async fn keep_all(&self) {
        let all: Vec<(Uuid, Uuid)> = self.held().iter().map(|(id, held)| (*id, held.token)).collect();
        // Side by side: none waits for another one's answer.
        join_all(all.chunks(BATCH).map(|batch| async move {
            if let Err(failure) = self.keep(batch.to_vec()).await {
                tracing::warn!(
                    reason = failure.reason,
                    "claims of stored calls could not be kept; it is tried again"
                );
            }
        }))
        .await;
    }

    /// Which of them are claims still. Those that are none are forgotten: their bodies go on under their locks, and their
    /// ends count.
    async fn keep(&self, claims: Vec<(Uuid, Uuid)>) -> Result<Vec<bool>, Failure> {
        let (asked, lease, since) = (claims.clone(), self.lease, self.now());
        // So short that others fit before the lease is over.
        let patience = Patience::new(
            (lease / 6).min(Duration::from_secs(1)),
            (lease / 3).min(Duration::from_secs(4)),
        );
        let kept = self
            .client
            .ask(
                patience,
                move |store, within| {
                    let claims = claims.clone();
                    Box::pin(async move { store.keep(&claims, lease, within).await })
                },
                |kept| kept,
            )
            .await?;
        for ((id, token), kept) in asked.iter().zip(&kept) {
            let mut held = self.held();
            match held.get_mut(id).filter(|held| held.token == *token) {
                Some(held) if *kept => held.since = held.since.max(since),
                Some(_) => drop(held.remove(id)),
                None => {}
            }
        }
        Ok(kept)
    }

    /// Unless another claim of the same call has taken its place.
    fn forget(&self, id: Uuid, token: Uuid) {
        let mut held = self.held();
        if held.get(&id).is_some_and(|held| held.token == token) {
            held.remove(&id);
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Uuid, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a verdict, for as long as it takes: an end that is not told would be another run. The claim is kept until
    /// then, so that nobody else begins.
    fn settle(
        self: &Arc<Self>,
        id: Uuid,
        token: Uuid,
        verdict: Verdict,
    ) -> oneshot::Receiver<Result<Settled, Failure>> {
        // Otherwise this worker looks itself, in a moment: it has room for one more.
        let ring = self.stopping.load(Ordering::Acquire) || !matches!(verdict, Verdict::Done | Verdict::Dead { .. });
        let (told, answer) = oneshot::channel();
        let claims = Arc::clone(self);
        self.client.ask_in_background(
            &self.settling,
            Patience::ENDLESS,
            move |store, within| {
                let verdict = verdict.clone();
                Box::pin(async move { store.settle(id, token, &verdict, ring, within).await })
            },
            move |settled| {
                claims.forget(id, token);
                // Nobody listens where the run was stopped half-way.
                drop(told.send(settled));
            },
        );
        answer
    }
}

/// One claim.
pub(super) struct ClaimGuard {
    claims: Arc<Claims>,
    id: Uuid,
    token: Uuid,
    /// For the case that the run panics in code of ours or of a subscriber.
    delay: Duration,
    tried: u32,
    settled: AtomicBool,
    /// A shutdown waits for the verdict, which is told only after the body's lock was released.
    _unfinished: TaskTrackerToken,
}

impl ClaimGuard {
    /// From now on it is kept. `since`: before it was asked for.
    pub(super) fn new(claims: &Arc<Claims>, claimed: &Claimed, since: Moment) -> Self {
        let token = claimed.token;
        claims.held().insert(claimed.id, Held { token, since });
        Self {
            claims: Arc::clone(claims),
            id: claimed.id,
            token,
            delay: claimed.delay,
            tried: claimed.tried,
            settled: AtomicBool::new(false),
            _unfinished: claims.client.shared().releases.token(),
        }
    }

    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.id)
    }

    /// Whether it is still ours, for half of its lease at least.
    pub(super) async fn confirm(&self) -> Result<bool, LockError> {
        let held = self.claims.held().get(&self.id).copied();
        let Some(held) = held.filter(|held| held.token == self.token) else {
            return Ok(false);
        };
        if self.claims.now().since(held.since) < self.claims.lease / 2 {
            return Ok(true);
        }
        match self.claims.keep(vec![(self.id, self.token)]).await {
            Ok(kept) => Ok(kept.first() == Some(&true)),
            Err(failure) => Err(self.claims.client.error(None, failure)),
        }
    }

    /// Ends it.
    pub(super) async fn settle(&self, verdict: Verdict) -> Result<Settled, Failure> {
        self.settled.store(true, Ordering::Release);
        let settled = self.claims.settle(self.id, self.token, verdict).await;
        settled.unwrap_or_else(|_| {
            Err(Failure {
                kind: crate::backend::FailureKind::Permanent,
                applied: crate::backend::Applied::Unknown,
                reason: "the lock thread has ended: the manager was shut down".to_owned(),
                source: None,
            })
        })
    }
}

impl Drop for ClaimGuard {
    /// The run was stopped half-way: by the end of its worker, or of its runtime; or by a panic, which would come again
    /// and again.
    fn drop(&mut self) {
        if self.settled.load(Ordering::Acquire) {
            return;
        }
        let verdict = if std::thread::panicking() {
            Verdict::Again {
                pause: growing(self.delay, self.tried),
                for_lock: false,
                error: "the worker panicked outside of the body".to_owned(),
            }
        } else {
            Verdict::HandedBack
        };
        drop(self.claims.settle(self.id, self.token, verdict));
    }
}
