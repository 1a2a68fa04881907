//! What is stored: JSON that an operator can read, under the function's path, the arguments by name.

use lock_tests::{Fixture, RedisServer, each_backend};
use serde_json::{Value, json};

use crate::functions::{ship, ship_by_default, ship_parcels};
use crate::support::{Act, Shop, done, hold, stored};

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no JSON: {error}: {text}"))
}

/// The hash of the payloads in the default namespace.
pub(crate) const PAYLOADS: &str = "distributed-lock:{queue:lock:}:payloads";

/// All that is stored of the one call that there is.
pub(crate) fn payload(server: &RedisServer, ticket: lock_runtime::Ticket) -> Value {
    parsed(&server.cli(&["HGET", PAYLOADS, &ticket.to_string()]))
}

#[tokio::test]
async fn arguments_are_stored_by_name_and_the_state_is_not() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let _held = hold(fixture.another_manager(), 7).await;
        let ticket = shop
            .store(7, "with \"quotes\", ünïcode and a\nline", Act::Linger { ms: 3 })
            .await;
        let call = stored(fixture.another_manager(), ticket).await;
        assert_eq!(
            parsed(call.arguments()),
            json!({
                "order": 7,
                "name": "with \"quotes\", ünïcode and a\nline",
                "act": { "Linger": { "ms": 3 } },
            })
        );
        assert_eq!(call.function(), Some("queue::functions::ship"));
    })
    .await;
}

#[tokio::test]
async fn a_parameter_that_has_another_name_in_older_calls_is_stored_under_its_own() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let _held = hold(fixture.another_manager(), 7).await;
        let outcome = ship_parcels(&shop, 7, 2, "here".into(), None).await.unwrap();
        let call = stored(fixture.manager(), outcome.ticket().unwrap()).await;
        assert_eq!(
            parsed(call.arguments()),
            json!({ "order": 7, "parcels": 2, "address": "here", "note": null })
        );
    })
    .await;
}

#[tokio::test]
async fn arguments_arrive_as_they_were_sent() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let names = ["", "\"\\\u{0}\u{7f}", "{queue:lock:}", "%7B ; DROP", "🦀\u{200d}\r\n"];
        let guard = hold(fixture.another_manager(), u64::MAX).await;
        let mut last = None;
        for name in names {
            last = ship(&shop, u64::MAX, name.to_owned(), Act::Note)
                .await
                .unwrap()
                .ticket();
        }
        guard.release().await.unwrap();
        let worker = shop.work(fixture.manager());
        done(fixture.manager(), last.unwrap()).await;
        assert_eq!(shop.ended(), names);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_large_argument_arrives_whole() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let name = "ä".repeat(500_000);
        let ticket = shop.store_free(7, &name, Act::Note).await;
        let worker = shop.work(fixture.manager());
        done(fixture.manager(), ticket).await;
        assert!(shop.ended() == [name], "it arrived as something else");
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_operator_finds_versioned_json_in_redis() {
    let fixture = Fixture::redis().await;
    let (server, shop) = (fixture.server().unwrap(), Shop::on(fixture.manager()));
    let _held = hold(fixture.another_manager(), 7).await;
    let ticket = shop.store(7, "call", Act::Note).await;
    let payload = payload(server, ticket);
    assert_eq!(payload["version"], json!(1));
    assert_eq!(payload["function"], json!("queue::functions::ship"));
    assert_eq!(
        payload["arguments"],
        json!({ "order": 7, "name": "call", "act": "Note" })
    );
}

#[tokio::test]
async fn all_keys_of_a_queue_are_in_one_slot_and_apart_from_the_locks() {
    let fixture = Fixture::redis().await;
    let (server, shop) = (fixture.server().unwrap(), Shop::on(fixture.manager()));
    let worker = shop.work(fixture.manager());
    let bad = shop.store_free(1, "bad", Act::Fail("no stock".into())).await;
    crate::support::dead(fixture.manager(), bad).await;
    let good = shop.store_free(2, "good", Act::Note).await;
    done(fixture.manager(), good).await;
    let _held = hold(fixture.another_manager(), 3).await;
    shop.store(3, "waits", Act::Note).await;
    ship_by_default(&shop, 3).await.unwrap();
    let keys = server.keys();
    let of_the_queue: Vec<_> = keys.iter().filter(|key| key.contains("queue")).collect();
    assert!(!of_the_queue.is_empty(), "{keys:?}");
    for key in of_the_queue {
        assert!(key.starts_with("distributed-lock:{queue:lock:}"), "{key}");
    }
    worker.stop().await;
}
