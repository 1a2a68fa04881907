//! Storing a call whose lock somebody else holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::client::{Client, Patience};
use super::function::Function;
use super::parameter::{Arguments, Stored, Unstorable};
use super::payload::Payload;
use super::telemetry;
use super::{Settings, Ticket};
use crate::backend::Applied;
use crate::backend::queue::{NewCall, Storing};
use crate::{Key, LockError, LockManager};

/// How long it is tried to take back a call that nobody has a ticket for.
const WITHDRAWAL: Patience = Patience::new(Duration::from_secs(1), Duration::from_secs(600));

/// Stores the call; its ticket, once it is certainly stored.
///
/// The ticket is drawn before the first request, and a call is stored once under it however often it is asked for. A caller
/// who gives up, or gets no answer, leaves nothing behind: the call is withdrawn, also if it arrives later.
pub(super) async fn store(
    manager: &LockManager,
    key: Key,
    function: &'static Function,
    arguments: Arguments,
) -> Result<Ticket, LockError> {
    let Settings {
        longest_payload,
        longest_queue,
        propagation,
    } = &manager.0.queue;
    let client = Client::of(manager, Some(&key))?;
    let arguments = match arguments.0 {
        Ok(arguments) => Stored(arguments),
        Err(Unstorable { name, error }) => {
            return Err(LockError::Unstorable {
                key,
                argument: name,
                source: error.into(),
            });
        }
    };
    let mut trace = BTreeMap::new();
    if let Some(propagation) = propagation {
        propagation.inject(&mut trace);
    }
    let payload = Payload {
        function: function.path.to_owned(),
        arguments,
        trace,
    };
    let payload = payload.encode();
    if payload.len() > *longest_payload {
        return Err(LockError::CallTooLarge {
            key,
            bytes: payload.len(),
            limit: *longest_payload,
        });
    }
    let ticket = Ticket::random();
    let call = Arc::new(NewCall {
        id: ticket.0,
        lane: key.as_str().to_owned(),
        payload,
        delay: function.delay,
        attempts: function.attempts,
        limit: *longest_queue,
    });
    let mut asked = Asked {
        client: &client,
        ticket,
        is_answered: false,
    };
    let answer = client
        .ask(
            Patience::CALLER,
            move |store, within| {
                let call = Arc::clone(&call);
                Box::pin(async move { store.store(&call, within).await })
            },
            |stored| stored,
        )
        .await;
    // What certainly did not arrive needs no withdrawal, either.
    asked.is_answered = answer
        .as_ref()
        .map_or_else(|failure| failure.applied == Applied::No, |_| true);
    match answer {
        Ok(Storing::Stored) => {
            telemetry::stored(&key, manager.0.redact_keys, function.path, ticket);
            Ok(ticket)
        }
        Ok(Storing::Full(stored)) => Err(LockError::QueueFull { key, stored }),
        Err(failure) => Err(client.error(Some(key), failure)),
    }
}

/// A store whose answer is not there yet.
struct Asked<'a> {
    client: &'a Client,
    ticket: Ticket,
    is_answered: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let Ticket(id) = self.ticket;
        self.client.ask_in_background(
            &TaskTracker::new(),
            WITHDRAWAL,
            move |store, within| Box::pin(async move { store.withdraw(id, within).await }),
            move |withdrawn| {
                if let Err(failure) = withdrawn {
                    telemetry::not_withdrawn(Ticket(id), &failure.reason);
                }
            },
        );
    }
}
