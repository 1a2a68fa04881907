//! Options as they are written: what is read, and that one mistake does not hide the next.

use super::*;
use proc_macro2::{Delimiter, Group, TokenTree};
use quote::quote;

fn read(tokens: TokenStream) -> (Args, Vec<String>) {
    let mut errors = Errors::new();
    let args = parse(tokens, &mut errors);
    (args, errors.messages())
}

fn good(tokens: TokenStream) -> Args {
    let (args, messages) = read(tokens);
    assert!(messages.is_empty(), "{messages:?}");
    args
}

fn value<T>(given: Option<Given<T>>) -> T {
    given.expect("the option was given").value
}

/// As `macro_rules!` passes a metavariable on.
fn grouped(tokens: TokenStream) -> TokenStream {
    TokenTree::Group(Group::new(Delimiter::None, tokens)).into()
}

#[test]
fn every_option_is_read() {
    let args = good(quote! {
        key = "k", ttl = "10s", on_conflict = "retry", wait = "1s", backoff = "1ms..2ms", delay = "4s", attempts = 5,
        renew = "3s", max_hold = "1m", hold_at_least = "2s", on_lost = "continue", compensate = undo(), reentrant, manager = self.locks, crate = ::locks,
    });
    assert!(matches!(value(args.key), Key::Template(text) if text.value() == "k"));
    assert_eq!(value(args.ttl), Duration::from_secs(10));
    assert_eq!(value(args.on_conflict), Policy::Retry);
    assert_eq!(value(args.wait), Duration::from_secs(1));
    assert_eq!(
        value(args.backoff),
        (Duration::from_millis(1), Duration::from_millis(2))
    );
    assert_eq!(value(args.delay), Duration::from_secs(4));
    assert_eq!(value(args.attempts), 5);
    assert_eq!(value(args.renew), Renew::Every(Duration::from_secs(3)));
    assert_eq!(value(args.max_hold), Duration::from_secs(60));
    assert_eq!(value(args.hold_at_least), Duration::from_secs(2));
    assert_eq!(value(args.on_lost), OnLost::Continue);
    assert!(matches!(value(args.compensate), Expr::Call(_)));
    assert!(value(args.reentrant));
    assert!(matches!(value(args.manager), Expr::Field(_)));
    assert_eq!(value(args.krate).segments[0].ident, "locks");
    assert_eq!(args.written.len(), OPTIONS.len());
}

