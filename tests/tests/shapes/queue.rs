//! What a function with `on_conflict = "queue"` stores, and how a worker calls it.

use crate::double::__private::queue::{Execution, called, take_the_lock};
use crate::double::__private::{keys, specs};
use crate::double::{self, Noted, Refused, current, events, lose_the_next_lease, note};
use crate::{every_queue, locked, run};
use lock_runtime::{LockError, LockManager, Outcome, distributed_lock};
use std::any::TypeId;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What is told of a run of the function that was called last.
fn report(execution: Execution) -> String {
    let running = (called().run)(execution.clone());
    run(running);
    execution.report()
}

struct Db(&'static str);

#[distributed_lock(
    key = "order:<id>", on_conflict = "queue", delay = "2s", attempts = 7, ttl = "9s", crate = crate::double
)]
async fn ship(
    #[state] db: &Db,
    id: u64,
    #[serde(alias = "memo", alias = "text")] note: String,
    #[serde(default)] copies: Option<u8>,
    #[state] (a, _): &(u8, u8),
    #[serde(default = "three")] mut r#type: u8,
) -> Result<(), Refused> {
    assert!(current().is_some());
    r#type += 1;
    double::note(format!("{} {id} {note} {copies:?} {a} {type}", db.0));
    if id == 0 { Err(Refused) } else { Ok(()) }
}

fn three() -> u8 {
    3
}

#[test]
fn a_call_that_gets_the_lock_runs_its_body() {
    run(ship(&Db("db"), 7, "x".to_owned(), Some(2), &(1, 2), 5)).unwrap();
    assert_eq!(events(), "db 7 x Some(2) 1 6 UNLOCK");
    assert_eq!(keys(), ["order:7"]);
    assert!(specs()[0].contains("\"fail\", ttl: Some(9s)"));
}

