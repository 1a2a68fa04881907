//! The compensation: which parameters it names, and whether they can be had a second time.

use crate::error::Errors;
use crate::item::Item;
use crate::params::{Passing, plain};
use crate::plan::Compensation;
use proc_macro2::{Group, Ident, Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident};
use syn::Expr;
use syn::spanned::Spanned;

const REASON: &str = "reason";

/// Finds what `call` needs from the function's parameters.
pub(crate) fn check(call: &Expr, item: &Item, errors: &mut Errors) -> Compensation {
    let span = call.span();
    let mut tokens = call.to_token_stream();
    let mut named = Vec::new();
    collect(tokens.clone(), false, &mut named);
    let reason = named.iter().find(|name| *name == REASON).cloned();
    let mut kept: Vec<(Ident, Ident)> = Vec::new();
    for param in &item.params {
        for binding in param.bindings() {
            let Some(name) = named.iter().find(|name| plain(name) == plain(binding)) else {
                continue;
            };
            if name == REASON || kept.iter().any(|(kept, _)| plain(kept) == plain(name)) {
                continue;
            }
            match param.passing() {
                // The body has a copy of the reference only.
                Passing::Shared if param.is_receiver() => {}
                Passing::Exclusive => errors.at(
                    name.span(),
                    format!(
                        "the body has `{name}` by `&mut`, so the compensation cannot have it too: pass what it needs \
                         of `{name}` as a parameter of its own"
                    ),
                ),
                Passing::Shared | Passing::Owned if param.is_receiver() => {
                    let this = format_ident!("__self", span = Span::mixed_site());
                    tokens = rename_self(tokens, &this);
                    kept.push((name.clone(), this));
                }
                Passing::Shared | Passing::Owned => kept.push((name.clone(), name.clone())),
            }
        }
    }
    Compensation {
        call: tokens,
        span,
        kept,
        reason,
    }
}

/// Every identifier that can be a variable: no field, no method, no piece of a path. Those inside
/// format strings of macros count.
fn collect(tokens: TokenStream, in_macro: bool, named: &mut Vec<Ident>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    for (position, tree) in trees.iter().enumerate() {
        let before = |steps: usize| position.checked_sub(steps).and_then(|at| trees.get(at));
        match tree {
            TokenTree::Ident(ident) => {
                let field = is(before(1), '.') && !is(before(2), '.');
                let path = is(before(1), ':') && is(before(2), ':')
                    || is(trees.get(position + 1), ':') && is(trees.get(position + 2), ':');
                if !field && !path {
                    named.push(ident.clone());
                }
            }
            TokenTree::Group(group) => {
                let called = is(before(1), '!');
                collect(group.stream(), in_macro || called, named);
            }
            TokenTree::Literal(literal) if in_macro => named.extend(captured(literal)),
            TokenTree::Literal(_) | TokenTree::Punct(_) => {}
        }
    }
}

fn is(tree: Option<&TokenTree>, character: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}

/// `format!("{id}")` names `id`.
fn captured(literal: &Literal) -> Vec<Ident> {
    let Ok(text) = syn::parse2::<syn::LitStr>(literal.to_token_stream()) else {
        return Vec::new();
    };
    let value = text.value().replace("{{", "");
    value
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split(['}', ':']).next())
        .filter_map(|name| syn::parse_str::<Ident>(name.trim()).ok())
        .map(|mut name| {
            name.set_span(literal.span());
            name
        })
        .collect()
}

fn rename_self(tokens: TokenStream, this: &Ident) -> TokenStream {
    tokens
        .into_iter()
        .map(|tree| match tree {
            TokenTree::Ident(ident) if ident == "self" => {
                let mut this = this.clone();
                this.set_span(ident.span().resolved_at(this.span()));
                TokenTree::Ident(this)
            }
            TokenTree::Group(group) => {
                let mut renamed = Group::new(group.delimiter(), rename_self(group.stream(), this));
                renamed.set_span(group.span());
                TokenTree::Group(renamed)
            }
            other => other,
        })
        .collect()
}
