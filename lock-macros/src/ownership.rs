//! What a type borrows, and what one would write instead.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Lifetime, Type, TypeFnPtr, TypeImplTrait, TypeReference};

/// What borrows, or is not known by its name.
pub(crate) enum Found {
    Borrow(TokenStream),
    Opaque(TokenStream),
}

/// The first thing in a type that cannot be stored whatever else the type is.
pub(crate) fn find(ty: &Type) -> Option<Found> {
    let mut borrowed = Borrowed::default();
    borrowed.visit_type_mut(&mut ty.clone());
    borrowed.found
}

#[derive(Default)]
struct Borrowed {
    found: Option<Found>,
}

impl VisitMut for Borrowed {
    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident != "static" {
            self.found.get_or_insert(Found::Borrow(lifetime.to_token_stream()));
        }
    }

    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        if reference.lifetime.is_none() {
            self.found.get_or_insert(Found::Borrow(reference.to_token_stream()));
        }
        visit_mut::visit_type_reference_mut(self, reference);
    }

    fn visit_type_impl_trait_mut(&mut self, opaque: &mut TypeImplTrait) {
        self.found.get_or_insert(Found::Opaque(opaque.to_token_stream()));
    }

    // Its lifetimes are its own.
    fn visit_type_fn_ptr_mut(&mut self, _: &mut TypeFnPtr) {}

    fn visit_attribute_mut(&mut self, _: &mut Attribute) {}
}

/// A type that a macro passed on, without the group around it.
pub(crate) fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        other => other,
    }
}

/// The owned counterpart of what a reference leads to.
pub(crate) fn owned(ty: &Type) -> String {
    match ty {
        Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
        Type::Slice(slice) => format!("Vec<{}>", written(&slice.elem)),
        other => written(other),
    }
}

/// As one writes it.
pub(crate) fn written(ty: &impl ToTokens) -> String {
    let mut text = ty.to_token_stream().to_string();
    for (spaced, close) in [
        (" :: ", "::"),
        (" < ", "<"),
        (" >", ">"),
        (" ,", ","),
        ("& ", "&"),
        ("< ", "<"),
    ] {
        text = text.replace(spaced, close);
    }
    text
}
