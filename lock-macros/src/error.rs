//! The errors of one use of the attribute, gathered so that all are reported in one go.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use std::fmt::Display;

/// Every mistake found so far. Must be asked with [`Errors::finish`]: a bag that is dropped unasked
/// would turn a user's mistake into a function without a lock.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    found: Vec<syn::Error>,
    asked: bool,
}

impl Errors {
    pub(crate) fn new() -> Errors {
        Errors::default()
    }

    /// A mistake at one token, or at what `span` covers.
    pub(crate) fn at(&mut self, span: Span, message: impl Display) {
        self.found.push(syn::Error::new(span, message));
    }

    /// A mistake in something that is several tokens long.
    pub(crate) fn over(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.found.push(syn::Error::new_spanned(tokens, message));
    }

    /// A mistake that syn found.
    pub(crate) fn push(&mut self, error: syn::Error) {
        self.found.push(error);
    }

    /// `compile_error!` for each mistake, or nothing if there was none.
    pub(crate) fn finish(mut self) -> Result<(), TokenStream> {
        self.asked = true;
        if self.found.is_empty() {
            return Ok(());
        }
        Err(self.found.iter().map(syn::Error::to_compile_error).collect())
    }

    #[cfg(test)]
    pub(crate) fn messages(mut self) -> Vec<String> {
        self.asked = true;
        self.found.iter().map(ToString::to_string).collect()
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        // A second panic while unwinding would abort the compiler.
        if !std::thread::panicking() {
            assert!(self.asked, "forgot to ask for the errors");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bag_that_is_dropped_unasked_panics() {
        let dropped = std::panic::catch_unwind(|| drop(Errors::new()));
        assert!(dropped.is_err());
    }

    #[test]
    fn every_mistake_becomes_a_compile_error() {
        let mut errors = Errors::new();
        errors.at(Span::call_site(), "first");
        errors.at(Span::call_site(), "second");
        let tokens = errors.finish().unwrap_err().to_string();
        assert_eq!(tokens.matches("compile_error").count(), 2, "{tokens}");
    }

    #[test]
    fn an_empty_bag_is_no_error() {
        assert!(Errors::new().finish().is_ok());
    }
}
