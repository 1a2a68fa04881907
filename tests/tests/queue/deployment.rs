//! A call that another version of the program stored: arguments added, removed and renamed, functions that are gone.
//! What the other version would have stored is written into Redis as an operator would.

use lock_runtime::{DeathCause, LockManager, Ticket};
use lock_tests::Fixture;
use serde_json::{Value, json};

use crate::functions::ship_parcels;
use crate::payload::{PAYLOADS, payload};
use crate::support::{Act, Shop, counts, dead, done, hold};

/// A call whose lock is free, with the payload that another version would have stored.
async fn from_another_version(fixture: &Fixture, shop: &Shop, change: impl FnOnce(&mut Value)) -> Ticket {
    let server = fixture.server().unwrap();
    let guard = hold(fixture.another_manager(), 7).await;
    let outcome = ship_parcels(shop, 7, 2, "here".into(), Some(", with a note".into()))
        .await
        .unwrap();
    let ticket = outcome.ticket().unwrap();
    let mut changed = payload(server, ticket);
    change(&mut changed);
    server.cli(&["HSET", PAYLOADS, &ticket.to_string(), &changed.to_string()]);
    guard.release().await.unwrap();
    ticket
}

fn arguments(payload: &mut Value) -> &mut serde_json::Map<String, Value> {
    payload["arguments"].as_object_mut().unwrap()
}

/// What the body makes of the call of another version.
async fn ran_as(change: impl FnOnce(&mut Value)) -> String {
    let fixture = Fixture::redis().await;
    let shop = Shop::on(fixture.manager());
    let ticket = from_another_version(&fixture, &shop, change).await;
    let worker = shop.work(fixture.manager());
    done(fixture.manager(), ticket).await;
    worker.stop().await;
    shop.ended().remove(0)
}

/// Why the call of another version is a dead letter: the cause, and the error.
async fn dead_because(change: impl FnOnce(&mut Value)) -> (DeathCause, String) {
    let fixture = Fixture::redis().await;
    let shop = Shop::on(fixture.manager());
    let ticket = from_another_version(&fixture, &shop, change).await;
    let worker = shop.work(fixture.manager());
    let call = dead(fixture.manager(), ticket).await;
    assert_eq!(shop.begun(), [""; 0], "its body ran");
    assert_eq!(counts(fixture.manager()).await, [0, 0, 0, 1]);
    later_calls_for_its_key_run(fixture.manager(), &shop).await;
    worker.stop().await;
    (call.cause().unwrap(), call.last_error().unwrap().to_owned())
}

async fn later_calls_for_its_key_run(locks: &LockManager, shop: &Shop) {
    let ticket = shop.store_free(7, "later", Act::Note).await;
    done(locks, ticket).await;
}

#[tokio::test]
async fn a_call_of_this_version_runs_as_it_is() {
    assert_eq!(ran_as(|_| {}).await, "2 parcels to here, with a note");
}

#[tokio::test]
async fn a_parameter_that_was_added_with_a_default_has_it() {
    let ran = ran_as(|payload| {
        arguments(payload).remove("parcels").unwrap();
    });
    assert_eq!(ran.await, "0 parcels to here, with a note");
}

#[tokio::test]
async fn an_option_that_was_added_is_none() {
    let ran = ran_as(|payload| {
        arguments(payload).remove("note").unwrap();
    });
    assert_eq!(ran.await, "2 parcels to here");
}

#[tokio::test]
async fn an_argument_whose_parameter_was_removed_is_passed_over() {
    let ran = ran_as(|payload| {
        arguments(payload).insert("colour".into(), json!({ "of": ["the", "wrapping"] }));
    });
    assert_eq!(ran.await, "2 parcels to here, with a note");
}

#[tokio::test]
async fn a_parameter_that_was_renamed_with_an_alias_has_the_argument_of_the_old_name() {
    let ran = ran_as(|payload| {
        let address = arguments(payload).remove("address").unwrap();
        arguments(payload).insert("destination".into(), address);
    });
    assert_eq!(ran.await, "2 parcels to here, with a note");
}

#[tokio::test]
async fn a_parameter_that_was_renamed_without_an_alias_is_a_dead_letter_that_names_it() {
    let (cause, error) = dead_because(|payload| {
        let address = arguments(payload).remove("address").unwrap();
        arguments(payload).insert("where_to".into(), address);
    })
    .await;
    assert_eq!(cause, DeathCause::Unreadable);
    assert!(error.contains("address"), "{error}");
}

#[tokio::test]
async fn an_argument_of_another_type_is_a_dead_letter_that_names_it() {
    let (cause, error) = dead_because(|payload| {
        arguments(payload).insert("parcels".into(), json!("a few"));
    })
    .await;
    assert_eq!(cause, DeathCause::Unreadable);
    assert!(error.contains("parcels"), "{error}");
}

#[tokio::test]
async fn a_function_that_is_gone_is_a_dead_letter_that_names_it() {
    let (cause, error) = dead_because(|payload| payload["function"] = json!("shop::old::ship")).await;
    assert_eq!(cause, DeathCause::UnknownFunction);
    assert!(error.contains("shop::old::ship"), "{error}");
}

#[tokio::test]
async fn a_payload_of_a_version_to_come_is_a_dead_letter_that_says_so() {
    let (cause, error) = dead_because(|payload| payload["version"] = json!(999)).await;
    assert_eq!(cause, DeathCause::Unreadable);
    assert!(error.contains("999"), "{error}");
}

#[tokio::test]
async fn a_payload_that_is_no_json_is_a_dead_letter_that_can_be_looked_at() {
    let fixture = Fixture::redis().await;
    let shop = Shop::on(fixture.manager());
    let ticket = from_another_version(&fixture, &shop, |_| {}).await;
    let server = fixture.server().unwrap();
    server.cli(&["HSET", PAYLOADS, &ticket.to_string(), "not { json"]);
    let worker = shop.work(fixture.manager());
    let call = dead(fixture.manager(), ticket).await;
    assert_eq!(call.cause(), Some(DeathCause::Unreadable));
    assert_eq!((call.function(), call.arguments()), (None, "not { json"));
    later_calls_for_its_key_run(fixture.manager(), &shop).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_dead_letter_that_was_mended_runs_when_it_is_sent_back() {
    let fixture = Fixture::redis().await;
    let shop = Shop::on(fixture.manager());
    let ticket = from_another_version(&fixture, &shop, |payload| {
        arguments(payload).remove("address").unwrap();
    })
    .await;
    let worker = shop.work(fixture.manager());
    dead(fixture.manager(), ticket).await;
    let server = fixture.server().unwrap();
    let mut mended = payload(server, ticket);
    arguments(&mut mended).insert("address".into(), json!("there"));
    server.cli(&["HSET", PAYLOADS, &ticket.to_string(), &mended.to_string()]);
    assert!(fixture.manager().queue().send_back(ticket).await.unwrap());
    done(fixture.manager(), ticket).await;
    assert_eq!(shop.ended(), ["2 parcels to there, with a note"]);
    worker.stop().await;
}
