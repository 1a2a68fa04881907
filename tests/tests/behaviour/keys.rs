//! Section 3: keys that are given as they are, and the limit.

use std::task::Poll;

use lock_runtime::{Key, LockError, LockManager, distributed_lock};
use lock_tests::{Fixture, each_backend};

use crate::support::{Count, key_here};

const RAW: &str = "a b:c/d|e#f{g}%h<i>\u{e4}";

#[tokio::test]
async fn a_key_that_an_expression_gives_is_taken_as_it_is() {
    #[distributed_lock(key = name, manager = locks)]
    async fn by_str(locks: &LockManager, name: &str) -> Result<String, LockError> {
        Ok(key_here())
    }
    #[distributed_lock(key = name.to_uppercase(), manager = locks)]
    async fn by_string(locks: &LockManager, name: &str) -> Result<String, LockError> {
        Ok(key_here())
    }
    #[distributed_lock(key = Key::from(name), manager = locks)]
    async fn by_key(locks: &LockManager, name: &str) -> Result<String, LockError> {
        Ok(key_here())
    }
    let locks = LockManager::in_memory();
    assert_eq!(by_str(&locks, RAW).await.unwrap(), RAW);
    assert_eq!(by_string(&locks, RAW).await.unwrap(), RAW.to_uppercase());
    assert_eq!(by_key(&locks, RAW).await.unwrap(), RAW);
}

#[tokio::test]
async fn a_parameter_that_is_the_key_is_still_there_for_the_body() {
    #[distributed_lock(key = name, manager = locks)]
    async fn kept(locks: &LockManager, name: &str, other: String) -> Result<String, LockError> {
        Ok(format!("{name} {other}"))
    }
    let locks = LockManager::in_memory();
    assert_eq!(kept(&locks, "a", "b".to_owned()).await.unwrap(), "a b");
}

#[tokio::test]
async fn a_key_given_to_the_manager_is_taken_as_it_is() {
    let locks = LockManager::in_memory();
    for key in [Key::from(RAW), Key::from(RAW.to_owned()), Key::new(RAW).unwrap()] {
        let guard = locks.lock(key).acquire().await.unwrap();
        assert_eq!(guard.lease().key().as_str(), RAW);
        assert_eq!(guard.lease().key().to_string(), RAW);
        guard.release().await.unwrap();
    }
}

#[tokio::test]
async fn a_key_from_segments_is_encoded_and_joined_with_colons() {
    assert_eq!(Key::from_segments(["order", "1:2", "3"]).to_string(), "order:1%3A2:3");
    assert_eq!(Key::from_segments(["order", "1", "2:3"]).to_string(), "order:1:2%3A3");
    assert_eq!(Key::from_segments(["", "a b", ""]).to_string(), ":a%20b:");
    assert_eq!(Key::from_segments([1, 2]).to_string(), "1:2");
    assert_eq!(Key::from_segments(["Größe {1}"]).to_string(), "Größe%20%7B1%7D");
}

#[tokio::test]
async fn a_key_displays_without_the_namespace() {
    let locks = LockManager::builder()
        .url("memory://")
        .namespace("shop:")
        .connect()
        .await
        .unwrap();
    let guard = locks.lock("order:1").acquire().await.unwrap();
    assert_eq!(guard.lease().key().to_string(), "order:1");
}

#[tokio::test]
async fn a_key_of_1024_bytes_is_good_and_one_of_1025_is_not() {
    each_backend(async |fixture: Fixture| {
        let longest = "k".repeat(1024);
        assert_eq!(Key::new(longest.clone()).unwrap().as_str(), longest);
        let guard = fixture.manager().lock(longest.clone()).acquire().await.unwrap();
        guard.release().await.unwrap();

        let too_long = "k".repeat(1025);
        assert_invalid(Key::new(too_long.clone()).unwrap_err());
        assert_invalid(fixture.manager().lock(too_long.clone()).acquire().await.unwrap_err());
        assert_invalid(
            fixture
                .manager()
                .lock(too_long.clone())
                .try_acquire()
                .await
                .unwrap_err(),
        );
        assert_invalid(fixture.manager().inspect(too_long.clone()).await.unwrap_err());
        assert_invalid(fixture.manager().force_release(too_long).await.unwrap_err());
    })
    .await;
}

