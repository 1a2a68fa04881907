//! The manager: one backend, one namespace, one owner label, and everything that is held through it.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::runtime::{self, Handle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::acquire::{self, Acquire, Begun};
use crate::backend::memory::MemoryBackend;
use crate::backend::{Backend, Failure, Stored};
use crate::clock::Clock;
use crate::local;
use crate::present::Present;
use crate::release::unavailable;
use crate::scope;
use crate::shutdown;
use crate::terms::{DEFAULT_TTL, DEFAULT_WAIT, Spec, Terms};
use crate::timeline::Timeline;
use crate::{Holder, Key, LockError, LockManagerBuilder, LockRequest};

/// How long an operator's question may take.
const ANSWER: Duration = Duration::from_secs(4);
/// Names of our own helper keys and channels begin like this, whatever the namespace.
pub(crate) const RESERVED: &str = "distributed-lock:";

/// Gives locks: the entry to everything here.
///
/// Cheap to clone, `Send + Sync`, and usable from several runtimes at once. All clones share one thread, which renews and
/// clears up, and their connections: one for commands, one on each runtime that calls more than once, and one for wake-ups
/// while somebody waits who is not told over that of its runtime (in a cluster one for each node, and with `min_replicas`
/// more, for WAIT). They end with the last clone, guard, lease and running call.
#[derive(Clone)]
pub struct LockManager(pub(crate) Arc<Shared>);

/// What all clones of a manager, and all its holds, share.
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    /// Stands before every key.
    pub(crate) namespace: String,
    /// Stands behind every token, for operators.
    pub(crate) owner: Arc<str>,
    pub(crate) default_ttl: Duration,
    pub(crate) default_wait: Duration,
    /// What most calls ask for.
    plain: Option<Terms>,
    /// Spans and events have a hash for the key.
    pub(crate) redact_keys: bool,
    /// Leases are handed on inside the process.
    pub(crate) hand_over: bool,
    #[cfg(feature = "queue")]
    pub(crate) queue: crate::queue::Settings,
    /// Found with the first call that is stored, or the first look at them.
    #[cfg(feature = "queue")]
    calls: OnceLock<Option<Arc<dyn crate::backend::queue::CallStore>>>,
    /// The network is, and so the whole manager lives on the runtime and by the clock of its callers.
    simulated: bool,
    /// Cancelled when the shutdown begins.
    pub(crate) closing: CancellationToken,
    /// Cancelled when the shutdown's time is nearly over: what clears up does so once more, and ends.
    pub(crate) last_call: CancellationToken,
    /// Has a token for each attempt at a hold that is under way.
    pub(crate) held: TaskTracker,
    /// Counts the holds.
    pub(crate) present: Present,
    /// Has the releases that go on in the background.
    pub(crate) releases: TaskTracker,
    /// Started with the first hold that needs it.
    real: OnceLock<Arc<Timeline>>,
    /// For the in-process backend and a simulated network: one for each runtime whose clock is paused. A std mutex, never held across an
    /// await.
    paused: Mutex<HashMap<runtime::Id, Arc<Timeline>>>,
}

/// The manager that annotated functions use that name none.
static INSTALLED: OnceLock<LockManager> = OnceLock::new();

impl LockManager {
    /// Locks inside this process only, for development and tests. Every call makes a separate set of locks; the URL
    /// `memory://name` makes one that is shared by name.
    ///
    /// Leases live by tokio's clock where a test has paused it.
    #[must_use]
    pub fn in_memory() -> Self {
        Self(Arc::new(Shared::new(
            Arc::new(MemoryBackend::private()),
            "lock:".to_owned(),
            crate::builder::default_owner(),
            DEFAULT_TTL,
            DEFAULT_WAIT,
            false,
            false,
        )))
    }

    /// Connects to the backend that `url` names. See the crate's documentation for the URLs.
    ///
    /// # Errors
    ///
    /// Within 5 s: [`LockError::InvalidUrl`] when the URL, its user, password or database is wrong,
    /// [`LockError::Unavailable`] when nothing answers there. Both say which part of the URL it is about.
    pub async fn connect(url: impl Into<String>) -> Result<Self, LockError> {
        Self::builder().url(url).connect().await
    }

    /// For a namespace, an owner label and defaults of your own.
    pub fn builder() -> LockManagerBuilder {
        LockManagerBuilder::default()
    }

    /// Makes this the process-wide manager, for annotated functions that name none.
    ///
    /// # Errors
    ///
    /// [`LockError::AlreadyInstalled`] when there is one.
    pub fn install(&self) -> Result<(), LockError> {
        INSTALLED.set(self.clone()).map_err(|_| LockError::AlreadyInstalled)
    }

    /// The process-wide manager.
    #[must_use]
    pub fn installed() -> Option<Self> {
        INSTALLED.get().cloned()
    }

