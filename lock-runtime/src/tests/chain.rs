//! What a chain of holds hands on, and who is let in.

use super::*;

/// A chain that has just begun: its first hold, and who waited for it to begin. Then so many more come, after so long.
async fn begun_and_joined(
    shared: &Arc<Shared>,
    after: Duration,
    newcomers: usize,
) -> (Ownership, Vec<JoinHandle<u64>>) {
    let waits = || {
        let shared = Arc::clone(shared);
        tokio::spawn(async move { acquired(&shared, &spec()).await.unwrap().hold().fence().get() })
    };
    let wanted = spec();
    let mut first = Box::pin(acquired(shared, &wanted));
    assert!((&mut first).now_or_never().is_none());
    let mut waiting = vec![waits()];
    let first = first.await.unwrap();
    sleep(after).await;
    for _ in 0..newcomers {
        waiting.push(waits());
        tokio::task::yield_now().await;
    }
    (first, waiting)
}

#[tokio::test(start_paused = true)]
async fn who_comes_in_the_first_moment_of_a_chain_is_handed_its_lease_and_who_comes_later_is_asked_for() {
    for (after, last) in [(Duration::ZERO, 72), (ms(2), 700)] {
        let (_, shared) = backend(&[70, 700]).shared();
        let (first, waiting) = begun_and_joined(&shared, after, 1).await;
        drop(first);
        let mut fences = Vec::new();
        for call in waiting {
            fences.push(call.await.unwrap());
        }
        assert_eq!(fences, [71, last], "after {after:?}");
        sleep(ms(1)).await;
        assert_eq!(shared.held.len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_in_the_first_moment_of_a_chain_that_is_over_already_is_asked_for_at_once() {
    let (_, shared) = backend(&[70, 700]).shared();
    let (first, waiting) = begun_and_joined(&shared, Duration::ZERO, 0).await;
    drop(first);
    for call in waiting {
        assert_eq!(call.await.unwrap(), 71);
    }
    let came = Instant::now();
    let next = acquired(&shared, &spec()).await.unwrap();
    // The question takes 10 ms; the promise would have lasted for a tenth of a second.
    assert!(came.elapsed() <= ms(11), "{:?}", came.elapsed());
    assert_eq!(next.hold().fence().get(), 700);
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_was_too_short_at_once_is_followed_by_one_of_twice_as_many_holds() {
    let (backend, shared) = backend(&[70, 700]).shared();
    // Of its fences one is the first hold's, and one that of who waited.
    let (first, waiting) = begun_and_joined(&shared, Duration::ZERO, 6).await;
    drop(first);
    let mut fences = Vec::new();
    for call in waiting {
        fences.push(call.await.unwrap());
    }
    let reserved = backend.fences.lock().unwrap().clone();
    assert_eq!(
        (&fences[..], &reserved[..]),
        (&[71, 72, 73, 74, 75, 700, 701][..], &[6, 12][..])
    );
}

/// Two holds of one lease: the first one, and the one that waits for it to end.
async fn first_and_next(shared: &Arc<Shared>, spec: Spec) -> (Ownership, JoinHandle<Ownership>) {
    let call = || {
        let shared = Arc::clone(shared);
        tokio::spawn(async move { acquired(&shared, &spec).await.unwrap() })
    };
    let first = call();
    sleep(ms(1)).await;
    let next = call();
    (first.await.unwrap(), next)
}

#[tokio::test(start_paused = true)]
async fn what_is_handed_on_is_valid_until_what_was_confirmed_last() {
    let (_, shared) = backend(&[70]).shared();
    let (mut first, next) = first_and_next(&shared, spec()).await;
    let deadline = first.hold().deadline();
    sleep(ms(50)).await;
    assert!(!next.is_finished());
    drop(first.end());
    let next = next.await.unwrap();
    assert_eq!((next.hold().fence().get(), next.hold().deadline()), (71, deadline));
}

#[tokio::test(start_paused = true)]
async fn what_is_handed_on_while_it_is_renewed_is_renewed_at_once() {
    let (backend, shared) = backend(&[70]).shared();
    let often = spec().ttl(ms(1_000)).renew_every(ms(50));
    // The first one's renewal hangs.
    *backend.renewal.lock().unwrap() = LONG;
    let (mut first, next) = first_and_next(&shared, often).await;
    sleep(ms(60)).await;
    assert_eq!(backend.renewed.lock().unwrap().len(), 1);
    *backend.renewal.lock().unwrap() = AT_ONCE;
    let before = first.hold().deadline();
    drop(first.end());
    let next = next.await.unwrap();
    sleep(ms(2)).await;
    assert_eq!(
        (next.hold().fence().get(), backend.renewed.lock().unwrap().len()),
        (71, 2)
    );
    assert!(next.hold().deadline() > before);
}
