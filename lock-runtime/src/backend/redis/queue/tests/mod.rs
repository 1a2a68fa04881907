//! The suite for all stores, and what only a server can do wrong.

use std::collections::BTreeSet;
use std::sync::Arc;

use url::Url;

use super::super::server::Server;
use super::super::slot::slot;
use super::super::{RedisBackend, Settings};
use super::*;
use crate::backend::queue::tests::{Place, conformance};
use crate::backend::{Applied, Backend};

conformance!(place);

async fn place() -> Place {
    let server = Server::start();
    Place::new(Arc::new(backend(&server.url())), server)
}

fn backend(url: &str) -> RedisBackend {
    RedisBackend::single(&Url::parse(url).unwrap(), &Settings::default()).unwrap()
}

const WITHIN: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(3_600);

fn call(lane: &str) -> NewCall {
    NewCall {
        id: Uuid::new_v4(),
        lane: lane.to_owned(),
        payload: "{}".to_owned(),
        delay: Duration::ZERO,
        attempts: 2,
        limit: 1_000,
    }
}

fn request(tokens: &[Uuid]) -> ClaimRequest {
    ClaimRequest {
        tokens: tokens.to_vec(),
        lease: LONG,
        worker: "worker".to_owned(),
        upcoming: Ahead::Soonest(10),
    }
}

fn again(pause: Duration) -> Verdict {
    Verdict::Again {
        pause,
        for_lock: true,
        error: "not yet".to_owned(),
    }
}

/// The calls of a server, and the server.
fn calls() -> (Arc<dyn CallStore>, Server) {
    let server = Server::start();
    (backend(&server.url()).calls("shop:").unwrap(), server)
}

/// Stores a call and claims it.
async fn claimed(store: &dyn CallStore, lane: &str) -> (Uuid, Uuid) {
    let new = call(lane);
    store.store(&new, WITHIN).await.unwrap();
    let token = Uuid::new_v4();
    let claims = store.claim(&request(&[token]), WITHIN).await.unwrap();
    assert_eq!(claims.claimed[0].id, new.id);
    (new.id, token)
}

async fn settle(store: &dyn CallStore, (id, token): (Uuid, Uuid), verdict: &Verdict) -> Settled {
    store.settle(id, token, verdict, true, WITHIN).await.unwrap()
}

#[tokio::test]
async fn there_are_as_many_keys_as_ever_however_many_calls_there_are() {
    let (store, server) = calls();
    for number in 0..200 {
        let lane = format!("{{lane}}:{number}");
        let claim = claimed(&*store, &lane).await;
        match number % 4 {
            0 => settle(&*store, claim, &Verdict::Done).await,
            1 => settle(&*store, claim, &again(LONG)).await,
            2 => {
                let (cause, error) = ("failed".to_owned(), "no luck".to_owned());
                settle(&*store, claim, &Verdict::Dead { cause, error }).await
            }
            _ => Settled::AsAsked,
        };
    }
    for _ in 0..50 {
        store.store(&call("a long lane"), WITHIN).await.unwrap();
    }
    let keys: BTreeSet<String> = server.ask(&["KEYS", "*"]);
    let expected = KEYS.map(|key| format!("distributed-lock:{{queue:shop:}}:{key}"));
    assert_eq!(keys, BTreeSet::from(expected));
}

#[test]
fn all_keys_of_a_queue_are_in_one_slot() {
    let backend = backend("redis://127.0.0.1:1");
    for namespace in ["", "lock:", "{shop}:", "}", "{", "{}", "%7B", "a}{b", "ä"] {
        let calls = RedisCalls::new(Arc::clone(&backend.servers), namespace);
        let slots: BTreeSet<u16> = calls.keys.iter().map(|key| slot(key)).collect();
        assert_eq!(slots.len(), 1, "{namespace:?}: {:?}", calls.keys);
        // And not in the one of all queues.
        let tag = calls
            .bell
            .trim_start_matches("distributed-lock:{")
            .trim_end_matches('}');
        assert_eq!(slots.first(), Some(&slot(tag)), "{namespace:?}");
    }
}

