//! A program that uses a lock once an hour sleeps meanwhile.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use lock_tests::{ClusterGroup, RedisServer, RedlockGroup, SentinelGroup, eventually};

use crate::neighbour::Neighbour;
use crate::support::LATE;

/// What is looked at.
const WINDOW: Duration = Duration::from_secs(5);

/// How often each thread of the process went to sleep by itself, and so how often it had been awake.
fn switches(process: u32) -> HashMap<String, u64> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        let path = task.ok()?.path();
        let status = std::fs::read_to_string(path.join("status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().to_owned())
        };
        let thread = path.file_name()?.to_str()?.to_owned();
        let count = field("voluntary_ctxt_switches:")?.parse().ok()?;
        Some((format!("{} {thread}", field("Name:")?), count))
    };
    tasks.filter_map(of).collect()
}

/// Uses locks on `url` in a process of its own, and then counts how often that wakes up.
async fn wakes_seldom(url: &str) {
    let mut program = Neighbour::start(url, true).await;
    program.tell("use");
    program.says("used").await;
    // What was begun may come to rest first.
    let rest = Duration::from_secs(2);
    let start = Instant::now();
    eventually("it comes to rest", rest + LATE, async || start.elapsed() > rest).await;
    let before = switches(program.id());
    let start = Instant::now();
    eventually("a while passed", WINDOW + LATE, async || start.elapsed() > WINDOW).await;
    let after = switches(program.id());
    let woken = |(thread, count): (&String, &u64)| {
        let woken = count - before.get(thread).copied().unwrap_or(0);
        (woken > 0).then(|| (thread.clone(), woken))
    };
    let woken: HashMap<_, _> = after.iter().filter_map(woken).collect();
    println!("{url}: woken in {WINDOW:?}: {woken:?}");
    let all: u64 = woken.values().sum();
    assert!(all <= WINDOW.as_secs() + 2, "woken in {WINDOW:?}: {woken:?}");
}

#[tokio::test]
async fn an_idle_program_on_redis_wakes_at_most_once_a_second() {
    let server = RedisServer::start();
    wakes_seldom(&server.url()).await;
}

#[tokio::test]
async fn an_idle_program_on_the_in_process_backend_wakes_at_most_once_a_second() {
    wakes_seldom("memory://idle").await;
}

#[tokio::test]
async fn an_idle_program_behind_sentinels_wakes_at_most_once_a_second() {
    let group = SentinelGroup::start();
    wakes_seldom(&group.url()).await;
}

#[tokio::test]
async fn an_idle_program_on_a_cluster_wakes_at_most_once_a_second() {
    let cluster = ClusterGroup::start();
    wakes_seldom(&cluster.url()).await;
}

#[tokio::test]
async fn an_idle_program_on_independent_servers_wakes_at_most_once_a_second() {
    let group = RedlockGroup::start(5);
    wakes_seldom(&group.url()).await;
}
