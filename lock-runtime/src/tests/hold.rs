//! The transitions of one lease, on a clock that the test moves.

use std::sync::atomic::AtomicUsize;

use tokio::runtime::Handle;
use tokio::time::advance;

use super::*;
use crate::backend::memory::MemoryBackend;
use crate::backend::{Applied, Failure, FailureKind, Renewed};
use crate::clock::Clock;
use crate::scripted::unknown;
use crate::terms::{DEFAULT_TTL, DEFAULT_WAIT, Spec, Terms};

const SECOND: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(10);
/// The ttl without its drift.
const VALID: Duration = Duration::from_millis(9_898);

fn hold(spec: &Spec) -> Hold {
    let backend = Arc::new(MemoryBackend::private());
    let shared = Shared::new(
        backend.clone(),
        String::new(),
        "owner".to_owned(),
        DEFAULT_TTL,
        DEFAULT_WAIT,
        false,
        false,
    );
    let key = Key::from("k");
    let terms = Terms::new(spec, TTL, DEFAULT_WAIT, &key).unwrap();
    let claim = crate::scripted::claim("token");
    let now = Clock::Paused.now();
    let telemetry = Telemetry::here(false);
    let grant = Grant {
        id: HoldId::next(),
        claim,
        fence: Fence::from(1),
        deadline: deadline(now, terms.ttl),
        next_renewal: next_renewal(now, &terms.hold),
        granted: now,
        hand_over: HandOver::NONE,
        doubtful: false,
    };
    let timeline = Arc::new(Timeline::on_paused(Handle::current(), backend));
    assert!(shared.present.enter());
    Hold::new(grant, terms.hold, Arc::new(shared), Some(timeline), telemetry)
}

fn now() -> Moment {
    Clock::Paused.now()
}