#[tokio::test]
async fn a_settlement_whose_answer_was_lost_is_answered_again() {
    let (store, _server) = calls();
    let claim = claimed(&*store, "a").await;
    for _ in 0..2 {
        assert_eq!(settle(&*store, claim, &again(Duration::ZERO)).await, Settled::AsAsked);
    }
    assert_eq!(settle(&*store, claim, &Verdict::HandedBack).await, Settled::NotOurs);
    let token = Uuid::new_v4();
    store.claim(&request(&[token]), WITHIN).await.unwrap();
    for _ in 0..2 {
        assert_eq!(
            settle(&*store, (claim.0, token), &again(LONG)).await,
            Settled::Exhausted
        );
    }
    assert_eq!(
        settle(&*store, (claim.0, token), &Verdict::HandedBack).await,
        Settled::NotOurs
    );
    for verdict in [Verdict::HandedBack, Verdict::Done] {
        let claim = claimed(&*store, "b").await;
        for _ in 0..2 {
            assert_eq!(settle(&*store, claim, &verdict).await, Settled::AsAsked);
        }
        store.cancel(claim.0, WITHIN).await.unwrap();
    }
}

#[tokio::test]
async fn a_claim_that_arrives_late_takes_no_other_call() {
    let (store, _server) = calls();
    for verdict in [Verdict::Done, again(LONG), Verdict::HandedBack] {
        let claim = claimed(&*store, "a").await;
        settle(&*store, claim, &verdict).await;
        store.cancel(claim.0, WITHIN).await.unwrap();
        let other = call("b");
        store.store(&other, WITHIN).await.unwrap();
        let late = store.claim(&request(&[claim.1]), WITHIN).await.unwrap();
        assert_eq!(late.claimed, [], "{verdict:?}");
        store.cancel(other.id, WITHIN).await.unwrap();
    }
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten() {
    let (store, server) = calls();
    let key = |name: &str| format!("distributed-lock:{{queue:shop:}}:{name}");
    let claim = claimed(&*store, "a").await;
    settle(&*store, claim, &Verdict::Done).await;
    let (done, token) = (format!("d:{}", claim.0), format!("t:{}", claim.1));
    for member in [&done, &token] {
        let _: i64 = server.ask(&["ZADD", &key("ended"), "XX", "CH", "1", member]);
    }
    assert_eq!(store.find(claim.0, WITHIN).await.unwrap(), Found::Nothing);
    let next = claimed(&*store, "b").await;
    settle(&*store, next, &Verdict::Done).await;
    let ended: BTreeSet<String> = server.ask(&["ZRANGE", &key("ended"), "0", "-1"]);
    assert_eq!(
        ended,
        BTreeSet::from([format!("d:{}", next.0), format!("t:{}", next.1)])
    );
    let claims: Vec<String> = server.ask(&["HKEYS", &key("claims")]);
    assert_eq!(claims, [next.1.to_string()]);
}

#[tokio::test]
async fn a_server_that_is_out_of_memory_stores_nothing_and_lets_the_queue_get_shorter() {
    let (store, server) = calls();
    let running = claimed(&*store, "a").await;
    let dead = claimed(&*store, "b").await;
    let (cause, error) = ("failed".to_owned(), "no luck".to_owned());
    settle(&*store, dead, &Verdict::Dead { cause, error }).await;
    for lane in ["c", "d"] {
        store.store(&call(lane), WITHIN).await.unwrap();
    }
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "1"]);

    let new = call("e");
    let failure = store.store(&new, WITHIN).await.unwrap_err();
    assert_eq!(failure.applied, Applied::No, "{}", failure.reason);
    assert!(failure.reason.contains("out of memory"), "{}", failure.reason);
    assert_eq!(store.find(new.id, WITHIN).await.unwrap(), Found::Nothing);

    assert_eq!(store.keep(&[running], LONG, WITHIN).await.unwrap(), [true]);
    assert_eq!(settle(&*store, running, &again(Duration::ZERO)).await, Settled::AsAsked);
    let token = Uuid::new_v4();
    let claims = store.claim(&request(&[token]), WITHIN).await.unwrap();
    assert_eq!(
        settle(&*store, (claims.claimed[0].id, token), &Verdict::Done).await,
        Settled::AsAsked
    );
    assert!(store.send_back(dead.0, Uuid::new_v4(), WITHIN).await.unwrap());
    assert_eq!(store.cancel(dead.0, WITHIN).await.unwrap(), Cancelling::Cancelled);
    assert_eq!(store.census(WITHIN).await.unwrap().due, 2);
}

