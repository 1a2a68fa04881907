//! Processes killed at every step of a call's life: nothing is lost, nothing runs out of its order, and what ran twice
//! had its worker killed.

use std::thread;
use std::time::Instant;

use lock_runtime::{CallEnd, DeathCause, LockManager, Ticket};
use lock_tests::{Proxy, RedisServer, eventually_blocking};

use crate::child::{Child, give_back, record, stored, stored_calls, take, written};
use crate::support::{LATE, SOON};

/// How many lives are lived side by side.
const LIVES: usize = 6;

/// How the call ended, as anybody can ask.
fn end(server: &RedisServer, namespace: &str, ticket: Ticket) -> CallEnd {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let builder = LockManager::builder().url(server.url()).namespace(namespace);
        let locks = builder.connect().await.unwrap();
        let queue = locks.queue();
        let end = tokio::time::timeout(LATE, queue.wait(ticket)).await;
        end.unwrap_or_else(|_| panic!("{namespace}: the call does not end"))
            .unwrap()
    })
}

/// The moments at which something is killed: so many requests, before each and after each.
fn moments(requests: usize) -> Vec<(usize, bool)> {
    (1..=requests)
        .flat_map(|number| [(number, false), (number, true)])
        .collect()
}

/// Does this for each moment, several at a time.
fn side_by_side<T: Sync>(all: &[T], each: impl Fn(&T) + Sync) {
    for some in all.chunks(LIVES) {
        thread::scope(|scope| {
            for one in some {
                scope.spawn(|| each(one));
            }
        });
    }
}

fn aim(proxy: &Proxy, namespace: &str, (number, after): (usize, bool)) {
    if after {
        proxy.freeze_after_the(number, namespace);
    } else {
        proxy.freeze_before_the(number, namespace);
    }
}

#[test]
fn a_worker_that_is_killed_at_any_request_loses_no_call() {
    let server = RedisServer::start();
    // One that nobody disturbs, for the number of its requests.
    let requests = {
        let (namespace, proxy) = ("calm:", Proxy::to(&server));
        let ticket = stored(&server, namespace, 1, &["call"])[0];
        let worker = Child::work(&proxy.url(), &server, namespace);
        assert_eq!(end(&server, namespace, ticket), CallEnd::Done);
        assert_eq!(record(&server, namespace), ["begins call", "ends call"]);
        worker.finish();
        proxy.requests_with(namespace)
    };
    assert!((3..40).contains(&requests), "{requests} requests in the life of a call");
    side_by_side(&moments(requests), |moment| {
        let namespace = format!("killed-{}-{}:", moment.0, moment.1);
        let ticket = stored(&server, &namespace, 1, &["call"])[0];
        let proxy = Proxy::to(&server);
        aim(&proxy, &namespace, *moment);
        let mut victim = Child::work(&proxy.url(), &server, &namespace);
        eventually_blocking("the victim is where it is to be killed, or has done it", LATE, || {
            proxy.is_frozen() || stored_calls(&server, &namespace) == 0
        });
        victim.kill();
        let survivor = Child::work(&server.url(), &server, &namespace);
        assert_eq!(end(&server, &namespace, ticket), CallEnd::Done, "{namespace}");
        survivor.finish();
        let (begun, ended) = (
            written(&server, &namespace, "begins call"),
            written(&server, &namespace, "ends call"),
        );
        assert!(
            (1..=2).contains(&begun) && (1..=begun).contains(&ended),
            "{namespace}: {begun}, {ended}"
        );
        assert_eq!(stored_calls(&server, &namespace), 0, "{namespace}");
    });
}

#[test]
fn a_caller_that_is_killed_at_any_request_has_stored_its_call_once_or_not_at_all() {
    let server = RedisServer::start();
    let requests = {
        let (namespace, proxy) = ("calm:", Proxy::to(&server));
        take(&server, namespace, 1);
        let mut caller = Child::store(&proxy.url(), &server, namespace, 1, &["call"]);
        assert!(caller.line().starts_with("stored "));
        caller.finish();
        proxy.requests_with(namespace)
    };
    assert!((2..20).contains(&requests), "{requests} requests");
    side_by_side(&moments(requests), |moment| {
        let namespace = format!("caller-{}-{}:", moment.0, moment.1);
        let proxy = Proxy::to(&server);
        take(&server, &namespace, 1);
        aim(&proxy, &namespace, *moment);
        let mut victim = Child::store(&proxy.url(), &server, &namespace, 1, &["call"]);
        eventually_blocking("the victim is where it is to be killed, or has ended", LATE, || {
            proxy.is_frozen() || victim.has_ended()
        });
        victim.kill();
        give_back(&server, &namespace, 1);
        let calls = stored_calls(&server, &namespace);
        assert!(calls <= 1, "{namespace}: {calls} calls");
        let survivor = Child::work(&server.url(), &server, &namespace);
        eventually_blocking("what is stored has run", LATE, || {
            stored_calls(&server, &namespace) == 0
        });
        assert_eq!(written(&server, &namespace, "ends call"), calls, "{namespace}");
        survivor.finish();
    });
}

/// A worker behind a proxy with a body that has begun, and waits.
fn in_the_body(server: &RedisServer, namespace: &str) -> (Ticket, Proxy, Child) {
    let ticket = stored(server, namespace, 1, &["call"])[0];
    let proxy = Proxy::to(server);
    let mut victim = Child::work_that_waits(&proxy.url(), server, namespace);
    assert_eq!(victim.line(), "begins call");
    (ticket, proxy, victim)
}

