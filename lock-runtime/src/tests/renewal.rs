//! Which leases are renewed by which request, and when; on the test's own clock.

use tokio::time::{Instant, sleep};

use super::*;
use crate::scripted::{AT_ONCE, Scripted, hold, ms, unwatched};
use crate::terms::Spec;
use crate::{LostReason, backend};

const SECOND: Duration = Duration::from_secs(1);
/// So long that nothing is due by itself.
const RARE: Duration = Duration::from_secs(600);

fn rare() -> Spec {
    Spec::fail().ttl(RARE)
}

/// The renewals that a disturbance leads to.
async fn after_a_disturbance(specs: &[Spec]) -> Vec<(usize, Duration)> {
    let (backend, shared) = Scripted::default().shared();
    let holds: Vec<_> = specs.iter().map(|spec| hold(&shared, spec, false)).collect();
    sleep(ms(1)).await;
    assert!(backend.renewed.lock().unwrap().is_empty());
    backend.disturbed.send_modify(|count| *count += 1);
    sleep(ms(1)).await;
    assert!(holds.iter().all(|hold| hold.remaining() > AT_ONCE));
    let mut renewed = backend.renewed.lock().unwrap().clone();
    renewed.sort_unstable();
    renewed
}

#[tokio::test(start_paused = true)]
async fn a_disturbance_renews_everything_at_once_many_by_a_request() {
    for (holds, requests) in [
        (1, vec![1]),
        (250, vec![250]),
        (251, vec![1, 250]),
        (600, vec![100, 250, 250]),
    ] {
        let specs: Vec<_> = (0..holds).map(|_| rare()).collect();
        let renewed = after_a_disturbance(&specs).await;
        assert_eq!(renewed.iter().map(|(count, _)| *count).collect::<Vec<_>>(), requests);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_never_renewed_is_not_renewed_after_a_disturbance_either() {
    assert_eq!(
        after_a_disturbance(&[rare().never_renew(), rare()]).await,
        [(1, SECOND)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_short_lease_does_not_cut_the_time_of_a_long_one() {
    let specs = [rare(), Spec::fail().ttl(ms(300)), rare(), Spec::fail().ttl(ms(330))];
    assert_eq!(after_a_disturbance(&specs).await, [(2, ms(100)), (2, SECOND)]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_again_and_again_until_its_end() {
    let (backend, shared) = Scripted::default().shared();
    let held = hold(&shared, &Spec::fail().ttl(SECOND * 3).renew_every(SECOND), false);
    sleep(SECOND * 10).await;
    let count = backend.renewed.lock().unwrap().len();
    assert!((9..=11).contains(&count), "{count}");
    assert_eq!(held.lost_reason(), None);
    drop(held.release());
    sleep(SECOND * 10).await;
    assert_eq!(backend.renewed.lock().unwrap().len(), count);
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_no_renewals() {
    let (backend, shared) = Scripted::default().shared();
    backend.panics.store(2, std::sync::atomic::Ordering::Relaxed);
    let held = hold(&shared, &Spec::fail().ttl(SECOND), false);
    sleep(SECOND * 3).await;
    assert_eq!(held.lost_reason(), None);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_ended_with_its_runtime_is_replaced_with_the_next_hold() {
    let (_, shared) = Scripted::default().shared();
    let schedule = Arc::<Schedule>::default();
    assert!(schedule.insert(&unwatched(&shared, &rare(), false)));
    let backend = Arc::clone(&shared.backend);
    let driver = tokio::spawn(drive(Arc::clone(&schedule), Arc::default(), Clock::Paused, backend));
    sleep(ms(1)).await;
    assert!(!schedule.insert(&unwatched(&shared, &rare(), false)));
    driver.abort();
    assert!(driver.await.unwrap_err().is_cancelled());
    assert!(schedule.insert(&unwatched(&shared, &rare(), false)));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_not_renewed_is_lost_at_its_deadline_although_nobody_asks() {
    let (_, shared) = Scripted::default().shared();
    let held = hold(&shared, &Spec::fail().ttl(SECOND).never_renew(), false);
    let began = Instant::now();
    held.lost().await;
    assert_eq!(
        (held.lost_reason(), began.elapsed()),
        (Some(LostReason::Expired), ms(988))
    );
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_answered_after_the_end_is_undone_where_the_lock_was_to_stay_for_longer() {
    for (least, releases) in [(None, vec![100]), (Some(SECOND / 2), vec![100, 1_000])] {
        let done = || (AT_ONCE, Ok(backend::Released::Done));
        let (backend, shared) = Scripted::default().releases([done(), done()]).shared();
        *backend.renewal.lock().unwrap() = SECOND;
        let began = Instant::now();
        let spec = least.map_or_else(rare, |least| rare().hold_at_least(least));
        let held = hold(&shared, &spec, false);
        sleep(ms(1)).await;
        backend.disturbed.send_modify(|count| *count += 1);
        sleep(ms(99)).await;
        drop(held.release());
        sleep(SECOND * 5).await;
        assert_eq!(backend.released(began), releases);
    }
}

#[tokio::test(start_paused = true)]
async fn who_ended_before_the_request_is_not_renewed() {
    let (backend, shared) = Scripted::default().shared();
    let (one, two) = (hold(&shared, &rare(), false), hold(&shared, &rare(), false));
    assert!(one.begin_end());
    for holds in [vec![Arc::clone(&one), two], vec![one]] {
        let mut asked = Asked::new(&Arc::default());
        asked.holds = holds;
        renew(asked, Clock::Paused, Arc::clone(&shared.backend)).await;
    }
    assert_eq!(*backend.renewed.lock().unwrap(), [(1, SECOND)]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_confirmed_before_a_disturbance_and_is_watched_after_it_is_renewed_at_once() {
    let (backend, shared) = Scripted::default().shared();
    let _driven = hold(&shared, &rare(), false);
    sleep(ms(1)).await;
    let before = unwatched(&shared, &rare(), false);
    sleep(ms(1)).await;
    backend.disturbed.send_modify(|count| *count += 1);
    sleep(ms(1)).await;
    assert_eq!(backend.renewed.lock().unwrap().len(), 1);
    before.timeline().unwrap().watch(&before);
    sleep(ms(1)).await;
    assert_eq!(backend.renewed.lock().unwrap().len(), 2);
    // By more than the drift that a deadline reckons with.
    sleep(SECOND).await;
    let _after = hold(&shared, &Spec::fail(), false);
    sleep(ms(1)).await;
    assert_eq!(backend.renewed.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn leases_that_began_together_are_renewed_in_few_requests_that_are_spread_in_time() {
    const MANY: usize = 2_000;
    let (backend, shared) = Scripted::default().shared();
    let (began, period) = (Instant::now(), SECOND * 10);
    let spec = Spec::fail().ttl(period * 3).renew_every(period);
    let holds: Vec<_> = (0..MANY).map(|_| hold(&shared, &spec, false)).collect();
    sleep(period + ms(1)).await;
    let renewed = backend.renewed.lock().unwrap().clone();
    let moments = backend.renewed_at.lock().unwrap().clone();
    assert_eq!(renewed.iter().map(|(count, _)| count).sum::<usize>(), MANY);
    // Each is up to a tenth of its period early.
    assert!(moments[0] - began >= period * 9 / 10 - TOGETHER);
    // What comes within so long goes together, and no more than that.
    let most = usize::try_from(SECOND.as_millis() / TOGETHER.as_millis()).unwrap() + 1;
    let requests = renewed.len();
    assert!((most / 2..=most).contains(&requests), "{requests} requests");
    let largest = renewed.iter().map(|(count, _)| *count).max().unwrap();
    assert!(largest < MANY / 10, "{largest} of {MANY} were renewed in one moment");
    assert!(moments.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(holds.iter().all(|hold| hold.remaining() > period * 5 / 2));
}

#[tokio::test(start_paused = true)]
async fn leases_that_began_together_are_not_renewed_together_for_ever() {
    let (backend, shared) = Scripted::default().shared();
    let (began, period) = (Instant::now(), SECOND);
    let spec = Spec::fail().ttl(period * 3).renew_every(period);
    let _holds: Vec<_> = (0..500).map(|_| hold(&shared, &spec, false)).collect();
    sleep(period * 200).await;
    // All of them, in the end, at any time of a period.
    let renewed = backend.renewed.lock().unwrap().clone();
    let moments = backend.renewed_at.lock().unwrap().clone();
    let at = |from: Duration| {
        let counts = moments.iter().zip(&renewed);
        let counts = counts.filter(|(at, _)| (from..from + period / 10).contains(&(**at - began)));
        counts.map(|(_, (count, _))| count).sum::<usize>()
    };
    for tenth in 0..9 {
        let count = at(period * 199 + period / 10 * tenth);
        assert!((10..=150).contains(&count), "{count} of 500 in a tenth of a period");
    }
}

#[tokio::test(start_paused = true)]
async fn one_task_renews_all_leases() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let (_, shared) = Scripted::default().shared();
    let spec = Spec::fail().ttl(SECOND * 3);
    let mut holds = vec![hold(&shared, &spec, false)];
    sleep(ms(1)).await;
    let one = tasks();
    holds.extend((0..1_000).map(|_| hold(&shared, &spec, false)));
    for _ in 0..10 {
        sleep(SECOND).await;
        assert_eq!(tasks(), one, "the tasks grow with the leases");
    }
    assert!(holds.iter().all(|hold| hold.remaining() > SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_delays_no_other_lease() {
    let (backend, shared) = Scripted::default().shared();
    *backend.renewal.lock().unwrap() = RARE;
    let spec = Spec::fail().ttl(SECOND * 30).renew_every(SECOND);
    let stuck = hold(&shared, &spec, false);
    sleep(SECOND).await;
    assert_eq!(backend.renewed.lock().unwrap().len(), 1, "it is under way");
    *backend.renewal.lock().unwrap() = AT_ONCE;
    let other = hold(&shared, &spec, false);
    for _ in 0..20 {
        sleep(SECOND).await;
        assert!(other.remaining() > SECOND * 28, "{:?}", other.remaining());
    }
    assert!(stuck.remaining() < SECOND * 10, "it was answered");
}

#[tokio::test(start_paused = true)]
async fn max_hold_ends_a_lease_on_time_although_a_renewal_hangs() {
    let (backend, shared) = Scripted::default().shared();
    let spec = Spec::fail().ttl(SECOND * 3).renew_every(SECOND).max_hold(SECOND * 4);
    let held = hold(&shared, &spec, false);
    let began = Instant::now();
    sleep(ms(2_200)).await;
    // Confirmed beyond that by now.
    assert!(held.deadline().since(Clock::Paused.now()) > SECOND * 2);
    *backend.renewal.lock().unwrap() = RARE;
    held.lost().await;
    assert_eq!(
        (held.lost_reason(), began.elapsed()),
        (Some(LostReason::MaxHold), SECOND * 4)
    );
    assert_eq!(backend.renewed.lock().unwrap().len(), 3, "one hangs");
}
