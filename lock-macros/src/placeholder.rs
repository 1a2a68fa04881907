//! Placeholders of a template as expressions over the function's parameters.

use crate::error::Errors;
use crate::item::Item;
use crate::nearest::suggest;
use crate::params::{self, Param};
use crate::plan::KeyPart;
use crate::template::{Access, Part, Placeholder};
use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::LitStr;

/// Every placeholder as `parameter.field`, located at the literal.
pub(crate) fn resolve(parts: Vec<Part>, literal: &LitStr, item: &Item, errors: &mut Errors) -> Option<Vec<KeyPart>> {
    let mut resolved = Vec::new();
    let mut complete = true;
    for part in parts {
        match part {
            Part::Literal(text) => resolved.push(KeyPart::Literal(text)),
            Part::Placeholder(placeholder) => match value(&placeholder, literal.span(), &item.params) {
                Ok(tokens) => resolved.push(KeyPart::Value(tokens)),
                Err(message) => {
                    errors.over(literal, message);
                    complete = false;
                }
            },
        }
    }
    complete.then_some(resolved)
}

fn value(placeholder: &Placeholder, span: Span, params: &[Param]) -> Result<TokenStream, String> {
    let bindings = || params.iter().flat_map(Param::bindings);
    let root = bindings()
        .find(|binding| params::plain(binding) == placeholder.root)
        .ok_or_else(|| unknown(placeholder, bindings()))?;
    let root = named_as(root, span, bindings());
    let accesses = placeholder.accesses.iter().map(|access| match access {
        Access::Field(name) => {
            let name = identifier(name, span);
            quote_spanned!(span=> .#name)
        }
        Access::Index(index) => {
            let mut index = Literal::u32_unsuffixed(*index);
            index.set_span(span);
            quote_spanned!(span=> .#index)
        }
        Access::Method(name) => {
            let name = identifier(name, span);
            quote_spanned!(span=> .#name())
        }
    });
    let accesses: TokenStream = accesses.collect();
    Ok(quote!(#root #accesses))
}

/// The parameter where the literal is. It keeps the context of its declaration, so that a template that
/// is written in a `macro_rules!` macro finds a parameter that its caller wrote. Where both have one
/// of that name, it is the one of the literal's author.
fn named_as<'a>(binding: &Ident, literal: Span, bindings: impl Iterator<Item = &'a Ident>) -> Ident {
    let namesakes = bindings
        .filter(|other| params::plain(other) == params::plain(binding))
        .count();
    let mut name = binding.clone();
    name.set_span(if namesakes > 1 {
        literal
    } else {
        literal.resolved_at(binding.span())
    });
    name
}

/// A field may have the name of a keyword.
fn identifier(name: &str, span: Span) -> Ident {
    match syn::parse_str::<Ident>(name) {
        Ok(_) => Ident::new(name, span),
        Err(_) => Ident::new_raw(name, span),
    }
}

fn unknown<'a>(placeholder: &Placeholder, bindings: impl Iterator<Item = &'a Ident>) -> String {
    let Placeholder { root, text, .. } = placeholder;
    // Names that another macro made up are not for people.
    let names: Vec<String> = bindings
        .map(params::plain)
        .filter(|name| !name.starts_with("__"))
        .collect();
    let names = || names.iter().map(String::as_str);
    if root == "self" {
        return format!("`<{text}>` names `self`, and the function has none: name a parameter");
    }
    if names().next().is_none() {
        return format!("`<{text}>` names no parameter: the function has none; write `<<` for the character `<`");
    }
    format!(
        "`<{text}>` names no parameter{}",
        suggest(root, "function has", names()),
    )
}
