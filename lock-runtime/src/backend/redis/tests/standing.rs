//! What is decided without a server: how long one keeps silent, who is barred, who is a twin.

use redis::Client;
use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// The manager's.
const DEFAULT: Duration = Duration::from_secs(30);

fn group(servers: u16) -> Arc<Group> {
    let door = |number| Door::new(Client::open(format!("redis://h{number}:1")).unwrap(), None);
    Group::new((0..servers).map(door).collect(), DEFAULT)
}

/// Others that answered: first those who remember.
fn answered(remember: usize, forgot: usize) -> Vec<Known> {
    let known = |remembers| Known {
        time: 0,
        remembers,
        longest_ttl: None,
        fence: None,
    };
    let remember = (0..remember).map(|_| known(true));
    remember.chain((0..forgot).map(|_| known(false))).collect()
}

/// With the drift.
fn over(ttl: Duration) -> Option<Duration> {
    Some(ttl + ttl / 100 + Duration::from_millis(2))
}

#[test]
fn where_one_would_know_the_longest_ttl_that_is_known_counts() {
    for (servers, remember, forgot) in [
        (1, 0, 0),
        (3, 2, 0),
        (3, 1, 1),
        (3, 0, 2),
        (5, 4, 0),
        (5, 3, 0),
        (5, 0, 4),
    ] {
        let (group, others) = (group(servers), answered(remember, forgot));
        let case = format!("{servers} servers, {remember} remember, {forgot} forgot");
        assert_eq!(group.delay(None, &others), None, "{case}: nothing was ever locked");
        assert_eq!(group.delay(Some(SECOND), &others), over(SECOND), "{case}");
        assert_eq!(group.delay(Some(DEFAULT * 2), &others), over(DEFAULT * 2), "{case}");
    }
}

#[test]
fn where_nobody_may_be_left_who_knows_the_default_ttl_counts_unless_a_longer_one_is_known() {
    for (servers, remember, forgot) in [
        (3, 1, 0),
        (3, 0, 1),
        (3, 0, 0),
        (5, 2, 1),
        (5, 2, 0),
        (5, 0, 3),
        (5, 0, 0),
    ] {
        let (group, others) = (group(servers), answered(remember, forgot));
        let case = format!("{servers} servers, {remember} remember, {forgot} forgot");
        assert_eq!(group.delay(None, &others), over(DEFAULT), "{case}");
        assert_eq!(group.delay(Some(SECOND), &others), over(DEFAULT), "{case}");
        assert_eq!(group.delay(Some(DEFAULT * 2), &others), over(DEFAULT * 2), "{case}");
    }
}

#[test]
fn a_manager_remembers_the_longest_ttl_that_it_asked_for() {
    let group = group(3);
    assert_eq!(group.asked(), None);
    for (ttl, longest) in [(1, 1), (3_000, 3_000), (2_000, 3_000)] {
        group.ask_for(Duration::from_millis(ttl));
        assert_eq!(group.asked(), Some(Duration::from_millis(longest)));
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_barred_is_not_reached_until_its_time_is_over() {
    let group = group(3);
    let places: Vec<_> = group.places().collect();
    assert_eq!(places.len(), 3);
    assert_eq!(group.waiting(), 0);
    for index in [0, 2] {
        group.bar(index, SECOND, "it is young".to_owned());
    }
    assert_eq!(group.waiting(), 2);
    advance(SECOND - Duration::from_nanos(1)).await;
    let refused = places[2].door().await.err().unwrap();
    assert_eq!((refused.reason.as_str(), refused.applied), ("it is young", Applied::No));
    assert_eq!(places[1].door().await.unwrap().address(), "h1:1");
    advance(Duration::from_nanos(1)).await;
    assert_eq!(places[2].door().await.unwrap().address(), "h2:1");
}

#[test]
fn two_addresses_of_one_server_are_noticed() {
    let group = group(3);
    assert_eq!(group.note(0, "a"), None);
    assert_eq!(group.note(0, "a"), None, "it is itself");
    assert_eq!(group.note(1, "a"), Some("h0:1".to_owned()));
    assert_eq!(group.note(1, "b"), None);
    assert_eq!(group.note(0, "b"), Some("h1:1".to_owned()));
    assert_eq!(group.note(0, "c"), None, "it has restarted");
    assert_eq!(group.note(2, "a"), None);
}
