//! The expansion of `on_conflict = "queue"`: what lets a worker find the function and call it again, and
//! the call that runs the body or is stored.

use crate::item::Item;
use crate::params::plain;
use crate::plan::{Argument, Later, Missing, Stored};
use crate::tokens::{Private, constant, located, mixed, mixed_site};
use proc_macro2::{Delimiter, Group, Literal, TokenStream};
use quote::{format_ident, quote_spanned};

/// Output:
///
/// ```text
/// const __DISTRIBUTED_LOCK_PARAMETER_1: Parameter<String> = parameter::<String>("note").aliases(&["memo"]);
/// static __DISTRIBUTED_LOCK_FUNCTION: Function =
///     Function::new(concat!(module_path!(), "::", "ship"), delay, attempts, &[state::<Db>()], distributed_lock_run);
/// fn distributed_lock_run(__execution: Execution) -> Running { .. }
/// submit! { Registered::new(&__DISTRIBUTED_LOCK_FUNCTION) }
/// ```
///
/// Inside the function, so that two in one module do not meet. Each parameter is found at its type, once,
/// so that a type that cannot be stored is one error.
pub(crate) fn items(private: &Private<'_>, later: &Later, item: &Item) -> TokenStream {
    let function = function();
    let run = run_name();
    let parameters = later
        .arguments
        .iter()
        .enumerate()
        .map(|(position, argument)| match argument {
            Argument::State(ty) => {
                let constant = parameter(position);
                let here = located(ty);
                let private = private.at(here);
                let state = quote_spanned!(here=> #private::queue::state::<#ty>());
                quote_spanned!(mixed_site()=> const #constant: #private::queue::State<#ty> = #state;)
            }
            Argument::Stored(stored) => {
                let constant = parameter(position);
                let ty = &stored.ty;
                let value = stored_parameter(private, stored);
                quote_spanned!(mixed_site()=> const #constant: #private::queue::Parameter<#ty> = #value;)
            }
        });
    let states = later
        .arguments
        .iter()
        .enumerate()
        .filter_map(|(position, argument)| match argument {
            Argument::State(_) => Some(parameter(position)),
            Argument::Stored(_) => None,
        });
    let name = plain(&item.sig.ident);
    let delay = constant(later.delay);
    let attempts = Literal::u32_unsuffixed(later.attempts);
    let body = run_function(private, later, item);
    quote_spanned! {mixed_site()=>
        #(#parameters)*
        static #function: #private::queue::Function = #private::queue::Function::new(
            ::core::concat!(::core::module_path!(), "::", #name),
            #delay,
            #attempts,
            &[#(#states.state_type()),*],
            #run,
        );
        #body
        #private::queue::submit! { #private::queue::Registered::new(&#function) }
    }
}

/// Output: `parameter::<String>("note").aliases(&["memo"]).default(<String as Default>::default)`
fn stored_parameter(private: &Private<'_>, stored: &Stored) -> TokenStream {
    let Stored {
        name,
        ty,
        aliases,
        default,
    } = stored;
    let name = plain(name);
    let here = located(ty);
    let at_type = private.at(here);
    let found = quote_spanned!(here=> #at_type::queue::parameter::<#ty>(#name));
    let aliases = (!aliases.is_empty()).then(|| quote_spanned!(mixed_site()=> .aliases(&[#(#aliases),*])));
    let default = default.as_ref().map(|default| {
        let value = match default {
            Missing::Default(word) => {
                let here = word.resolved_at(mixed_site());
                quote_spanned!(here=> <#ty as ::core::default::Default>::default)
            }
            Missing::Path(path) => quote_spanned!(located(path)=> #path),
        };
        quote_spanned!(mixed_site()=> .default(#value))
    });
    quote_spanned!(mixed_site()=> #found #aliases #default)
}

/// Output:
///
/// ```text
/// macro_rules! on_conflict_queue_is_for_free_functions_only { () => { ship }; }
/// fn distributed_lock_run(__execution: Execution) -> Running {
///     use ShownByDisplay as _; ..
///     run_by_worker(async move {
///         let __arg0 = match State::read(&__DISTRIBUTED_LOCK_PARAMETER_0, &__execution) {
///             Ok(__arg0) => __arg0,
///             Err(__reason) => { Execution::unreadable(&__execution, __reason); return; }
///         };
///         ..
///         let __output = Execution::within(&__execution, on_conflict_queue_is_for_free_functions_only!()(__arg0, __arg1)).await;
///         Execution::ended(&__execution, (&&&&Shown(&__output)).result());
///     })
/// }
/// ```
///
/// The function is called by its name, as by anybody, so that all that stands around it applies. In an
/// impl that name means nothing, which is an error at the policy, or another function, which the runtime
/// finds out: a call that succeeds without having asked for the lock is none.
fn run_function(private: &Private<'_>, later: &Later, item: &Item) -> TokenStream {
    let run = run_name();
    let execution = mixed("__execution");
    let reason = mixed("__reason");
    let output = mixed("__output");
    let arguments: Vec<TokenStream> = (0..later.arguments.len())
        .map(|position| mixed(&format!("__arg{position}")))
        .collect();
    let reads = later.arguments.iter().zip(&arguments).enumerate().map(|(position, (argument, name))| {
        let constant = parameter(position);
        let read = match argument {
            Argument::State(_) => quote_spanned!(mixed_site()=> State::read(&#constant, &#execution)),
            Argument::Stored(_) => {
                quote_spanned!(mixed_site()=> Parameter::read(&#constant, #private::queue::Execution::arguments(&#execution)))
            }
        };
        quote_spanned! {mixed_site()=>
            let #name = match #private::queue::#read {
                ::core::result::Result::Ok(#name) => #name,
                ::core::result::Result::Err(#reason) => {
                    #private::queue::Execution::unreadable(&#execution, #reason);
                    return;
                }
            };
        }
    });
    // The macro does two things: the name is not taken for a parameter, and where there is no function of that
    // name, as in an impl, the compiler says in which macro it looked for one.
    let at = later.at.resolved_at(mixed_site());
    let mut function = item.sig.ident.clone();
    function.set_span(at);
    let free = quote_spanned!(at=> on_conflict_queue_is_for_free_functions_only);
    let call = quote_spanned!(at=> #free!()(#(#arguments),*));
    let here = item.sig.ident.span().resolved_at(mixed_site());
    let at_name = private.at(here);
    let statements = quote_spanned! {mixed_site()=>
        #(#reads)*
        let #output = #private::queue::Execution::within(&#execution, #call).await;
        #private::queue::Execution::ended(&#execution, (&&&&#private::queue::Shown(&#output)).result());
    };
    // At the function's name, for the error that its future cannot go from thread to thread.
    let mut block = Group::new(Delimiter::Brace, statements);
    block.set_span(here);
    let running = quote_spanned!(here=> #at_name::queue::run_by_worker(async move #block));
    quote_spanned! {mixed_site()=>
        macro_rules! #free {
            () => {
                #function
            };
        }
        fn #run(#execution: #private::queue::Execution) -> #private::queue::Running {
            #[allow(unused_imports)]
            use #private::queue::{ShownByDebug as _, ShownByDisplay as _, ShownByType as _, ShownOtherwise as _};
            #running
        }
    }
}

/// Input: the future of the body.
///
/// Output:
///
/// ```text
/// __ended = match Call::enter(&mut __call).await {
///     Entered::Held => {
///         let __body = pin!(async move { .. });
///         Call::run(&mut __call, __body).await
///     }
///     Entered::Taken => {
///         let __arguments = Arguments::new().with(&__DISTRIBUTED_LOCK_PARAMETER_1, &note);
///         Call::store(&mut __call, __arguments).await
///     }
///     Entered::Over(__over) => *__over,
/// };
/// ```
///
/// The arguments are a statement of their own: no reference to a parameter lives while the call is
/// stored, so that a parameter need not be `Sync`.
pub(crate) fn enter(
    private: &Private<'_>,
    later: &Later,
    future: &TokenStream,
    [call, ended, body]: [&TokenStream; 3],
) -> TokenStream {
    let over = mixed("__over");
    let arguments = mixed("__arguments");
    let with = later
        .arguments
        .iter()
        .enumerate()
        .filter_map(|(position, argument)| match argument {
            Argument::State(_) => None,
            Argument::Stored(stored) => {
                let (constant, name) = (parameter(position), &stored.name);
                Some(quote_spanned!(mixed_site()=> .with(&#constant, &#name)))
            }
        });
    quote_spanned! {mixed_site()=>
        #ended = match #private::queue::Call::enter(&mut #call).await {
            #private::queue::Entered::Held => {
                let #body = ::core::pin::pin!(#future);
                #private::queue::Call::run(&mut #call, #body).await
            }
            #private::queue::Entered::Taken => {
                #[allow(clippy::used_underscore_binding)]
                let #arguments = #private::queue::Arguments::new()#(#with)*;
                #private::queue::Call::store(&mut #call, #arguments).await
            }
            #private::queue::Entered::Over(#over) => *#over,
        };
    }
}

/// The last argument of `Call::new`.
pub(crate) fn function_argument() -> TokenStream {
    let function = function();
    quote_spanned!(mixed_site()=> , &#function)
}

fn function() -> TokenStream {
    mixed("__DISTRIBUTED_LOCK_FUNCTION")
}

fn run_name() -> TokenStream {
    mixed("distributed_lock_run")
}

/// The constant of the parameter at this place.
fn parameter(position: usize) -> proc_macro2::Ident {
    format_ident!("__DISTRIBUTED_LOCK_PARAMETER_{position}", span = mixed_site())
}
