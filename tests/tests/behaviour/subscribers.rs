//! What a subscriber of the traces does when it hears of a loss is its own affair: bodies are stopped
//! and leases renewed all the same.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use lock_runtime::{LockError, LockManager};
use lock_tests::{Fixture, each_backend, eventually};
use tracing::dispatcher::Dispatch;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::{Count, Gate, SOON, ms, soon};

/// Does this at every warning of the library, on the thread that gives it.
struct AtAWarning<F>(F);

impl<F: Fn() + Send + Sync + 'static> Subscriber for AtAWarning<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("lock_runtime")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() == Level::WARN {
            self.0();
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A subscriber for what this thread calls, that does this at every warning.
fn at_a_warning(act: impl Fn() + Send + Sync + 'static) -> DefaultGuard {
    // With a single subscriber in the process, tracing asks the thread that comes to an event first
    // whether anybody wants it, and keeps the answer; a thread of the library may come first.
    static ANOTHER: OnceLock<Dispatch> = OnceLock::new();
    ANOTHER.get_or_init(|| Dispatch::new(AtAWarning(|| {})));
    set_default(AtAWarning(act))
}

/// A subscriber for what this thread calls that panics at warnings, and how often it did.
fn panics_at_warnings() -> (DefaultGuard, Count) {
    let panics = Count::default();
    let count = panics.clone();
    let here = at_a_warning(move || {
        count.add();
        panic!("this subscriber panics because the test wants it to");
    });
    (here, panics)
}

/// Runs an endless body until its lease is taken away, which the next renewal finds out.
async fn run_until_taken_away(fixture: &Fixture, body: impl Future<Output = ()>) -> LockError {
    let gate = Gate::default();
    let body = async {
        gate.entered_and_open();
        body.await;
    };
    let lock = fixture.manager().lock("job").ttl(ms(60_000)).renew_every(ms(100));
    let take_away = async {
        gate.entered().await;
        assert!(fixture.another_manager().force_release("job").await.unwrap());
    };
    let (ended, ()) = tokio::join!(soon("the body is stopped", lock.run(body)), take_away);
    ended.unwrap_err()
}

#[tokio::test]
async fn a_subscriber_that_panics_does_not_keep_a_body_from_being_stopped() {
    each_backend(async |fixture: Fixture| {
        let (_here, panics) = panics_at_warnings();
        let error = run_until_taken_away(&fixture, pending()).await;
        assert!(error.is_lost(), "{error:?}");
        eventually("the subscriber was told", SOON, async || panics.get() > 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_subscriber_that_panics_does_not_keep_a_body_from_being_stopped_when_its_lease_expires() {
    each_backend(async |fixture: Fixture| {
        let (_here, panics) = panics_at_warnings();
        let lock = fixture.manager().lock("job").ttl(ms(2000)).never_renew();
        let ended = soon("the body is stopped", lock.run(pending::<()>())).await;
        assert!(ended.unwrap_err().is_lost());
        eventually("the subscriber was told", SOON, async || panics.get() > 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_subscriber_that_panics_does_not_end_the_renewal_of_other_leases() {
    async fn renewed(locks: &LockManager, what: &str, guard: &lock_runtime::LockGuard) {
        let mut last = guard.lease().remaining();
        eventually(what, SOON, async || {
            let before = std::mem::replace(&mut last, guard.lease().remaining());
            last > before
        })
        .await;
        assert!(locks.inspect("other job").await.unwrap().is_some());
    }
    each_backend(async |fixture: Fixture| {
        let other = fixture.manager().lock("other job").ttl(ms(60_000)).renew_every(ms(100));
        let other = other.acquire().await.unwrap();
        let (_here, panics) = panics_at_warnings();
        let lock = fixture.manager().lock("job").ttl(ms(2000)).never_renew();
        soon("the body is stopped", lock.run(pending::<()>()))
            .await
            .unwrap_err();
        eventually("the subscriber was told", SOON, async || panics.get() > 0).await;
        // What was under way may still be answered; one more is not.
        renewed(fixture.manager(), "a renewal after the panic", &other).await;
        renewed(fixture.manager(), "another renewal after the panic", &other).await;
    })
    .await;
}

#[tokio::test]
async fn a_subscriber_that_takes_its_time_does_not_keep_a_body_from_being_stopped() {
    struct Says(Arc<AtomicBool>);
    impl Drop for Says {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    each_backend(async |fixture: Fixture| {
        let (dropped, in_time) = (Arc::new(AtomicBool::new(false)), Count::default());
        let (seen, count) = (Arc::clone(&dropped), in_time.clone());
        let _here = at_a_warning(move || {
            // Busy until the body is gone.
            let begun = Instant::now();
            while !seen.load(Ordering::SeqCst) && begun.elapsed() < SOON * 2 {
                std::thread::sleep(Duration::from_millis(5));
            }
            if seen.load(Ordering::SeqCst) {
                count.add();
            }
        });
        let says = Says(dropped);
        let body = async move {
            let _says = says;
            pending().await
        };
        let error = run_until_taken_away(&fixture, body).await;
        assert!(error.is_lost(), "{error:?}");
        eventually("the subscriber saw the body dropped", SOON, async || in_time.get() > 0).await;
    })
    .await;
}