fn assert_invalid(error: LockError) {
    assert!(matches!(error, LockError::InvalidKey { .. }), "{error:?}");
    assert!(
        !error.is_conflict() && !error.is_unavailable() && !error.is_lost(),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_limit_counts_bytes_after_encoding() {
    #[distributed_lock(key = "k:<value>", manager = locks)]
    async fn of(locks: &LockManager, value: &str) -> Result<usize, LockError> {
        Ok(key_here().len())
    }
    let locks = LockManager::in_memory();
    // 340 colons are 1,020 bytes as %3A, and with two more letters the key is full.
    let full = format!("{}ab", ":".repeat(340));
    assert_eq!(of(&locks, &full).await.unwrap(), 1024);
    assert_invalid(of(&locks, &format!("{full}c")).await.unwrap_err());
    assert_invalid(of(&locks, &":".repeat(341)).await.unwrap_err());
    assert_eq!(of(&locks, &"ä".repeat(511)).await.unwrap(), 1024);
    assert_invalid(of(&locks, &"ä".repeat(512)).await.unwrap_err());
}

#[tokio::test]
async fn the_namespace_does_not_count_towards_the_limit() {
    let locks = LockManager::builder()
        .url("memory://")
        .namespace("n".repeat(100))
        .connect()
        .await
        .unwrap();
    assert!(locks.lock("k".repeat(1024)).try_acquire().await.unwrap().is_some());
}

#[tokio::test]
async fn a_body_does_not_run_when_its_key_is_too_long() {
    #[distributed_lock(key = "k:<value>", on_conflict = "fail", manager = locks)]
    async fn fails(locks: &LockManager, value: &str, ran: &Count) -> Result<(), LockError> {
        ran.add();
        Ok(())
    }
    #[distributed_lock(key = "k:<value>", on_conflict = "retry", manager = locks)]
    async fn retries(locks: &LockManager, value: &str, ran: &Count) -> Result<(), LockError> {
        ran.add();
        Ok(())
    }
    #[distributed_lock(key = "k:<value>", on_conflict = "skip", manager = locks)]
    async fn skips(locks: &LockManager, value: &str, ran: &Count) -> Result<(), LockError> {
        ran.add();
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let (locks, ran, value) = (fixture.manager(), Count::default(), "x".repeat(1023));
        assert_invalid(fails(locks, &value, &ran).await.unwrap_err());
        assert_invalid(retries(locks, &value, &ran).await.unwrap_err());
        assert_invalid(skips(locks, &value, &ran).await.unwrap_err());
        assert_eq!(ran.get(), 0);
    })
    .await;
}

#[tokio::test]
async fn the_key_is_computed_once_and_before_the_first_await() {
    fn counted(computed: &Count) -> &'static str {
        computed.add();
        "job"
    }
    #[distributed_lock(key = counted(computed), on_conflict = "retry", manager = locks)]
    async fn waits(locks: &LockManager, computed: &Count) -> Result<(), LockError> {
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let holder = fixture.another_manager().lock("job").acquire().await.unwrap();
        let computed = Count::default();
        let mut call = std::pin::pin!(waits(fixture.manager(), &computed));
        assert_eq!(computed.get(), 0, "nothing happens before the first poll");

        let first = futures_util::poll!(call.as_mut());
        assert!(matches!(first, Poll::Pending));
        assert_eq!(computed.get(), 1, "after the first poll");

        holder.release().await.unwrap();
        call.await.unwrap();
        assert_eq!(computed.get(), 1, "after waiting");
    })
    .await;
}

#[tokio::test]
async fn the_error_for_a_bad_key_does_not_print_all_of_it() {
    let error = Key::new("k".repeat(100_000)).unwrap_err();
    let text = error.to_string();
    assert!(text.len() < 2_000, "{} bytes of text", text.len());
    assert!(
        text.contains("1024") || text.contains("1,024"),
        "it names the limit: {text}"
    );
    assert!(
        text.contains("100000") || text.contains("100,000"),
        "it names the length: {text}"
    );
}
