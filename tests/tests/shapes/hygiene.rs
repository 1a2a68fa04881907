//! Macros, metavariables, shadowed names, other attributes.

use crate::{locked, run};
use lock_runtime::{LockError, distributed_lock};

#[test]
fn a_function_made_by_macro_rules() {
    macro_rules! make {
        ($(#[$attr:meta])* $vis:vis $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty $body:block) => {
            $(#[$attr])*
            #[distributed_lock(key = "hygiene:made:<id>")]
            $vis async fn $name($($arg: $ty),*) -> $ret $body
        };
    }
    make! {
        /// Documented.
        pub(crate) ship(id: u8, name: &'static str, more: bool) -> Result<String, LockError> {
            assert!(locked());
            Ok(format!("{id}{name}{more}"))
        }
    }
    // The template is the macro's, the parameters the caller's.
    assert_eq!(run(ship(1, "a", true)).unwrap(), "1atrue");
}

#[test]
fn a_parameter_of_the_macros_beside_one_of_the_callers() {
    macro_rules! make {
        ($name:ident, $arg:ident) => {
            #[distributed_lock(key = "hygiene:both:<id>")]
            async fn $name(id: &'static str, $arg: NoDisplay) -> Result<&'static str, LockError> {
                let _ = $arg;
                Ok(id)
            }
        };
        ($name:ident, first $arg:ident) => {
            #[distributed_lock(key = "hygiene:first:<id>")]
            async fn $name($arg: NoDisplay, id: &'static str) -> Result<&'static str, LockError> {
                let _ = $arg;
                Ok(id)
            }
        };
    }
    struct NoDisplay;
    make!(ship, id);
    assert_eq!(run(ship("the macro's", NoDisplay)).unwrap(), "the macro's");
    make!(other, first id);
    assert_eq!(run(other(NoDisplay, "the macro's")).unwrap(), "the macro's");
}

#[test]
fn options_from_metavariables() {
    macro_rules! make {
        ($name:ident, $key:literal, $ttl:expr, $wait:tt, $reentrant:literal, $compensate:expr) => {
            #[distributed_lock(
                key = $key, ttl = $ttl, wait = $wait, on_conflict = "retry", reentrant = $reentrant, compensate = $compensate
            )]
            async fn $name(id: u8) -> Result<u8, LockError> {
                Ok(id)
            }
        };
    }
    async fn undo() -> Result<u8, LockError> {
        Ok(0)
    }
    make!(ship, "hygiene:metavariable", "10s", "1s", true, undo());
    assert_eq!(run(ship(1)).unwrap(), 1);
}

#[test]
fn a_key_expression_from_a_metavariable() {
    macro_rules! make {
        ($name:ident($id:ident), $key:expr) => {
            #[distributed_lock(key = $key)]
            async fn $name($id: u8) -> Result<u8, LockError> {
                Ok($id)
            }
        };
    }
    make!(template(id), "hygiene:template:<id>");
    make!(expression(id), format!("hygiene:expression:{id}"));
    make!(operators(id), "hygiene:".to_owned() + &id.to_string());
    assert_eq!(run(template(1)).unwrap(), 1);
    assert_eq!(run(expression(2)).unwrap(), 2);
    assert_eq!(run(operators(3)).unwrap(), 3);
}

#[test]
fn an_item_from_a_metavariable() {
    macro_rules! pass {
        ($item:item) => {
            #[distributed_lock(key = "hygiene:item")]
            $item
        };
    }
    pass! {
        async fn ship(n: u8) -> Result<u8, LockError> {
            Ok(n)
        }
    }
    assert_eq!(run(ship(1)).unwrap(), 1);
}

mod shadowed {
    #![allow(dead_code, non_camel_case_types)]
    //! Every name of the prelude and of the standard crates means something else here.
    use lock_runtime::distributed_lock;

    mod core {}
    mod std {}
    mod alloc {}
    mod lock_runtime_internals {}
    struct Result;
    struct Option;
    struct Box;
    struct String;
    struct Ok;
    struct Err;
    struct Some;
    struct None;
    trait Future {}
    trait Clone {}
    trait Into {}
    trait From {}
    trait Send {}
    struct Pin;
    struct Duration;
    struct Call;
    struct Spec;
    type bool = ();
    type u64 = ();
    #[allow(unused_macros)]
    macro_rules! pin {
        () => {};
    }

    #[distributed_lock(
        key = "hygiene:shadowed:<id>", ttl = "10s", on_conflict = "retry", backoff = "1ms..2ms", renew = "1s",
        compensate = undo(id, &reason), reentrant
    )]
    pub(super) async fn ship(id: u8) -> ::std::result::Result<u8, ::lock_runtime::LockError> {
        ::std::result::Result::Ok(id)
    }

    async fn undo(id: u8, _: &::lock_runtime::LostReason) -> ::std::result::Result<u8, ::lock_runtime::LockError> {
        ::std::result::Result::Ok(id)
    }
}

#[test]
fn shadowed_names() {
    assert_eq!(run(shadowed::ship(3)).unwrap(), 3);
}

mod lock_runtime_as_a_module {
    mod lock_runtime {}

    #[::lock_runtime::distributed_lock(key = "hygiene:module")]
    pub(super) async fn ship() -> Result<u8, ::lock_runtime::LockError> {
        Ok(1)
    }
}

#[test]
fn a_module_with_the_name_of_the_crate() {
    assert_eq!(run(lock_runtime_as_a_module::ship()).unwrap(), 1);
}

mod reexported {
    pub(crate) mod locks {
        pub(crate) use ::lock_runtime::*;
    }

    macro_rules! locked_here {
        ($name:ident) => {
            #[$crate::hygiene::reexported::locks::distributed_lock(
                                        key = "hygiene:reexported", crate = $crate::hygiene::reexported::locks
                                    )]
            async fn $name() -> Result<u8, $crate::hygiene::reexported::locks::LockError> {
                Ok(2)
            }
        };
    }

    pub(crate) use locked_here;

    #[locks::distributed_lock(key = "hygiene:reexported", crate = self::locks)]
    pub(super) async fn ship() -> Result<u8, locks::LockError> {
        Ok(1)
    }
}

#[test]
fn a_reexported_crate() {
    reexported::locked_here!(ship);
    assert_eq!(run(reexported::ship()).unwrap(), 1);
    assert_eq!(run(ship()).unwrap(), 2);
}

#[test]
fn two_locks_on_one_function() {
    #[distributed_lock(key = "hygiene:outer:<id>")]
    #[distributed_lock(key = "hygiene:inner:<id>", compensate = undo(id))]
    async fn ship(id: u8, _: String) -> Result<u8, LockError> {
        Ok(id)
    }
    async fn undo(id: u8) -> Result<u8, LockError> {
        Ok(id)
    }
    assert_eq!(run(ship(1, String::new())).unwrap(), 1);
}

#[test]
fn beside_another_attribute_macro() {
    mod below {
        use super::*;
        #[distributed_lock(key = "hygiene:below")]
        #[tokio::main(flavor = "current_thread")]
        pub(super) async fn ship(n: u8) -> Result<u8, LockError> {
            Ok(n)
        }
    }
    assert_eq!(std::thread::spawn(|| below::ship(1)).join().unwrap().unwrap(), 1);
}
