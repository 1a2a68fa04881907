//! What every part of the expansion is written with.

use crate::plan::Plan;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use std::time::Duration;

/// `::lock_runtime::__private`, or where `crate = ..` says.
pub(crate) struct Private<'a> {
    krate: Option<&'a syn::Path>,
    /// Where errors about what is in it belong.
    at: Span,
}

impl<'a> Private<'a> {
    pub(crate) fn of(plan: &'a Plan) -> Private<'a> {
        Private {
            krate: plan.krate.as_ref(),
            at: mixed_site(),
        }
    }

    pub(crate) fn at(&self, at: Span) -> Private<'a> {
        Private { krate: self.krate, at }
    }

    pub(crate) fn span(&self) -> Span {
        self.at
    }
}

impl ToTokens for Private<'_> {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self.krate {
            Some(path) => tokens.extend(path.to_token_stream().into_iter().map(|mut tree| {
                tree.set_span(tree.span().located_at(self.at));
                tree
            })),
            None => tokens.extend(quote_spanned!(self.at=> ::lock_runtime)),
        }
        tokens.extend(quote_spanned!(self.at=> ::__private));
    }
}

pub(crate) fn mixed_site() -> Span {
    Span::mixed_site()
}

/// A name that nobody else can see.
pub(crate) fn mixed(name: &str) -> TokenStream {
    proc_macro2::Ident::new(name, Span::mixed_site()).into_token_stream()
}

/// Where the user's tokens are, for an error; hygiene is ours.
pub(crate) fn located(tokens: &impl ToTokens) -> Span {
    syn::spanned::Spanned::span(tokens).resolved_at(Span::mixed_site())
}

/// A `Duration` as a constant.
pub(crate) fn constant(duration: Duration) -> TokenStream {
    let (secs, nanos) = (duration.as_secs(), duration.subsec_nanos());
    let (secs, nanos) = (
        proc_macro2::Literal::u64_unsuffixed(secs),
        proc_macro2::Literal::u32_unsuffixed(nanos),
    );
    quote_spanned!(mixed_site()=> ::core::time::Duration::new(#secs, #nanos))
}
