//! What `on_conflict = "queue"` asks of a function: that a worker can call it again, with what was
//! stored and with what the worker has itself.

use crate::args::{Args, Policy};
use crate::async_trait;
use crate::error::Errors;
use crate::item::Item;
use crate::marks;
use crate::ownership::{self, Found, owned, ungrouped, written};
use crate::params::{Param, ParamKind, plain};
use crate::plan::{Argument, Later, Stored};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use std::collections::BTreeSet;
use std::time::Duration;
use syn::{FnArg, GenericParam, Safety, Type, TypeReference};

/// How long a stored call rests before its first run, unless `delay` says otherwise.
const DELAY: Duration = Duration::from_secs(1);

/// How often a stored call is tried at most, unless `attempts` says otherwise.
const ATTEMPTS: u32 = 20;

/// The policy as it is written.
const QUEUE: &str = "`on_conflict = \"queue\"`";

/// How the calls of this function are stored, if they are.
pub(crate) fn check(args: &Args, item: &Item, errors: &mut Errors) -> Option<Later> {
    let Some(policy) = args.on_conflict.as_ref().filter(|given| given.value == Policy::Queue) else {
        // A value that cannot be read is an error already, and may have been meant as "queue".
        if args.on_conflict.is_some() || !args.has("on_conflict") {
            check_marks_are_of_use(item, errors);
        }
        return None;
    };
    check_is_free(item, errors);
    if async_trait::is_rewritten(&item.sig) {
        // What else is in the signature is of `#[async_trait]`'s making.
        return None;
    }
    check_is_safe(item, errors);
    check_is_not_generic(item, errors);
    check_no_cfg(item, errors);
    let arguments: Vec<Argument> = item
        .sig
        .inputs
        .iter()
        .zip(&item.params)
        .filter_map(|(arg, param)| match arg {
            FnArg::Receiver(_) => None,
            FnArg::Typed(typed) => argument(param, &typed.pat.to_token_stream(), &typed.ty, errors),
        })
        .collect();
    check_names(&arguments, errors);
    check_states(&arguments, errors);
    Some(Later {
        at: policy
            .at
            .clone()
            .into_iter()
            .next()
            .map_or_else(proc_macro2::Span::call_site, |tree| tree.span()),
        delay: args.delay.as_ref().map_or(DELAY, |given| given.value),
        attempts: args.attempts.as_ref().map_or(ATTEMPTS, |given| given.value),
        arguments,
    })
}

/// Only stored calls have states and stored arguments.
fn check_marks_are_of_use(item: &Item, errors: &mut Errors) {
    for marks in item.params.iter().map(|param| &param.marks) {
        for attr in marks.state.iter().chain(&marks.serde) {
            let name = attr.path().to_token_stream();
            errors.over(
                attr,
                format!("`#[{name}]` on a parameter has a use with {QUEUE} only: write that, or leave `#[{name}]` out"),
            );
        }
    }
}

/// A worker calls the function by its name, and has nothing to call it on.
fn check_is_free(item: &Item, errors: &mut Errors) {
    let name = &item.sig.ident;
    let advice = format!(
        "a worker calls `{name}` by its name, and has nothing to call it on. Write a free function with what it needs as \
         parameters (`#[state]` for what the worker has itself), and call that from the method"
    );
    if async_trait::is_rewritten(&item.sig) {
        errors.at(
            name.span(),
            format!("{QUEUE} is for free functions, and `{name}` is a method under `#[async_trait]`: {advice}"),
        );
    } else if let Some(receiver) = item.sig.receiver() {
        errors.over(
            receiver,
            format!("{QUEUE} is for free functions, and `{name}` is a method: {advice}"),
        );
    } else if let Some(this) =
        this_type(item.sig.inputs.to_token_stream()).or_else(|| this_type(item.sig.output.to_token_stream()))
    {
        errors.over(
            this,
            format!("{QUEUE} is for free functions, and `Self` says that `{name}` is in an impl or a trait: {advice}"),
        );
    }
}