    /// Begins a request for the lock `key`, which is taken as it is and checked when it is acquired.
    pub fn lock(&self, key: impl Into<Key>) -> LockRequest {
        LockRequest::new(self.clone(), key.into())
    }

    /// Who holds the lock `key` now, for operators and diagnosis.
    ///
    /// # Errors
    ///
    /// [`LockError::Unavailable`] within 5 s, [`LockError::WrongType`], [`LockError::InvalidKey`].
    pub async fn inspect(&self, key: impl Into<Key>) -> Result<Option<Holder>, LockError> {
        let stored: Option<Stored> = self
            .ask(key.into(), |backend, name| async move {
                backend.inspect(&name, ANSWER).await
            })
            .await?;
        Ok(stored.map(Holder::from))
    }

    /// Deletes the lock `key`, whoever holds it, and wakes who waits for it. For operators: the holder notices at its
    /// next renewal that the lease is lost, and may have written until then. Whether there was a lock.
    ///
    /// # Errors
    ///
    /// [`LockError::Unavailable`] within 5 s, [`LockError::WrongType`], [`LockError::InvalidKey`].
    pub async fn force_release(&self, key: impl Into<Key>) -> Result<bool, LockError> {
        let key = key.into();
        // In the backend of this process nobody is promised anything.
        let lines = match self.0.backend.is_local() {
            true => Arc::default(),
            false => Arc::clone(&self.0.timeline(&key)?.lines),
        };
        self.ask(key, |backend, name| async move {
            // Those who wait here are to ask, and not to be handed what is taken away.
            lines.break_promises(Some(&name));
            let released = backend.force_release(&name, ANSWER).await;
            lines.break_promises(Some(&name));
            released
        })
        .await
    }

    /// The calls that are stored because they met a taken lock (`on_conflict = "queue"`).
    #[cfg(feature = "queue")]
    #[must_use]
    pub fn queue(&self) -> crate::Queue {
        crate::Queue::new(self.clone())
    }

    /// A worker for the calls that are stored.
    #[cfg(feature = "queue")]
    pub fn worker(&self) -> crate::Worker {
        crate::Worker::new(self.clone())
    }

    /// Ends this manager: from now on no new holds and no waiting for them; waits at most `grace` for the bodies and
    /// guards that hold something; those that are left then are lost with
    /// [`Shutdown`](crate::LostReason::Shutdown). Every hold is released when this returns, and a release that was
    /// going on in the background had two more seconds.
    ///
    /// A request to acquire whose answer was lost in the last seconds may still be under way. What it takes is deleted
    /// again while this waits, which it then does for 1.5 s of the two seconds, whatever else there is to wait for. One
    /// that the network delivers even later finds nobody who would clear up after it: its lock stays taken until the
    /// ttl is over.
    ///
    /// # Panics
    ///
    /// With the in-process backend, outside of a tokio runtime with timers.
    ///
    /// # Cancel safety
    ///
    /// The manager stays closed; call it again to go on.
    pub async fn shutdown(&self, grace: Duration) {
        shutdown::shutdown(&self.0, grace).await;
    }

    /// Acquires for an annotated function or a request: joins the surrounding hold where that is asked for. To be called
    /// in the first poll of whoever asks, with its waker.
    pub(crate) fn begin(self, mut key: Key, spec: &Spec, waker: &Waker) -> Begun {
        let shared = &self.0;
        let checked = shared.name(&mut key).and_then(|()| shared.terms(spec, &key));
        let terms = match checked {
            Ok(terms) => terms,
            Err(error) => return Begun::refused(error),
        };
        match scope::surrounding(shared, key.name()) {
            Some(ownership) if spec.reentrant => {
                return match ownership.hold().lost_reason() {
                    None => Begun::Over(Ok(ownership)),
                    Some(reason) => Begun::refused(LockError::Lost { key, reason }),
                };
            }
            Some(_) => return Begun::refused(LockError::Reentered { key }),
            None => {}
        }
        if shared.backend.is_local() {
            return local::begin(self.0, key, &terms, waker);
        }
        let shared = self.0;
        Begun::Later(Box::pin(async move { acquire::acquire(&shared, key, terms).await }))
    }

    /// As [`begin`](Self::begin), to its end.
    pub(crate) fn acquire(self, key: Key, spec: &Spec) -> Acquire<'_> {
        Acquire::new(self, key, spec)
    }

    async fn ask<T, F>(
        &self,
        mut key: Key,
        question: impl FnOnce(Arc<dyn Backend>, String) -> F,
    ) -> Result<T, LockError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let shared = &self.0;
        shared.name(&mut key)?;
        let question = question(Arc::clone(&shared.backend), key.name().to_owned());
        let answer = if shared.backend.is_local() {
            question.await
        } else {
            match shared.timeline(&key)?.spawn(question).await {
                Ok(answer) => answer,
                // The lock thread has stopped.
                Err(_) => return Err(LockError::ShutDown { key: Some(key) }),
            }
        };
        answer.map_err(|failure| unavailable(&key, failure))
    }
}