/// When the claim of the only call that runs is over, in the server's milliseconds.
fn claimed_until(server: &RedisServer, namespace: &str) -> f64 {
    let running = format!("distributed-lock:{{queue:{namespace}}}:running");
    let answer = server.cli(&["ZRANGE", &running, "0", "0", "WITHSCORES"]);
    let score = answer.lines().next_back().expect("a call runs");
    score.trim().parse().expect("a score is a number")
}

#[test]
fn a_call_whose_worker_was_killed_in_its_body_runs_again_when_its_claim_and_its_lock_are_over() {
    let server = RedisServer::start();
    let (ticket, _proxy, mut victim) = in_the_body(&server, "body:");
    let survivor = Child::work(&server.url(), &server, "body:");
    // While the first keeps its claim, for several leases, nobody else runs it.
    let first = claimed_until(&server, "body:");
    eventually_blocking("the claim is kept again and again", LATE, || {
        claimed_until(&server, "body:") > first + 1_500.0
    });
    assert_eq!(record(&server, "body:"), ["begins call"]);
    victim.kill();
    let killed = Instant::now();
    assert_eq!(end(&server, "body:", ticket), CallEnd::Done);
    assert!(killed.elapsed() < SOON, "it took {:?}", killed.elapsed());
    assert_eq!(record(&server, "body:"), ["begins call", "begins call", "ends call"]);
    survivor.finish();
}

#[test]
fn a_call_whose_worker_was_killed_between_its_body_and_the_acknowledgement_runs_again() {
    let server = RedisServer::start();
    let (ticket, proxy, mut victim) = in_the_body(&server, "after:");
    proxy.freeze();
    victim.let_go();
    assert_eq!(victim.line(), "ends call");
    victim.kill();
    let survivor = Child::work(&server.url(), &server, "after:");
    assert_eq!(end(&server, "after:", ticket), CallEnd::Done);
    assert_eq!(
        record(&server, "after:"),
        ["begins call", "ends call", "begins call", "ends call"]
    );
    survivor.finish();
}

#[test]
fn a_call_whose_worker_was_killed_after_the_acknowledgement_runs_once() {
    let server = RedisServer::start();
    let (ticket, _proxy, mut victim) = in_the_body(&server, "acknowledged:");
    victim.let_go();
    assert_eq!(end(&server, "acknowledged:", ticket), CallEnd::Done);
    victim.kill();
    let survivor = Child::work(&server.url(), &server, "acknowledged:");
    let next = stored(&server, "acknowledged:", 1, &["next"])[0];
    assert_eq!(end(&server, "acknowledged:", next), CallEnd::Done);
    assert_eq!(
        record(&server, "acknowledged:"),
        ["begins call", "ends call", "begins next", "ends next"]
    );
    survivor.finish();
}

#[test]
fn the_calls_of_a_key_keep_their_order_when_their_worker_is_killed() {
    const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let server = RedisServer::start();
    let tickets = stored(&server, "order:", 1, &NAMES);
    for round in 0..4 {
        let mut victim = Child::work_that_waits(&server.url(), &server, "order:");
        for _ in 0..=round % 2 {
            assert!(victim.line().starts_with("begins "));
            victim.let_go();
            assert!(victim.line().starts_with("ends "));
        }
        // The next one is about to begin, or has begun.
        victim.kill();
    }
    let survivor = Child::work(&server.url(), &server, "order:");
    assert_eq!(end(&server, "order:", *tickets.last().unwrap()), CallEnd::Done);
    survivor.finish();
    let record = record(&server, "order:");
    let begun: Vec<_> = record.iter().filter_map(|line| line.strip_prefix("begins ")).collect();
    assert!(begun.is_sorted(), "{begun:?}");
    for name in NAMES {
        assert!(record.contains(&format!("ends {name}")), "{name} was lost: {record:?}");
    }
    assert!(
        begun.len() <= NAMES.len() + 4,
        "more ran twice than were killed: {begun:?}"
    );
}

#[test]
fn two_live_workers_take_over_from_a_killed_one_and_run_each_call_once_more_at_most() {
    let server = RedisServer::start();
    let mut tickets = Vec::new();
    for order in 1..=6 {
        tickets.extend(stored(&server, "three:", order, &[&format!("call {order}")]));
    }
    let mut victim = Child::work_that_waits(&server.url(), &server, "three:");
    for _ in 1..=6 {
        assert!(victim.line().starts_with("begins "));
    }
    let survivors = [(); 2].map(|()| Child::work(&server.url(), &server, "three:"));
    victim.kill();
    for ticket in tickets {
        assert_eq!(end(&server, "three:", ticket), CallEnd::Done);
    }
    for order in 1..=6 {
        assert_eq!(written(&server, "three:", &format!("begins call {order}")), 2);
        assert_eq!(written(&server, "three:", &format!("ends call {order}")), 1);
    }
    survivors.into_iter().for_each(Child::finish);
}

#[test]
fn a_call_of_another_program_is_a_dead_letter_that_names_its_function() {
    let server = RedisServer::start();
    let ticket = stored(&server, "lock:", 1, &["call"])[0];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let locks = LockManager::connect(&server.url()).await.unwrap();
        let worker = crate::support::Shop::on(&locks).work(&locks);
        let call = crate::support::dead(&locks, ticket).await;
        assert_eq!(call.cause(), Some(DeathCause::UnknownFunction));
        let error = call.last_error().unwrap();
        assert!(error.contains("queue_test_child::deliver"), "{error}");
        worker.stop().await;
    });
}
