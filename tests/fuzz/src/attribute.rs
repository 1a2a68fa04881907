//! The attribute on whatever is written: it never panics, and the function is always there afterwards.
#![no_main]
#![allow(dead_code, reason = "the modules have more than is called here")]

use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Signature, Visibility};

use error::Errors;

// A crate of procedural macros exports nothing else, so its modules are compiled in: here, at the root, where they look
// for each other.
#[path = "../../../lock-macros/src/args.rs"]
mod args;
#[path = "../../../lock-macros/src/async_trait.rs"]
mod async_trait;
#[path = "../../../lock-macros/src/check.rs"]
mod check;
#[path = "../../../lock-macros/src/compensate.rs"]
mod compensate;
#[path = "../../../lock-macros/src/duration.rs"]
mod duration;
#[path = "../../../lock-macros/src/error.rs"]
mod error;
#[path = "../../../lock-macros/src/expand.rs"]
mod expand;
#[path = "../../../lock-macros/src/item.rs"]
mod item;
#[path = "../../../lock-macros/src/later.rs"]
mod later;
#[path = "../../../lock-macros/src/marks.rs"]
mod marks;
#[path = "../../../lock-macros/src/nearest.rs"]
mod nearest;
#[path = "../../../lock-macros/src/output.rs"]
mod output;
#[path = "../../../lock-macros/src/ownership.rs"]
mod ownership;
#[path = "../../../lock-macros/src/params.rs"]
mod params;
#[path = "../../../lock-macros/src/placeholder.rs"]
mod placeholder;
#[path = "../../../lock-macros/src/plan.rs"]
mod plan;
#[path = "../../../lock-macros/src/signature.rs"]
mod signature;
#[path = "../../../lock-macros/src/storing.rs"]
mod storing;
#[path = "../../../lock-macros/src/template.rs"]
mod template;
#[path = "../../../lock-macros/src/tokens.rs"]
mod tokens;
#[path = "../../../lock-macros/src/value.rs"]
mod value;

/// Between the options and the function in the input.
const NEXT: char = '\u{1e}';
/// Deeper than anybody nests; far deeper than that, the compiler's own parser gives up.
const DEEPEST: usize = 40;

fuzz_target!(|text: &str| {
    let (options, item) = text
        .split_once(NEXT)
        .unwrap_or((text, "async fn f() -> Result<(), E> {}"));
    if too_deep(options) || too_deep(item) {
        return;
    }
    let (Ok(options), Ok(item)) = (TokenStream::from_str(options), TokenStream::from_str(item)) else {
        return;
    };
    let (options, item) = (with_metavariables(options), with_metavariables(item));
    match attribute(options, item.clone()) {
        Ok(expansion) => must_be_the_function(&item, expansion),
        Err(errors) => {
            must_be_errors(errors);
            must_have_no_marks(item);
        }
    }
});

/// As the attribute's entry, which only puts the errors in front of the function as it was written.
fn attribute(options: TokenStream, item: TokenStream) -> Result<TokenStream, TokenStream> {
    let mut errors = Errors::new();
    let args = args::parse(options, &mut errors);
    let function = item::parse(item, &mut errors);
    let plan = check::check(args, function.as_ref(), &mut errors);
    errors.finish()?;
    let (Some(plan), Some(function)) = (plan, function) else {
        panic!("no plan, and no error says why");
    };
    Ok(expand::expand(&plan, &function))
}

