//! Section 8: `inspect` and `force_release`, for operators.

use std::time::Duration;

use lock_runtime::LostReason;
use lock_tests::{Fixture, each_backend};

use crate::support::{SOON, held, ms, soon};

#[tokio::test]
async fn inspect_says_nobody_for_a_free_lock() {
    each_backend(async |fixture: Fixture| {
        assert!(fixture.manager().inspect("job").await.unwrap().is_none());
        fixture
            .manager()
            .lock("job")
            .acquire()
            .await
            .unwrap()
            .release()
            .await
            .unwrap();
        assert!(fixture.manager().inspect("job").await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn inspect_says_who_holds_the_lock_and_for_how_long() {
    each_backend(async |fixture: Fixture| {
        let ttl = Duration::from_secs(20);
        let _guard = fixture.manager().lock("job").ttl(ttl).acquire().await.unwrap();
        for manager in [fixture.manager(), fixture.another_manager()] {
            let holder = manager.inspect("job").await.unwrap().unwrap();
            assert_eq!(holder.owner(), "one");
            assert!(!holder.token().is_empty());
            assert!(holder.remaining() <= ttl, "{holder:?}");
            assert!(holder.remaining() + SOON > ttl, "{holder:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn inspect_does_not_disturb_the_holder() {
    each_backend(async |fixture: Fixture| {
        let lock = fixture.manager().lock("job").ttl(ms(400)).never_renew();
        let guard = lock.acquire().await.unwrap();
        while guard.lease().is_held() {
            // Were it to touch the time to live, this would never end.
            let _ = fixture.another_manager().inspect("job").await.unwrap();
        }
        crate::support::free_soon(fixture.another_manager(), "job").await;
    })
    .await;
}

#[tokio::test]
async fn every_hold_has_a_token_of_its_own() {
    each_backend(async |fixture: Fixture| {
        let mut tokens = std::collections::HashSet::new();
        for _ in 0..20 {
            let guard = fixture.manager().lock("job").acquire().await.unwrap();
            let holder = fixture.manager().inspect("job").await.unwrap().unwrap();
            assert!(tokens.insert(holder.token().to_owned()));
            guard.release().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn the_token_stays_the_same_while_the_lock_is_held() {
    each_backend(async |fixture: Fixture| {
        let lock = fixture.manager().lock("job").ttl(ms(5000)).renew_every(ms(50));
        let guard = lock.acquire().await.unwrap();
        let token = fixture
            .manager()
            .inspect("job")
            .await
            .unwrap()
            .unwrap()
            .token()
            .to_owned();
        let begun = std::time::Instant::now();
        while begun.elapsed() < ms(400) {
            let holder = fixture.manager().inspect("job").await.unwrap().unwrap();
            assert_eq!(holder.token(), token);
        }
        guard.release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn force_release_frees_a_held_lock_and_says_so() {
    each_backend(async |fixture: Fixture| {
        let _guard = fixture.manager().lock("job").acquire().await.unwrap();
        assert!(fixture.another_manager().force_release("job").await.unwrap());
        assert!(!held(fixture.manager(), "job").await);
        assert!(
            fixture
                .another_manager()
                .lock("job")
                .try_acquire()
                .await
                .unwrap()
                .is_some()
        );
    })
    .await;
}

#[tokio::test]
async fn force_release_of_a_free_lock_says_that_there_was_nothing() {
    each_backend(async |fixture: Fixture| {
        assert!(!fixture.manager().force_release("job").await.unwrap());
        let _guard = fixture.manager().lock("job").acquire().await.unwrap();
        assert!(fixture.manager().force_release("job").await.unwrap());
        assert!(!fixture.manager().force_release("job").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn force_release_touches_no_other_key() {
    each_backend(async |fixture: Fixture| {
        let _guard = fixture.manager().lock("job:1").acquire().await.unwrap();
        assert!(!fixture.manager().force_release("job:2").await.unwrap());
        assert!(!fixture.manager().force_release("job:*").await.unwrap());
        assert!(held(fixture.manager(), "job:1").await);
    })
    .await;
}

#[tokio::test]
async fn the_holder_notices_force_release_as_a_loss() {
    each_backend(async |fixture: Fixture| {
        let lock = fixture.manager().lock("job").ttl(ms(6000)).renew_every(ms(200));
        let guard = lock.acquire().await.unwrap();
        assert!(fixture.another_manager().force_release("job").await.unwrap());
        assert_eq!(soon("it is noticed", guard.lease().lost()).await, LostReason::Missing);
        assert!(guard.release().await.unwrap_err().is_lost());
    })
    .await;
}

#[tokio::test]
async fn a_holder_without_a_label_has_an_empty_owner() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.builder().owner("").connect().await.unwrap();
        let _guard = locks.lock("job").acquire().await.unwrap();
        assert_eq!(fixture.manager().inspect("job").await.unwrap().unwrap().owner(), "");
    })
    .await;
}

#[tokio::test]
async fn an_owner_label_may_hold_spaces_and_any_letters() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.builder().owner("api 1 (Köln)").connect().await.unwrap();
        let _guard = locks.lock("job").acquire().await.unwrap();
        let holder = fixture.manager().inspect("job").await.unwrap().unwrap();
        assert_eq!(holder.owner(), "api 1 (Köln)");
        assert!(!holder.token().contains(' '), "{holder:?}");
    })
    .await;
}

#[tokio::test]
async fn inspect_and_force_release_keep_to_their_namespace() {
    each_backend(async |fixture: Fixture| {
        let elsewhere = fixture.builder().namespace("elsewhere:").connect().await.unwrap();
        let _guard = fixture.manager().lock("job").acquire().await.unwrap();
        assert!(elsewhere.inspect("job").await.unwrap().is_none());
        assert!(!elsewhere.force_release("job").await.unwrap());
        assert!(held(fixture.manager(), "job").await);
    })
    .await;
}

#[tokio::test]
async fn a_key_without_a_ttl_is_held_for_ever() {
    let fixture = Fixture::redis().await;
    fixture.server().unwrap().cli(&["SET", "lock:job", "theirs"]);
    let holder = fixture.manager().inspect("job").await.unwrap().unwrap();
    assert_eq!((holder.token(), holder.owner()), ("theirs", ""));
    assert_eq!(holder.remaining(), Duration::MAX);
    let refused = fixture.manager().lock("job").wait(ms(200)).acquire().await;
    assert!(refused.unwrap_err().is_conflict());
    assert!(fixture.manager().force_release("job").await.unwrap());
    assert!(!fixture.server().unwrap().exists("lock:job"));
}

#[tokio::test]
async fn inspect_shows_what_redis_holds() {
    let fixture = Fixture::redis().await;
    let _guard = fixture.manager().lock("job").acquire().await.unwrap();
    let holder = fixture.another_manager().inspect("job").await.unwrap().unwrap();
    let value = fixture.server().unwrap().get("lock:job").unwrap();
    assert_eq!(value, format!("{} {}", holder.token(), holder.owner()));
}
