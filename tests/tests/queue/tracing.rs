//! The traces of a stored call, from where it is stored to where it runs or dies.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};

use lock_runtime::{LockManager, Ticket, TracePropagation};
use lock_tests::{Fixture, each_backend, eventually};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Span, Subscriber};

use crate::functions::ship_traced;
use crate::support::{Act, SOON, Shop, dead, done, hold_key};

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

    fn text(&self) -> String {
        format!("{:?}", self.0)
    }
}

#[derive(Clone, Debug)]
struct Seen {
    name: &'static str,
    level: Level,
    fields: Fields,
    /// Of an event: the spans that it was in, as they were then, the outermost first.
    spans: Vec<(&'static str, Fields)>,
}

static SPANS: Mutex<BTreeMap<u64, Seen>> = Mutex::new(BTreeMap::new());
static EVENTS: Mutex<Vec<Seen>> = Mutex::new(Vec::new());

thread_local! {
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Writes down all spans and events of the process: the library has threads of its own. Each test has keys of its own
/// to tell them apart.
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
        let seen = Seen {
            name: span.metadata().name(),
            level: *span.metadata().level(),
            fields,
            spans: Vec::new(),
        };
        SPANS.lock().unwrap().insert(id, seen);
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        if let Some(seen) = SPANS.lock().unwrap().get_mut(&span.into_u64()) {
            values.record(&mut seen.fields);
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let all = SPANS.lock().unwrap();
        let spans = ENTERED.with_borrow(|entered| {
            let spans = entered.iter().filter_map(|id| all.get(id));
            spans.map(|span| (span.name, span.fields.clone())).collect()
        });
        drop(all);
        EVENTS.lock().unwrap().push(Seen {
            name: "event",
            level: *event.metadata().level(),
            fields,
            spans,
        });
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| {
            if let Some(index) = entered.iter().rposition(|id| *id == span.into_u64()) {
                entered.remove(index);
            }
        });
    }
}

/// The events that say this in any of their fields.
fn events_with(text: &str) -> Vec<Seen> {
    let mut events = EVENTS.lock().unwrap().clone();
    events.retain(|event| event.fields.text().contains(text));
    events
}

/// The spans around runs of this call's body, one for each run that has begun.
fn runs(name: &str) -> Vec<Fields> {
    let of_the_body = |event: &Seen| event.fields.get("message") == "the body runs" && event.fields.get("call") == name;
    let mut events = EVENTS.lock().unwrap().clone();
    events.retain(of_the_body);
    let run = |event: Seen| event.spans.into_iter().find(|(span, _)| *span == "queued_call");
    events.into_iter().filter_map(run).map(|(_, fields)| fields).collect()
}

/// Stores a call under the name while its lock is taken, then releases it.
async fn store(locks: &LockManager, shop: &Shop, name: &str, act: Act) -> Ticket {
    let guard = hold_key(locks, &format!("traced:{name}")).await;
    let outcome = ship_traced(&shop.at(locks), name.to_owned(), act).await.unwrap();
    guard.release().await.unwrap();
    outcome.ticket().unwrap()
}

#[tokio::test]
async fn storing_a_call_is_an_event_with_its_key_and_ticket() {
    Collector::install();
    each_backend(async |fixture: Fixture| {
        let (locks, name) = (fixture.manager(), format!("stored-{}", fixture.name()));
        let shop = Shop::on(locks);
        let ticket = store(locks, &shop, &name, Act::Note).await;
        let events = events_with(&ticket.to_string());
        let stored = events.iter().find(|event| event.fields.text().contains("stored"));
        let stored = stored.unwrap_or_else(|| panic!("nothing says that it was stored: {events:?}"));
        assert_eq!(stored.fields.get("key"), format!("traced:{name}"));
        assert_eq!(stored.fields.get("ticket"), ticket.to_string());
    })
    .await;
}