/// The same function as far as its callers see, with a body that is code if it was code before.
fn must_be_the_function(item: &TokenStream, expansion: TokenStream) {
    let before = head(item.clone()).expect("it was read once");
    let after = head(expansion).expect("the expansion begins as a function does");
    same(&before.vis, &after.vis);
    same(&before.sig.ident, &after.sig.ident);
    same(&before.sig.asyncness, &after.sig.asyncness);
    same(&before.sig.generics, &after.sig.generics);
    same(&before.sig.generics.where_clause, &after.sig.generics.where_clause);
    same(&before.sig.output, &after.sig.output);
    for (before, after) in before.attrs.iter().zip(&after.attrs) {
        same(before, after);
    }
    assert!(before.attrs.len() <= after.attrs.len());
    assert!(before.sig.inputs.len() <= after.sig.inputs.len());
    if syn::parse2::<syn::Block>(before.body).is_ok() {
        let block = syn::parse2::<syn::Block>(after.body.clone());
        assert!(block.is_ok(), "no code any more: {}", after.body);
    }
}

fn same(before: &impl ToTokens, after: &impl ToTokens) {
    assert_eq!(
        before.to_token_stream().to_string(),
        after.to_token_stream().to_string()
    );
}

fn must_be_errors(errors: TokenStream) {
    let file = syn::parse2::<syn::File>(errors.clone());
    let macros = |item: &syn::Item| matches!(item, syn::Item::Macro(item) if item.mac.path.segments.last().is_some_and(|last| last.ident == "compile_error"));
    assert!(
        file.is_ok_and(|file| !file.items.is_empty() && file.items.iter().all(macros)),
        "not one `compile_error!` after the other: {errors}"
    );
}

/// What is emitted beside errors: the function, without what only the attribute understands.
fn must_have_no_marks(item: TokenStream) {
    let written = marks::without(item.clone());
    match (head(item), head(written)) {
        (Ok(before), Ok(mut after)) => {
            same(&before.sig.ident, &after.sig.ident);
            assert_eq!(before.sig.inputs.len(), after.sig.inputs.len());
            let marks = marks::take_all(&mut after.sig);
            assert!(
                marks
                    .iter()
                    .all(|marks| marks.state.is_empty() && marks.serde.is_empty())
            );
        }
        (before, after) => assert_eq!(before.is_ok(), after.is_ok()),
    }
}

struct Head {
    attrs: Vec<Attribute>,
    vis: Visibility,
    sig: Signature,
    body: TokenStream,
}

fn head(tokens: TokenStream) -> syn::Result<Head> {
    let parse = |input: ParseStream<'_>| {
        Ok(Head {
            attrs: input.call(Attribute::parse_outer)?,
            vis: input.parse()?,
            sig: input.parse()?,
            body: input.parse()?,
        })
    };
    parse.parse2(opened(tokens))
}

/// What stands in a group without delimiters, if that is all.
fn opened(tokens: TokenStream) -> TokenStream {
    let mut trees = tokens.clone().into_iter();
    match (trees.next(), trees.next()) {
        (Some(TokenTree::Group(group)), None) if group.delimiter() == Delimiter::None => opened(group.stream()),
        _ => tokens,
    }
}

/// `$( .. )` becomes a group without delimiters, as `macro_rules!` passes on what it was given.
fn with_metavariables(tokens: TokenStream) -> TokenStream {
    let mut out: Vec<TokenTree> = Vec::new();
    for tree in tokens {
        let TokenTree::Group(group) = tree else {
            out.push(tree);
            continue;
        };
        let passed_on = matches!(out.last(), Some(TokenTree::Punct(punct)) if punct.as_char() == '$')
            && group.delimiter() == Delimiter::Parenthesis;
        let delimiter = if passed_on {
            out.pop();
            Delimiter::None
        } else {
            group.delimiter()
        };
        out.push(Group::new(delimiter, with_metavariables(group.stream())).into());
    }
    out.into_iter().collect()
}

/// Counts what parsers are recursive in, roughly: brackets, and operators in front of an expression.
fn too_deep(text: &str) -> bool {
    let (mut depth, mut deepest, mut run, mut longest) = (0_usize, 0, 0_usize, 0);
    for character in text.chars() {
        match character {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        run = if "&*!-|$.=".contains(character) { run + 1 } else { 0 };
        deepest = deepest.max(depth);
        longest = longest.max(run);
    }
    deepest > DEEPEST || longest > DEEPEST
}
