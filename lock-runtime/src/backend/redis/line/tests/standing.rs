//! Places in the line: who loses them, and what is left of them.

use super::super::super::slot::slot;
use super::*;

#[tokio::test]
async fn a_place_whose_time_is_over_costs_nothing() {
    let server = Server::start();
    let (holder, dead, mut next) = (
        Process::new(&server).await,
        Process::new(&server).await,
        Process::new(&server).await,
    );
    holder.ask().await;
    let stay = Duration::from_millis(1);
    dead.stand_with(Turn { stay, ..TURN }).await;
    next.stand().await;
    let place: String = server.ask(&["LINDEX", LINE, "0"]);
    assert!(place.ends_with(&dead.claim.value.text()), "{place}");
    let alive_until: u64 = place.split(' ').next().unwrap().parse().unwrap();
    until("the end of its time", || {
        let (seconds, micros): (u64, u64) = server.ask(&["TIME"]);
        seconds * 1_000 + micros / 1_000 > alive_until
    })
    .await;
    holder.release().await;
    next.granted().await;
    assert!(next.holds(&server));
}

#[tokio::test]
async fn one_that_died_just_now_costs_its_first_lease() {
    let server = Server::start();
    let (holder, dead, mut next) = (
        Process::new(&server).await,
        Process::new(&server).await,
        Process::new(&server).await,
    );
    holder.ask().await;
    let turn = Turn {
        first_lease: SHORT,
        ..TURN
    };
    dead.stand_with(turn).await;
    next.stand().await;
    holder.release().await;
    assert!(dead.holds(&server));
    until("the end of the first lease", || super::holder(&server).is_none()).await;
    // Whoever looks first gives the lock to the first in line, which is another one.
    let late = Process::new(&server).await;
    late.stand().await;
    next.granted().await;
    assert!(next.holds(&server));
    next.release().await;
    until("the last one's turn", || late.holds(&server)).await;
}

#[tokio::test]
async fn many_dead_ones_are_passed_over_at_once() {
    let server = Server::start();
    let (holder, mut next) = (Process::new(&server).await, Process::new(&server).await);
    holder.ask().await;
    for number in 0..300 {
        let dead = match number % 2 {
            0 => format!("1 5000 1 nobody 1 dead-{number}"),
            _ => format!("no-place-{number}"),
        };
        server.ask::<()>(&["RPUSH", LINE, &dead]);
    }
    next.stand().await;
    holder.release().await;
    next.granted().await;
    next.release().await;
    assert!(helpers(&server).is_empty());
}

#[tokio::test]
async fn who_gives_up_leaves_the_line_and_what_it_was_granted() {
    let server = Server::start();
    let (holder, gone, mut next) = (
        Process::new(&server).await,
        Process::new(&server).await,
        Process::new(&server).await,
    );
    holder.ask().await;
    gone.stand().await;
    next.stand().await;
    assert_eq!(gone.give_up().await, Released::Taken);
    assert_eq!(gone.give_up().await, Released::Taken);
    gone.stand().await;
    holder.release().await;
    next.granted().await;
    next.release().await;
    // It came last, and is served all the same; and gives that up.
    assert!(gone.holds(&server));
    assert_eq!(gone.give_up().await, Released::Done);
    assert_eq!(gone.give_up().await, Released::Missing);
    assert_eq!(super::holder(&server), None);
    assert!(helpers(&server).is_empty());
}

#[tokio::test]
async fn nothing_is_left_when_all_are_served_or_dead() {
    let server = Server::start();
    let (holder, dead) = (Process::new(&server).await, Process::new(&server).await);
    holder.ask().await;
    assert!(helpers(&server).is_empty());
    dead.stand_with(Turn { stay: SHORT, ..TURN }).await;
    assert_eq!(helpers(&server), [LINE]);
    until("the end of the line", || helpers(&server).is_empty()).await;
    // The longest stay counts, whoever comes after it.
    dead.stand_with(Turn { stay: LONG, ..TURN }).await;
    Process::new(&server)
        .await
        .stand_with(Turn { stay: SHORT, ..TURN })
        .await;
    let left: i64 = server.ask(&["PTTL", LINE]);
    assert!(left > 1_000_000, "{left}");
}

#[tokio::test]
async fn a_foreign_client_is_excluded_excludes_and_stalls_nobody() {
    let server = Server::start();
    let foreign = || server.ask::<Option<String>>(&["SET", NAME, "foreign", "NX", "PX", "60000"]);
    let (first, mut second) = (Process::new(&server).await, Process::new(&server).await);
    assert!(foreign().is_some());
    first.stand().await;
    second.stand().await;
    server.ask::<()>(&["DEL", NAME]);
    // The line goes on as soon as anybody looks, in its order.
    second.stand().await;
    assert!(first.holds(&server) && foreign().is_none());
    first.release().await;
    second.granted().await;
    assert!(foreign().is_none());
    // A foreign client may even take the lock before the line does.
    first.stand().await;
    server.ask::<()>(&["DEL", NAME]);
    assert!(foreign().is_some());
    first.stand().await;
    server.ask::<()>(&["DEL", NAME]);
    assert!(matches!(first.ask().await, Acquired::Granted(_)));
}

#[tokio::test]
async fn what_a_foreign_client_left_under_the_name_of_the_line_is_no_line() {
    let server = Server::start();
    server.ask::<()>(&["SET", LINE, "foreign"]);
    let (first, second) = (Process::new(&server).await, Process::new(&server).await);
    first.ask().await;
    second.stand().await;
    assert_eq!(first.release().await, Released::Done);
    assert!(matches!(second.ask().await, Acquired::Granted(_)));
    assert_eq!(second.give_up().await, Released::Done);
    assert_eq!(server.ask::<String>(&["GET", LINE]), "foreign");
    assert_eq!(server.ask::<i64>(&["PTTL", LINE]), -1);
    assert_eq!(helpers(&server), [LINE]);
}

