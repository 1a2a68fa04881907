//! A panic of ours is a bug of ours: it becomes an error that says so, and the function stays.

use proc_macro2::TokenStream;
use quote::quote;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `expand`; if it panics, an error beside the item as it was written.
pub(crate) fn guarded(item: TokenStream, expand: impl FnOnce(TokenStream) -> TokenStream) -> TokenStream {
    let untouched = item.clone();
    match catch_unwind(AssertUnwindSafe(|| expand(item))) {
        Ok(tokens) => tokens,
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            bug(text.unwrap_or("no message"), &untouched)
        }
    }
}

/// An error that asks for a report, beside the item.
pub(crate) fn bug(what: &str, item: &TokenStream) -> TokenStream {
    let message = format!(
        "`#[distributed_lock]` failed with a mistake of its own: {what}. Please report it with the function it stands on: \
         {}/issues",
        env!("CARGO_PKG_REPOSITORY"),
    );
    quote! {
        ::core::compile_error! { #message }
        #item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_and_the_function_stays() {
        let item = quote!(
            async fn ship() {}
        );
        let tokens = guarded(item, |_| panic!("out of {}", "luck")).to_string();
        assert!(tokens.contains("compile_error"), "{tokens}");
        assert!(tokens.contains("out of luck"), "{tokens}");
        assert!(tokens.contains("/issues"), "{tokens}");
        assert!(tokens.contains("async fn ship ()"), "{tokens}");
    }

    #[test]
    fn what_works_passes_unchanged() {
        let tokens = guarded(
            quote!(
                fn f() {}
            ),
            |item| item,
        );
        assert_eq!(
            tokens.to_string(),
            quote!(
                fn f() {}
            )
            .to_string()
        );
    }
}
