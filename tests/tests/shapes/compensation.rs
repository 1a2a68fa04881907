//! `compensate`: which parameters it gets, and that the body is gone when it runs.

use crate::double::{LostReason, Noted, Refused, events, lose_the_next_lease, note};
use crate::run;
use lock_runtime::distributed_lock;
use std::future::pending;
use std::sync::Arc;

fn lost<T>(future: impl Future<Output = T>) -> T {
    events();
    lose_the_next_lease();
    run(future)
}

async fn refund(id: u64, reason: &LostReason) -> Result<String, Refused> {
    Ok(format!("refunded {id} {reason:?}"))
}

#[test]
fn its_output_is_the_functions() {
    #[distributed_lock(key = "k", compensate = refund(id, &reason), crate = crate::double)]
    async fn locked(id: u64) -> Result<String, Refused> {
        pending::<()>().await;
        Ok(format!("shipped {id}"))
    }
    assert_eq!(lost(locked(7)), Ok("refunded 7 Taken".to_owned()));
}

#[test]
fn it_does_not_run_when_the_body_finished() {
    #[distributed_lock(key = "k", compensate = refund(id, &reason), crate = crate::double)]
    async fn locked(id: u64) -> Result<String, Refused> {
        Ok(format!("shipped {id}"))
    }
    assert_eq!(run(locked(7)), Ok("shipped 7".to_owned()));
}

#[test]
fn it_runs_after_the_body_and_the_lock_are_gone() {
    #[distributed_lock(key = "k", compensate = undo(), crate = crate::double)]
    async fn locked(_a: Noted) -> Result<(), Refused> {
        let _local = Noted("local");
        pending().await
    }
    async fn undo() -> Result<(), Refused> {
        note(if crate::double::current().is_none() {
            "undone"
        } else {
            "locked"
        });
        Ok(())
    }
    assert_eq!(lost(locked(Noted("a"))), Ok(()));
    assert_eq!(events(), "local a UNLOCK undone");
}

#[test]
fn it_may_use_neither_parameters_nor_the_reason() {
    #[distributed_lock(key = "k", compensate = nothing(), crate = crate::double)]
    async fn locked(_unclonable: Noted) -> Result<(), Refused> {
        pending().await
    }
    async fn nothing() -> Result<(), Refused> {
        Ok(())
    }
    assert_eq!(lost(locked(Noted("a"))), Ok(()));
}

#[test]
fn parameters_that_it_does_not_name_need_no_clone() {
    #[distributed_lock(key = "k", compensate = refund(order.id, &reason), crate = crate::double)]
    async fn locked(_id: Noted, order: Order, _value: &mut Vec<u8>) -> Result<String, Refused> {
        let _moved = order;
        pending().await
    }
    #[derive(Clone)]
    struct Order {
        id: u64,
    }
    assert_eq!(
        lost(locked(Noted("a"), Order { id: 3 }, &mut vec![])),
        Ok("refunded 3 Taken".to_owned())
    );
}

#[test]
fn a_field_or_a_path_with_the_name_of_a_parameter_is_not_that_parameter() {
    mod note {
        pub(super) const ID: u64 = 4;
    }
    struct Account {
        id: u64,
    }
    #[distributed_lock(key = "k", compensate = refund(account.id + note::ID, &reason), crate = crate::double)]
    async fn locked(account: &Account, id: Noted, note: Noted) -> Result<String, Refused> {
        let _used = (account, id, note);
        pending().await
    }
    assert_eq!(
        lost(locked(&Account { id: 1 }, Noted("id"), Noted("note"))),
        Ok("refunded 5 Taken".to_owned())
    );
}

#[test]
fn parameters_inside_format_strings_are_named() {
    async fn say(text: String) -> Result<String, Refused> {
        Ok(text)
    }
    #[distributed_lock(key = "k", compensate = say(format!("{id:?} {name} {{x}} {reason:?}")), crate = crate::double)]
    async fn locked(id: u64, name: String, x: Noted) -> Result<String, Refused> {
        drop((name, x, id));
        pending().await
    }
    assert_eq!(lost(locked(1, "n".into(), Noted("x"))), Ok("1 n {x} Taken".to_owned()));
}

#[test]
fn references_and_bindings_of_patterns_are_kept() {
    async fn say(name: &str, x: u8, rest: &[u8], y: String) -> Result<String, Refused> {
        Ok(format!("{name} {x} {rest:?} {y}"))
    }
    #[distributed_lock(key = "k", compensate = say(name, *x, rest, y), crate = crate::double)]
    async fn locked(name: &str, [x, rest @ ..]: &[u8; 3], (y, _): (String, Noted)) -> Result<String, Refused> {
        drop((name, x, rest, y));
        pending().await
    }
    assert_eq!(
        lost(locked("n", &[1, 2, 3], ("y".into(), Noted("z")))),
        Ok("n 1 [2, 3] y".to_owned())
    );
}

#[derive(Clone)]
struct Shop(u64);

impl Shop {
    async fn undo(&self, more: u64) -> Result<u64, Refused> {
        Ok(self.0 + more)
    }

    #[distributed_lock(key = "k", compensate = self.undo(more), crate = crate::double)]
    async fn by_reference(&self, more: u64) -> Result<u64, Refused> {
        let _ = more;
        pending().await
    }

    #[distributed_lock(key = "k", compensate = self.undo(more), crate = crate::double)]
    async fn by_value(self, more: u64) -> Result<u64, Refused> {
        let _ = more;
        pending().await
    }

    #[distributed_lock(key = "k", compensate = Self::undo(&self, vec![self.0, more][1]), crate = crate::double)]
    async fn by_arc(self: Arc<Self>, more: u64) -> Result<u64, Refused> {
        pending().await
    }

    #[distributed_lock(key = "k", compensate = Self(1).undo(more), crate = crate::double)]
    async fn exclusively(&mut self, more: u64) -> Result<u64, Refused> {
        self.0 += more;
        pending().await
    }
}

#[test]
fn self_is_there_in_every_form_but_an_exclusive_one() {
    assert_eq!(lost(Shop(1).by_reference(2)), Ok(3));
    assert_eq!(lost(Shop(1).by_value(2)), Ok(3));
    assert_eq!(lost(Arc::new(Shop(1)).by_arc(2)), Ok(3));
    assert_eq!(lost(Shop(5).exclusively(2)), Ok(3));
}

#[test]
fn under_async_trait_it_works_the_same() {
    #[async_trait::async_trait]
    trait Ship {
        async fn ship(&self, id: u64, (a, _): (u64, String)) -> Result<u64, Refused>;
    }
    #[async_trait::async_trait]
    impl Ship for Shop {
        #[distributed_lock(key = "k:<id>", compensate = self.undo(id + a), crate = crate::double)]
        async fn ship(&self, id: u64, (a, _): (u64, String)) -> Result<u64, Refused> {
            let _ = (a, id);
            pending().await
        }
    }
    assert_eq!(lost(Shop(1).ship(2, (3, String::new()))), Ok(6));
}

#[test]
fn the_name_reason_is_the_one_that_the_user_wrote() {
    macro_rules! locked {
        ($name:ident, $compensate:expr) => {
            #[distributed_lock(key = "k", compensate = $compensate, crate = crate::double)]
            async fn $name() -> Result<LostReason, Refused> {
                pending().await
            }
        };
    }
    async fn say(reason: LostReason) -> Result<LostReason, Refused> {
        Ok(reason)
    }
    locked!(ship, say(reason));
    assert_eq!(lost(ship()), Ok(LostReason::Taken));
}