#[tokio::test]
async fn a_run_has_a_span_with_its_key_ticket_function_and_attempt_around_the_body() {
    Collector::install();
    each_backend(async |fixture: Fixture| {
        let (locks, name) = (fixture.manager(), format!("run-{}", fixture.name()));
        let shop = Shop::on(locks);
        let ticket = store(locks, &shop, &name, Act::Note).await;
        let worker = shop.work(locks);
        done(locks, ticket).await;
        let runs = runs(&name);
        assert_eq!(runs.len(), 1, "{runs:?}");
        assert_eq!(runs[0].get("key"), format!("traced:{name}"));
        assert_eq!(runs[0].get("ticket"), ticket.to_string());
        assert_eq!(runs[0].get("function"), "queue::functions::ship_traced");
        assert_eq!(runs[0].get("attempt"), "1");
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_runs_at_once_is_in_no_span_of_a_stored_call() {
    Collector::install();
    each_backend(async |fixture: Fixture| {
        let name = format!("direct-{}", fixture.name());
        let shop = Shop::on(fixture.manager());
        ship_traced(&shop, name.clone(), Act::Note).await.unwrap();
        assert!(runs(&name).is_empty());
        let events = events_with(&format!("traced:{name}"));
        assert!(events.iter().all(|event| event.level > Level::WARN), "{events:?}");
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_is_a_warning_with_its_key_ticket_and_reason() {
    Collector::install();
    each_backend(async |fixture: Fixture| {
        let (locks, name) = (fixture.manager(), format!("dead-{}", fixture.name()));
        let shop = Shop::on(locks);
        let worker = shop.work(locks);
        let ticket = store(locks, &shop, &name, Act::Fail("no stock".into())).await;
        dead(locks, ticket).await;
        let warned = async || {
            let mut events = events_with("no stock");
            // In its fields, or in those of the span that it is in.
            let all = |event: &Seen| format!("{:?} {:?}", event.fields, event.spans);
            events.retain(|event| event.level <= Level::WARN && all(event).contains(&ticket.to_string()));
            events
                .iter()
                .any(|event| all(event).contains(&format!("traced:{name}")))
        };
        eventually("a warning about the dead letter", SOON, warned).await;
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_that_goes_well_is_no_warning() {
    Collector::install();
    each_backend(async |fixture: Fixture| {
        let (locks, name) = (fixture.manager(), format!("quiet-{}", fixture.name()));
        let shop = Shop::on(locks);
        let ticket = store(locks, &shop, &name, Act::Note).await;
        let worker = shop.work(locks);
        done(locks, ticket).await;
        worker.stop().await;
        let mut events = events_with(&format!("traced:{name}"));
        events.extend(events_with(&ticket.to_string()));
        events.retain(|event| event.level <= Level::WARN);
        assert!(events.is_empty(), "{events:?}");
    })
    .await;
}

#[tokio::test]
async fn redacted_keys_are_in_no_span_and_no_event() {
    Collector::install();
    each_backend(async |fixture: Fixture| {
        let locks = fixture.builder().redact_keys(true).connect().await.unwrap();
        let name = format!("secret-{}", fixture.name());
        let (shop, key) = (Shop::on(&locks), format!("traced:{name}"));
        let worker = shop.work(&locks);
        let good = store(&locks, &shop, &name, Act::Note).await;
        done(&locks, good).await;
        let bad = store(&locks, &shop, &name, Act::Fail("no stock".into())).await;
        dead(&locks, bad).await;
        let panics = store(&locks, &shop, &name, Act::Panic("no sense".into())).await;
        dead(&locks, panics).await;
        worker.stop().await;
        assert!(!runs(&name).is_empty(), "nothing was traced, so this showed nothing");
        assert!(!events_with(&bad.to_string()).is_empty() || !runs(&name).is_empty());
        let events = events_with(&key);
        assert!(events.is_empty(), "{events:?}");
        let mut spans: Vec<Seen> = SPANS.lock().unwrap().values().cloned().collect();
        spans.retain(|span| span.fields.text().contains(&key));
        assert!(spans.is_empty(), "{spans:?}");
    })
    .await;
}

tokio::task_local! {
    /// What a tracing system knows of who calls.
    static REQUEST: String;
}

/// Carries a request's name, and says where it arrived.
struct Requests;

impl TracePropagation for Requests {
    fn inject(&self, carrier: &mut BTreeMap<String, String>) {
        if let Ok(request) = REQUEST.try_with(Clone::clone) {
            carrier.insert("request".to_owned(), request);
        }
    }

    fn extract(&self, carrier: &BTreeMap<String, String>, span: &Span) {
        let request = carrier.get("request").map_or("none", String::as_str);
        span.in_scope(|| tracing::info!(request, "arrived"));
    }
}

#[tokio::test]
async fn the_context_of_the_caller_arrives_where_its_call_runs() {
    Collector::install();
    each_backend(async |fixture: Fixture| {
        let builder = || fixture.builder().trace_propagation(Requests);
        let (caller, locks) = (builder().connect().await.unwrap(), builder().connect().await.unwrap());
        let name = format!("carried-{}", fixture.name());
        let request = format!("request-of-{name}");
        let shop = Shop::on(&caller);
        let ticket = REQUEST
            .scope(request.clone(), store(&caller, &shop, &name, Act::Note))
            .await;
        let worker = shop.work(&locks);
        done(&locks, ticket).await;
        worker.stop().await;
        let arrived = events_with(&request);
        assert_eq!(arrived.len(), 1, "{arrived:?}");
        let (span, fields) = arrived[0].spans.last().unwrap();
        assert_eq!(
            (*span, fields.get("ticket")),
            ("queued_call", ticket.to_string().as_str())
        );
    })
    .await;
}

#[tokio::test]
async fn a_worker_without_propagation_runs_calls_that_carry_a_context() {
    Collector::install();
    each_backend(async |fixture: Fixture| {
        let caller = fixture.builder().trace_propagation(Requests).connect().await.unwrap();
        let name = format!("not-carried-{}", fixture.name());
        let shop = Shop::on(&caller);
        let ticket = REQUEST
            .scope("nobody asks".to_owned(), store(&caller, &shop, &name, Act::Note))
            .await;
        let worker = shop.work(fixture.manager());
        done(fixture.manager(), ticket).await;
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_lock_that_stays_taken_is_an_event_for_each_attempt() {
    Collector::install();
    each_backend(async |fixture: Fixture| {
        let (locks, shop) = (fixture.manager(), Shop::on(fixture.manager()));
        let _held = hold_key(fixture.another_manager(), "order:9001").await;
        let act = Act::Linger { ms: 1 };
        let outcome = crate::functions::ship_soon(&shop, 9001, "retried".into(), act)
            .await
            .unwrap();
        let ticket = outcome.ticket().unwrap().to_string();
        let worker = shop.work(locks);
        dead(locks, outcome.ticket().unwrap()).await;
        let all = |event: &Seen| format!("{:?} {:?}", event.fields, event.spans);
        let told = || {
            EVENTS
                .lock()
                .unwrap()
                .iter()
                .filter(|event| all(event).contains(&ticket))
                .count()
        };
        // One for the storing, one at least for the attempts before the last, one for the end.
        eventually("its attempts are told", SOON, async || told() >= 3).await;
        worker.stop().await;
    })
    .await;
}
