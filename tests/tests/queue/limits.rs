//! What is not stored, because it is too much or cannot be: a clear error, and the body does not run.

use lock_runtime::{LockError, LockManager, Outcome};
use lock_tests::{Fixture, each_backend};

use crate::functions::{Unspeakable, ship, ship_traced, ship_unspeakable, ship_weight};
use crate::support::{Act, Shop, ShopError, counts, dead, hold, key};

/// The lock's error in what an annotated function said.
fn lock_error(result: Result<Outcome<u64>, ShopError>) -> LockError {
    match result {
        Err(ShopError::Lock(error)) => error,
        other => panic!("no error of the lock: {other:?}"),
    }
}

async fn ship_named(shop: &Shop, order: u64, length: usize) -> Result<Outcome<u64>, ShopError> {
    ship(shop, order, "x".repeat(length), Act::Note).await
}

fn assert_plain(error: &LockError) {
    assert!(
        !error.is_conflict() && !error.is_unavailable() && !error.is_lost() && !error.is_reentered(),
        "{error:?}"
    );
    assert_eq!(error.key().unwrap().as_str(), key(7));
}

#[tokio::test]
async fn a_call_above_the_size_limit_is_refused_and_says_what_to_write() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.builder().max_call_size(2_000).connect().await.unwrap();
        let (shop, _held) = (Shop::on(&locks), hold(fixture.another_manager(), 7).await);
        let error = lock_error(ship_named(&shop, 7, 2_000).await);
        let LockError::CallTooLarge { bytes, limit, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*limit, 2_000);
        assert!((2_000..2_300).contains(bytes), "{bytes}");
        let text = error.to_string();
        for part in ["order:7", "2000", "max_call_size"] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
        assert_plain(&error);
        assert_eq!(counts(&locks).await, [0; 4]);
        assert_eq!(shop.begun(), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_call_below_the_size_limit_is_stored() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.builder().max_call_size(2_000).connect().await.unwrap();
        let (shop, _held) = (Shop::on(&locks), hold(fixture.another_manager(), 7).await);
        let outcome = ship_named(&shop, 7, 1_500).await.unwrap();
        assert!(outcome.ticket().is_some());
        assert_eq!(counts(&locks).await, [0, 1, 0, 0]);
    })
    .await;
}

#[tokio::test]
async fn the_size_limit_is_one_mebibyte_unless_set() {
    each_backend(async |fixture: Fixture| {
        let (shop, _held) = (Shop::on(fixture.manager()), hold(fixture.another_manager(), 7).await);
        let error = lock_error(ship_named(&shop, 7, 1024 * 1024).await);
        assert!(
            matches!(error, LockError::CallTooLarge { limit: 1_048_576, .. }),
            "{error:?}"
        );
        ship_named(&shop, 7, 1024 * 1024 - 500).await.unwrap();
        assert_eq!(counts(fixture.manager()).await, [0, 1, 0, 0]);
    })
    .await;
}

#[tokio::test]
async fn the_size_limit_is_for_stored_calls_only() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.builder().max_call_size(100).connect().await.unwrap();
        let shop = Shop::on(&locks);
        assert_eq!(ship_named(&shop, 7, 2_000).await.unwrap(), Outcome::Done(7));
    })
    .await;
}

#[tokio::test]
async fn a_call_beyond_the_longest_queue_is_refused_and_says_what_to_look_at() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.builder().max_queued_calls(2).connect().await.unwrap();
        let (shop, _held) = (Shop::on(&locks), hold(fixture.another_manager(), 7).await);
        for name in ["one", "two"] {
            shop.store(7, name, Act::Note).await;
        }
        let error = lock_error(ship(&shop, 7, "three".into(), Act::Note).await);
        assert!(matches!(error, LockError::QueueFull { stored: 2, .. }), "{error:?}");
        let text = error.to_string();
        for part in ["order:7", "2 calls", "counts", "max_queued_calls"] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
        assert_plain(&error);
        assert_eq!(counts(&locks).await, [0, 2, 0, 0]);
        assert_eq!(shop.begun(), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn there_is_room_again_when_a_call_has_ended() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.builder().max_queued_calls(2).connect().await.unwrap();
        let shop = Shop::on(&locks);
        let guard = hold(fixture.another_manager(), 7).await;
        let first = shop.store(7, "one", Act::Note).await;
        shop.store(7, "two", Act::Note).await;
        locks.queue().cancel(first).await.unwrap();
        shop.store(7, "three", Act::Note).await;
        lock_error(ship(&shop, 7, "four".into(), Act::Note).await);
        drop(guard);
    })
    .await;
}

