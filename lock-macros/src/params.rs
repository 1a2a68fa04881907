//! The parameters: which names they bind, and which of them cannot stay in the signature.

use crate::marks::Marks;
use proc_macro2::Span;
use quote::format_ident;
use syn::ext::IdentExt;
use syn::{Attribute, FnArg, Ident, Pat, ReceiverKind, Signature, Type};

/// A parameter.
pub(crate) struct Param {
    /// All attributes but the marks, `#[cfg]` among them.
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) marks: Marks,
    pub(crate) kind: ParamKind,
}

pub(crate) enum ParamKind {
    /// `self` in any form
    Receiver { this: Ident, passing: Passing },
    /// `id: u64`, `mut id: u64`
    Named { name: Ident, passing: Passing },
    /// `_: T`: renamed, so that it can be dropped before the lock goes
    Unnamed { hidden: Ident },
    /// `(a, _): T`: renamed and taken apart in the body, for the same reason
    Pattern {
        hidden: Ident,
        pat: Box<Pat>,
        bindings: Vec<Ident>,
    },
}

/// How a parameter's value can be had twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passing {
    /// `&T` and `&self`: the reference is copied
    Shared,
    /// `&mut T`: not at all
    Exclusive,
    /// by `Clone`
    Owned,
}

impl Param {
    pub(crate) fn cfgs(&self) -> impl Iterator<Item = &Attribute> {
        self.attrs.iter().filter(|attr| attr.path().is_ident("cfg"))
    }

    /// What the body can name, in the order of declaration.
    pub(crate) fn bindings(&self) -> &[Ident] {
        match &self.kind {
            ParamKind::Receiver { this: name, .. } | ParamKind::Named { name, .. } => std::slice::from_ref(name),
            ParamKind::Unnamed { .. } => &[],
            ParamKind::Pattern { bindings, .. } => bindings,
        }
    }

    pub(crate) fn passing(&self) -> Passing {
        match &self.kind {
            ParamKind::Receiver { passing, .. } | ParamKind::Named { passing, .. } => *passing,
            ParamKind::Unnamed { .. } | ParamKind::Pattern { .. } => Passing::Owned,
        }
    }

    pub(crate) fn is_receiver(&self) -> bool {
        matches!(self.kind, ParamKind::Receiver { .. })
    }
}

/// The name as one thinks of it: `r#type` is `type`.
pub(crate) fn plain(name: &Ident) -> String {
    name.unraw().to_string()
}

pub(crate) fn parse(sig: &Signature, marks: Vec<Marks>) -> Vec<Param> {
    sig.inputs
        .iter()
        .zip(marks)
        .enumerate()
        .map(|(position, (arg, marks))| param(position, arg, marks))
        .collect()
}

fn param(position: usize, arg: &FnArg, marks: Marks) -> Param {
    match arg {
        FnArg::Receiver(receiver) => {
            let passing = match &receiver.kind {
                ReceiverKind::Reference(_, _, None) => Passing::Shared,
                ReceiverKind::Reference(_, _, Some(_)) => Passing::Exclusive,
                ReceiverKind::Typed(_, ty) => passing(ty),
                _ => Passing::Owned,
            };
            let this = Ident::new("self", receiver.self_token.span);
            Param {
                attrs: receiver.attrs.clone(),
                marks,
                kind: ParamKind::Receiver { this, passing },
            }
        }
        FnArg::Typed(typed) => {
            let hidden = || format_ident!("__arg{position}", span = Span::mixed_site());
            let kind = match &*typed.pat {
                Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => ParamKind::Named {
                    name: pat.ident.clone(),
                    passing: passing(&typed.ty),
                },
                Pat::Wild(_) => ParamKind::Unnamed { hidden: hidden() },
                pat => ParamKind::Pattern {
                    hidden: hidden(),
                    pat: Box::new(pat.clone()),
                    bindings: bindings(pat),
                },
            };
            Param {
                attrs: typed.attrs.clone(),
                marks,
                kind,
            }
        }
    }
}

fn passing(ty: &Type) -> Passing {
    match ty {
        Type::Reference(reference) if reference.mutability.is_some() => Passing::Exclusive,
        Type::Reference(_) => Passing::Shared,
        Type::Group(group) => passing(&group.elem),
        Type::Paren(paren) => passing(&paren.elem),
        _ => Passing::Owned,
    }
}

/// What a pattern binds, in order, each name once.
pub(crate) fn bindings(pat: &Pat) -> Vec<Ident> {
    let mut names = Vec::new();
    collect(pat, &mut names);
    names
}

fn collect(pat: &Pat, names: &mut Vec<Ident>) {
    match pat {
        Pat::Ident(pat) => {
            if !names.contains(&pat.ident) && !may_be_constant(&pat.ident) {
                names.push(pat.ident.clone());
            }
            if let Some((_, pat)) = &pat.subpat {
                collect(pat, names);
            }
        }
        Pat::Or(pat) => pat.cases.iter().for_each(|pat| collect(pat, names)),
        Pat::Paren(pat) => collect(&pat.pat, names),
        Pat::Reference(pat) => collect(&pat.pat, names),
        Pat::Slice(pat) => pat.elems.iter().for_each(|pat| collect(pat, names)),
        Pat::Struct(pat) => pat.fields.iter().for_each(|field| collect(&field.pat, names)),
        Pat::Tuple(pat) => pat.elems.iter().for_each(|pat| collect(pat, names)),
        Pat::TupleStruct(pat) => pat.elems.iter().for_each(|pat| collect(pat, names)),
        Pat::Type(pat) => collect(&pat.pat, names),
        _ => {}
    }
}

/// Inside a pattern, `Unit` can be a unit struct or a constant; only the compiler knows.
fn may_be_constant(name: &Ident) -> bool {
    plain(name).starts_with(char::is_uppercase)
}
