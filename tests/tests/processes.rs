//! Several processes share locks; some are killed, some stand still for longer than the ttl. The
//! resource behind the locks checks fences, and loses no update.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says why"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use lock_runtime::LockManager;
use lock_tests::history::{
    Event, History, Judgement, Model, What, cores_do_not_overlap, in_the_order_of_fences, search,
};
use lock_tests::process::{self, Owned};
use lock_tests::resource::{Counter, Resource};
use lock_tests::{RedisServer, eventually_blocking};

const PROCESSES: usize = 4;
const TASKS: usize = 16;
/// Short, so that the loss of a process costs the others little time.
const TTL: Duration = Duration::from_secs(1);
/// For what only has to happen some time.
const LATE: Duration = Duration::from_secs(30);
/// The lock and the counter that half of all tasks want.
const HOT: &str = "one";

/// A `lock-test-child` with pipes.
struct Child {
    process: Owned,
    output: BufReader<std::process::ChildStdout>,
}

impl Child {
    fn start(arguments: &[&str]) -> Child {
        let mut command = process::command(env!("CARGO_BIN_EXE_lock-test-child"));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Owned::spawn(command);
        let output = BufReader::new(process.child().stdout.take().unwrap());
        Child { process, output }
    }

    fn hold(server: &RedisServer, ttl: Duration) -> Child {
        Child::start(&["hold", &server.url(), "job", &ttl.as_millis().to_string()])
    }

    fn work(locks: &RedisServer, resource: &RedisServer, records: &Path) -> Child {
        let (tasks, ttl) = (TASKS.to_string(), TTL.as_millis().to_string());
        let records = records.to_str().unwrap();
        Child::start(&["work", &locks.url(), &resource.url(), &tasks, &ttl, records])
    }

    fn pid(&self) -> String {
        self.process.id().to_string()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// SIGSTOP; returns when every thread of it stands still.
    fn pause(&self) {
        self.process.pause();
        let tasks = format!("/proc/{}/task", self.process.id());
        eventually_blocking("the process stands still", LATE, || {
            std::fs::read_dir(&tasks).unwrap().all(|task| {
                let stat = std::fs::read_to_string(task.unwrap().path().join("stat"));
                // "pid (name) state …"; a thread that ended meanwhile stands still too.
                stat.map_or(true, |stat| {
                    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
                })
            })
        });
    }

    /// Ends its standard input, waits until it is gone, and gives what it said.
    fn finish(mut self) -> String {
        drop(self.process.child().stdin.take());
        let process = &mut self.process;
        eventually_blocking("the process ends", LATE, || process.ended().is_some());
        let status = process.ended().unwrap();
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        assert!(status.success(), "{status}: {text}");
        text
    }
}

/// The sum of `name=number` in what the processes said.
fn sum(said: &[String], name: &str) -> u64 {
    let prefix = format!("{name}=");
    said.iter()
        .flat_map(|text| text.split_whitespace())
        .filter_map(|word| word.strip_prefix(&prefix))
        .map(|number| number.parse::<u64>().unwrap())
        .sum()
}

/// Stops one of the workers between its read and its write under the hot lock, and gives its index.
fn pause_a_holder(workers: &[Child], resource: &mut Resource) -> usize {
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < LATE, "no worker was met between its two steps");
        let now = resource.look(HOT);
        let holder = workers.iter().position(|worker| worker.pid() == now.process);
        let (Some(holder), "read") = (holder, now.stage.as_str()) else {
            continue;
        };
        workers[holder].pause();
        // What it had sent before it stood still has arrived by the second look.
        let unchanged = |look: Counter| look.stage == "read" && look.process == now.process;
        if unchanged(resource.look(HOT)) && unchanged(resource.look(HOT)) {
            return holder;
        }
        workers[holder].process.resume();
    }
}

/// Waits until the others have passed the hot lock on a few times.
fn others_go_on(resource: &mut Resource) {
    let before = resource.look(HOT).accepted;
    eventually_blocking("the others go on", LATE, || resource.look(HOT).accepted >= before + 5);
}