#[test]
fn a_call_that_meets_a_taken_lock_stores_its_arguments_by_name() {
    take_the_lock();
    run(ship(&Db("db"), 7, "x".to_owned(), Some(2), &(1, 2), 5)).unwrap();
    assert_eq!(events(), r#"{"copies":2,"id":7,"note":"x","type":5}"#);
}

#[test]
fn a_worker_is_told_what_the_attribute_says() {
    drop(run(ship(&Db("db"), 7, String::new(), None, &(1, 2), 5)));
    let function = called();
    assert_eq!(function.path, "shapes::queue::ship");
    assert_eq!((function.delay, function.attempts), (Duration::from_secs(2), 7));
    let states: Vec<TypeId> = function.states.iter().map(|state| (state.0)()).collect();
    assert_eq!(states, [TypeId::of::<Db>(), TypeId::of::<(u8, u8)>()]);
}

#[test]
fn a_worker_calls_the_function_with_what_is_stored_and_with_its_states() {
    drop(run(ship(&Db("db"), 7, String::new(), None, &(1, 2), 5)));
    events();
    let execution = |arguments| Execution::of(arguments).lend(Db("lent")).lend((8_u8, 9_u8));
    assert_eq!(
        report(execution(
            r#"{"type": 4, "copies": 1, "note": "new", "id": 6, "more": 1}"#
        )),
        "ended: Ok(())"
    );
    assert_eq!(events(), "lent 6 new Some(1) 8 5 UNLOCK");
    assert_eq!(report(execution(r#"{"id": 6, "text": "old"}"#)), "ended: Ok(())");
    assert_eq!(events(), "lent 6 old None 8 4 UNLOCK");
    assert_eq!(report(execution(r#"{"id": 0, "memo": ""}"#)), "ended: Err(\"Refused\")");
}

#[test]
fn what_cannot_be_read_is_told_and_nothing_is_called() {
    drop(run(ship(&Db("db"), 7, String::new(), None, &(1, 2), 5)));
    events();
    let states = |arguments| Execution::of(arguments).lend(Db("lent")).lend((8_u8, 9_u8));
    assert_eq!(report(states(r#"{"id": 6}"#)), "unreadable: no argument note");
    assert!(report(states(r#"{"id": "x", "note": ""}"#)).starts_with("unreadable: invalid type"));
    let stateless = Execution::of(r#"{"id": 6, "note": ""}"#).lend(Db("lent"));
    assert_eq!(report(stateless), "unreadable: no state (u8, u8)");
    assert_eq!(events(), "");
}

#[test]
fn a_parameter_may_have_the_functions_name() {
    #[distributed_lock(key = "<again>", on_conflict = "queue", crate = crate::double)]
    async fn again(again: u8) -> Result<(), Refused> {
        note(format!("{again}"));
        Ok(())
    }
    run(again(1)).unwrap();
    assert_eq!(report(Execution::of(r#"{"again": 2}"#)), "ended: Ok(())");
    assert_eq!(events(), "1 UNLOCK 2 UNLOCK");
}

#[test]
fn a_compensation_has_the_states_and_the_arguments() {
    #[distributed_lock(key = "k", on_conflict = "queue", compensate = undo(db, id, &reason), crate = crate::double)]
    async fn pending(#[state] db: &Db, id: u8) -> Result<(), Refused> {
        let _db = db;
        note(format!("{id}"));
        std::future::pending().await
    }
    async fn undo(db: &Db, id: u8, reason: &double::LostReason) -> Result<(), Refused> {
        note(format!("{} {id} {reason:?}", db.0));
        Err(Refused)
    }
    lose_the_next_lease();
    assert_eq!(run(pending(&Db("db"), 1)), Err(Refused));
    assert_eq!(events(), "1 UNLOCK db 1 Taken");
    lose_the_next_lease();
    let execution = Execution::of(r#"{"id": 2}"#).lend(Db("lent"));
    assert_eq!(report(execution), "ended: Err(\"Refused\")");
    assert_eq!(events(), "2 UNLOCK lent 2 Taken");
}

/// Stored as nothing.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(from = "()", into = "()")]
struct Dropped(#[allow(dead_code)] Noted);

impl From<()> for Dropped {
    fn from((): ()) -> Dropped {
        Dropped(Noted("argument"))
    }
}

impl From<Dropped> for () {
    fn from(_: Dropped) {}
}

impl Clone for Dropped {
    fn clone(&self) -> Dropped {
        Dropped(Noted("clone"))
    }
}

#[test]
fn parameters_are_dropped_before_the_lock() {
    #[distributed_lock(key = "k", on_conflict = "queue", crate = crate::double)]
    async fn unused(_first: Dropped, second: Dropped, fails: bool) -> Result<(), Refused> {
        let _local = Noted("local");
        if fails { Err(Refused) } else { Ok(()) }
    }
    let arguments = || (Dropped(Noted("first")), Dropped(Noted("second")));
    for fails in [false, true] {
        let (first, second) = arguments();
        drop(run(unused(first, second, fails)));
        assert_eq!(events(), "local second first UNLOCK");
    }
    take_the_lock();
    let (first, second) = arguments();
    run(unused(first, second, false)).unwrap();
    assert_eq!(
        events(),
        r#"clone clone {"_first":null,"fails":false,"second":null} second first"#
    );
}

#[test]
fn with_the_real_runtime_a_free_lock_is_taken_and_the_body_runs() {
    #[distributed_lock(key = "queue:real:<id>", on_conflict = "queue")]
    async fn real(id: u64) -> Result<Outcome<u64>, LockError> {
        assert!(locked());
        Ok(Outcome::Done(id))
    }
    assert_eq!(run(real(7)).unwrap(), Outcome::Done(7));
}

#[test]
fn a_worker_finds_every_function_of_the_program_and_says_which_state_it_lacks() {
    let locks = LockManager::in_memory();
    let lacking = |worker: lock_runtime::Worker| {
        let warnings = Warnings::default();
        tracing::subscriber::with_default(warnings.clone(), || run(worker.run_until(async {})).unwrap());
        let warnings = warnings.0.lock().unwrap();
        warnings.clone()
    };
    let all = lacking(locks.worker());
    assert!(all.iter().any(|text| text.contains("every_queue::")), "{all:?}");
    let one = lacking(every_queue::lend_all_but_one(locks.worker()));
    assert!(!one.is_empty() && one.len() < all.len(), "{one:?}");
    assert!(
        one.iter().all(|text| text.contains("needs a state of the type `u8`")),
        "{one:?}"
    );
}

/// The texts of all warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Text(String);

        impl Visit for Text {
            fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
                self.0 += &format!("{value:?}");
            }
        }

        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