impl Shared {
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        namespace: String,
        owner: String,
        default_ttl: Duration,
        default_wait: Duration,
        redact_keys: bool,
        simulated: bool,
    ) -> Self {
        Self {
            redact_keys,
            hand_over: true,
            #[cfg(feature = "queue")]
            queue: crate::queue::Settings::default(),
            #[cfg(feature = "queue")]
            calls: OnceLock::new(),
            simulated,
            backend,
            namespace,
            owner: owner.into(),
            default_ttl,
            default_wait,
            plain: Terms::new(&Spec::retry(), default_ttl, default_wait, &Key::from("")).ok(),
            closing: CancellationToken::new(),
            last_call: CancellationToken::new(),
            held: TaskTracker::new(),
            present: Present::default(),
            releases: TaskTracker::new(),
            real: OnceLock::new(),
            paused: Mutex::default(),
        }
    }

    /// Whether a shutdown has begun. Asked several times in each call: the token takes a mutex for it.
    pub(crate) fn is_closing(&self) -> bool {
        self.present.is_closed()
    }

    /// What a call or a request asks for, completed and checked.
    fn terms(&self, spec: &Spec, key: &Key) -> Result<Terms, LockError> {
        let (ttl, wait) = (self.default_ttl, self.default_wait);
        Terms::like(self.plain.as_ref(), spec, ttl, wait, key)
    }

    /// Gives a key its full name here, checked.
    fn name(&self, key: &mut Key) -> Result<(), LockError> {
        key.check()?;
        key.put_in(&self.namespace);
        if key.name().starts_with(RESERVED) {
            return Err(LockError::InvalidKey {
                key: key.shortened(),
                reason: format!(
                    "names that begin with `{RESERVED}` are this library's own; use another key or namespace"
                ),
            });
        }
        Ok(())
    }

    /// The timeline that the caller's holds live by.
    pub(crate) fn timeline(&self, key: &Key) -> Result<Arc<Timeline>, LockError> {
        let clock = self.backend.is_local().then(Clock::here);
        match self.timeline_here(clock.unwrap_or(Clock::Real)) {
            Some(timeline) => Ok(timeline),
            None => self.timeline_on_lock_thread(key).cloned(),
        }
    }

    /// The timeline of the caller's runtime, if holds live by that: the caller's `clock` is paused.
    pub(crate) fn timeline_here(&self, clock: Clock) -> Option<Arc<Timeline>> {
        if !self.simulated && clock == Clock::Real {
            return None;
        }
        let runtime = Handle::try_current().ok()?;
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        let timeline = paused
            .entry(runtime.id())
            .or_insert_with(|| Arc::new(Timeline::on_paused(runtime, Arc::clone(&self.backend))));
        Some(Arc::clone(timeline))
    }

    /// The timeline of all other holds, which is started if it was not.
    pub(crate) fn timeline_on_lock_thread(&self, key: &Key) -> Result<&Arc<Timeline>, LockError> {
        if let Some(timeline) = self.real.get() {
            return Ok(timeline);
        }
        let timeline = Timeline::on_lock_thread(Arc::clone(&self.backend)).map_err(|error| LockError::Unavailable {
            key: Some(key.clone()),
            reason: format!("the thread that renews leases could not be started: {error}"),
            source: Some(error.into()),
        })?;
        // Two callers may come here at once; the loser's thread ends with its timeline.
        Ok(self.real.get_or_init(|| {
            let timeline = Arc::new(timeline);
            let weak = Arc::downgrade(&timeline);
            self.backend.runs_on(weak);
            timeline
        }))
    }

    /// Where this manager's calls are stored; `None`: its backend stores none.
    #[cfg(feature = "queue")]
    pub(crate) fn calls(&self) -> Option<Arc<dyn crate::backend::queue::CallStore>> {
        self.calls.get_or_init(|| self.backend.calls(&self.namespace)).clone()
    }

    /// The timeline of the lock thread, if that was started.
    pub(crate) fn lock_thread(&self) -> Option<&Arc<Timeline>> {
        self.real.get()
    }

    /// Every timeline that was started.
    pub(crate) fn timelines(&self) -> Vec<Arc<Timeline>> {
        let paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        self.real.get().into_iter().chain(paused.values()).cloned().collect()
    }
}

impl AsRef<LockManager> for LockManager {
    fn as_ref(&self) -> &LockManager {
        self
    }
}

impl fmt::Debug for LockManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockManager")
            .field("namespace", &self.0.namespace)
            .field("owner", &self.0.owner)
            .finish_non_exhaustive()
    }
}