#[test]
fn no_update_is_lost_when_processes_are_killed_and_paused() {
    let (locks, server) = (RedisServer::start(), RedisServer::start());
    let records = tempfile::tempdir().unwrap();
    let mut resource = Resource::connect(&server.url());
    let mut workers: Vec<Child> = (0..PROCESSES)
        .map(|_| Child::work(&locks, &server, records.path()))
        .collect();
    others_go_on(&mut resource);

    // Some stand still past their ttl, in the middle of their work; others take the lock, and the
    // sleeper, who has not noticed, must not get its write through.
    let mut paused = Vec::new();
    let start = Instant::now();
    while paused.len() < 3 || resource.look(HOT).stopped == 0 {
        assert!(start.elapsed() < LATE, "no overlap in {} pauses", paused.len());
        let sleeper = pause_a_holder(&workers, &mut resource);
        let since = Instant::now();
        eventually_blocking("its ttl is over", LATE, || since.elapsed() > TTL);
        others_go_on(&mut resource);
        workers[sleeper].process.resume();
        others_go_on(&mut resource);
        paused.push(workers[sleeper].pid());
    }
    // Some are killed in the middle of their work; new ones come.
    for _ in 0..3 {
        let victim = pause_a_holder(&workers, &mut resource);
        workers[victim].process.kill();
        workers[victim] = Child::work(&locks, &server, records.path());
        others_go_on(&mut resource);
    }
    eventually_blocking("all locks were used", LATE, || {
        resource.counters().len() > 20 && resource.look(HOT).accepted > 300
    });

    let calm: Vec<bool> = workers.iter().map(|worker| !paused.contains(&worker.pid())).collect();
    let said: Vec<String> = workers.into_iter().map(Child::finish).collect();
    let counters: Vec<Counter> = resource
        .counters()
        .iter()
        .map(|counter| resource.look(counter))
        .collect();
    let total = |of: fn(&Counter) -> u64| counters.iter().map(of).sum::<u64>();
    println!(
        "{} updates under {} locks by {PROCESSES} processes with {TASKS} tasks each; {} pauses and 3 kills; \
         overlaps that fences had to stop: {}",
        total(|counter| counter.accepted),
        counters.len(),
        paused.len(),
        total(|counter| counter.stopped)
    );
    println!("{}", said.concat());

    for counter in &counters {
        assert_eq!(counter.value, counter.accepted, "an update was lost: {counter:?}");
        assert_eq!(counter.repeated, 0, "two holders had one fence: {counter:?}");
    }
    assert!(
        total(|counter| counter.stopped) > 0,
        "no overlap happened, so this test showed nothing"
    );
    for text in &said {
        assert!(
            sum(std::slice::from_ref(text), "done") > 0,
            "a process never got a lock: {text}"
        );
    }
    judge(records.path());
    let calm: Vec<String> = said
        .into_iter()
        .zip(calm)
        .filter_map(|(text, calm)| calm.then_some(text))
        .collect();
    assert_eq!(
        sum(&calm, "unavailable"),
        0,
        "the server was there all the time: {calm:?}"
    );

    // What the killed ones held ends with its ttl; the others released.
    let held = || {
        locks
            .keys()
            .into_iter()
            .filter(|key| key.starts_with("lock:"))
            .collect::<Vec<_>>()
    };
    for key in held() {
        assert!(locks.ttl(&key).is_none_or(|left| left <= TTL), "{key} outlives the ttl");
    }
    eventually_blocking("no lock is held", TTL + Duration::from_secs(2), || held().is_empty());
    assert!(locks.keys().len() <= 4, "helper keys: {:?}", locks.keys());
    assert_eq!(clients(&locks), 0, "somebody is still connected");
}

