//! Section 8: what an error says, and sections 4 and 8: a backend that is not there is no conflict.

use std::error::Error as _;
use std::time::{Duration, Instant};

use lock_runtime::{Key, LockError, LockManager, LostReason, distributed_lock};
use lock_tests::{Fixture, RedisServer, each_backend};

use crate::support::{Count, Stalls, ms, soon};

#[distributed_lock(key = "job", manager = locks)]
async fn fails(locks: &LockManager, ran: &Count) -> Result<(), LockError> {
    ran.add();
    Ok(())
}

#[distributed_lock(key = "job", on_conflict = "retry", wait = "2s", manager = locks)]
async fn retries(locks: &LockManager, ran: &Count) -> Result<(), LockError> {
    ran.add();
    Ok(())
}

#[distributed_lock(key = "job", on_conflict = "skip", manager = locks)]
async fn skips(locks: &LockManager, ran: &Count) -> Result<(), LockError> {
    ran.add();
    Ok(())
}

/// Calls under every policy give `is_unavailable()`, in the time that the contract allows.
async fn assert_unavailable(locks: &LockManager) {
    let ran = Count::default();
    let guard = async { locks.lock("job").try_acquire().await.map(|_| ()) };
    tokio::join!(
        unavailable(fails(locks, &ran), ms(5000)),
        unavailable(skips(locks, &ran), ms(5000)),
        unavailable(retries(locks, &ran), ms(3000)),
        unavailable(guard, ms(5000)),
    );
    assert_eq!(ran.get(), 0);
}

async fn unavailable(call: impl Future<Output = Result<(), LockError>>, allowed: Duration) {
    let (begun, stalls) = (Instant::now(), Stalls::watch());
    let error = call.await.unwrap_err();
    let took = begun.elapsed().saturating_sub(stalls.total());
    assert!(error.is_unavailable(), "{error:?}");
    assert!(matches!(error, LockError::Unavailable { .. }), "{error:?}");
    assert!(
        !error.is_conflict() && !error.is_lost() && !error.is_reentered(),
        "{error:?}"
    );
    assert_eq!(error.key().unwrap().as_str(), "job");
    assert!(error.to_string().contains("job"), "it names the key: {error}");
    assert!(took < allowed, "after {took:?}");
}

