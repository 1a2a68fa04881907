//! Parameters that must be dropped before the lock goes: in the signature, in the block around the
//! body, and in the body.

use crate::item::Item;
use crate::params::{Param, ParamKind};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::{Attribute, FnArg, Ident, Pat, PatIdent, PatType, Signature, parse_quote};

/// Input: `(_: T, (a, _): U, c: V)`
///
/// Output: `(#[cfg(doc)] _: T, #[cfg(not(doc))] __arg0: T, __arg1: U, c: V)`
///
/// What has no name, or is taken apart, would outlive the lock: it stays with the function until the
/// function returns. A hidden name lets the body have it. The documentation keeps a `_` as it was
/// written; for a pattern, rustdoc shows `__arg1` of a plain async function too.
pub(crate) fn rename_parameters(item: &Item) -> Signature {
    let mut sig = item.sig.clone();
    let documented = item.attrs.iter().all(is_inert);
    let mut inputs = Punctuated::new();
    for (arg, param) in sig.inputs.into_pairs().zip(&item.params) {
        let (arg, comma) = arg.into_tuple();
        let comma = comma.unwrap_or_default();
        let push = |inputs: &mut Punctuated<FnArg, _>, arg| {
            inputs.push_value(arg);
            inputs.push_punct(comma);
        };
        match (arg, &param.kind) {
            (FnArg::Typed(typed), ParamKind::Unnamed { hidden } | ParamKind::Pattern { hidden, .. })
                if !is_named(&typed, hidden) =>
            {
                let mut renamed = rename(&typed, hidden);
                if documented && matches!(param.kind, ParamKind::Unnamed { .. }) {
                    let mut written = typed;
                    written.attrs.push(parse_quote!(#[cfg(doc)]));
                    renamed.attrs.push(parse_quote!(#[cfg(not(doc))]));
                    push(&mut inputs, FnArg::Typed(written));
                }
                push(&mut inputs, FnArg::Typed(renamed));
            }
            (arg, _) => push(&mut inputs, arg),
        }
    }
    sig.inputs = inputs;
    sig
}

/// `#[async_trait]` has already given it a name.
fn is_named(typed: &PatType, name: &Ident) -> bool {
    matches!(&*typed.pat, Pat::Ident(pat) if pat.ident == *name)
}

fn rename(typed: &PatType, hidden: &Ident) -> PatType {
    let mut renamed = typed.clone();
    renamed
        .attrs
        .retain(|attr| attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr"));
    *renamed.pat = Pat::Ident(PatIdent {
        attrs: Vec::new(),
        by_ref: None,
        mutability: None,
        ident: hidden.clone(),
        subpat: None,
    });
    renamed
}

/// An attribute that no macro stands behind. Another macro would see the parameter twice.
fn is_inert(attr: &Attribute) -> bool {
    const INERT: [&str; 15] = [
        "doc",
        "allow",
        "warn",
        "deny",
        "forbid",
        "expect",
        "cfg",
        "must_use",
        "deprecated",
        "inline",
        "cold",
        "track_caller",
        "no_mangle",
        "export_name",
        "target_feature",
    ];
    let path = attr.path();
    match path.segments.first() {
        Some(first) if path.segments.len() > 1 => {
            first.ident == "clippy" || first.ident == "rustfmt" || first.ident == "rustdoc"
        }
        _ => INERT.iter().any(|name| path.is_ident(name)),
    }
}

/// Whether a parameter is taken apart.
pub(crate) fn has_patterns(item: &Item) -> bool {
    item.params
        .iter()
        .any(|param| matches!(param.kind, ParamKind::Pattern { .. }))
}

/// Output: `let __rest = __arg1; let (a, _) = __rest;`
///
/// Moved first: what the pattern leaves unbound must end with the block, and a parameter ends with
/// the function.
pub(crate) fn destructure_parameters(item: &Item) -> TokenStream {
    let statements = item.params.iter().map(|param| {
        let ParamKind::Pattern { hidden, pat, .. } = &param.kind else {
            return TokenStream::new();
        };
        let rest = Ident::new(&format!("{hidden}_rest"), Span::mixed_site());
        let cfgs: Vec<&Attribute> = param.cfgs().collect();
        let attrs = &param.attrs;
        quote_spanned! {Span::mixed_site()=>
            #(#cfgs)*
            let #rest = #hidden;
            #(#attrs)*
            #[allow(clippy::let_unit_value, clippy::toplevel_ref_arg)]
            let #pat = #rest;
        }
    });
    statements.collect()
}

/// Output: `let _ = &last; .. let _ = &first;`
pub(crate) fn touch_parameters(item: &Item) -> TokenStream {
    item.params.iter().rev().map(touch).collect()
}

fn touch(param: &Param) -> TokenStream {
    let cfgs: Vec<&Attribute> = param.cfgs().collect();
    let names: Vec<&Ident> = match &param.kind {
        ParamKind::Unnamed { hidden } => vec![hidden],
        _ => param.bindings().iter().rev().collect(),
    };
    names
        .into_iter()
        .map(|name| {
            // Only where there is something to allow: whoever compiles this pays for each attribute.
            let allowed = name
                .to_string()
                .starts_with('_')
                .then(|| quote!(#[allow(clippy::used_underscore_binding)]));
            quote_spanned! {Span::mixed_site()=>
                #(#cfgs)*
                #allowed
                let _ = &#name;
            }
        })
        .collect()
}
