//! What options become, and which are refused.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn terms(spec: &Spec) -> Result<Terms, &'static str> {
    let key = Key::from("k");
    let plain = Terms::new(&Spec::retry(), DEFAULT_TTL, DEFAULT_WAIT, &key).unwrap();
    let [terms, short] = [
        Terms::new(spec, DEFAULT_TTL, DEFAULT_WAIT, &key),
        Terms::like(Some(&plain), spec, DEFAULT_TTL, DEFAULT_WAIT, &key),
    ];
    // The short way gives the same, whatever is asked for.
    assert_eq!(format!("{terms:?}"), format!("{short:?}"));
    terms.map_err(|error| match error {
        LockError::InvalidOption { option, .. } => option,
        other => panic!("{other}"),
    })
}

fn good(spec: Spec) -> Terms {
    terms(&spec).unwrap()
}

fn wrong(spec: Spec) -> &'static str {
    terms(&spec).unwrap_err()
}

#[test]
fn what_is_not_said_is_the_default() {
    let terms = good(Spec::retry());
    assert_eq!(terms.ttl, Duration::from_secs(30));
    assert_eq!(terms.wait, Some(Duration::from_secs(10)));
    assert_eq!(terms.backoff, (Duration::from_millis(20), Duration::from_millis(500)));
    assert_eq!(terms.hold.renew_every, Some(Duration::from_secs(10)));
    assert_eq!((terms.hold.max_hold, terms.hold.hold_at_least), (None, None));
}

#[test]
fn what_is_said_stays() {
    let spec = Spec::retry()
        .ttl(SECOND * 2)
        .wait(SECOND * 3)
        .backoff(SECOND, SECOND)
        .renew_every(SECOND);
    let terms = good(spec.max_hold(SECOND * 4).hold_at_least(SECOND * 5));
    assert_eq!(terms.ttl, SECOND * 2);
    assert_eq!(terms.wait, Some(SECOND * 3));
    assert_eq!(terms.backoff, (SECOND, SECOND));
    assert_eq!(terms.hold.renew_every, Some(SECOND));
    assert_eq!(
        (terms.hold.max_hold, terms.hold.hold_at_least),
        (Some(SECOND * 4), Some(SECOND * 5))
    );
    assert_eq!(good(Spec::fail().never_renew()).hold.renew_every, None);
    assert_eq!(Spec::fail().continue_when_lost().on_lost, OnLost::Continue);
    assert!(Spec::skip().reentrant().reentrant && !Spec::skip().reentrant);
}

#[test]
fn only_retry_waits_and_only_when_there_is_time() {
    assert_eq!(good(Spec::fail().wait(SECOND)).wait, None);
    assert_eq!(good(Spec::skip().wait(SECOND)).wait, None);
    assert_eq!(good(Spec::retry().wait(Duration::ZERO)).wait, None);
}

#[test]
fn bounds_are_inside() {
    let nano = Duration::from_nanos(1);
    good(Spec::fail().ttl(MIN_TTL));
    assert_eq!(wrong(Spec::fail().ttl(MIN_TTL - nano)), "ttl");
    assert_eq!(good(Spec::fail().ttl(MIN_TTL + nano)).ttl, MIN_TTL);
    good(Spec::fail().ttl(MAX_DURATION));
    assert_eq!(wrong(Spec::fail().ttl(MAX_DURATION + SECOND)), "ttl");
    good(Spec::fail().ttl(SECOND).renew_every(SECOND / 2));
    assert_eq!(wrong(Spec::fail().ttl(SECOND).renew_every(SECOND / 2 + nano)), "renew");
    good(Spec::fail().renew_every(MIN_RENEW));
    assert_eq!(wrong(Spec::fail().renew_every(MIN_RENEW - nano)), "renew");
    good(Spec::fail().ttl(SECOND).max_hold(SECOND));
    assert_eq!(wrong(Spec::fail().ttl(SECOND).max_hold(SECOND - nano)), "max_hold");
    good(Spec::retry().backoff(nano, nano));
    assert_eq!(wrong(Spec::retry().backoff(Duration::ZERO, SECOND)), "backoff");
    assert_eq!(wrong(Spec::retry().backoff(SECOND, SECOND - nano)), "backoff");
}

#[test]
fn nothing_is_longer_than_a_hundred_years() {
    let long = MAX_DURATION + Duration::from_nanos(1);
    assert_eq!(MAX_DURATION.as_secs(), 3_153_600_000);
    good(
        Spec::retry()
            .wait(MAX_DURATION)
            .hold_at_least(MAX_DURATION)
            .max_hold(MAX_DURATION),
    );
    assert_eq!(wrong(Spec::retry().wait(long)), "wait");
    assert_eq!(wrong(Spec::fail().hold_at_least(long)), "hold_at_least");
    assert_eq!(wrong(Spec::fail().max_hold(long)), "max_hold");
    assert_eq!(wrong(Spec::retry().backoff(SECOND, long)), "backoff");
}