#[tokio::test]
async fn a_lock_of_another_type_is_an_error_for_those_in_line_too() {
    let server = Server::start();
    let process = Process::new(&server).await;
    server.ask::<()>(&["RPUSH", NAME, "x"]);
    let failure = process
        .backend
        .acquire_in_turn(&process.claim, TURN, WITHIN)
        .await
        .unwrap_err();
    assert_eq!(failure.kind, crate::backend::FailureKind::WrongType);
    assert!(helpers(&server).is_empty());
}

#[tokio::test]
async fn a_user_without_a_permission_for_the_line_does_without() {
    let rules = [
        vec!["~lock:*", "~distributed-lock:fence", "&*", "+@all"],
        vec![
            "~*", "&*", "+@all", "-rpush", "-lset", "-lindex", "-lrange", "-lrem", "-lpop", "-getset",
        ],
        vec!["~*", "resetchannels", "+@all"],
    ];
    for rules in rules {
        let server = Server::start();
        let words = [
            vec!["ACL", "SETUSER", "default", "reset", "on", "nopass"],
            rules.clone(),
        ]
        .concat();
        server.ask::<()>(&words);
        let (one, two) = (backend(&server), backend(&server));
        let claims = ["one", "two"].map(|_| Claim {
            key: Key::from(NAME),
            value: value(),
        });
        let ask = async |backend: &RedisBackend, claim| backend.acquire_in_turn(claim, TURN, WITHIN).await.unwrap();
        let first = fence(&ask(&one, &claims[0]).await);
        assert!(matches!(ask(&two, &claims[1]).await, Acquired::Busy(_)), "{rules:?}");
        assert_eq!(
            one.release(&claims[0], Leave::Nothing, WITHIN).await.unwrap(),
            Released::Done
        );
        assert!(fence(&ask(&two, &claims[1]).await) > first, "{rules:?}");
        assert_eq!(
            two.release(&claims[1], Leave::Nothing, WITHIN).await.unwrap(),
            Released::Done
        );
        assert_eq!(
            two.release(&claims[1], Leave::Nothing, WITHIN).await.unwrap(),
            Released::Missing
        );
    }
}

#[test]
fn in_a_cluster_the_line_is_in_the_slot_of_its_lock() {
    let node = Url::parse("redis://127.0.0.1:1").unwrap();
    let cluster = RedisBackend::cluster(&[node], &Settings::default()).unwrap();
    for name in ["lock:job", "{user}:1", "lock:{user}:1", "a{}b", "}{", "lock:%7B", "ä"] {
        let line = String::from_utf8(cluster.servers.line(name).to_redis_args().remove(0)).unwrap();
        assert_eq!(slot(&line), slot(name), "{line}");
        assert!(line.ends_with(name));
    }
}

#[tokio::test]
async fn a_manager_hears_all_its_claims_on_one_channel_and_keeps_it_for_a_while() {
    let server = Server::start();
    let channels = || server.ask::<Vec<String>>(&["PUBSUB", "CHANNELS", "distributed-lock:*"]);
    let backend = Arc::new(backend(&server));
    let first = Process::with(Arc::clone(&backend)).await;
    let second = Process::with(Arc::clone(&backend)).await;
    let heard = channels();
    assert_eq!(heard.len(), 1, "{heard:?}");
    drop((first, second));
    // The next one need not wait until it is heard.
    let claim = claim_of("lock:other");
    let mut place = backend.place(&claim, None, Arc::<Grants>::default(), &Handle::current());
    assert!(futures_util::FutureExt::now_or_never(place.armed()).is_some());
    assert_eq!(channels(), heard);
}

#[tokio::test]
async fn whoever_stands_in_line_looks_when_the_subscription_broke_and_hears_of_its_turn_over_the_next() {
    let server = Server::start();
    let (holder, mut next) = (Process::new(&server).await, Process::new(&server).await);
    holder.ask().await;
    next.stand().await;
    server.ask::<()>(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    next.woken().await;
    timeout(WITHIN, next.place.armed()).await.expect("another subscription");
    next.stand().await;
    holder.release().await;
    next.granted().await;
    assert!(next.holds(&server));
}

#[tokio::test]
async fn who_waits_on_a_runtime_with_a_lane_is_told_over_that_and_over_another_connection_when_it_breaks() {
    let server = Server::start();
    let backend = Arc::new(backend(&server));
    let here = Handle::current();
    let is_heard = || {
        backend
            .lanes
            .as_ref()
            .is_some_and(|lanes| lanes.ear(&here, &here).is_some())
    };
    assert!(is_heard());
    let (holder, mut next) = (
        Process::new(&server).await,
        Process::near(Arc::clone(&backend), Some(&here)).await,
    );
    holder.ask().await;
    next.stand().await;
    let channels: Vec<String> = server.ask(&["PUBSUB", "CHANNELS", &format!("{}*", backend.granted)]);
    assert!(
        matches!(&channels[..], [lane] if lane.len() > backend.granted.len()),
        "{channels:?}"
    );
    holder.release().await;
    next.granted().await;
    next.release().await;

    let mut next = Process::near(Arc::clone(&backend), Some(&here)).await;
    holder.ask().await;
    next.stand().await;
    server.ask::<()>(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    next.woken().await;
    timeout(WITHIN, next.place.armed()).await.expect("the subscription");
    next.stand_with(Turn { question: 2, ..TURN }).await;
    holder.release().await;
    next.granted().await;
    assert!(next.holds(&server));
}
