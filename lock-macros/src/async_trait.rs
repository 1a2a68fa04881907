//! Functions that `#[async_trait]` has already rewritten. It stands on the impl or the trait and so
//! expands before an attribute on a method; what was `async fn` arrives as a function that returns a
//! boxed future. The lock belongs inside that future.

use crate::item::{Body, Form};
use crate::params::{Param, ParamKind, bindings};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::parse::Parser;
use syn::{GenericArgument, Pat, PathArguments, ReturnType, Signature, Type, TypeParamBound};

/// What stands around the statements of the async block.
///
/// Input: `Box::pin(async move { statements })`
pub(crate) struct Frame {
    /// `Box::pin`
    callee: TokenStream,
    /// `( .. )`
    call: Group,
    /// `async move`
    opening: TokenStream,
    /// `{ statements }`
    block: Group,
}

impl Frame {
    /// Output: `Box::pin(async move { wrapped })`
    pub(crate) fn around(&self, wrapped: TokenStream) -> TokenStream {
        let block = regroup(&self.block, wrapped);
        let mut call = self.opening.clone();
        call.extend([TokenTree::Group(block)]);
        let mut frame = self.callee.clone();
        frame.extend([TokenTree::Group(regroup(&self.call, call))]);
        frame
    }
}

/// The same delimiters at the same place around something else.
pub(crate) fn regroup(group: &Group, content: TokenStream) -> Group {
    let mut regrouped = Group::new(group.delimiter(), content);
    regrouped.set_span(group.span());
    regrouped
}

/// `#[async_trait]` names its own lifetime.
pub(crate) fn is_rewritten(sig: &Signature) -> bool {
    sig.generics
        .lifetimes()
        .any(|param| param.lifetime.ident == "async_trait")
}

/// Takes the statements out of the boxed async block. A parameter that was a pattern has become a
/// name, and a statement that takes it apart; it is made a pattern again, so that the key can use
/// what it binds.
pub(crate) fn unwrap(sig: &Signature, statements: TokenStream, params: &mut [Param]) -> Option<Body> {
    let output = boxed_output(sig)?;
    let (callee, call) = split_last_group(statements, Delimiter::Parenthesis)?;
    let (opening, block) = split_last_group(call.stream(), Delimiter::Brace)?;
    if !opening
        .clone()
        .into_iter()
        .any(|tree| matches!(tree, TokenTree::Ident(ident) if ident == "async"))
    {
        return None;
    }
    let statements = take_patterns(block.stream(), params);
    let form = Form::AsyncTrait(Frame {
        callee,
        call,
        opening,
        block,
    });
    Some(Body {
        statements,
        output: Some(output),
        form,
    })
}

/// Input: `.. let (a, b) = { let __arg1 = __arg1; __arg1 }; ..`
///
/// Output: the rest, and `(a, b)` in the parameter `__arg1`.
fn take_patterns(statements: TokenStream, params: &mut [Param]) -> TokenStream {
    let mut rest: Vec<TokenTree> = Vec::new();
    let mut statement: Vec<TokenTree> = Vec::new();
    for tree in statements {
        let ends = matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == ';');
        statement.push(tree);
        if ends && take_pattern(&statement, params).is_some() {
            statement.clear();
        } else if ends {
            rest.append(&mut statement);
        }
    }
    rest.append(&mut statement);
    rest.into_iter().collect()
}

fn take_pattern(statement: &[TokenTree], params: &mut [Param]) -> Option<()> {
    let start = statement
        .iter()
        .position(|tree| matches!(tree, TokenTree::Ident(ident) if ident == "let"))?;
    let [
        pat @ ..,
        TokenTree::Punct(equals),
        TokenTree::Group(value),
        TokenTree::Punct(_),
    ] = &statement[start + 1..]
    else {
        return None;
    };
    let value: Vec<TokenTree> = value.stream().into_iter().collect();
    let [
        TokenTree::Ident(_),
        TokenTree::Ident(hidden),
        ..,
        TokenTree::Ident(tail),
    ] = value.as_slice()
    else {
        return None;
    };
    if equals.as_char() != '=' || hidden != tail {
        return None;
    }
    let pat = Pat::parse_single.parse2(pat.iter().cloned().collect()).ok()?;
    let param = params
        .iter_mut()
        .find(|param| param.bindings() == std::slice::from_ref(hidden))?;
    param.kind = ParamKind::Pattern {
        hidden: hidden.clone(),
        bindings: bindings(&pat),
        pat: Box::new(pat),
    };
    Some(())
}

fn split_last_group(tokens: TokenStream, delimiter: Delimiter) -> Option<(TokenStream, Group)> {
    let mut trees: Vec<TokenTree> = tokens.into_iter().collect();
    match trees.pop()? {
        TokenTree::Group(group) if group.delimiter() == delimiter => Some((trees.into_iter().collect(), group)),
        _ => None,
    }
}

/// Input: `-> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = Ret> + Send + 'async_trait>>`
/// Output: `Ret`
fn boxed_output(sig: &Signature) -> Option<Type> {
    let ReturnType::Type(_, pinned) = &sig.output else {
        return None;
    };
    let boxed = type_argument(pinned)?;
    let Type::TraitObject(object) = type_argument(boxed)? else {
        return None;
    };
    object.bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else {
            return None;
        };
        let PathArguments::AngleBracketed(arguments) = &bound.path.segments.last()?.arguments else {
            return None;
        };
        arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(assoc) if assoc.ident == "Output" => Some(assoc.ty.clone()),
            _ => None,
        })
    })
}

/// Input: `path::Name<T>`. Output: `T`
fn type_argument(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}
