//! Writes down all that the process traces, at every level and from every crate: the library has a
//! thread of its own, which a subscriber of one test's thread would not see. Tests tell theirs apart
//! by the ports of their servers and by their keys.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};

use lock_tests::eventually;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::LATE;

static TEXTS: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());

struct Collector;

/// From now on everything is written down.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Collector).unwrap());
}

/// All texts (the fields of spans and events) at this level or above.
pub(crate) fn texts(level: Level) -> Vec<String> {
    let texts = TEXTS.lock().unwrap();
    let grave = texts.iter().filter(|(of, _)| *of <= level);
    grave.map(|(_, text)| text.clone()).collect()
}

/// Waits for a warning with this property.
pub(crate) async fn a_warning(what: &str, has: impl Fn(&str) -> bool) {
    an_event(Level::WARN, what, has).await;
}

/// Waits for an event at this level or above with this property.
pub(crate) async fn an_event(level: Level, what: &str, has: impl Fn(&str) -> bool) {
    eventually(&format!("the traces speak of {what}"), LATE, async || {
        texts(level).iter().any(|text| has(text))
    })
    .await;
}

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, "{}={value} ", field.name()).unwrap();
    }
}

fn note(metadata: &Metadata<'_>, record: impl FnOnce(&mut Fields)) {
    let mut fields = Fields(format!("{} ", metadata.target()));
    record(&mut fields);
    TEXTS.lock().unwrap().push((*metadata.level(), fields.0));
}

impl Subscriber for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        static IDS: AtomicU64 = AtomicU64::new(1);
        note(span.metadata(), |fields| span.record(fields));
        Id::from_u64(IDS.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        TEXTS.lock().unwrap().push((Level::TRACE, fields.0));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        note(event.metadata(), |fields| event.record(fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