/// What all clients saw of all locks is what a lock would have shown them, under all five models.
fn judge(records: &Path) {
    const STEPS: usize = 2_000_000;
    let locks = Event::read(records);
    let (mut operations, mut undecided, mut reentries, mut losses) = (0, 0, 0, 0);
    for (lock, events) in &locks {
        let history = History::of(events);
        in_the_order_of_fences(&history).unwrap_or_else(|error| panic!("{lock}: {error}"));
        cores_do_not_overlap(&history).unwrap_or_else(|error| panic!("{lock}: {error}"));
        for model in Model::ALL {
            match search(&history, model, STEPS) {
                Judgement::Allowed => {}
                Judgement::Undecided => undecided += 1,
                refused @ Judgement::Refused { .. } => panic!("{lock}, as a {model:?}: {refused:?}"),
            }
        }
        operations += history.operations.len();
        reentries += history.operations.len() - history.outermost().operations.len();
        let is_loss = |event: &&Event| event.what == What::Lost;
        losses += events.iter().filter(is_loss).count();
    }
    println!(
        "{operations} operations on {} locks, {reentries} of them re-entries and their ends, {losses} losses; \
         {undecided} of {} searches took too long",
        locks.len(),
        locks.len() * Model::ALL.len()
    );
    assert!(reentries > 0, "nobody re-entered, so this showed less than it should");
    assert!(losses > 0, "no lease was lost, so this showed less than it should");
}

/// The connections to `server` that are not the harness'.
fn clients(server: &RedisServer) -> usize {
    server
        .cli(&["CLIENT", "LIST"])
        .lines()
        .filter(|line| line.contains("user=default"))
        .count()
}

#[test]
fn the_lock_of_a_killed_process_is_free_after_its_ttl() {
    let server = RedisServer::start();
    let ttl = Duration::from_secs(3);
    let mut child = Child::hold(&server, ttl);
    assert!(child.line().starts_with("held "));
    child.process.kill();
    let left = server
        .ttl("lock:job")
        .expect("a killed process leaves its key to the ttl");
    assert!(left <= ttl);
    eventually_blocking("the lock is free", ttl + Duration::from_secs(1), || {
        !server.exists("lock:job")
    });
}

#[test]
fn a_waiter_gets_the_lock_of_a_killed_process_when_its_ttl_is_over() {
    let server = RedisServer::start();
    let ttl = Duration::from_secs(2);
    let mut child = Child::hold(&server, ttl);
    let held = child.line();
    let first: u64 = held.strip_prefix("held ").unwrap().parse().unwrap();
    child.process.kill();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let manager = LockManager::connect(&server.url()).await.unwrap();
        let start = Instant::now();
        let guard = manager.lock("job").wait(LATE).acquire().await.unwrap();
        let waited = start.elapsed();
        assert!(
            waited < ttl + Duration::from_secs(2),
            "woken {waited:?} after the kill, ttl {ttl:?}"
        );
        assert!(guard.fence().get() > first);
    });
}

#[test]
fn a_process_paused_past_its_ttl_notices_when_it_wakes() {
    let server = RedisServer::start();
    let mut child = Child::hold(&server, TTL);
    assert!(child.line().starts_with("held "));
    child.pause();
    eventually_blocking("the lock is free", TTL + LATE, || !server.exists("lock:job"));
    child.process.resume();
    assert_eq!(child.line(), "lost Expired");
}

#[test]
fn a_process_paused_past_its_ttl_does_not_take_the_lock_from_the_next_holder() {
    let server = RedisServer::start();
    let mut sleeper = Child::hold(&server, TTL);
    assert!(sleeper.line().starts_with("held "));
    sleeper.pause();
    eventually_blocking("the lock is free", TTL + LATE, || !server.exists("lock:job"));
    let mut next = Child::hold(&server, Duration::from_secs(600));
    assert!(next.line().starts_with("held "));
    let value = server.get("lock:job");
    sleeper.process.resume();
    assert!(sleeper.line().starts_with("lost "));
    sleeper.finish();
    assert_eq!(server.get("lock:job"), value);
    assert_eq!(next.finish().trim(), "done");
}

#[test]
fn a_process_that_ends_in_order_leaves_its_lock_free() {
    let server = RedisServer::start();
    let mut child = Child::hold(&server, Duration::from_secs(600));
    assert!(child.line().starts_with("held "));
    assert_eq!(child.finish().trim(), "done");
    assert!(!server.exists("lock:job"));
}

#[test]
fn the_owner_of_a_lock_names_its_process() {
    let server = RedisServer::start();
    let mut child = Child::hold(&server, Duration::from_secs(60));
    assert!(child.line().starts_with("held "));
    let value = server.get("lock:job").unwrap();
    assert!(value.ends_with(&format!(":{}", child.pid())), "{value}");
}
