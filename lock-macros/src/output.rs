//! The return type where a type may stand in a body.

use crate::item::Item;
use syn::visit_mut::{self, VisitMut};
use syn::{Token, Type, TypeInfer};

/// The return type with `_` for every `impl Trait`: written a second time, `impl Trait` would be a
/// second, different type.
pub(crate) fn erased(item: &Item) -> Option<Type> {
    let mut ty = item.body.output.clone()?;
    Erase.visit_type_mut(&mut ty);
    Some(ty)
}

struct Erase;

impl VisitMut for Erase {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if let Type::ImplTrait(opaque) = ty {
            *ty = Type::Infer(TypeInfer {
                attrs: Vec::new(),
                underscore_token: Token![_](opaque.impl_token.span),
            });
        }
        visit_mut::visit_type_mut(self, ty);
    }
}
