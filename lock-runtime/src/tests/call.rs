//! What a call makes of a refusal, and what it waits for.

use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::backend::Released;
use crate::outcome::{returns, returns_or_skips};
use crate::scripted::{Scripted, hold, ms};

static FAIL: Spec = Spec::fail();
static SKIP: Spec = Spec::skip();

type Skippable = Result<Option<u8>, LockError>;

/// A call on a manager's lock `k`, or whichever it is told.
async fn called<R>(spec: &'static Spec, returns: Returns<R>, locks: &LockManager, key: &str, output: R) -> R {
    let mut call = Call::new(spec, returns);
    call.key(Key::from(key));
    call.manager(locks);
    let ended = {
        let body = pin!(async move { output });
        call.run(body).await
    };
    call.end(ended).await
}

#[tokio::test]
async fn a_conflict_is_an_error_or_a_skip_as_the_function_says() {
    let locks = LockManager::in_memory();
    let guard = locks.lock("k").acquire().await.unwrap();
    let failed: Result<(), LockError> = called(&FAIL, returns(), &locks, "k", Ok(())).await;
    assert!(failed.unwrap_err().is_conflict());
    // That it could say "skipped" is not enough.
    let failed: Skippable = called(&FAIL, returns_or_skips(), &locks, "k", Ok(Some(1))).await;
    assert!(failed.unwrap_err().is_conflict());
    let skipped: Skippable = called(&SKIP, returns_or_skips(), &locks, "k", Ok(Some(1))).await;
    assert_eq!(skipped.unwrap(), None);
    let invalid: Skippable = called(&SKIP, returns_or_skips(), &locks, "", Ok(Some(1))).await;
    assert!(matches!(invalid, Err(LockError::InvalidKey { .. })));
    guard.release().await.unwrap();
    let ran: Skippable = called(&SKIP, returns_or_skips(), &locks, "k", Ok(Some(1))).await;
    assert_eq!(ran.unwrap(), Some(1));
}

#[tokio::test]
async fn a_call_without_a_key_or_a_manager_is_refused() {
    let mut call = Call::<Result<(), LockError>>::new(&FAIL, returns());
    let body = pin!(async { Ok(()) });
    let ended = call.run(body).await;
    assert!(matches!(ended, Ended::Refused(Err(LockError::InvalidKey { .. }))));
    let mut call = Call::<Result<(), LockError>>::new(&FAIL, returns());
    call.key(Key::from("k"));
    let body = pin!(async { Ok(()) });
    let ended = call.run(body).await;
    assert!(matches!(ended, Ended::Refused(Err(LockError::NoManager { .. }))));
}

#[tokio::test(start_paused = true)]
async fn the_release_is_waited_for_unless_the_lease_has_expired() {
    for (ttl, waited) in [(Duration::from_secs(60), 1_300), (ms(500), 493)] {
        let (_, shared) = Scripted::default().releases([(ms(300), Ok(Released::Done))]).shared();
        let ownership = Ownership::new(hold(&shared, &Spec::fail().ttl(ttl).never_renew(), false));
        let began = Instant::now();
        let body = tokio::time::sleep(ms(1_000));
        let ran = run(ownership, OnLost::Abort, body).await;
        assert_eq!(began.elapsed(), ms(waited));
        let lost = ran.err().and_then(|error| error.lost_reason());
        assert_eq!(lost.is_some(), waited == 493);
    }
}