fn failure(kind: FailureKind) -> Result<Renewed, Failure> {
    Err(Failure {
        kind,
        applied: Applied::Unknown,
        reason: "no answer".to_owned(),
        source: None,
    })
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_valid_before_its_deadline_and_lost_at_it() {
    let hold = hold(&Spec::fail());
    assert_eq!((hold.state(), hold.remaining()), (State::Held, VALID));
    advance(VALID - Duration::from_nanos(1)).await;
    assert_eq!((hold.state(), hold.lost_reason()), (State::Held, None));
    assert_eq!(hold.remaining(), Duration::from_nanos(1));
    advance(Duration::from_nanos(1)).await;
    assert_eq!(hold.state(), State::Lost(LostReason::Expired));
    assert_eq!(
        (hold.lost_reason(), hold.remaining()),
        (Some(LostReason::Expired), Duration::ZERO)
    );
    assert_eq!(hold.held_for(), VALID);
}

#[tokio::test(start_paused = true)]
async fn the_first_reason_stays_and_wakes_who_waits() {
    let hold = hold(&Spec::fail());
    let lost = hold.lost();
    assert_eq!(hold.lose(LostReason::Taken), State::Lost(LostReason::Taken));
    lost.await;
    assert_eq!(hold.lose(LostReason::Missing), State::Lost(LostReason::Taken));
    assert_eq!(hold.next_event(), Moment::NEVER);
    assert!(hold.begin_end());
    assert_eq!(hold.state(), State::Lost(LostReason::Taken));
}

#[tokio::test(start_paused = true)]
async fn max_hold_ends_the_lease_although_it_is_renewed() {
    let hold = hold(&Spec::fail().max_hold(TTL + SECOND));
    advance(SECOND * 5).await;
    hold.renewed(now(), now(), Ok(Renewed::Extended));
    assert_eq!(hold.remaining(), SECOND * 6);
    advance(SECOND * 6).await;
    assert_eq!(hold.state(), State::Lost(LostReason::MaxHold));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_before_max_hold_comes_first() {
    let hold = hold(&Spec::fail().max_hold(TTL * 2));
    assert_eq!(hold.remaining(), VALID);
    advance(TTL * 3).await;
    assert_eq!(hold.state(), State::Lost(LostReason::Expired));
}

#[tokio::test(start_paused = true)]
async fn only_the_first_end_releases_and_a_late_one_finds_the_loss() {
    let first = hold(&Spec::fail());
    assert!(!first.has_ended());
    assert!(first.begin_end());
    assert!(first.has_ended() && !first.begin_end());
    assert_eq!((first.state(), first.remaining()), (State::Ended, Duration::ZERO));
    assert_eq!((first.lost_reason(), first.next_event()), (None, Moment::NEVER));
    let late = hold(&Spec::fail());
    advance(TTL).await;
    assert!(late.begin_end());
    assert_eq!(late.state(), State::Lost(LostReason::Expired));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_holds_until_they_are_lost_and_for_bodies_until_they_are_dropped() {
    let one = hold(&Spec::fail());
    assert_eq!(one.shared.present.counts(), (1, 1));
    one.lose(LostReason::Taken);
    assert_eq!(one.shared.present.counts(), (0, 1));
    one.release_begun();
    assert_eq!(one.shared.present.counts(), (0, 0));
    let other = hold(&Spec::fail());
    other.begin_end();
    assert_eq!(other.shared.present.counts(), (1, 1), "its release is still to begin");
    other.release_begun();
    assert_eq!(other.shared.present.counts(), (0, 0));
    let shared = {
        let forgotten = hold(&Spec::fail());
        Arc::clone(&forgotten.shared)
    };
    assert_eq!(shared.present.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_is_due_up_to_a_tenth_early_and_once() {
    let hold = hold(&Spec::fail().renew_every(SECOND));
    let next = hold.next_event().since(now());
    assert!((SECOND * 9 / 10..=SECOND).contains(&next), "{next:?}");
    assert_eq!(hold.due(now()), Due::Nothing);
    advance(next).await;
    assert_eq!(hold.due(now()), Due::Renewal);
    assert_eq!(hold.due(now()), Due::Nothing, "its answer is not there yet");
    // Until then only the deadline is waited for.
    assert_eq!(hold.next_event().since(now()), VALID - next);
    hold.renewal_over();
    assert_eq!(hold.due(now()), Due::Renewal, "it never got one");
    hold.lose(LostReason::Taken);
    hold.renewal_over();
    assert_eq!(hold.due(now()), Due::Nothing);
}

#[tokio::test(start_paused = true)]
async fn what_is_never_renewed_cannot_be_hurried() {
    let never = hold(&Spec::fail().never_renew());
    never.hurry(now());
    assert_eq!(never.next_event().since(now()), VALID);
    let hurried = hold(&Spec::fail());
    hurried.hurry(now());
    assert_eq!(hurried.due(now()), Due::Renewal);
}

#[tokio::test(start_paused = true)]
async fn a_confirmed_renewal_moves_the_deadline_from_when_it_was_sent() {
    let hold = hold(&Spec::fail().renew_every(SECOND * 3));
    advance(SECOND * 3).await;
    let sent = now();
    assert_eq!(hold.due(sent), Due::Renewal);
    advance(SECOND).await;
    hold.renewed(sent, now(), Ok(Renewed::Extended));
    hold.renewal_over();
    assert_eq!(hold.remaining(), VALID - SECOND);
    let next = hold.next_event().since(sent);
    assert!((SECOND * 27 / 10..=SECOND * 3).contains(&next), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn who_hurries_while_an_answer_is_under_way_gets_another_renewal() {
    let hold = hold(&Spec::fail());
    hold.hurry(now());
    assert_eq!(hold.due(now()), Due::Renewal);
    hold.hurry(now());
    hold.renewed(now(), now(), Ok(Renewed::Extended));
    hold.renewal_over();
    assert_eq!(hold.due(now()), Due::Renewal);
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_the_deadline_comes_too_late() {
    let hold = hold(&Spec::fail());
    advance(VALID).await;
    hold.renewed(now(), now(), Ok(Renewed::Extended));
    assert_eq!(hold.state(), State::Lost(LostReason::Expired));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_gone_or_foreign_loses_the_lease() {
    for (answer, reason) in [
        (Ok(Renewed::Missing), LostReason::Missing),
        (Ok(Renewed::Taken), LostReason::Taken),
        (failure(FailureKind::WrongType), LostReason::Taken),
    ] {
        let hold = hold(&Spec::fail());
        hold.renewed(now(), now(), answer);
        assert_eq!(hold.state(), State::Lost(reason));
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_without_an_answer_is_repeated_soon_and_leaves_the_deadline() {
    for kind in [FailureKind::Transient, FailureKind::Permanent] {
        let hold = hold(&Spec::fail());
        hold.renewed(now(), now(), failure(kind));
        assert_eq!((hold.state(), hold.remaining()), (State::Held, VALID));
        assert_eq!(hold.next_event().since(now()), SECOND);
    }
    let short = hold(&Spec::fail().ttl(SECOND));
    short.renewed(now(), now(), failure(FailureKind::Transient));
    assert_eq!(short.next_event().since(now()), SECOND / 10);
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_the_end_says_nothing() {
    let hold = hold(&Spec::fail());
    hold.begin_end();
    hold.renewed(now(), now(), Ok(Renewed::Taken));
    assert_eq!(hold.state(), State::Ended);
}

#[tokio::test(start_paused = true)]
async fn a_second_renewal_fits_before_the_deadline() {
    assert_eq!(hold(&Spec::fail()).patience(now()), SECOND);
    assert_eq!(hold(&Spec::fail().ttl(SECOND * 3 / 2)).patience(now()), SECOND / 2);
    // Of what is left, two tries and the pause between them take nearly all.
    let short = hold(&Spec::fail());
    let left = SECOND / 2;
    let late = Moment::from_nanos(short.deadline().as_nanos() - 500_000_000);
    assert_eq!(short.patience(late), left / 2);
    assert_eq!(short.due(late), Due::Renewal);
    short.renewed(now(), late, unknown());
    short.renewal_over();
    assert_eq!(short.planned(late), late.plus(left / 8));
}

#[tokio::test(start_paused = true)]
async fn who_is_handed_a_lease_while_it_is_renewed_renews_it_at_once() {
    let hold = hold(&Spec::fail());
    let planned = hold.planned(now());
    assert!(planned > now());
    assert_eq!(hold.due(planned), Due::Renewal);
    assert_eq!(hold.planned(now()), now());
}

#[tokio::test(start_paused = true)]
async fn no_two_holds_have_one_id() {
    assert_ne!(hold(&Spec::fail()).id, hold(&Spec::fail()).id);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_late_by_more_than_a_tenth_of_the_ttl_is_warned_about() {
    let warnings = Warnings::default();
    let _listening = tracing::subscriber::set_default(warnings.clone());
    for (late, warned) in [(SECOND, 0), (SECOND + Duration::from_nanos(1), 1)] {
        let hold = hold(&Spec::fail());
        advance(hold.next_event().since(now()) + late).await;
        assert_eq!(hold.due(now()), Due::Renewal);
        assert_eq!(warnings.0.load(Ordering::Relaxed), warned, "{late:?}");
    }
}

/// Counts them.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        if *event.metadata().level() == tracing::Level::WARN {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
