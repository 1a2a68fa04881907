//! The traces of a hold: a span with its key, owner, fence, times and outcome, and events for what
//! went wrong.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::time::Duration;

use lock_runtime::{LockError, LockManager, LostReason, distributed_lock};
use lock_tests::{Fixture, each_backend, eventually};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::{SOON, lease_here, ms, soon};

/// The fields of a span or an event, as text.
#[derive(Clone, Debug, Default)]
struct Fields(HashMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Fields {
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Everything in it, in one text.
    fn text(&self) -> String {
        self.0
            .values()
            .map(|value| value.to_lowercase())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

static SPANS: Mutex<Vec<(u64, Fields)>> = Mutex::new(Vec::new());
static EVENTS: Mutex<Vec<(Level, Fields)>> = Mutex::new(Vec::new());

/// Writes down all spans and events of the process: the library has a thread of its own, which a
/// subscriber of one test's thread would not see. Each test has keys of its own to tell them apart.
struct Collector;

impl Collector {
    fn install() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| tracing::subscriber::set_global_default(Collector).unwrap());
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !["tokio", "mio", "redis", "rustls"]
            .iter()
            .any(|other| metadata.target().starts_with(other))
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let mut fields = Fields::default();
        span.record(&mut fields);
        SPANS.lock().unwrap().push((id, fields));
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut spans = SPANS.lock().unwrap();
        if let Some((_, fields)) = spans.iter_mut().find(|(id, _)| *id == span.into_u64()) {
            values.record(fields);
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        EVENTS.lock().unwrap().push((*event.metadata().level(), fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The spans of holds of this key that have ended.
fn ended_holds(key: &str) -> Vec<Fields> {
    let spans = SPANS.lock().unwrap();
    let ours = spans
        .iter()
        .map(|(_, fields)| fields)
        .filter(|fields| fields.get("key").contains(key));
    ours.filter(|fields| !fields.get("outcome").is_empty())
        .cloned()
        .collect()
}

async fn ended_hold(key: &str) -> Fields {
    let what = format!("a span of {key} has its outcome");
    eventually(&what, SOON, async || !ended_holds(key).is_empty()).await;
    ended_holds(key).remove(0)
}

/// Events at warning or above that are about this key.
fn warnings(key: &str) -> Vec<String> {
    let events = EVENTS.lock().unwrap();
    let grave = events.iter().filter(|(level, _)| *level <= Level::WARN);
    grave
        .map(|(_, fields)| fields.text())
        .filter(|text| text.contains(key))
        .collect()
}

async fn a_warning(key: &str, names: &str) {
    let what = format!("a warning about {key} that names {names}");
    eventually(&what, SOON, async || {
        warnings(key).iter().any(|text| text.contains(names))
    })
    .await;
}

#[tokio::test]
async fn every_hold_has_a_span_with_its_key_owner_fence_times_and_outcome() {
    #[distributed_lock(key = "traced:<backend>", manager = locks)]
    async fn job(locks: &LockManager, backend: &str) -> Result<String, LockError> {
        Ok(lease_here().fence().to_string())
    }
    Collector::install();
    each_backend(async |fixture: Fixture| {
        let fence = job(fixture.manager(), fixture.name()).await.unwrap();
        let span = ended_hold(&format!("traced:{}", fixture.name())).await;
        assert_eq!(span.get("owner"), "one", "{span:?}");
        assert_eq!(span.get("fence"), fence, "{span:?}");
        for field in ["waited", "held", "outcome"] {
            assert!(!span.get(field).is_empty(), "{field} is missing: {span:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_hold_has_one_span_and_a_nested_call_has_none_of_its_own() {
    #[distributed_lock(key = "traced nested:<backend>", reentrant, manager = locks)]
    async fn job(locks: &LockManager, backend: &str, levels: u8) -> Result<(), LockError> {
        if levels > 0 {
            Box::pin(job(locks, backend, levels - 1)).await?;
        }
        Ok(())
    }
    Collector::install();
    each_backend(async |fixture: Fixture| {
        for _ in 0..3 {
            job(fixture.manager(), fixture.name(), 2).await.unwrap();
        }
        let key = format!("traced nested:{}", fixture.name());
        eventually("three spans", SOON, async || ended_holds(&key).len() == 3).await;
    })
    .await;
}

#[tokio::test]
async fn a_guard_has_a_span_too() {
    Collector::install();
    each_backend(async |fixture: Fixture| {
        let key = format!("traced guard:{}", fixture.name());
        let guard = fixture.manager().lock(key.clone()).acquire().await.unwrap();
        let fence = guard.fence().to_string();
        guard.release().await.unwrap();
        let span = ended_hold(&key).await;
        assert_eq!(
            (span.get("owner"), span.get("fence")),
            ("one", fence.as_str()),
            "{span:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn the_outcome_of_a_lost_hold_is_another_than_that_of_a_good_one() {
    Collector::install();
    each_backend(async |fixture: Fixture| {
        let key = |kind: &str| format!("traced {kind}:{}", fixture.name());
        fixture.manager().lock(key("good")).run(async {}).await.unwrap();
        let lock = fixture.manager().lock(key("lost")).ttl(ms(300)).never_renew();
        let error = soon("it expires", lock.run(std::future::pending::<()>()))
            .await
            .unwrap_err();
        assert!(error.is_lost());
        let (good, lost) = (ended_hold(&key("good")).await, ended_hold(&key("lost")).await);
        assert_ne!(good.get("outcome"), lost.get("outcome"));
    })
    .await;
}

#[tokio::test]
async fn a_loss_is_a_warning_with_its_cause() {
    Collector::install();
    each_backend(async |fixture: Fixture| {
        let (locks, name) = (fixture.manager(), fixture.name());
        let expires = format!("traced expiry:{name}");
        let lock = locks.lock(expires.clone()).ttl(ms(300)).never_renew();
        soon("it expires", lock.run(std::future::pending::<()>()))
            .await
            .unwrap_err();
        a_warning(&expires, &LostReason::Expired.to_string().to_lowercase()).await;

        let freed = format!("traced theft:{name}");
        let lock = locks.lock(freed.clone()).ttl(ms(6000)).renew_every(ms(100));
        let guard = lock.acquire().await.unwrap();
        locks.force_release(freed.clone()).await.unwrap();
        soon("it is noticed", guard.lease().lost()).await;
        a_warning(&freed, &LostReason::Missing.to_string().to_lowercase()).await;
    })
    .await;
}

#[tokio::test]
async fn a_renewal_that_fails_is_a_warning() {
    Collector::install();
    let fixture = Fixture::redis().await;
    let key = "traced renewal";
    let lock = fixture
        .manager()
        .lock(key)
        .ttl(Duration::from_secs(3))
        .renew_every(ms(200));
    let guard = lock.acquire().await.unwrap();
    fixture.server().unwrap().pause();
    a_warning(key, "renew").await;
    fixture.server().unwrap().resume();
    drop(guard);
}

#[tokio::test]
async fn a_hold_that_goes_well_is_no_warning() {
    Collector::install();
    each_backend(async |fixture: Fixture| {
        let key = format!("traced quiet:{}", fixture.name());
        let lock = fixture.manager().lock(key.clone()).ttl(Duration::from_secs(60));
        lock.run(async {}).await.unwrap();
        ended_hold(&key).await;
        assert_eq!(warnings(&key), [""; 0]);
    })
    .await;
}
