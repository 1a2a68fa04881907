//! Tests of the whole attribute: what it makes of functions of several shapes. The files beside the
//! snapshots are written by `UPDATE_EXPECT=1 cargo test -p lock-macros`.

use crate::attribute;
use expect_test::expect_file;
use proc_macro2::TokenStream;
use quote::quote;
use std::str::FromStr;

/// As formatted code, or as tokens where the body is no code yet.
fn expanded(options: TokenStream, item: TokenStream) -> String {
    let tokens = attribute(options, item);
    match syn::parse2(tokens.clone()) {
        Ok(file) => prettyplease::unparse(&file),
        Err(_) => tokens.to_string() + "\n",
    }
}

fn tokens(text: &str) -> TokenStream {
    TokenStream::from_str(text).expect("the text lexes")
}

#[test]
fn plain() {
    let item = quote! {
        /// Ships.
        #[must_use]
        pub(crate) async fn ship<'a, T: Display>(id: u64, list: &'a [T]) -> Result<&'a T, ShopError>
        where
            T: Clone,
        {
            #![allow(unused)]
            use std::fmt;
            list.first().ok_or(ShopError::Empty)
        }
    };
    expect_file!["snapshots/plain.txt"].assert_eq(&expanded(quote!(key = "order:<id>"), item));
}

#[test]
fn every_option() {
    let item = quote! {
        async fn ship(&self, id: u64, name: &str) -> Result<impl Debug, ShopError> {
            Ok(id)
        }
    };
    let options = quote! {
        key = "order:<id>/<self.lines.0.name()>", ttl = "10s", on_conflict = "retry", wait = "1500ms",
        backoff = "20ms..500ms", renew = "3s", max_hold = "1m", hold_at_least = "5s", on_lost = "abort",
        compensate = self.refund(id, &reason), reentrant, manager = self.locks, crate = crate::locks,
    };
    expect_file!["snapshots/every_option.txt"].assert_eq(&expanded(options, item));
}

#[test]
fn parameters() {
    let item = quote! {
        async fn ship(
            mut self,
            _: Guard,
            (a, _): (u8, Guard),
            #[cfg(feature = "x")] Point { x, .. }: Point,
            #[cfg(feature = "x")] mut y: u8,
            r#type: u8,
        ) -> Result<(), E> {
            Ok(())
        }
    };
    let options = quote!(
        key = "k:<a>:<type>",
        on_conflict = "skip",
        renew = false,
        on_lost = "continue"
    );
    expect_file!["snapshots/parameters.txt"].assert_eq(&expanded(options, item));
}

#[test]
fn parameters_beside_another_macro() {
    let item = quote! {
        #[instrument]
        async fn ship(_: Guard, (a, _): (u8, Guard)) -> Result<(), E> {
            Ok(())
        }
    };
    let expanded = expanded(quote!(key = "k"), item);
    expect_file!["snapshots/parameters_beside_another_macro.txt"].assert_eq(&expanded);
}

#[test]
fn compensation_of_self_by_value() {
    let item = quote! {
        async fn ship(self: Arc<Self>, id: u64) -> Result<(), E> {
            Ok(())
        }
    };
    let options = quote!(
        key = format!("order:{id}"),
        compensate = undo(self.clone(), format!("{id}"))
    );
    expect_file!["snapshots/compensation_of_self_by_value.txt"].assert_eq(&expanded(options, item));
}

#[test]
fn under_async_trait() {
    // What `#[async_trait]` makes of
    // `async fn ship(&self, id: u64, (a, _): (u8, u8)) -> Result<u8, E> { self.f(id).await }`.
    let item = quote! {
        #[allow(clippy::type_complexity)]
        fn ship<'life0, 'async_trait>(
            &'life0 self,
            id: u64,
            __arg2: (u8, u8),
        ) -> ::core::pin::Pin<Box<
            dyn ::core::future::Future<Output = Result<u8, E>> + ::core::marker::Send + 'async_trait,
        >>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(async move {
                if let ::core::option::Option::Some(__ret) = ::core::option::Option::None::<Result<u8, E>> {
                    #[allow(unreachable_code)]
                    return __ret;
                }
                let __self = self;
                let id = id;
                let (a, _) = {
                    let __arg2 = __arg2;
                    __arg2
                };
                let __ret: Result<u8, E> = { __self.f(id).await };
                #[allow(unreachable_code)]
                __ret
            })
        }
    };
    expect_file!["snapshots/under_async_trait.txt"].assert_eq(&expanded(quote!(key = "k:<a>"), item));
}

#[test]
fn a_shape_of_async_trait_that_is_not_known() {
    let item = quote! {
        fn ship<'async_trait>() -> BoxFuture<'async_trait, u8> {
            boxed()
        }
    };
    let expanded = expanded(quote!(key = "k"), item);
    expect_file!["snapshots/a_shape_of_async_trait_that_is_not_known.txt"].assert_eq(&expanded);
}

