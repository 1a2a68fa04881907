//! Options compared with each other and with the function.

use crate::error::Errors;
use crate::{args, check, item};
use proc_macro2::{Delimiter, Group, TokenStream};
use quote::quote;

/// The messages for these options on this function.
fn on(options: TokenStream, function: TokenStream) -> Vec<String> {
    let mut errors = Errors::new();
    let args = args::parse(options, &mut errors);
    let item = item::parse(function, &mut errors);
    let plan = check::check(args, item.as_ref(), &mut errors);
    let messages = errors.messages();
    assert!(
        !messages.is_empty() || plan.is_some(),
        "no plan, and no message says why"
    );
    messages
}

fn options(options: TokenStream) -> Vec<String> {
    on(
        options,
        quote!(
            async fn ship(id: u64, r#type: &str) -> Result<(), E> {
                body
            }
        ),
    )
}

fn function(function: TokenStream) -> Vec<String> {
    on(quote!(key = "k"), function)
}

#[track_caller]
fn one(messages: &[String], expected: &str) {
    assert!(
        matches!(messages, [message] if message.contains(expected)),
        "{messages:?}"
    );
}

#[test]
fn what_is_right_has_no_message() {
    for tokens in [
        quote!(key = "k:<id>/<type>|<r#type>"),
        quote!(key = "k", ttl = "100ms", renew = "50ms", max_hold = "100ms"),
        quote!(key = "k", renew = "1h", max_hold = "1ms"),
        quote!(key = "k", on_conflict = "retry", wait = "1s", backoff = "1ms..1ms"),
        quote!(key = "k", on_lost = "abort", compensate = undo(id)),
        quote!(key = "k", on_lost = "continue"),
    ] {
        assert!(
            options(tokens.clone()).is_empty(),
            "{tokens}: {:?}",
            options(tokens.clone())
        );
    }
}

#[test]
fn options_that_do_not_fit_together() {
    one(&options(quote!()), "`key` is missing");
    one(&options(quote!(key = "k", ttl = "99ms")), "at least \"100ms\"");
    one(
        &options(quote!(key = "k", ttl = "10s", renew = "5001ms")),
        "`renew = \"5s\"`",
    );
    one(
        &options(quote!(key = "k", ttl = "10s", max_hold = "9s")),
        "`max_hold = \"10s\"`",
    );
    one(
        &options(quote!(key = "k", wait = "1s")),
        "`wait` has no use with `on_conflict = \"fail\"`",
    );
    one(
        &options(quote!(key = "k", backoff = "1ms..2ms", on_conflict = "skip")),
        "`backoff` has no use with `on_conflict = \"skip\"`",
    );
    one(
        &options(quote!(key = "k", on_lost = "continue", compensate = undo())),
        "never aborts",
    );
}

#[test]
fn one_mistake_is_one_message() {
    one(&options(quote!(key = 7)), "is no key");
    one(
        &options(quote!(key = "k", on_conflict = "rety", wait = "1s")),
        "did you mean `retry`",
    );
    one(
        &options(quote!(key = "k", ttl = "soon", renew = "1h", max_hold = "1ms")),
        "is no duration",
    );
}

#[test]
fn placeholders_name_parameters() {
    one(
        &options(quote!(key = "k:<idd>")),
        "did you mean `id`? The function has `id` and `type`",
    );
    one(&options(quote!(key = "k:<self.id>")), "names `self`");
    one(
        &on(
            quote!(key = "k:<id>"),
            quote!(
                async fn ship() -> R {
                    body
                }
            ),
        ),
        "the function has none",
    );
    let patterns = quote!(
        async fn ship(Point { x, y: Some(deep) }: Point, _: u8, (a, b @ (c, ..)): T, mut d: u8, ref e: u8) -> R {}
    );
    assert!(on(quote!(key = "<x>:<deep>:<a>:<b>:<c>:<d>:<e>"), patterns).is_empty());
}

#[test]
fn functions_that_cannot_be_locked() {
    one(
        &function(quote!(
            fn ship() -> R {
                body
            }
        )),
        "is not async",
    );
    one(
        &function(quote!(
            const fn ship() -> R {
                body
            }
        )),
        "runs at compile time",
    );
    one(
        &function(quote!(
            async fn ship() -> R;
        )),
        "has no body",
    );
    one(
        &function(quote!(
            async unsafe extern "C" fn ship(id: u8, ...) -> R {
                body
            }
        )),
        "variadic",
    );
    one(
        &function(quote!(
            async fn ship() {
                body
            }
        )),
        "returns nothing",
    );
    one(
        &function(quote!(
            async fn ship() -> () {
                body
            }
        )),
        "returns `()`",
    );
    one(
        &function(quote!(
            async fn ship() -> ! {
                body
            }
        )),
        "never returns",
    );
    assert_eq!(
        function(quote!(
            fn ship() -> R;
        ))
        .len(),
        2
    );
}