#[tokio::test]
async fn dead_letters_do_not_count_for_the_longest_queue() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.builder().max_queued_calls(1).connect().await.unwrap();
        let shop = Shop::on(&locks);
        let worker = shop.work(&locks);
        for name in ["one", "two", "three"] {
            let ticket = shop.store_free(7, name, Act::Fail("no stock".into())).await;
            dead(&locks, ticket).await;
        }
        let _held = hold(fixture.another_manager(), 7).await;
        shop.store(7, "four", Act::Note).await;
        lock_error(ship(&shop, 7, "five".into(), Act::Note).await);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_argument_that_does_not_serialize_is_an_error_that_names_it() {
    each_backend(async |fixture: Fixture| {
        let (shop, _held) = (Shop::on(fixture.manager()), hold(fixture.another_manager(), 7).await);
        let error = lock_error(ship_unspeakable(&shop, 7, Unspeakable).await);
        assert!(
            matches!(error, LockError::Unstorable { argument: "wish", .. }),
            "{error:?}"
        );
        let text = error.to_string();
        for part in ["order:7", "`wish`", "words fail"] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
        assert!(std::error::Error::source(&error).is_some());
        assert_plain(&error);
        assert_eq!(counts(fixture.manager()).await, [0; 4]);
        assert_eq!(shop.begun(), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_majority_of_servers_stores_no_calls_and_says_what_to_use() {
    let group = lock_tests::RedlockGroup::start(3);
    let locks = LockManager::connect(&group.url()).await.unwrap();
    let shop = Shop::on(&locks);
    let _held = hold(&locks, 7).await;
    let error = lock_error(ship(&shop, 7, "never".into(), Act::Note).await);
    assert!(matches!(error, LockError::NoQueue { .. }), "{error:?}");
    assert_eq!(error.key().unwrap().as_str(), key(7));
    assert!(error.to_string().contains("redis://"), "{error}");
    assert_eq!(shop.begun(), [""; 0]);

    let error = locks.queue().counts().await.unwrap_err();
    assert!(matches!(error, LockError::NoQueue { .. }), "{error:?}");
    let error = shop.worker(&locks).run_until(std::future::pending::<()>()).await;
    assert!(matches!(error, Err(LockError::NoQueue { .. })), "{error:?}");
}

#[tokio::test]
async fn an_argument_that_could_not_be_read_again_is_an_error_that_names_it() {
    each_backend(async |fixture: Fixture| {
        let (shop, _held) = (Shop::on(fixture.manager()), hold(fixture.another_manager(), 7).await);
        ship_weight(&shop, 7, 1.5).await.unwrap();
        for weight in [f64::NAN, f64::INFINITY] {
            let error = lock_error(ship_weight(&shop, 7, weight).await);
            assert!(
                matches!(error, LockError::Unstorable { argument: "weight", .. }),
                "{error:?}"
            );
            assert_plain(&error);
        }
        assert_eq!(counts(fixture.manager()).await, [0, 1, 0, 0]);
    })
    .await;
}

#[tokio::test]
async fn a_call_for_an_invalid_key_is_an_error_and_not_stored() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let error = lock_error(ship_traced(&shop, "x".repeat(2_000), Act::Note).await);
        assert!(matches!(error, LockError::InvalidKey { .. }), "{error:?}");
        assert_eq!(counts(fixture.manager()).await, [0; 4]);
        assert_eq!(shop.begun(), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_call_for_a_key_of_another_type_is_an_error_and_not_stored() {
    let fixture = Fixture::redis().await;
    let shop = Shop::on(fixture.manager());
    fixture.server().unwrap().cli(&["LPUSH", "lock:order:7", "a", "list"]);
    let error = lock_error(ship(&shop, 7, "never".into(), Act::Note).await);
    assert!(matches!(error, LockError::WrongType { .. }), "{error:?}");
    assert_eq!(counts(fixture.manager()).await, [0; 4]);
    assert_eq!(shop.begun(), [""; 0]);
}

#[tokio::test]
async fn a_foreign_value_in_the_place_of_the_queue_is_left_alone_and_named() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    let (shop, _held) = (Shop::on(fixture.manager()), hold(fixture.another_manager(), 7).await);
    server.cli(&["SET", crate::payload::PAYLOADS, "somebody else's"]);
    let error = lock_error(ship(&shop, 7, "never".into(), Act::Note).await);
    assert!(!error.is_conflict(), "{error:?}");
    assert!(error.to_string().contains("distributed-lock:{queue:lock:}"), "{error}");
    assert_eq!(server.get(crate::payload::PAYLOADS).as_deref(), Some("somebody else's"));
}