/// `Self` somewhere in a type.
fn this_type(tokens: TokenStream) -> Option<TokenTree> {
    tokens.into_iter().find_map(|tree| match tree {
        TokenTree::Ident(ident) if ident == "Self" => Some(TokenTree::Ident(ident)),
        TokenTree::Group(group) => this_type(group.stream()),
        _ => None,
    })
}

/// A stored call cannot promise what its caller promised.
fn check_is_safe(item: &Item, errors: &mut Errors) {
    if let Safety::Unsafe(keyword) = &item.sig.safety {
        errors.at(
            keyword.span,
            format!("a worker cannot keep the promises that an `unsafe fn` asks of its caller, so {QUEUE} takes none: leave `unsafe` out"),
        );
    }
}

/// A stored call says nothing of the types that its caller had in mind.
fn check_is_not_generic(item: &Item, errors: &mut Errors) {
    for param in &item.sig.generics.params {
        let (what, instead) = match param {
            GenericParam::Lifetime(_) => ("lifetime", "leave it out, and let each parameter own what it holds"),
            GenericParam::Type(_) => ("type parameter", "write the type itself"),
            GenericParam::Const(_) => ("const parameter", "write a parameter, or the value itself"),
        };
        errors.over(
            param,
            format!("a worker that runs a stored call cannot know what was meant by a {what}, so {QUEUE} takes none: {instead}"),
        );
    }
}

/// Two programs that share a queue would not agree on the arguments; and a call cannot be written with
/// one of them there or not.
fn check_no_cfg(item: &Item, errors: &mut Errors) {
    for attr in item.params.iter().flat_map(Param::cfgs) {
        errors.over(
            attr,
            format!(
                "a stored call has the same arguments everywhere, so {QUEUE} takes no `#[cfg]` on a parameter: write it on two \
                 functions, or let the parameter be an `Option`"
            ),
        );
    }
}

fn argument(param: &Param, pat: &TokenStream, ty: &Type, errors: &mut Errors) -> Option<Argument> {
    let is_state = check_marks(param, errors);
    if is_state {
        return state(pat, ty, errors).map(|ty| Argument::State(Box::new(ty)));
    }
    let serde = marks::serde(&param.marks.serde, errors);
    let owned = check_is_owned(pat, ty, errors);
    let ParamKind::Named { name, .. } = &param.kind else {
        errors.over(
            pat,
            match &param.kind {
                ParamKind::Unnamed { .. } => {
                    "the arguments of a stored call have names, and `_` is none: write one, `_unused` for example".to_owned()
                }
                _ => "the arguments of a stored call have names, and a pattern is none: write a name, and take the value apart \
                      in the body"
                    .to_owned(),
            },
        );
        return None;
    };
    owned.then(|| {
        Argument::Stored(Box::new(Stored {
            name: name.clone(),
            ty: ty.clone(),
            aliases: serde.aliases,
            default: serde.default,
        }))
    })
}

/// Is it a state? Anything but `#[state]` alone is an error.
fn check_marks(param: &Param, errors: &mut Errors) -> bool {
    let marks = &param.marks;
    for attr in &marks.state {
        if attr.meta.require_path_only().is_err() {
            errors.over(
                attr,
                "`#[state]` stands alone: the worker is told its value by `worker.state(value)`",
            );
        }
    }
    if let Some(second) = marks.state.get(1) {
        errors.over(second, "`#[state]` is given twice: write it once");
    }
    if !marks.state.is_empty() {
        for attr in &marks.serde {
            errors.over(
                attr,
                "a `#[state]` is not stored, so `#[serde]` has no use on it: leave one of the two out",
            );
        }
    }
    !marks.state.is_empty()
}

