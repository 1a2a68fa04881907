//! The body's locals and all parameters are dropped before the lock is given back, whether the body
//! ends, panics or is dropped in the middle.

use crate::double::{Noted, Refused, events, note};
use lock_runtime::distributed_lock;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};

/// How a body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Return,
    Error,
    Panic,
    Cancel,
}

const ENDS: [End; 4] = [End::Return, End::Error, End::Panic, End::Cancel];

async fn end(how: End) -> Result<(), Refused> {
    match how {
        End::Return => Ok(()),
        End::Error => Err(Refused),
        End::Panic => std::panic::resume_unwind(Box::new("on purpose")),
        End::Cancel => std::future::pending().await,
    }
}

/// Polls once, drops what is still there, and says what was dropped when.
fn order<F: Future>(future: F) -> String {
    events();
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let mut future = Box::pin(future);
        let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }));
    events()
}

#[test]
fn a_plain_function_drops_in_this_order() {
    #[allow(unused_variables)]
    async fn plain(a: Noted, b: Noted, _: Noted, _c: Noted, t: (Noted, Noted), how: End) -> Result<(), Refused> {
        let _local = Noted("local");
        drop(b);
        end(how).await
    }
    for how in ENDS {
        let t = (Noted("t0"), Noted("t1"));
        assert_eq!(
            order(plain(Noted("a"), Noted("b"), Noted("_"), Noted("_c"), t, how)),
            "b local t0 t1 _c _ a"
        );
    }
}

#[test]
fn parameters_are_dropped_in_the_same_order_and_before_the_lock() {
    #[distributed_lock(key = "k", crate = crate::double)]
    async fn locked(a: Noted, b: Noted, _: Noted, _c: Noted, t: (Noted, Noted), how: End) -> Result<(), Refused> {
        let _local = Noted("local");
        drop(b);
        end(how).await
    }
    for how in ENDS {
        let t = (Noted("t0"), Noted("t1"));
        assert_eq!(
            order(locked(Noted("a"), Noted("b"), Noted("_"), Noted("_c"), t, how)),
            "b local t0 t1 _c _ a UNLOCK"
        );
    }
}

#[test]
fn a_parameter_that_nobody_uses_is_dropped_before_the_lock() {
    #[distributed_lock(key = "k", crate = crate::double)]
    #[allow(unused_variables)]
    async fn locked(unused: Noted, how: End) -> Result<(), Refused> {
        end(how).await
    }
    for how in ENDS {
        assert_eq!(order(locked(Noted("unused"), how)), "unused UNLOCK");
    }
}

#[test]
fn what_a_pattern_binds_and_what_it_leaves_is_dropped_before_the_lock() {
    struct Pair {
        x: Noted,
        y: Noted,
    }
    #[distributed_lock(key = "k", crate = crate::double)]
    async fn locked((a, _): (Noted, Noted), Pair { x, .. }: Pair, how: End) -> Result<(), Refused> {
        let _local = Noted("local");
        let _used = (&a, &x);
        end(how).await
    }
    for how in ENDS {
        let pair = Pair {
            x: Noted("x"),
            y: Noted("y"),
        };
        let order = order(locked((Noted("a"), Noted("rest")), pair, how));
        assert_eq!(order, "local x a y rest UNLOCK");
    }
    let _ = |pair: Pair| pair.y;
}

#[test]
fn a_pattern_that_binds_by_reference_is_dropped_before_the_lock() {
    #[distributed_lock(key = "k", crate = crate::double)]
    #[allow(clippy::toplevel_ref_arg)]
    async fn locked(ref a: Noted, ref b @ (ref c, _): (Noted, Noted), how: End) -> Result<(), Refused> {
        let _used = (a, b, c);
        end(how).await
    }
    for how in ENDS {
        assert_eq!(
            order(locked(Noted("a"), (Noted("c"), Noted("rest")), how)),
            "c rest a UNLOCK"
        );
    }
}

#[test]
fn self_by_value_is_dropped_before_the_lock() {
    struct Owner(Noted);
    impl Owner {
        #[distributed_lock(key = "k", crate = crate::double)]
        async fn locked(self, how: End) -> Result<(), Refused> {
            end(how).await
        }
    }
    for how in ENDS {
        assert_eq!(order(Owner(Noted("self")).locked(how)), "self UNLOCK");
    }
    let _ = |owner: Owner| owner.0;
}

#[test]
fn a_temporary_of_the_last_expression_is_dropped_before_the_lock() {
    #[distributed_lock(key = "k", crate = crate::double)]
    async fn locked() -> Result<usize, Refused> {
        Ok(Noted("temporary").0.len())
    }
    assert_eq!(order(locked()), "temporary UNLOCK");
}

#[test]
fn methods_under_async_trait_drop_everything_before_the_lock() {
    #[async_trait::async_trait]
    trait Ship {
        async fn ship(&self, a: Noted, (b, _): (Noted, Noted), _: Noted, how: End) -> Result<(), Refused>;
    }
    struct Shop;
    #[async_trait::async_trait]
    impl Ship for Shop {
        #[distributed_lock(key = "k:<b>", crate = crate::double)]
        async fn ship(&self, a: Noted, (b, _): (Noted, Noted), _: Noted, how: End) -> Result<(), Refused> {
            let _local = Noted("local");
            let _used = (&a, &b);
            end(how).await
        }
    }
    for how in ENDS {
        let order = order(Shop.ship(Noted("a"), (Noted("b"), Noted("rest")), Noted("_"), how));
        let (before, last) = order.rsplit_once(' ').unwrap_or_default();
        assert_eq!(last, "UNLOCK", "{order}");
        let mut dropped: Vec<&str> = before.split(' ').collect();
        dropped.sort_unstable();
        assert_eq!(dropped, ["_", "a", "b", "local", "rest"]);
    }
}

#[test]
fn a_key_that_panics_leaves_no_lock_behind() {
    #[distributed_lock(key = panics(), crate = crate::double)]
    async fn locked(_a: Noted) -> Result<(), Refused> {
        note("body");
        Ok(())
    }
    fn panics() -> String {
        std::panic::resume_unwind(Box::new("on purpose"))
    }
    assert_eq!(order(locked(Noted("a"))), "a");
}

#[test]
fn a_future_that_is_never_polled_does_nothing() {
    #[distributed_lock(key = "k", crate = crate::double)]
    async fn locked(_a: Noted) -> Result<(), Refused> {
        note("body");
        Ok(())
    }
    events();
    {
        let _future = pin!(locked(Noted("a")));
    }
    assert_eq!(events(), "a");
}
