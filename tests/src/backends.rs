//! One test, run on every backend.

use std::sync::atomic::{AtomicU32, Ordering};

use lock_runtime::{LockManager, LockManagerBuilder};

use crate::RedisServer;

/// The name of the environment variable that leaves Redis out where no redis-server is installed.
pub const WITHOUT_REDIS: &str = "LOCK_TESTS_WITHOUT_REDIS";

/// A fresh backend, with two managers on it.
#[derive(Debug)]
pub struct Fixture {
    name: &'static str,
    url: String,
    managers: [LockManager; 2],
    // After the managers: they do their last work on a living server.
    server: Option<RedisServer>,
}

impl Fixture {
    /// The backend's name: `memory` or `redis`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// A manager with default settings and the owner `one`.
    #[must_use]
    pub fn manager(&self) -> &LockManager {
        &self.managers[0]
    }

    /// Another manager on the same locks, as another process would have it; its owner is `two`.
    #[must_use]
    pub fn another_manager(&self) -> &LockManager {
        &self.managers[1]
    }

    /// A builder for one more manager on the same locks.
    pub fn builder(&self) -> LockManagerBuilder {
        LockManager::builder().url(&self.url)
    }

    /// The URL of the backend.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server behind it, if there is one.
    #[must_use]
    pub fn server(&self) -> Option<&RedisServer> {
        self.server.as_ref()
    }

    /// A fixture on a store in this process that nobody else has.
    pub async fn memory() -> Fixture {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let url = format!("memory://fixture-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Fixture::new("memory", url, None).await
    }

    /// A fixture on a Redis server of its own.
    pub async fn redis() -> Fixture {
        let server = RedisServer::start();
        Fixture::new("redis", server.url(), Some(server)).await
    }

    async fn new(name: &'static str, url: String, server: Option<RedisServer>) -> Fixture {
        let manager = async |owner: &str| {
            let builder = LockManager::builder().url(&url).owner(owner);
            builder
                .connect()
                .await
                .unwrap_or_else(|error| panic!("no manager on {name}: {error}"))
        };
        let managers = [manager("one").await, manager("two").await];
        Fixture {
            name,
            url,
            managers,
            server,
        }
    }
}

/// Runs `test` on the in-process backend and on Redis, one after the other, each fresh.
///
/// ```text
/// #[tokio::test]
/// async fn a_held_lock_is_refused() {
///     each_backend(async |fixture| {
///         let _guard = fixture.manager().lock("job").acquire().await.unwrap();
///         assert!(fixture.another_manager().lock("job").try_acquire().await.unwrap().is_none());
///     })
///     .await;
/// }
/// ```
///
/// # Panics
/// When the test does; the backend is named on standard error. Without redis-server, unless
/// [`WITHOUT_REDIS`] is set (then it says that Redis was left out).
pub async fn each_backend(test: impl AsyncFn(Fixture)) {
    {
        let _name = NamedInPanics("memory");
        test(Fixture::memory().await).await;
    }
    if std::env::var_os(WITHOUT_REDIS).is_some() {
        println!("skipped on Redis, because {WITHOUT_REDIS} is set");
        return;
    }
    let _name = NamedInPanics("redis");
    test(Fixture::redis().await).await;
}

/// Says which backend a failing test was on.
struct NamedInPanics(&'static str);

impl Drop for NamedInPanics {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it failed on the backend {}", self.0);
        }
    }
}
