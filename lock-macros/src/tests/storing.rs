//! What `on_conflict = "queue"` asks of a function.

use crate::error::Errors;
use crate::plan::{Argument, Missing};
use crate::{args, check, item};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use std::time::Duration;

/// The messages for a function with these parameters.
fn on(options: TokenStream, function: TokenStream) -> Vec<String> {
    let mut errors = Errors::new();
    let args = args::parse(options, &mut errors);
    let item = item::parse(function, &mut errors);
    let plan = check::check(args, item.as_ref(), &mut errors);
    let messages = errors.messages();
    assert!(
        !messages.is_empty() || plan.is_some_and(|plan| plan.later.is_some()),
        "nothing is stored, and no message says why"
    );
    messages
}

fn parameters(parameters: TokenStream) -> Vec<String> {
    on(
        quote!(key = "k", on_conflict = "queue"),
        quote!(async fn ship(#parameters) -> R { body }),
    )
}

fn function(function: TokenStream) -> Vec<String> {
    on(quote!(key = "k", on_conflict = "queue"), function)
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
        quote!(),
        quote!(id: u64, mut note: String, _unused: Vec<u8>, r#type: (u8, Box<[Order]>)),
        quote!(mark: PhantomData<&'static str>, call: PhantomData<fn(&str) -> &u8>),
        quote!(#[state] db: &Db, #[state] _: &Clock, #[state] (a, _): &(u8, u8), #[state] all: &Arc<dyn All + Send + Sync>),
        quote!(#[serde(default)] a: u8, #[serde(default = "f")] b: u8, #[serde(default = "<u8 as F>::f::<8>", alias = "z")] c: u8),
        quote!(#[serde(alias = "x", alias = "y")] #[serde(alias = "z")] #[serde()] a: u8),
    ] {
        let messages = parameters(tokens.clone());
        assert!(messages.is_empty(), "{tokens}: {messages:?}");
    }
}

#[test]
fn what_is_written_is_what_is_planned() {
    let mut errors = Errors::new();
    let read = args::parse(
        quote!(key = "k", on_conflict = "queue", delay = "2m", attempts = 7u32),
        &mut errors,
    );
    let function = quote!(
        async fn ship(#[state] db: &(Db), #[serde(alias = "x", default = "a::f")] r#type: u8, n: u8) -> R {}
    );
    let item = item::parse(function, &mut errors);
    let later = check::check(read, item.as_ref(), &mut errors).and_then(|plan| plan.later);
    assert_eq!(errors.messages(), [""; 0]);
    let later = later.expect("it is stored");
    assert_eq!((later.delay, later.attempts), (Duration::from_secs(120), 7));
    let [Argument::State(ty), Argument::Stored(first), Argument::Stored(second)] = later.arguments.as_slice() else {
        panic!("one state and two stored arguments");
    };
    assert_eq!(ty.to_token_stream().to_string(), "(Db)");
    assert_eq!(first.name, "r#type");
    assert_eq!(first.aliases[0].value(), "x");
    assert!(matches!(&first.default, Some(Missing::Path(path)) if path.to_token_stream().to_string() == "a :: f"));
    assert!(second.aliases.is_empty() && second.default.is_none());
}

#[test]
fn without_options_there_is_a_second_and_twenty_attempts() {
    let mut errors = Errors::new();
    let read = args::parse(quote!(key = "k", on_conflict = "queue"), &mut errors);
    let item = item::parse(
        quote!(
            async fn ship() -> R {}
        ),
        &mut errors,
    );
    let later = check::check(read, item.as_ref(), &mut errors).and_then(|plan| plan.later);
    assert_eq!(errors.messages(), [""; 0]);
    let later = later.expect("it is stored");
    assert_eq!((later.delay, later.attempts), (Duration::from_secs(1), 20));
}

#[test]
fn other_policies_store_nothing() {
    let plain = quote!(
        async fn ship(id: &u64) -> R {}
    );
    for options in [quote!(key = "k"), quote!(key = "k", on_conflict = "skip")] {
        let mut errors = Errors::new();
        let read = args::parse(options, &mut errors);
        let item = item::parse(plain.clone(), &mut errors);
        let plan = check::check(read, item.as_ref(), &mut errors);
        assert_eq!(errors.messages(), [""; 0]);
        assert!(plan.is_some_and(|plan| plan.later.is_none()));
    }
    let marked = quote!(
        async fn ship(#[state] db: &Db, #[serde(default)] id: u64) -> R {}
    );
    let messages = on(quote!(key = "k", on_conflict = "skip"), marked.clone());
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].contains("`#[state]` on a parameter has a use with `on_conflict = \"queue\"` only"));
    // It may have been meant as "queue".
    one(
        &on(quote!(key = "k", on_conflict = "queu"), marked),
        "did you mean `queue`",
    );
}

#[test]
fn options_of_other_policies() {
    let ship = || {
        quote!(
            async fn ship() -> R {}
        )
    };
    for (options, expected) in [
        (
            quote!(wait = "1s"),
            "`wait` has no use with `on_conflict = \"queue\"`, which never waits",
        ),
        (quote!(backoff = "1ms..2ms"), "`backoff` has no use"),
        (quote!(attempts = 0), "at least `attempts = 1`"),
        (quote!(attempts = 4294967296), "at most 4294967295"),
        (quote!(attempts = 99999999999999999999), "at most 4294967295"),
        (quote!(attempts = "5"), "write `attempts = 5`"),
        (quote!(attempts = 5s), "write `attempts = 5`"),
        (quote!(attempts = -5), "a number of at least 1"),
        (quote!(attempts = 1.5), "a number of at least 1"),
        (quote!(attempts), "a number of at least 1"),
        (quote!(delay = "0s"), "no time at all"),
        (quote!(delay = "101years"), "at most \"100years\""),
        (quote!(delay = 5), "`delay` needs a duration"),
    ] {
        one(
            &on(quote!(key = "k", on_conflict = "queue", #options), ship()),
            expected,
        );
    }
    one(
        &on(quote!(key = "k", on_conflict = "retry", delay = "1s"), ship()),
        "`delay` has no use with `on_conflict = \"retry\"`, which never stores a call: write `on_conflict = \"queue\"`",
    );
    one(
        &on(quote!(key = "k", attempts = 3), ship()),
        "`attempts` has no use with `on_conflict = \"fail\"`",
    );
}

#[test]
fn a_worker_has_nothing_to_call_a_method_on() {
    one(
        &function(quote!(
            async fn ship(&self) -> R {}
        )),
        "and `ship` is a method",
    );
    one(
        &function(quote!(
            async fn ship(self: Arc<Self>) -> R {}
        )),
        "and `ship` is a method",
    );
    one(
        &function(quote!(
            async fn ship(a: Vec<Self>) -> R {}
        )),
        "`Self` says that `ship` is in an impl",
    );
    one(
        &function(quote!(
            async fn ship(a: u8) -> Result<Self, E> {}
        )),
        "`Self` says",
    );
    let boxed = quote! {
        fn ship<'life0, 'async_trait>(name: &'life0 str) -> Pin<Box<dyn Future<Output = R> + Send + 'async_trait>>
        where 'life0: 'async_trait
        {
            Box::pin(async move { body })
        }
    };
    one(&function(boxed), "a method under `#[async_trait]`");
}

#[test]
fn a_worker_keeps_no_promises() {
    one(
        &function(quote!(
            async unsafe fn ship() -> R {}
        )),
        "takes none: leave `unsafe` out",
    );
}

#[test]
fn a_stored_call_says_nothing_of_types() {
    one(
        &function(quote!(
            async fn ship<T: X>(a: T) -> R {}
        )),
        "by a type parameter",
    );
    one(
        &function(quote!(
            async fn ship<const N: u8>() -> R {}
        )),
        "by a const parameter",
    );
    one(
        &function(quote!(
            async fn ship<'a>(#[state] a: &'a u8) -> R {}
        )),
        "by a lifetime",
    );
    one(&parameters(quote!(a: impl X)), "by `impl Trait`");
    one(&parameters(quote!(a: Vec<impl X>)), "by `impl Trait`");
    one(&parameters(quote!(#[state] a: &impl X)), "by `impl Trait`");
}

#[test]
fn stored_arguments_have_names_and_are_owned() {
    one(&parameters(quote!((a, b): (u8, u8))), "a pattern is none");
    one(&parameters(quote!(ref a: u8)), "a pattern is none");
    one(&parameters(quote!(_: u8)), "`_` is none");
    one(
        &parameters(quote!(a: &str)),
        "write `a: String`, or, for what the worker has itself, `#[state] a: &str`",
    );
    one(&parameters(quote!(a: &'static [Vec<u8>])), "write `a: Vec<Vec<u8>>`");
    one(
        &parameters(quote!(a: (&mut shop::Order<u8, u8>))),
        "write `a: shop::Order<u8, u8>`",
    );
    one(&parameters(quote!(a: Option<&str>)), "what is borrowed is gone");
    one(&parameters(quote!(a: Cow<'_, str>)), "what is borrowed is gone");
    one(&parameters(quote!(#[cfg(x)] a: u8)), "takes no `#[cfg]` on a parameter");
}

#[test]
fn a_state_is_a_shared_reference() {
    one(&parameters(quote!(#[state] db: Db)), "write `#[state] db: &Db`");
    one(&parameters(quote!(#[state] db: &mut Db)), "write `#[state] db: &Db`");
    one(
        &parameters(quote!(#[state] db: &'static Db)),
        "write `#[state] db: &Db`",
    );
    one(&parameters(quote!(#[state] db: &Db<'_>)), "it borrows nothing");
    one(
        &parameters(quote!(#[state] db: &(dyn X + Send))),
        "write `&std::sync::Arc<dyn X + Send>`",
    );
    one(&parameters(quote!(#[state] db: &[u8])), "write `&Vec<u8>`");
    one(&parameters(quote!(#[state] db: &str)), "write `&String`");
    one(
        &parameters(quote!(#[state] a: &Db, #[state] b: &Db)),
        "a second `#[state]` of the type `Db`",
    );
    one(&parameters(quote!(#[state] #[state] a: &Db)), "given twice");
    one(&parameters(quote!(#[state = 1] a: &Db)), "stands alone");
    one(&parameters(quote!(#[state] #[serde(default)] a: &Db)), "is not stored");
}

#[test]
fn what_serde_says_of_a_parameter() {
    one(
        &parameters(quote!(#[serde(rename = "b")] a: u8)),
        "`rename` is nothing that a stored parameter understands",
    );
    one(
        &parameters(quote!(#[serde(alias)] a: u8)),
        "`#[serde(alias = \"former name\")]`",
    );
    one(&parameters(quote!(#[serde] a: u8)), "`#[serde(default)]`");
    one(&parameters(quote!(#[serde = "default"] a: u8)), "`#[serde(default)]`");
    one(
        &parameters(quote!(#[serde(default = "1 + 1")] a: u8)),
        "is no path of a function",
    );
    one(
        &parameters(quote!(#[serde(default, default)] a: u8)),
        "a second default",
    );
    one(
        &parameters(quote!(#[serde(alias = "b")] a: u8, b: u8)),
        "`b` is a name of a stored argument already",
    );
    one(
        &parameters(quote!(#[serde(alias = "a")] a: u8)),
        "`a` is a name of a stored argument already",
    );
    one(
        &parameters(quote!(#[serde(alias = "x")] a: u8, #[serde(alias = "x")] b: u8)),
        "`x` is a name",
    );
    // A state has no name in a stored call.
    assert_eq!(
        parameters(quote!(#[serde(alias = "db")] a: u8, #[state] db: &Db)),
        [""; 0]
    );
}

#[test]
fn everything_at_once() {
    let messages = on(
        quote!(key = "k:<x>", on_conflict = "queue", attempts = 0),
        quote!(
            async fn ship<T>(&self, #[state] db: Db, id: &u64, (): (), #[serde(skip)] a: u8) -> R {}
        ),
    );
    assert_eq!(messages.len(), 8, "{messages:?}");
}