#[test]
fn a_metavariable_is_read_as_what_it_stands_for() {
    let key = grouped(quote!("k"));
    let ttl = grouped(grouped(quote!("10s")));
    let renew = grouped(quote!(false));
    let krate = grouped(quote!(::locks));
    let compensate = grouped(quote!(undo()));
    let args = good(quote!(key = #key, ttl = #ttl, renew = #renew, crate = #krate, compensate = #compensate));
    assert!(matches!(value(args.key), Key::Template(_)));
    assert_eq!(value(args.ttl), Duration::from_secs(10));
    assert_eq!(value(args.renew), Renew::Never);
    assert_eq!(value(args.krate).segments[0].ident, "locks");
    assert!(matches!(value(args.compensate), Expr::Call(_)));
}

#[test]
fn only_a_string_alone_is_a_template() {
    for tokens in [
        quote!(("k")),
        quote!(concat!("a", "b")),
        quote!("a".to_owned()),
        quote!(KEY),
        quote!(f::<A, B>(x, y)),
    ] {
        assert!(
            matches!(value(good(quote!(key = #tokens)).key), Key::Expression(_)),
            "{tokens}"
        );
    }
    assert!(matches!(value(good(quote!(key = r#"a"#)).key), Key::Template(_)));
}

#[test]
fn a_mistake_does_not_hide_the_next_one() {
    let (args, messages) = read(quote! {
        key = order:<id>, tll = [1, 2], ttl("1s"), 7, "text", wait, on_conflict = "x", ttl = "2s" renew = "1s", reentrant = 1,
        on_lost = , backoff == "x", max_hold = "1h"
    });
    assert_eq!(messages.len(), 12, "{messages:#?}");
    assert_eq!(value(args.max_hold), Duration::from_secs(3600));
}

#[test]
fn an_unreadable_value_still_counts_as_given() {
    let (args, messages) = read(quote!(key = 7, ttl = "soon"));
    assert!(args.key.is_none() && args.ttl.is_none());
    assert!(args.has("key") && args.has("ttl") && !args.has("renew"));
    assert_eq!(messages.len(), 2);
}

#[test]
fn the_first_of_two_is_taken() {
    let (args, messages) = read(quote!(ttl = "1s", ttl = "2s"));
    assert_eq!(value(args.ttl), Duration::from_secs(1));
    assert_eq!(messages, ["`ttl` is given twice: write it once"]);
}

#[test]
fn every_listed_option_is_known() {
    for option in OPTIONS {
        let name = Ident::parse_any.parse_str(option).expect("an identifier");
        let (_, messages) = read(quote!(#name = 1 + 1));
        assert!(
            messages
                .iter()
                .all(|message| !message.contains("unknown") && !message.contains("not read")),
            "{messages:?}"
        );
    }
}

#[test]
fn nothing_is_no_option() {
    assert!(good(quote!()).written.is_empty());
}

#[test]
fn commas_alone_are_mistakes() {
    assert_eq!(read(quote!(,)).1.len(), 1);
    assert_eq!(read(quote!(reentrant,,)).1.len(), 1);
}

/// The one message for these options.
fn message(tokens: TokenStream) -> String {
    let (_, mut messages) = read(tokens);
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages.pop().unwrap_or_default()
}

#[track_caller]
fn says(tokens: TokenStream, expected: &str) {
    let message = message(tokens);
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_missing_value_is_said_at_the_end_and_before_a_comma() {
    says(quote!(ttl =), "expected a value after `ttl =`");
    says(quote!(ttl = , reentrant), "expected a value after `ttl =`");
}

#[test]
fn only_a_key_is_told_about_quotes() {
    says(quote!(key = order:<id>), "a template has quotes");
    assert!(!message(quote!(ttl = "1s" "2s")).contains("a template has quotes"));
}

#[test]
fn a_duration_without_quotes_is_shown_with_them() {
    says(quote!(ttl = 5s), "a duration, written as a string: `ttl = \"5s\"`");
    says(quote!(ttl = 7), "`ttl = \"10s\"`");
    says(
        quote!(backoff = 7),
        "two durations, written as a string: `backoff = \"20ms..500ms\"`",
    );
    says(quote!(renew = 7), "`renew = \"3s\"`, or `renew = false`");
}

#[test]
fn renew_is_never_true() {
    says(quote!(renew = true), "says nothing");
    assert_eq!(value(good(quote!(renew = false)).renew), Renew::Never);
}

#[test]
fn a_flag_stands_alone_or_is_true_or_false() {
    assert!(value(good(quote!(reentrant = true)).reentrant));
    assert!(!value(good(quote!(reentrant = false)).reentrant));
    says(quote!(reentrant = "yes"), "`reentrant` alone");
}

#[test]
fn a_compensation_is_a_call_that_nobody_awaits() {
    assert!(matches!(
        value(good(quote!(compensate = self.undo())).compensate),
        Expr::MethodCall(_)
    ));
    says(quote!(compensate = undo().await), "leave `.await` out");
    says(
        quote!(compensate = a::undo),
        "write the call with what it needs, `compensate = a::undo(&reason)`",
    );
    says(quote!(compensate = 1 + 1), "needs a call");
}

#[test]
fn a_crate_is_a_plain_path() {
    says(quote!(crate = <A as B>::c), "write the path");
    says(quote!(crate = a::<u8>::b), "write the path");
    says(quote!(crate = "::a"), "a path has no quotes: write `crate = ::a`");
}