#[test]
fn a_call_that_is_stored() {
    let item = quote! {
        /// Ships.
        pub async fn ship(
            #[state] db: &Db,
            id: u64,
            #[serde(alias = "memo", alias = "text", default)] mut note: String,
            #[allow(unused)] #[serde(default = "three")] r#type: u8,
            #[state] (a, _): &(u8, u8),
        ) -> Result<Outcome<u8>, ShopError> {
            Ok(Outcome::Done(a))
        }
    };
    let options = quote! {
        key = "order:<id>", on_conflict = "queue", delay = "250ms", attempts = 3, manager = db.locks,
        compensate = undo(note, &reason), crate = crate::locks,
    };
    expect_file!["snapshots/a_call_that_is_stored.txt"].assert_eq(&expanded(options, item));
}

#[test]
fn a_call_with_nothing_to_store() {
    let item = quote!(
        async fn ship() -> Result<(), E> {
            Ok(())
        }
    );
    let options = quote!(key = "order", on_conflict = "queue");
    expect_file!["snapshots/a_call_with_nothing_to_store.txt"].assert_eq(&expanded(options, item));
}

/// The compiler does not know what parameters are marked with, and would say so a second time.
#[test]
fn the_marks_of_parameters_are_never_emitted() {
    let function = quote!(
        /// Ships.
        async fn ship(#[state] db: &Db, #[serde(default)] #[allow(unused)] id: u64,) -> R {
            body #
        }
    );
    let constant = quote!(
        const fn ship(
            #[state] db: &Db,
            #[serde(default)]
            #[allow(unused)]
            id: u64,
        ) -> R;
    );
    let method = quote!(
        fn ship<'async_trait>(
            #[state] &self,
            #[serde(default)]
            #[allow(unused)]
            id: u64,
        ) -> R {
            body
        }
    );
    for item in [function, constant, method] {
        for options in [
            quote!(),
            quote!(key = "k"),
            quote!(key = "k:<i>", on_conflict = "queue"),
        ] {
            let expanded = attribute(options.clone(), item.clone()).to_string();
            let code: String = expanded.split('"').step_by(2).collect();
            assert!(code.contains("async fn") || code.contains("fn ship"), "{code}");
            assert!(code.contains("# [allow (unused)] id : u64 ,"), "{options}: {code}");
            for mark in ["# [state]", "# [serde"] {
                assert!(!code.contains(mark), "{options}: {code}");
            }
        }
    }
}

#[test]
fn wrong_options() {
    let item = quote! {
        #[inline]
        async fn ship(id: u64) -> Result<(), E> {
            Ok(())
        }
    };
    expect_file!["snapshots/wrong_options.txt"].assert_eq(&expanded(quote!(key = "k:<i>", tll = "1s"), item));
}

#[test]
fn no_function() {
    expect_file!["snapshots/no_function.txt"].assert_eq(&expanded(
        quote!(key = "k"),
        quote!(
            pub struct Order;
        ),
    ));
}

#[test]
fn broken_bodies() {
    let mut all = String::new();
    for body in ["if 1", "foo.", "let x ="] {
        let body = tokens(body);
        let item = quote!(async fn ship(id: u64) -> Result<(), E> { #body });
        all += &format!("// {body}\n{}\n", expanded(quote!(key = "order:<id>"), item));
    }
    expect_file!["snapshots/broken_bodies.txt"].assert_eq(&all);
}

/// The user's own tokens, whatever they are, in the expansion once and unchanged.
#[test]
fn broken_bodies_stay_as_they_are() {
    for body in ["if 1", "foo.", "let x =", "match x { A =>", "fn", "x..", "#[", "'a: "] {
        let Ok(body) = TokenStream::from_str(body) else {
            continue;
        };
        let expanded = attribute(quote!(key = "k"), quote!(async fn ship() -> Result<(), E> { #body })).to_string();
        assert_eq!(expanded.matches(&format!("{{ {body} }}")).count(), 1, "{expanded}");
        assert!(!expanded.contains("compile_error"), "{expanded}");
    }
}

/// Nothing that is typed may take the function away.
#[test]
fn what_was_written_is_always_emitted() {
    let items = [
        quote!(
            async fn ship(id: u64) {}
        ),
        quote!(
            fn ship(id: u64) -> R {}
        ),
        quote!(
            async fn ship(id: u64) -> R;
        ),
        quote!(async fn ship(id: u64) -> R),
        quote!(async fn ship(id: u64)),
        quote!(async fn ship),
        quote!(
            struct Order {
                id: u64,
            }
        ),
        quote!(1 + 1),
        quote!(),
    ];
    for item in items {
        for options in [quote!(), quote!(key), quote!(key = ), quote!(= = =), quote!(key = "k")] {
            let expanded = attribute(options.clone(), item.clone()).to_string();
            assert!(expanded.ends_with(&item.to_string()), "{options}: {expanded}");
            assert!(expanded.contains("compile_error"), "{options}: {expanded}");
        }
    }
}