#[test]
fn items_that_are_no_functions() {
    for (item, name) in [
        (
            quote!(
                struct A;
            ),
            "a struct",
        ),
        (
            quote!(
                pub(crate) enum A {}
            ),
            "an enum",
        ),
        (quote!(#[doc = "x"] union A {}), "a union"),
        (
            quote!(
                pub unsafe trait A {}
            ),
            "a trait",
        ),
        (quote!(impl A {}), "an impl block"),
        (
            quote!(
                unsafe impl A for B {}
            ),
            "an impl block",
        ),
        (
            quote!(
                mod a {}
            ),
            "a module",
        ),
        (
            quote!(
                type A = B;
            ),
            "a type",
        ),
        (
            quote!(
                const A: u8 = 1;
            ),
            "a constant",
        ),
        (
            quote!(
                static A: u8 = 1;
            ),
            "a static",
        ),
        (
            quote!(
                use a::b;
            ),
            "an import",
        ),
        (
            quote!(
                extern crate a;
            ),
            "an import",
        ),
        (
            quote!(
                macro_rules! a {
                    () => {};
                }
            ),
            "a macro",
        ),
    ] {
        one(&function(item), name);
    }
    assert_eq!(
        function(quote!(async fn)).len(),
        1,
        "what is being typed is an error of syn's"
    );
}

#[test]
fn a_compensation_cannot_have_what_the_body_has_alone() {
    let exclusive = quote!(
        async fn ship(a: &mut u8, b: (&mut u8), c: &u8, d: u8) -> R {
            body
        }
    );
    assert_eq!(
        on(quote!(key = "k", compensate = undo(a, *b, c, d)), exclusive.clone()).len(),
        2
    );
    assert!(on(quote!(key = "k", compensate = undo(x.a, a::b, c, d)), exclusive).is_empty());
    for receiver in [quote!(&mut self), quote!(self: &mut Self)] {
        one(
            &on(
                quote!(key = "k", compensate = self.undo()),
                quote!(async fn ship(#receiver) -> R {}),
            ),
            "`self` by `&mut`",
        );
    }
}

/// What else may be wrong with such a function is not looked at.
#[test]
fn a_function_that_cannot_be_locked_at_all_is_one_message() {
    one(
        &function(quote!(
            const async fn ship() {}
        )),
        "runs at compile time",
    );
    one(
        &function(quote!(
            async unsafe extern "C" fn ship(id: u8, ...) {}
        )),
        "variadic",
    );
}

#[test]
fn only_the_empty_tuple_is_nothing() {
    assert!(
        function(quote!(
            async fn ship() -> (A, B) {}
        ))
        .is_empty()
    );
}

#[test]
fn the_hint_fits_the_kind_of_item() {
    one(&function(quote!(impl A {})), "on each `async fn` in it");
    one(
        &function(quote!(
            trait A {}
        )),
        "on each `async fn` in it",
    );
    one(
        &function(quote!(
            struct A;
        )),
        "write it on the `async fn`",
    );
}

#[test]
fn a_function_that_is_being_typed_is_not_taken_for_something_else() {
    for item in [quote!(async fn), quote!(pub fn), quote!(unsafe fn ship()->)] {
        let messages = function(item);
        assert!(
            matches!(messages.as_slice(), [message] if !message.contains("works on functions")),
            "{messages:?}"
        );
    }
}

/// As `macro_rules!` passes `$item:item` and `$body:block` on.
#[test]
fn a_function_and_a_body_may_come_from_another_macro() {
    let in_group = |tokens| Group::new(Delimiter::None, tokens);
    let body = in_group(quote!({ Ok(()) }));
    let item = in_group(quote!(async fn ship() -> R #body));
    let twice = in_group(quote!(#item));
    assert!(function(quote!(#twice)).is_empty());
    let no_function = in_group(quote!(
        struct A;
    ));
    one(&function(quote!(#no_function)), "a struct");
    // Brackets of the user's own are no such group.
    let braces = Group::new(
        Delimiter::Brace,
        quote!(
            async fn ship() -> R {}
        ),
    );
    assert_eq!(function(quote!(#braces)).len(), 1);
    let parentheses = Group::new(Delimiter::Parenthesis, quote!(Ok(())));
    one(&function(quote!(async fn ship() -> R #parentheses)), "has no body");
}
