//! A manager with settings of one's own.

use std::sync::Arc;
use std::time::Duration;

use tracing::instrument::WithSubscriber;

use crate::manager::Shared;
#[cfg(feature = "simulation")]
use crate::network::Network;
use crate::terms::{DEFAULT_WAIT, MAX_DURATION, check_ttl};
use crate::url::{self, Address, Settings};
use crate::{Key, LockError, LockManager, Tls};

/// How long [`LockManagerBuilder::connect`] waits for the backend; the contract allows 5 s.
const CONNECT: Duration = Duration::from_secs(4);

/// Settings of a [`LockManager`], from [`LockManager::builder`].
#[must_use = "a builder does nothing before it connects"]
#[derive(Clone)]
pub struct LockManagerBuilder {
    address: Option<Address>,
    settings: Settings,
    redact_keys: bool,
    hand_over: bool,
    namespace: String,
    owner: Option<String>,
    default_wait: Duration,
    #[cfg(feature = "queue")]
    queue: crate::queue::Settings,
}

impl Default for LockManagerBuilder {
    fn default() -> Self {
        Self {
            address: None,
            settings: Settings::default(),
            redact_keys: false,
            hand_over: true,
            namespace: "lock:".to_owned(),
            owner: None,
            default_wait: DEFAULT_WAIT,
            #[cfg(feature = "queue")]
            queue: crate::queue::Settings::default(),
        }
    }
}

// No `Debug` by derive: the URL holds a password.
impl std::fmt::Debug for LockManagerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockManagerBuilder")
            .field("namespace", &self.namespace)
            .field("owner", &self.owner)
            .field("default_ttl", &self.settings.default_ttl)
            .field("default_wait", &self.default_wait)
            .finish_non_exhaustive()
    }
}

