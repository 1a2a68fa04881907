//! A plan and a function as tokens. Small on purpose: everything that can be ordinary code is
//! ordinary code in `lock_runtime::__private`.
//!
//! All names are `Span::mixed_site()`, so that none of them meets a name of the user's; all paths are
//! absolute, so that the user may shadow anything.

use crate::args::{OnLost, Policy, Renew};
use crate::async_trait::regroup;
use crate::item::{Form, Item};
use crate::plan::{Compensation, Key, KeyPart, Plan, Spec};
use crate::tokens::{Private, constant, located, mixed, mixed_site};
use crate::{later, output, signature};
use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{quote, quote_spanned};
use std::time::Duration;

/// Input:
///
/// ```text
/// #attrs #vis async fn ship(id: u64) -> Ret { statements }
/// ```
///
/// Output:
///
/// ```text
/// #attrs #vis async fn ship(id: u64) -> Ret { wrapped statements }
/// ```
pub(crate) fn expand(plan: &Plan, item: &Item) -> TokenStream {
    let Item {
        attrs,
        vis,
        braces,
        body,
        ..
    } = item;
    let sig = signature::rename_parameters(item);
    let wrapped = wrap(plan, item);
    let content = match &body.form {
        Form::AsyncFn => wrapped,
        Form::AsyncTrait(frame) => frame.around(wrapped),
    };
    let block = regroup(braces, content);
    quote! { #(#attrs)* #vis #sig #block }
}

/// Input: the statements of an async body.
///
/// Output, for most functions:
///
/// ```text
/// let mut __call = call::<Ret>(Spec::RETRY);
/// Call::manager(&mut __call, &(manager));           // with `manager`
/// Call::part(&mut __call, "order:", &id);
/// return Complete { call: &mut __call, body: pin!(Some(async move { .. })) }.await;
/// ```
///
/// `__call` holds the lock and is declared before the body: dropped in the middle, the body's locals and all parameters
/// go first, then the lock. `Complete` empties its `body` before it gives the lock back, for the same order on completion.
/// The body is passed as `Pin<&mut _>` because a future that is passed by value takes its space twice. Few statements, few
/// types and one `await`, because each is paid for by whoever compiles it.
fn wrap(plan: &Plan, item: &Item) -> TokenStream {
    if plan.later.is_some() || plan.compensation.is_some() || signature::has_patterns(item) {
        return wrap_in_steps(plan, item);
    }
    let private = Private::of(plan);
    let spec = spec(&private, &plan.spec);
    let call = mixed("__call");
    let begin = begin(&private, plan, item);
    let manager = manager(&private, plan, &call);
    let key = key(&private, plan, &call);
    let future = body_future(&private, item);
    quote_spanned! {mixed_site()=>
        let mut #call = #begin(#spec);
        #manager
        #key
        // Not as the last expression: before edition 2024 its temporaries would outlive the locals.
        return #private::Complete {
            call: &mut #call,
            body: ::core::pin::pin!(::core::option::Option::Some(#future)),
        }
        .await;
    }
}

/// Output, where something happens between the body's end and the function's: a compensation, parts of a pattern that the
/// body has not taken, arguments that are stored:
///
/// ```text
/// let mut __call = Call::new(Spec::RETRY, returns::<Ret>());
/// let __ended;
/// let __kept;                                       // with `compensate`
/// {
///     let (x, _) = __arg0;                          // for parameters that are patterns
///     __kept = (Clone::clone(&id),);                // with `compensate`
///     Call::manager(&mut __call, &(manager));       // with `manager`
///     Call::part(&mut __call, "order:", &id);
///     let __body = pin!(async move { .. });
///     __ended = Call::run(&mut __call, __body).await;
/// }
/// let __output = Call::end(&mut __call, __ended).await;
/// return __output;
/// ```
///
/// With `on_conflict = "queue"`, `private::queue::Call` takes the place of `Call`, and the last two statements of the
/// block are those of [`later::enter`].
///
/// Here it is the block that ends the body's life before `Call::end` gives the lock back.
fn wrap_in_steps(plan: &Plan, item: &Item) -> TokenStream {
    let private = Private::of(plan);
    let later = plan.later.as_ref();
    let call_type = call_path(&private, plan);
    let items = later.map(|later| later::items(&private, later, item));
    let spec = spec(&private, &plan.spec);
    let returns = returns(&private, plan, item);
    let function = later.map(|_| later::function_argument());
    let call = mixed("__call");
    let ended = mixed("__ended");
    let body = mixed("__body");
    let kept = mixed("__kept");
    let output = mixed("__output");

    let destructure = signature::destructure_parameters(item);
    let compensation = plan.compensation.as_ref();
    let compensation_with_clones = compensation.filter(|compensation| !compensation.kept.is_empty());
    let declare_kept = compensation_with_clones.map(|_| quote_spanned!(mixed_site()=> let #kept;));
    let keep = compensation_with_clones.map(|compensation| {
        let clones = compensation.kept.iter().map(|(name, _)| {
            let here = name.span().resolved_at(Span::mixed_site());
            quote_spanned!(here=> ::core::clone::Clone::clone(&#name))
        });
        quote_spanned!(mixed_site()=> #kept = (#(#clones,)*);)
    });
    let manager = manager(&private, plan, &call);
    let key = key(&private, plan, &call);
    let future = body_future(&private, item);
    let end = match compensation {
        None => quote_spanned!(mixed_site()=> #call_type::end(&mut #call, #ended).await),
        Some(compensation) => end_or_compensate(compensation, item, [&call_type, &call, &ended, &kept]),
    };
    let run = match later {
        None => quote_spanned! {mixed_site()=>
            let #body = ::core::pin::pin!(#future);
            #ended = #call_type::run(&mut #call, #body).await;
        },
        Some(later) => later::enter(&private, later, &future, [&call, &ended, &body]),
    };
    quote_spanned! {mixed_site()=>
        #items
        let mut #call = #call_type::new(#spec, #returns #function);
        let #ended;
        #declare_kept
        {
            #destructure
            #keep
            #manager
            #key
            #run
        }
        // Not as the last expression: before edition 2024 its temporaries would outlive the locals.
        let #output = #end;
        #[allow(clippy::let_and_return, clippy::needless_return)]
        return #output;
    }
}

/// Output:
///
/// ```text
/// async move {
///     if false { return never::<Ret>(); }
///     let _ = &last_parameter; .. let _ = &first_parameter;
///     { statements }
/// }
/// ```
///
/// The branch that is never taken tells the compiler the type before the first `return` of the user's
/// does, so that coercions and `?` work as in the plain function, and mistakes are reported where
/// they are. Mentioning every parameter makes the block capture it, also when the body does not use
/// it; in reverse, because captures are dropped in the order in which they are captured.
fn body_future(private: &Private<'_>, item: &Item) -> TokenStream {
    let edge = output::erased(item).map(|ty| {
        let here = located(&ty);
        let private = private.at(here);
        quote_spanned!(here=> if false { return #private::never::<#ty>(); })
    });
    let touches = signature::touch_parameters(item);
    // Ours, so that nobody finds them superfluous, and where the function's are, for the error that a
    // value is missing at the end.
    let mut block = Group::new(Delimiter::Brace, item.body.statements.clone());
    block.set_span(item.braces.span().resolved_at(Span::mixed_site()));
    quote_spanned! {mixed_site()=>
        async move {
            #edge
            #touches
            #block
        }
    }
}

/// Output:
///
/// ```text
/// match Call::end_or_lost(&mut __call, __ended).await {
///     Ok(__output) => __output,
///     Err(__reason) => {
///         let (id,) = __kept;
///         let reason = __reason;
///         let __output: Ret = refund(id, &reason).await;
///         __output
///     }
/// }
/// ```
fn end_or_compensate(
    compensation: &Compensation,
    item: &Item,
    [call_type, call, ended, kept]: [&TokenStream; 4],
) -> TokenStream {
    let Compensation {
        call: compensate,
        span,
        kept: names,
        reason: wanted,
    } = compensation;
    let output = mixed("__output");
    let reason = mixed("__reason");
    let ty = output::erased(item);
    let take = (!names.is_empty()).then(|| {
        let names = names.iter().map(|(_, name)| name);
        quote_spanned! {mixed_site()=>
            #[allow(clippy::shadow_unrelated)]
            let (#(#names,)*) = #kept;
        }
    });
    let (lost, bind) = match wanted {
        Some(wanted) => (
            quote!(#reason),
            quote_spanned! {mixed_site()=>
                #[allow(clippy::shadow_unrelated)]
                let #wanted = #reason;
            },
        ),
        None => (quote!(_), TokenStream::new()),
    };
    let run = quote_spanned!(span.resolved_at(Span::mixed_site())=> .await);
    quote_spanned! {mixed_site()=>
        match #call_type::end_or_lost(&mut #call, #ended).await {
            ::core::result::Result::Ok(#output) => #output,
            ::core::result::Result::Err(#lost) => {
                #take
                #bind
                #[allow(clippy::let_and_return)]
                let #output: #ty = #compensate #run;
                #output
            }
        }
    }
}

fn manager(private: &Private<'_>, plan: &Plan, call: &TokenStream) -> Option<TokenStream> {
    plan.manager.as_ref().map(|manager| {
        let here = located(manager);
        let private = private.at(here);
        let call_type = call_path(&private, plan);
        let set = quote_spanned!(here=> #call_type::manager);
        let manager = quote_spanned!(here=> &(#manager));
        quote_spanned!(mixed_site()=> #set(&mut #call, #manager);)
    })
}

/// What makes the call. One error at the return type, if it cannot carry what the policy has to say.
fn begin(private: &Private<'_>, plan: &Plan, item: &Item) -> TokenStream {
    let ty = output::erased(item);
    let span = item.body.output.as_ref().map_or_else(mixed_site, located);
    match plan.spec.policy {
        Policy::Skip => quote_spanned!(span=> #private::call_or_skip::<#ty>),
        Policy::Fail | Policy::Retry | Policy::Queue => quote_spanned!(span=> #private::call::<#ty>),
    }
}

fn call_path(private: &Private<'_>, plan: &Plan) -> TokenStream {
    let at = private.span();
    match plan.later {
        None => quote_spanned!(at=> #private::Call),
        Some(_) => quote_spanned!(at=> #private::queue::Call),
    }
}

fn returns(private: &Private<'_>, plan: &Plan, item: &Item) -> TokenStream {
    let ty = output::erased(item);
    // One error at the return type, if it cannot carry what the policy has to say.
    let span = item.body.output.as_ref().map_or_else(mixed_site, located);
    match plan.spec.policy {
        Policy::Fail | Policy::Retry => quote_spanned!(span=> #private::returns::<#ty>()),
        Policy::Skip => quote_spanned!(span=> #private::returns_or_skips::<#ty>()),
        Policy::Queue => quote_spanned!(span=> #private::queue::returns_or_queues::<#ty>()),
    }
}

/// Output: `Call::part(&mut __call, "order:", &id);`, for each value one; `Call::text` for what is behind the last.
fn key(private: &Private<'_>, plan: &Plan, call: &TokenStream) -> TokenStream {
    let call_type = call_path(private, plan);
    let (span, parts) = match &plan.key {
        Key::Expression(expr) => {
            let span = located(expr);
            let private = private.at(span);
            let key = quote_spanned!(span=> #private::key(#expr));
            return quote_spanned!(mixed_site()=> #call_type::key(&mut #call, #key););
        }
        Key::Template(span, parts) => (span.resolved_at(Span::mixed_site()), parts),
    };
    let here = call_path(&private.at(span), plan);
    let mut text = String::new();
    let mut tokens = TokenStream::new();
    for part in parts {
        match part {
            KeyPart::Literal(literal) => text.push_str(literal),
            KeyPart::Value(value) => {
                let part = quote_spanned!(span=> #here::part);
                let value = quote_spanned!(span=> &#value);
                tokens.extend(quote_spanned!(mixed_site()=> #part(&mut #call, #text, #value);));
                text.clear();
            }
        }
    }
    if !text.is_empty() || tokens.is_empty() {
        tokens.extend(quote_spanned!(mixed_site()=> #call_type::text(&mut #call, #text);));
    }
    tokens
}

/// Output: `Spec::RETRY`, or `&const { Spec::retry().ttl(..) }`: a constant here is one more body to compile.
fn spec(private: &Private<'_>, spec: &Spec) -> TokenStream {
    let (plain, policy) = match spec.policy {
        // Who holds the lock is not waited for, and then the call is stored.
        Policy::Fail | Policy::Queue => (quote!(FAIL), quote!(fail)),
        Policy::Retry => (quote!(RETRY), quote!(retry)),
        Policy::Skip => (quote!(SKIP), quote!(skip)),
    };
    let mut options = TokenStream::new();
    let mut set = |option: TokenStream| options.extend(quote_spanned!(mixed_site()=> .#option));
    let once = |name: &str, duration: Option<Duration>| {
        let name = mixed(name);
        duration
            .map(constant)
            .map(|duration| quote_spanned!(mixed_site()=> #name(#duration)))
    };
    let renew = match spec.renew {
        None => None,
        Some(Renew::Every(every)) => once("renew_every", Some(every)),
        Some(Renew::Never) => Some(quote!(never_renew())),
    };
    let backoff = spec.backoff.map(|(min, max)| {
        let (min, max) = (constant(min), constant(max));
        quote_spanned!(mixed_site()=> backoff(#min, #max))
    });
    let go_on = (spec.on_lost == OnLost::Continue).then(|| quote!(continue_when_lost()));
    let reentrant = spec.reentrant.then(|| quote!(reentrant()));
    [
        once("ttl", spec.ttl),
        once("wait", spec.wait),
        backoff,
        renew,
        once("max_hold", spec.max_hold),
        once("hold_at_least", spec.hold_at_least),
        go_on,
        reentrant,
    ]
    .into_iter()
    .flatten()
    .for_each(&mut set);
    if options.is_empty() {
        return quote_spanned!(mixed_site()=> #private::Spec::#plain);
    }
    quote_spanned!(mixed_site()=> &const { #private::Spec::#policy() #options })
}