/// `T` of `&T`.
fn state(pat: &TokenStream, ty: &Type, errors: &mut Errors) -> Option<Type> {
    let why = "a worker lends its state to many calls at once";
    let reference = match ungrouped(ty) {
        Type::Reference(reference) => reference,
        other => {
            let owned = written(other);
            errors.over(ty, format!("{why}: write `#[state] {pat}: &{owned}`"));
            return None;
        }
    };
    let TypeReference {
        lifetime,
        mutability,
        elem,
        ..
    } = reference;
    if mutability.is_some() || lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static") {
        let elem = written(elem);
        errors.over(
            ty,
            format!("{why}, each for its own time: write `#[state] {pat}: &{elem}`"),
        );
        return None;
    }
    match ungrouped(elem) {
        Type::TraitObject(object) => {
            let object = written(object);
            errors.over(
                ty,
                format!("a worker finds its state by its type, which must be of a known size: write `&std::sync::Arc<{object}>`"),
            );
            return None;
        }
        unsized_elem if owned(unsized_elem) != written(unsized_elem) => {
            let owned = owned(unsized_elem);
            errors.over(
                ty,
                format!(
                    "a worker finds its state by its type, which must be of a known size: write `&{owned}`, or a type of your own"
                ),
            );
            return None;
        }
        _ => {}
    }
    match ownership::find(elem) {
        None => Some((**elem).clone()),
        Some(Found::Borrow(at)) => {
            errors.over(
                at,
                "a worker's state outlives every call, so it borrows nothing: write a type that owns what it holds",
            );
            None
        }
        Some(Found::Opaque(at)) => {
            errors.over(at, no_opaque());
            None
        }
    }
}

fn check_is_owned(pat: &TokenStream, ty: &Type, errors: &mut Errors) -> bool {
    if let Type::Reference(reference) = ungrouped(ty) {
        let elem = ungrouped(&reference.elem);
        let (borrowed, owned) = (written(elem), owned(elem));
        errors.over(
            ty,
            format!(
                "{QUEUE} stores the arguments, and what a reference leads to is gone when a worker runs the call: write \
                 `{pat}: {owned}`, or, for what the worker has itself, `#[state] {pat}: &{borrowed}`"
            ),
        );
        return false;
    }
    match ownership::find(ty) {
        None => true,
        Some(Found::Opaque(opaque)) => {
            errors.over(opaque, no_opaque());
            false
        }
        Some(Found::Borrow(at)) => {
            errors.over(
                at,
                format!("{QUEUE} stores the arguments, and what is borrowed is gone when a worker runs the call: write an owned type"),
            );
            false
        }
    }
}

fn no_opaque() -> String {
    format!(
        "a worker that runs a stored call cannot know what was meant by `impl Trait`, so {QUEUE} takes none: write the type itself"
    )
}

/// Under a name that another parameter has or had, a stored value would be taken for both.
fn check_names(arguments: &[Argument], errors: &mut Errors) {
    let stored = || {
        arguments.iter().filter_map(|argument| match argument {
            Argument::State(_) => None,
            Argument::Stored(stored) => Some(stored),
        })
    };
    let mut names: BTreeSet<String> = stored().map(|stored| plain(&stored.name)).collect();
    for alias in stored().flat_map(|stored| &stored.aliases) {
        let name = alias.value();
        if !names.insert(name.clone()) {
            errors.over(
                alias,
                format!(
                    "`{name}` is a name of a stored argument already, and would have two meanings: leave this alias out"
                ),
            );
        }
    }
}

/// A worker has one value of each type.
fn check_states(arguments: &[Argument], errors: &mut Errors) {
    let mut types = BTreeSet::new();
    for argument in arguments {
        if let Argument::State(ty) = argument
            && !types.insert(ty.to_token_stream().to_string())
        {
            let name = written(ty);
            errors.over(
                ty,
                format!(
                    "a second `#[state]` of the type `{name}`, and a worker has one value of each type: wrap one of the two in a \
                     type of its own, `struct Other({name});`"
                ),
            );
        }
    }
}

#[cfg(test)]
#[path = "tests/storing.rs"]
mod tests;