#[tokio::test]
async fn a_server_that_is_gone_is_unavailable_under_every_policy() {
    let mut server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    server.kill();
    assert_unavailable(&locks).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_unavailable_under_every_policy() {
    let server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    server.pause();
    assert_unavailable(&locks).await;
    server.resume();
}

#[tokio::test]
async fn a_server_that_refuses_is_unavailable_under_every_policy() {
    let server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_unavailable(&locks).await;
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    server.cli(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    assert_unavailable(&locks).await;
}

#[tokio::test]
async fn a_read_only_server_is_unavailable() {
    let (server, master) = (RedisServer::start(), RedisServer::start());
    let locks = LockManager::connect(&server.url()).await.unwrap();
    server.cli(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    assert_unavailable(&locks).await;
}

#[tokio::test]
async fn an_error_keeps_what_the_server_or_the_system_said_as_its_source() {
    let mut server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = locks.lock("job").try_acquire().await.unwrap_err();
    let source = error.source().expect("the server's refusal").to_string();
    assert!(source.contains("OOM") || source.contains("maxmemory"), "{source}");
    server.kill();
    let error = locks.lock("job").try_acquire().await.unwrap_err();
    assert!(error.source().is_some(), "{error:?}");
}

#[tokio::test]
async fn inspect_and_force_release_say_that_the_server_is_gone() {
    let mut server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    server.kill();
    let error = soon("an answer", locks.inspect("job")).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    let error = soon("an answer", locks.force_release("job")).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn the_text_of_a_conflict_names_the_key() {
    each_backend(async |fixture: Fixture| {
        let _held = fixture.another_manager().lock("job:a b").acquire().await.unwrap();
        let error = fixture
            .manager()
            .lock("job:a b")
            .wait(Duration::ZERO)
            .acquire()
            .await
            .unwrap_err();
        assert_helpful(&error, "job:a b");
    })
    .await;
}

/// The text names the key, and says more than a label would.
fn assert_helpful(error: &LockError, names: &str) {
    let text = error.to_string();
    assert!(text.contains(names), "it names {names}: {text}");
    assert!(text.split_whitespace().count() >= 6, "it says what to do: {text}");
}

#[tokio::test]
async fn the_text_of_a_loss_names_the_key_and_the_cause() {
    each_backend(async |fixture: Fixture| {
        let lock = fixture.manager().lock("job:7").ttl(ms(300)).never_renew();
        let error = soon("it expires", lock.run(std::future::pending::<()>()))
            .await
            .unwrap_err();
        assert_helpful(&error, "job:7");
        let cause = LostReason::Expired.to_string();
        assert!(
            error.to_string().contains(&cause),
            "it names the cause, {cause}: {error}"
        );
    })
    .await;
}

#[tokio::test]
async fn the_text_of_a_refused_reentry_names_the_key_and_the_option() {
    each_backend(async |fixture: Fixture| {
        let body = async { fixture.manager().lock("job:7").acquire().await.map(|_| ()).unwrap_err() };
        let error = fixture.manager().lock("job:7").run(body).await.unwrap();
        assert_helpful(&error, "job:7");
        assert!(error.to_string().contains("reentrant"), "it names the option: {error}");
    })
    .await;
}

#[tokio::test]
async fn the_text_of_a_shut_down_manager_names_the_key() {
    each_backend(async |fixture: Fixture| {
        fixture.manager().shutdown(Duration::ZERO).await;
        let error = fixture.manager().lock("job:7").acquire().await.unwrap_err();
        assert_helpful(&error, "job:7");
        assert_eq!(error.key().unwrap().as_str(), "job:7");
    })
    .await;
}

#[tokio::test]
async fn the_text_of_a_bad_option_names_it() {
    let locks = LockManager::in_memory();
    let error = locks.lock("job:7").ttl(ms(10)).acquire().await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("ttl") && text.contains("100"),
        "it names the option and its limit: {text}"
    );
    let error = locks
        .lock("job:7")
        .ttl(ms(1000))
        .renew_every(ms(900))
        .acquire()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("renew"), "it names the option: {error}");
}

#[tokio::test]
async fn the_text_of_a_key_of_another_type_names_it_and_what_it_is() {
    let fixture = Fixture::redis().await;
    fixture.server().unwrap().cli(&["RPUSH", "lock:job:7", "a"]);
    let error = fixture.manager().lock("job:7").acquire().await.unwrap_err();
    assert_helpful(&error, "job:7");
}

#[tokio::test]
async fn an_invalid_key_is_a_variant_of_its_own() {
    let error = Key::new("k".repeat(1025)).unwrap_err();
    assert!(matches!(error, LockError::InvalidKey { .. }), "{error:?}");
    assert!(
        error.to_string().split_whitespace().count() >= 6,
        "it says what to do: {error}"
    );
}

#[test]
fn an_error_crosses_threads_and_fits_into_a_box() {
    fn fits<E: std::error::Error + Send + Sync + 'static>() {}
    fits::<LockError>();
    let boxed: Box<dyn std::error::Error + Send + Sync> = Key::new("k".repeat(2000)).unwrap_err().into();
    assert!(boxed.downcast_ref::<LockError>().is_some());
}

#[tokio::test]
async fn what_an_error_is_not_about_it_does_not_name() {
    let error = LockManager::connect("nonsense://").await.unwrap_err();
    assert!(error.key().is_none());
    assert!(error.lost_reason().is_none());
}

#[tokio::test]
async fn a_server_that_hangs_while_a_call_waits_is_unavailable_in_time() {
    let fixture = Fixture::redis().await;
    let _held = fixture.another_manager().lock("job").acquire().await.unwrap();
    let (begun, stalls, ran) = (Instant::now(), Stalls::watch(), Count::default());
    let mut call = std::pin::pin!(retries(fixture.manager(), &ran));
    assert!(tokio::time::timeout(ms(300), call.as_mut()).await.is_err(), "it waits");
    fixture.server().unwrap().pause();
    let error = call.await.unwrap_err();
    let took = begun.elapsed().saturating_sub(stalls.total());
    fixture.server().unwrap().resume();
    assert!(error.is_unavailable(), "{error:?}");
    assert!(took < ms(3000), "after {took:?}");
    assert_eq!(ran.get(), 0);
}
