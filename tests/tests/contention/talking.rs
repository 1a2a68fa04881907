//! Of all the waiters of a process only one talks to Redis.

use std::time::Duration;

use lock_runtime::LockManager;
use lock_tests::RedisServer;

use crate::support::{LONG, ask, hold, job, ms, until_in_line};

/// What is looked at.
const WINDOW: Duration = Duration::from_secs(1);

/// How many scripts the server ran since this was asked last. (It is asked over another connection, by other commands.)
fn scripts(server: &RedisServer) -> u64 {
    let stats = server.cli(&["INFO", "commandstats"]);
    server.cli(&["CONFIG", "RESETSTAT"]);
    let calls = |line: &str| {
        let rest = line.strip_prefix("cmdstat_eval")?;
        let rest = rest.split_once("calls=")?.1;
        rest.split(',').next()?.parse::<u64>().ok()
    };
    stats.lines().filter_map(calls).sum()
}

/// The scripts that so many waiters cost, from before they come until they have waited for a while.
async fn cost(server: &RedisServer, locks: &LockManager, waiters: usize, seldom: bool) -> u64 {
    scripts(server);
    let request = || {
        if seldom {
            job(locks)
        } else {
            locks.lock("job").ttl(LONG).wait(LONG)
        }
    };
    let waiting: Vec<_> = (0..waiters).map(|_| ask(request())).collect();
    until_in_line(server, 1).await;
    tokio::time::sleep(WINDOW).await;
    let scripts = scripts(server);
    drop(waiting);
    until_in_line(server, 0).await;
    scripts
}

#[tokio::test]
async fn a_hundred_times_as_many_waiters_cost_the_server_nothing_more() {
    let server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let holder = LockManager::connect(&server.url()).await.unwrap();
    let _guard = hold(&holder).await;
    for seldom in [true, false] {
        let one = cost(&server, &locks, 5, seldom).await;
        let many = cost(&server, &locks, 500, seldom).await;
        println!("scripts in {WINDOW:?}: {one} with 5 waiters, {many} with 500 (re-checks seldom: {seldom})");
        // By default one waiter looks again each 20 to 500 ms.
        assert!(many <= one + 60, "{one} scripts with 5 waiters, {many} with 500");
    }
}

#[tokio::test]
async fn waiters_that_give_up_one_after_the_other_do_not_all_ask_the_server() {
    let server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let holder = LockManager::connect(&server.url()).await.unwrap();
    let _guard = hold(&holder).await;
    scripts(&server);
    // The front stays; those behind it come and go.
    let _front = ask(job(&locks));
    until_in_line(&server, 1).await;
    let waiting: Vec<_> = (0..500)
        .map(|number| tokio::spawn(job(&locks).wait(ms(number)).acquire()))
        .collect();
    for call in waiting {
        assert!(call.await.unwrap().unwrap_err().is_conflict());
    }
    let scripts = scripts(&server);
    assert!(scripts <= 60, "{scripts} scripts for 500 who gave up behind another");
}

#[tokio::test]
async fn a_turn_costs_no_more_commands_when_more_wait() {
    let server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    for hand_over in [false, true] {
        let locks = if hand_over {
            locks.clone()
        } else {
            LockManager::builder()
                .url(server.url())
                .hand_over(false)
                .connect()
                .await
                .unwrap()
        };
        scripts(&server);
        let calls = (0..400).map(|_| async { locks.lock("job").ttl(LONG).wait(LONG).run(async {}).await.unwrap() });
        futures_util::future::join_all(calls).await;
        let scripts = scripts(&server);
        println!("{scripts} scripts for 400 turns, hand-over: {hand_over}");
        let most = if hand_over { 200 } else { 400 * 4 };
        assert!(
            scripts <= most,
            "{scripts} scripts for 400 turns, hand-over: {hand_over}"
        );
    }
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_costs_the_server_a_look_at_the_line_and_no_more() {
    let server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    // Until the scripts are known, and the connections are there.
    for _ in 0..10 {
        locks.lock("job").ttl(LONG).run(async {}).await.unwrap();
    }
    scripts(&server);
    for _ in 0..10 {
        locks.lock("job").ttl(LONG).run(async {}).await.unwrap();
    }
    let stats = server.cli(&["INFO", "commandstats"]);
    let calls = stats.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name, rest.split(',').next()?.parse::<u64>().ok()?))
    });
    // A line is a list.
    let lists = ["rpush", "lpop", "lindex", "lrange", "lset", "lrem", "llen"];
    let line: Vec<_> = calls.filter(|(name, _)| lists.contains(name)).collect();
    assert_eq!(line, [("lpop", 10)], "ten calls");
}