#[tokio::test]
async fn no_answer_is_much_larger_than_eight_megabytes() {
    let (store, _server) = calls();
    let payload = "x".repeat(1024 * 1024);
    for lane in 0..12 {
        let payload = payload.clone();
        let new = NewCall {
            payload,
            ..call(&lane.to_string())
        };
        store.store(&new, WITHIN).await.unwrap();
    }
    let page = store.page(Standing::Due, 0, 12, WITHIN).await.unwrap();
    let rest = store.page(Standing::Due, 8, 12, WITHIN).await.unwrap();
    assert_eq!((page.len(), rest.len()), (8, 4));
    let tokens: Vec<Uuid> = (0..12).map(|_| Uuid::new_v4()).collect();
    let claims = store.claim(&request(&tokens), WITHIN).await.unwrap();
    assert_eq!(claims.claimed.len(), 8);
    // There is more at once.
    assert_eq!(claims.next, Some(Duration::ZERO));
    let claims = store.claim(&request(&tokens[8..]), WITHIN).await.unwrap();
    assert_eq!(claims.claimed.len(), 4);
}

/// Besides those of the locks.
const COMMANDS: [&str; 10] = [
    "HDEL",
    "HGET",
    "HSET",
    "ZADD",
    "ZCARD",
    "ZCOUNT",
    "ZRANGE",
    "ZRANGEBYSCORE",
    "ZREM",
    "ZSCORE",
];

/// Everything that is done to calls, by a user without the command `missing`.
async fn all_that_is_done(missing: Option<&str>) -> Result<(), Failure> {
    let server = Server::start();
    let mut rules = vec![
        "ACL",
        "SETUSER",
        "locker",
        "on",
        ">secret",
        "resetkeys",
        "~distributed-lock:*",
        "resetchannels",
    ];
    rules.extend(["&distributed-lock:*", "+eval", "+evalsha", "+time", "+publish"]);
    let commands: Vec<String> = COMMANDS
        .iter()
        .filter(|command| Some(**command) != missing)
        .map(|command| format!("+{command}"))
        .collect();
    rules.extend(commands.iter().map(String::as_str));
    let _: String = server.ask(&rules);
    let store = backend(&format!("{}?user=locker&pass=secret", server.url()))
        .calls("shop:")
        .unwrap();

    let new = call("a");
    let stored = store.store(&new, WITHIN).await;
    if let Err(failure) = stored {
        // Known before anything is half-way in.
        let _: String = server.ask(&["ACL", "SETUSER", "locker", "allcommands"]);
        assert_eq!(store.find(new.id, WITHIN).await.unwrap(), Found::Nothing, "{missing:?}");
        assert_eq!(store.store(&new, WITHIN).await.unwrap(), Storing::Stored, "{missing:?}");
        return Err(failure);
    }
    let token = Uuid::new_v4();
    store.claim(&request(&[token]), WITHIN).await?;
    store.keep(&[(new.id, token)], LONG, WITHIN).await?;
    store.settle(new.id, token, &again(LONG), true, WITHIN).await?;
    store.hasten(new.id, WITHIN).await?;
    store.claim(&request(&[Uuid::nil()]), WITHIN).await?;
    store.settle(new.id, Uuid::nil(), &again(LONG), true, WITHIN).await?;
    for standing in [Standing::Due, Standing::Delayed, Standing::Running, Standing::Dead] {
        store.page(standing, 0, 10, WITHIN).await?;
    }
    let now = store.census(WITHIN).await?.now;
    store.find(new.id, WITHIN).await?;
    store.sweep_dead(now, 10, Sweep::SendBack, WITHIN).await?;
    store.send_back(new.id, Uuid::new_v4(), WITHIN).await?;
    store.cancel(new.id, WITHIN).await.map(drop)
}

#[tokio::test]
async fn the_documented_permissions_are_enough_and_none_is_too_many() {
    all_that_is_done(None).await.unwrap();
    for missing in COMMANDS {
        let failure = all_that_is_done(Some(missing)).await.expect_err(missing);
        assert_eq!(failure.applied, Applied::No, "{missing}");
        assert!(failure.reason.contains("permission"), "{missing}: {}", failure.reason);
        assert!(failure.reason.contains(missing), "{missing}: {}", failure.reason);
    }
}
