//! The function that the attribute stands on. The signature is parsed, the body stays as tokens: a
//! body that does not parse yet (somebody is typing in it) must not take the function away.

use crate::async_trait;
use crate::error::Errors;
use crate::marks;
use crate::params::{self, Param};
use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, ReturnType, Signature, Type, Visibility};

/// A function with a body that can be put under a lock.
pub(crate) struct Item {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) params: Vec<Param>,
    /// The function's own braces, for their span.
    pub(crate) braces: Group,
    pub(crate) body: Body,
}

/// The statements to wrap, and what they evaluate to.
pub(crate) struct Body {
    pub(crate) statements: TokenStream,
    /// `None`: nothing is written, which means `()`.
    pub(crate) output: Option<Type>,
    pub(crate) form: Form,
}

/// How the function is asynchronous.
pub(crate) enum Form {
    /// `async fn`
    AsyncFn,
    /// `fn f(..) -> Pin<Box<dyn Future<..>>> { Box::pin(async move { .. }) }`
    AsyncTrait(async_trait::Frame),
}

/// Reads the function, or says why there is none to lock.
pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Option<Item> {
    let tokens = open(tokens);
    let head = match head.parse2(tokens.clone()) {
        Ok(head) => head,
        Err(error) => {
            errors.push(no_function(tokens).unwrap_or(error));
            return None;
        }
    };
    let Head {
        mut attrs,
        vis,
        mut sig,
        rest,
    } = head;
    let body = body_group(rest);
    let asynchronous = sig.asyncness.is_some() || async_trait::is_rewritten(&sig);
    refuse(&sig, asynchronous, body.is_some(), errors);
    let braces = body?;
    if !asynchronous || sig.constness.is_some() || sig.variadic.is_some() {
        return None;
    }
    let (inner, statements) = split_inner_attributes(braces.stream());
    attrs.extend(inner);
    let marks = marks::take_all(&mut sig);
    let mut params = params::parse(&sig, marks);
    let body = if sig.asyncness.is_some() {
        let output = match &sig.output {
            ReturnType::Default => None,
            ReturnType::Type(_, ty) => Some((**ty).clone()),
        };
        Body {
            statements,
            output,
            form: Form::AsyncFn,
        }
    } else {
        match async_trait::unwrap(&sig, statements, &mut params) {
            Some(body) => body,
            None => {
                errors.at(
                    sig.ident.span(),
                    "the output of `#[async_trait]` has a shape that `#[distributed_lock]` does not know: \
                     write the lock on an `async fn` of its own and call that from here",
                );
                return None;
            }
        }
    };
    Some(Item {
        attrs,
        vis,
        sig,
        params,
        braces,
        body,
    })
}

struct Head {
    attrs: Vec<Attribute>,
    vis: Visibility,
    sig: Signature,
    rest: TokenStream,
}

fn head(input: ParseStream<'_>) -> syn::Result<Head> {
    Ok(Head {
        attrs: input.call(Attribute::parse_outer)?,
        vis: input.parse()?,
        sig: input.parse()?,
        rest: input.parse()?,
    })
}

fn refuse(sig: &Signature, asynchronous: bool, has_body: bool, errors: &mut Errors) {
    if let Some(constness) = &sig.constness {
        errors.at(
            constness.span,
            "a `const fn` runs at compile time, where no lock can be held: leave `const` out",
        );
    } else if !asynchronous {
        errors.at(
            sig.fn_token.span,
            format!(
                "`{}` is not async, and a lock is awaited: write `async fn`. Where `#[async_trait]` or another attribute \
                 makes the function async, it must come first: on the impl or the trait, or above this attribute",
                sig.ident,
            ),
        );
    }
    if let Some(variadic) = &sig.variadic {
        errors.over(
            variadic,
            "a function with C variadic arguments cannot run under a lock: pass a slice instead",
        );
    }
    if !has_body {
        errors.at(
            sig.ident.span(),
            format!(
                "`{}` has no body to put under a lock: write the attribute on the functions that implement it",
                sig.ident,
            ),
        );
    }
}

/// The body, also where `macro_rules!` passes it on as `$body:block`.
fn body_group(rest: TokenStream) -> Option<Group> {
    let mut rest = rest.into_iter();
    match (rest.next()?, rest.next()) {
        (TokenTree::Group(group), None) => match group.delimiter() {
            Delimiter::Brace => Some(group),
            Delimiter::None => body_group(group.stream()),
            _ => None,
        },
        _ => None,
    }
}

/// `$item:item` arrives as one group without delimiters.
pub(crate) fn open(tokens: TokenStream) -> TokenStream {
    let mut trees = tokens.clone().into_iter();
    match (trees.next(), trees.next()) {
        (Some(TokenTree::Group(group)), None) if group.delimiter() == Delimiter::None => open(group.stream()),
        _ => tokens,
    }
}

/// `#![..]` must be the first thing in a body, so it cannot stay behind what is generated. On the
/// function itself it means the same.
fn split_inner_attributes(body: TokenStream) -> (Vec<Attribute>, TokenStream) {
    let split = |input: ParseStream<'_>| {
        let inner = input.call(Attribute::parse_inner)?;
        Ok((inner, input.parse::<TokenStream>()?))
    };
    match split.parse2(body.clone()) {
        Ok((mut inner, statements)) => {
            for attr in &mut inner {
                attr.style = syn::AttrStyle::Outer;
            }
            (inner, statements)
        }
        Err(_) => (Vec::new(), body),
    }
}

/// Names the kind of item, for those who put the attribute on something else.
fn no_function(tokens: TokenStream) -> Option<syn::Error> {
    let keyword = |input: ParseStream<'_>| {
        input.call(Attribute::parse_outer)?;
        input.parse::<Visibility>()?;
        let rest: TokenStream = input.parse()?;
        Ok(item_keyword(rest))
    };
    let (kind, span) = keyword.parse2(tokens).ok()??;
    let hint = match kind.as_str() {
        "an impl block" | "a trait" => ": write the attribute on each `async fn` in it that needs the lock",
        _ => ": write it on the `async fn` that needs the lock",
    };
    Some(syn::Error::new(
        span,
        format!("`#[distributed_lock]` works on functions, and this is {kind}{hint}"),
    ))
}

fn item_keyword(rest: TokenStream) -> Option<(String, Span)> {
    for tree in rest {
        let TokenTree::Ident(ident) = &tree else { return None };
        let kind = match ident.to_string().as_str() {
            "struct" => "a struct",
            "enum" => "an enum",
            "union" => "a union",
            "trait" => "a trait",
            "impl" => "an impl block",
            "mod" => "a module",
            "type" => "a type",
            "const" => "a constant",
            "static" => "a static",
            "use" | "extern" => "an import",
            "macro_rules" => "a macro",
            "unsafe" | "pub" | "auto" | "default" => continue,
            "fn" | "async" => return None,
            _ => "no function",
        };
        return Some((kind.to_owned(), tree.span()));
    }
    None
}