impl LockManagerBuilder {
    /// Where the locks are kept. Required, unless there is [`redlock`](Self::redlock).
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.address = Some(Address::Url(url.into()));
        self
    }

    /// Keeps the locks on a majority of these independent servers, each a `redis://`, `rediss://` or `unix://` URL: what
    /// `redlock://host:port,host:port,host:port` says in short. Instead of [`url`](Self::url).
    pub fn redlock<U: Into<String>>(mut self, urls: impl IntoIterator<Item = U>) -> Self {
        self.address = Some(Address::Redlock(urls.into_iter().map(Into::into).collect()));
        self
    }

    /// A lease counts only after so many replicas have confirmed that they have it too (`WAIT`); otherwise it is taken
    /// back, and the error is [`LockError::Unavailable`]. 0 unless set.
    ///
    /// This narrows the window in which a failover forgets a lock; it does not close it: a replica without the lock may
    /// still be promoted. Guard what matters with the [fence](crate::Fence). Not with `memory://`, nor with independent
    /// servers, which have no replicas that count.
    pub fn min_replicas(mut self, replicas: usize) -> Self {
        self.settings.min_replicas = replicas;
        self
    }

    /// The certificates for `rediss://`, where the system's do not do.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.settings.tls = Some(tls);
        self
    }

    /// Opens a connection on each tokio runtime that calls this manager more than once, besides the one on the manager's
    /// own thread: acquires and releases then need no change of threads, which costs about as much as the requests
    /// themselves, and who waits there is told over it that the lock is its own. With independent servers (redlock) it is one
    /// to each of them. On unless set, but off in programs that are built with `panic = "abort"`.
    ///
    /// Turn it off for runtimes that were built without `enable_io`: tokio panics in a task of its own when a connection
    /// is tried there, which is caught, noted by the panic hook, and not tried again.
    pub fn connection_per_runtime(mut self, per_runtime: bool) -> Self {
        self.settings.lanes = per_runtime;
        self
    }

    /// Hands a lease on to the next who waits for it in this process, without a round trip, before it is given back: at
    /// most 255 times and for a tenth of a second, and only to those who waited already when it was got, or came in the
    /// first millisecond after that. Each hold has a fence of its own; the backend sees one token for all of them. On unless set; not on independent servers (redlock).
    ///
    /// Turn it off where each hold is to have a token of its own, or where processes are to be served strictly in turns.
    pub fn hand_over(mut self, hand_over: bool) -> Self {
        self.hand_over = hand_over;
        self
    }

    /// Writes a hash instead of the key in spans and events, the same one for the same key as long as the process runs.
    /// Errors still name the key: they go to the caller, who has it. Off unless set.
    pub fn redact_keys(mut self, redact: bool) -> Self {
        self.redact_keys = redact;
        self
    }

    /// The most calls that may be stored (`on_conflict = "queue"`) and have not ended, dead letters aside; 10,000,000
    /// unless set. Beyond that a call that meets a taken lock is [`LockError::QueueFull`].
    #[cfg(feature = "queue")]
    pub fn max_queued_calls(mut self, calls: u64) -> Self {
        self.queue.longest_queue = calls;
        self
    }

    /// The most bytes that one stored call may take, as JSON with the names of its function and parameters; 1 MiB unless
    /// set. A larger one is [`LockError::CallTooLarge`].
    #[cfg(feature = "queue")]
    pub fn max_call_size(mut self, bytes: usize) -> Self {
        self.queue.longest_payload = bytes;
        self
    }

    /// Carries the context of a distributed trace from the caller of a stored call to its run.
    #[cfg(feature = "queue")]
    pub fn trace_propagation(mut self, propagation: impl crate::TracePropagation) -> Self {
        self.queue.propagation = Some(Arc::new(propagation));
        self
    }

    /// Connects through a simulated network, and lives on the caller's runtime, by its clock.
    #[cfg(feature = "simulation")]
    #[doc(hidden)]
    pub fn network(mut self, network: Arc<dyn Network>) -> Self {
        self.settings.network = Some(network);
        self
    }

    /// What stands before every key in the backend; `lock:` unless set. Empty is allowed, and makes locks that any
    /// client of Redis's documented pattern respects.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// A label for operators, stored with every lock; the host's name and the process id unless set. It is not
    /// secret.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// How long a lease lives without renewal where the call says nothing; 30 s unless set. At least 100 ms.
    ///
    /// On independent servers (redlock) it is also how long one that has forgotten everything does not vote, where too
    /// few of the others can be asked for the longest ttl in use.
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.settings.default_ttl = ttl;
        self
    }

    /// The longest wait for another holder where the call says nothing; 10 s unless set.
    pub fn default_wait(mut self, wait: Duration) -> Self {
        self.default_wait = wait;
        self
    }

    /// Checks the settings and connects.
    ///
    /// # Errors
    ///
    /// Within 5 s: [`LockError::InvalidOption`], [`LockError::InvalidUrl`] or [`LockError::Unavailable`], with what is
    /// wrong and where.
    pub async fn connect(self) -> Result<LockManager, LockError> {
        let invalid = |option, reason: &str| LockError::InvalidOption {
            key: None,
            option,
            reason: reason.to_owned(),
        };
        check_ttl(self.settings.default_ttl).map_err(|reason| invalid("default_ttl", &reason))?;
        if self.default_wait > MAX_DURATION {
            return Err(invalid("default_wait", "it is over 100 years"));
        }
        let owner = self.owner.unwrap_or_else(default_owner);
        if owner.len() > 256 || owner.chars().any(char::is_control) {
            return Err(invalid(
                "owner",
                "a label has at most 256 bytes and no control characters",
            ));
        }
        let Some(address) = self.address else {
            return Err(invalid(
                "url",
                "it is missing; write `.url(\"redis://127.0.0.1:6379\")`",
            ));
        };
        let backend = url::open(&address, &self.settings)?;
        let mut shared = Shared::new(
            backend,
            self.namespace,
            owner,
            self.settings.default_ttl,
            self.default_wait,
            self.redact_keys,
            self.settings.network.is_some(),
        );
        shared.hand_over = self.hand_over;
        #[cfg(feature = "queue")]
        {
            shared.queue = self.queue;
        }
        let manager = LockManager(Arc::new(shared));
        if !manager.0.backend.is_local() {
            let backend = Arc::clone(&manager.0.backend);
            let timeline = manager.0.timeline(&Key::from(""))?;
            // On the lock thread, because the connection lives where it was made.
            let check = async move { backend.check(CONNECT).await };
            // What it has to say is for the caller's subscriber.
            let check = timeline.spawn(check.with_current_subscriber());
            match check.await {
                Ok(answer) => answer?,
                Err(error) => {
                    return Err(LockError::Unavailable {
                        key: None,
                        reason: "the connection was interrupted".to_owned(),
                        source: Some(error.into()),
                    });
                }
            }
        }
        Ok(manager)
    }
}

/// `host:process`.
pub(crate) fn default_owner() -> String {
    format!("{}:{}", host(), std::process::id())
}

#[cfg(unix)]
fn host() -> String {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "host".to_owned())
}
