//! Every option arrives at the runtime as it was written.

use crate::double::__private::{keys, specs};
use crate::double::{Refused, events};
use crate::run;
use lock_runtime::distributed_lock;

/// The spec of the one call in `future`, with everything that is not set left out.
fn spec(future: impl Future<Output = Result<(), Refused>>) -> String {
    specs();
    run(future).expect("the double never refuses");
    let specs = specs();
    assert_eq!(specs.len(), 1, "{specs:?}");
    let fields = specs[0].trim_start_matches("Spec { ").trim_end_matches(" }");
    let set = fields
        .split(", ")
        .filter(|field| !field.ends_with(": None") && !field.ends_with(": false"));
    set.collect::<Vec<_>>().join(", ")
}

macro_rules! options {
    ($($name:ident: ($($option:tt)*) => $expected:literal;)*) => {
        $(#[test]
        fn $name() {
            #[distributed_lock(key = "k", crate = crate::double, $($option)*)]
            async fn locked() -> Result<(), Refused> {
                Ok(())
            }
            assert_eq!(spec(locked()), $expected);
        })*
    };
}

options! {
    without_options_the_policy_is_fail: () => r#"policy: "fail""#;
    on_conflict_fail: (on_conflict = "fail") => r#"policy: "fail""#;
    on_conflict_retry: (on_conflict = "retry") => r#"policy: "retry""#;
    on_conflict_skip: (on_conflict = "skip") => r#"policy: "skip""#;
    ttl: (ttl = "1m 30s") => r#"policy: "fail", ttl: Some(90s)"#;
    wait: (on_conflict = "retry", wait = "1500ms") => r#"policy: "retry", wait: Some(1.5s)"#;
    backoff: (on_conflict = "retry", backoff = "5ms..1s") => r#"policy: "retry", backoff: Some((5ms, 1s))"#;
    renew: (ttl = "10s", renew = "5s") => r#"policy: "fail", ttl: Some(10s), renew_every: Some(5s)"#;
    renew_false: (renew = false) => r#"policy: "fail", never_renew: true"#;
    max_hold: (ttl = "10s", max_hold = "10s") => r#"policy: "fail", ttl: Some(10s), max_hold: Some(10s)"#;
    hold_at_least: (hold_at_least = "1h") => r#"policy: "fail", hold_at_least: Some(3600s)"#;
    on_lost_abort: (on_lost = "abort") => r#"policy: "fail""#;
    on_lost_continue: (on_lost = "continue") => r#"policy: "fail", continue_when_lost: true"#;
    reentrant: (reentrant) => r#"policy: "fail", reentrant: true"#;
    reentrant_true: (reentrant = true) => r#"policy: "fail", reentrant: true"#;
    reentrant_false: (reentrant = false) => r#"policy: "fail""#;
    a_trailing_comma: (reentrant,) => r#"policy: "fail", reentrant: true"#;
}

#[test]
fn a_template_is_filled_with_parameters_their_fields_and_their_methods() {
    struct Order {
        id: u64,
        lines: (u8, (u8, u8)),
    }
    impl Order {
        fn total(&self) -> u64 {
            self.id * 10
        }
    }
    #[distributed_lock(key = "order:<order.id>/<order.lines.1.0>#<order.total()>|<name.len()>", crate = crate::double)]
    async fn locked(order: &Order, name: &str) -> Result<(), Refused> {
        let _ = (order, name);
        Ok(())
    }
    keys();
    run(locked(
        &Order {
            id: 7,
            lines: (1, (2, 3)),
        },
        "abc",
    ))
    .expect("the double never refuses");
    assert_eq!(keys(), ["order:7/2#70|3"]);
}

#[test]
fn doubled_brackets_stand_for_themselves() {
    #[distributed_lock(key = "a<<b>>:<<<id>>>", crate = crate::double)]
    async fn locked(id: u8) -> Result<u8, Refused> {
        Ok(id)
    }
    keys();
    run(locked(1)).expect("the double never refuses");
    assert_eq!(keys(), ["a<b>:<1>"]);
}

#[test]
fn any_other_expression_is_the_key() {
    const NAME: &str = "constant";
    #[distributed_lock(key = NAME, crate = crate::double)]
    async fn constant() -> Result<(), Refused> {
        Ok(())
    }
    #[distributed_lock(key = concat!("a", "<b>"), crate = crate::double)]
    async fn macro_call() -> Result<(), Refused> {
        Ok(())
    }
    #[distributed_lock(key = format!("{a}-{}", b + 1), crate = crate::double)]
    async fn parameters(a: &str, b: u8) -> Result<(), Refused> {
        let _ = (a, b);
        Ok(())
    }
    #[distributed_lock(key = if cached { "x" } else { "y" }, crate = crate::double)]
    async fn branch(cached: bool) -> Result<bool, Refused> {
        Ok(cached)
    }
    keys();
    run(async {
        constant().await.expect("the double never refuses");
        macro_call().await.expect("the double never refuses");
        parameters("p", 1).await.expect("the double never refuses");
        branch(true).await.expect("the double never refuses");
    });
    assert_eq!(keys(), ["constant", "a<b>", "p-2", "x"]);
}

#[test]
fn the_manager_is_any_expression_over_the_parameters() {
    struct Shop {
        locks: (u8, u8),
    }
    impl Shop {
        #[distributed_lock(key = "k", manager = self.locks, crate = crate::double)]
        async fn field(&self) -> Result<(), Refused> {
            Ok(())
        }
        #[distributed_lock(key = "k", manager = *locks, crate = crate::double)]
        async fn dereferenced(locks: &u8) -> Result<u8, Refused> {
            Ok(*locks)
        }
    }
    events();
    run(Shop { locks: (1, 2) }.field()).expect("the double never refuses");
    run(Shop::dereferenced(&1)).expect("the double never refuses");
    assert_eq!(events(), "manager UNLOCK manager UNLOCK");
}
