//! The attributes that parameters have for us alone: `#[state]` and `#[serde(..)]`. The compiler knows
//! nothing of them, so they are taken out of the signature, also where something else is wrong.

use crate::error::Errors;
use crate::plan::Missing;
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::meta::ParseNestedMeta;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Attribute, ExprPath, FnArg, LitStr, Signature, Visibility};

/// Those of one parameter, as they are written.
#[derive(Default)]
pub(crate) struct Marks {
    pub(crate) state: Vec<Attribute>,
    pub(crate) serde: Vec<Attribute>,
}

/// What `#[serde(..)]` says of a parameter.
#[derive(Default)]
pub(crate) struct Serde {
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) default: Option<Missing>,
}

/// Takes the marks out of the attributes of a parameter.
pub(crate) fn take(attrs: &mut Vec<Attribute>) -> Marks {
    let mut marks = Marks::default();
    for attr in std::mem::take(attrs) {
        if attr.path().is_ident("state") {
            marks.state.push(attr);
        } else if attr.path().is_ident("serde") {
            marks.serde.push(attr);
        } else {
            attrs.push(attr);
        }
    }
    marks
}

/// Takes the marks out of a signature: those of each parameter, in order.
pub(crate) fn take_all(sig: &mut Signature) -> Vec<Marks> {
    sig.inputs
        .iter_mut()
        .map(|arg| match arg {
            FnArg::Receiver(receiver) => take(&mut receiver.attrs),
            FnArg::Typed(typed) => take(&mut typed.attrs),
        })
        .collect()
}

/// The item as it was written, but for the marks.
pub(crate) fn without(item: TokenStream) -> TokenStream {
    let head = |input: ParseStream<'_>| {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis: Visibility = input.parse()?;
        let sig: Signature = input.parse()?;
        let rest: TokenStream = input.parse()?;
        Ok((attrs, vis, sig, rest))
    };
    let Ok((attrs, vis, mut sig, rest)) = head.parse2(crate::item::open(item.clone())) else {
        return item;
    };
    let marks = take_all(&mut sig);
    if marks
        .iter()
        .all(|marks| marks.state.is_empty() && marks.serde.is_empty())
    {
        return item;
    }
    let mut tokens = TokenStream::new();
    attrs.iter().for_each(|attr| attr.to_tokens(&mut tokens));
    vis.to_tokens(&mut tokens);
    sig.to_tokens(&mut tokens);
    rest.to_tokens(&mut tokens);
    tokens
}

/// What may stand in `#[serde(..)]`.
const UNDERSTOOD: &str = "write `#[serde(default)]`, `#[serde(default = \"path\")]` or `#[serde(alias = \"former name\")]`; anything else belongs on the type";

/// Reads `#[serde(default)]`, `#[serde(default = "path")]` and `#[serde(alias = "name")]`.
pub(crate) fn serde(attrs: &[Attribute], errors: &mut Errors) -> Serde {
    let mut serde = Serde::default();
    for attr in attrs {
        if attr.meta.require_list().is_err() {
            errors.over(
                attr,
                format!("`#[serde]` says nothing of a stored parameter like this: {UNDERSTOOD}"),
            );
        } else if let Err(error) = attr.parse_nested_meta(|meta| one(&meta, &mut serde)) {
            errors.push(error);
        }
    }
    serde
}

fn one(meta: &ParseNestedMeta<'_>, serde: &mut Serde) -> syn::Result<()> {
    if meta.path.is_ident("default") {
        let default = if meta.input.peek(syn::Token![=]) {
            let text: LitStr = meta.value()?.parse()?;
            let path = text.parse::<ExprPath>().map_err(|_| {
                let message = format!(
                    "`{}` is no path of a function: write `#[serde(default = \"path\")]`",
                    text.value()
                );
                syn::Error::new(text.span(), message)
            })?;
            Missing::Path(path)
        } else {
            Missing::Default(meta.path.span())
        };
        if serde.default.replace(default).is_some() {
            return Err(meta.error("a second default: write one"));
        }
        return Ok(());
    }
    if meta.path.is_ident("alias") && meta.input.peek(syn::Token![=]) {
        serde.aliases.push(meta.value()?.parse()?);
        return Ok(());
    }
    let name = meta.path.to_token_stream().to_string().replace(' ', "");
    Err(meta.error(format!(
        "`{name}` is nothing that a stored parameter understands: {UNDERSTOOD}"
    )))
}
