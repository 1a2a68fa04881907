//! Section 9: what other clients of the same server see.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lock_runtime::{LockError, LockManager, distributed_lock};
use lock_tests::{Fixture, RedisServer, eventually, eventually_blocking};

use crate::support::{Count, SOON, lease_here, ms};

/// What a server does for others than this harness, as MONITOR shows it.
pub(crate) struct Commands<'a> {
    server: &'a RedisServer,
    lines: Arc<Mutex<Vec<String>>>,
}

impl<'a> Commands<'a> {
    pub(crate) fn watch(server: &'a RedisServer) -> Commands<'a> {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lines);
        // Ends with the server.
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                let Ok(line) = line else { return };
                seen.lock().unwrap().push(line);
            }
        });
        eventually_blocking("MONITOR is on", SOON, || !lines.lock().unwrap().is_empty());
        Commands { server, lines }
    }

    /// Forgets what was sent until now.
    pub(crate) fn forget(&self) {
        self.seen();
    }

    /// The names of the commands that clients sent since the last call.
    pub(crate) fn seen(&self) -> Vec<String> {
        let sent = self.take().into_iter().filter(|sent| sent.by_client);
        sent.map(|sent| sent.name).collect()
    }

    /// What was done since the last call.
    fn take(&self) -> Vec<Sent> {
        static MARKS: AtomicU32 = AtomicU32::new(0);
        let mark = format!("mark-{}.", MARKS.fetch_add(1, Ordering::Relaxed));
        self.server.cli(&["ECHO", &mark]);
        let marked = || self.lines.lock().unwrap().iter().position(|line| line.contains(&mark));
        eventually_blocking("the mark is seen", SOON, || marked().is_some());
        let end = marked().unwrap();
        let lines: Vec<_> = self.lines.lock().unwrap().drain(..=end).collect();
        lines
            .iter()
            .filter_map(|line| Sent::read(line))
            .filter(|sent| sent.name != "ping")
            .collect()
    }
}

/// A command that a server did.
struct Sent {
    name: String,
    /// Otherwise a script called it.
    by_client: bool,
}

impl Sent {
    /// From a line of MONITOR: time [database client] "command" "argument" …
    fn read(line: &str) -> Option<Sent> {
        let (from, command) = line.split_once("] \"")?;
        let name = command.split('"').next()?.to_lowercase();
        let by_client = from.contains(" 127.0.0.1:");
        (by_client || from.ends_with(" lua")).then_some(Sent { name, by_client })
    }
}

/// Splits a lock's value as section 9 says.
fn token_and_owner(value: &str) -> (&str, &str) {
    value.split_once(' ').unwrap_or_else(|| panic!("no space in {value:?}"))
}

fn assert_uuid_v4(token: &str) {
    let groups: Vec<_> = token.split('-').collect();
    let lengths: Vec<_> = groups.iter().map(|group| group.len()).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "{token}");
    assert!(
        token
            .chars()
            .all(|c| c == '-' || c.is_ascii_digit() || ('a'..='f').contains(&c)),
        "{token}"
    );
    assert!(groups[2].starts_with('4'), "the version of {token}");
    assert!(groups[3].starts_with(['8', '9', 'a', 'b']), "the variant of {token}");
}

#[tokio::test]
async fn the_lock_is_the_string_key_of_namespace_and_key() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    for key in ["job", "order:1%3A2:3", "a b", "Größe {1}", "line\nfeed", "nul\0byte"] {
        let guard = fixture.manager().lock(key).acquire().await.unwrap();
        assert_eq!(server.cli(&["TYPE", &format!("lock:{key}")]), "string");
        guard.release().await.unwrap();
        assert!(!server.exists(&format!("lock:{key}")));
    }
    let shop = fixture.builder().namespace("shop/").connect().await.unwrap();
    let _guard = shop.lock("job").acquire().await.unwrap();
    assert!(server.exists("shop/job"));
    assert!(!server.exists("lock:job"));
}

#[tokio::test]
async fn the_value_is_a_random_token_and_after_a_space_the_owner() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    let mut tokens = std::collections::HashSet::new();
    for _ in 0..20 {
        let guard = fixture.manager().lock("job").acquire().await.unwrap();
        let value = server.get("lock:job").unwrap();
        let (token, owner) = token_and_owner(&value);
        assert_uuid_v4(token);
        assert_eq!(owner, "one");
        assert!(tokens.insert(token.to_owned()), "{token} came twice");
        guard.release().await.unwrap();
    }
}

#[tokio::test]
async fn the_value_does_not_change_while_the_lock_is_held() {
    #[distributed_lock(key = "job", ttl = "5s", renew = "50ms", reentrant, manager = locks)]
    async fn job(locks: &LockManager, server: &RedisServer, levels: u8) -> Result<String, LockError> {
        let value = server.get("lock:job").unwrap();
        let (lease, mut before) = (lease_here(), Duration::MAX);
        eventually("a renewal", SOON, async || {
            let renewed = lease.remaining() > before;
            before = lease.remaining();
            renewed
        })
        .await;
        if levels > 0 {
            assert_eq!(Box::pin(job(locks, server, levels - 1)).await?, value);
        }
        assert_eq!(server.get("lock:job").unwrap(), value);
        Ok(value)
    }
    let fixture = Fixture::redis().await;
    job(fixture.manager(), fixture.server().unwrap(), 1).await.unwrap();
}

#[tokio::test]
async fn the_key_has_its_ttl_from_the_first_moment() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    for ttl in [
        ms(100),
        ms(1234),
        Duration::from_secs(30),
        Duration::from_secs(100 * 365 * 86_400),
    ] {
        let guard = fixture
            .manager()
            .lock("job")
            .ttl(ttl)
            .never_renew()
            .acquire()
            .await
            .unwrap();
        let left = server.ttl("lock:job");
        if ttl > SOON {
            let left = left.unwrap();
            assert!(left <= ttl && left + SOON > ttl, "{left:?} of {ttl:?}");
        } else {
            assert!(left.is_none_or(|left| left <= ttl), "{left:?} of {ttl:?}");
        }
        assert_ne!(server.cli(&["PTTL", "lock:job"]), "-1", "the key has no ttl");
        drop(guard);
        eventually("it is free", SOON, async || !server.exists("lock:job")).await;
    }
}

#[tokio::test]
async fn an_acquisition_and_a_release_are_one_command_each() {
    let fixture = Fixture::redis().await;
    let commands = Commands::watch(fixture.server().unwrap());
    let locks = fixture.manager();
    // The first use may load scripts.
    locks.lock("warm").acquire().await.unwrap().release().await.unwrap();
    for _ in 0..5 {
        commands.forget();
        let guard = locks.lock("job").ttl(Duration::from_secs(60)).acquire().await.unwrap();
        assert_eq!(commands.seen().len(), 1);
        guard.release().await.unwrap();
        assert_eq!(commands.seen().len(), 1);
    }
}

#[tokio::test]
async fn an_annotated_call_is_two_commands() {
    #[distributed_lock(key = "job", ttl = "60s", manager = locks)]
    async fn job(locks: &LockManager) -> Result<(), LockError> {
        Ok(())
    }
    let fixture = Fixture::redis().await;
    let commands = Commands::watch(fixture.server().unwrap());
    job(fixture.manager()).await.unwrap();
    commands.forget();
    for _ in 0..10 {
        job(fixture.manager()).await.unwrap();
    }
    assert_eq!(commands.seen().len(), 20);
}

#[tokio::test]
async fn a_refusal_is_one_command() {
    let fixture = Fixture::redis().await;
    let commands = Commands::watch(fixture.server().unwrap());
    let _held = fixture
        .another_manager()
        .lock("job")
        .ttl(Duration::from_secs(60))
        .acquire()
        .await
        .unwrap();
    fixture
        .manager()
        .lock("warm")
        .acquire()
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
    commands.forget();
    for _ in 0..5 {
        assert!(fixture.manager().lock("job").try_acquire().await.unwrap().is_none());
    }
    assert_eq!(commands.seen().len(), 5);
}

#[tokio::test]
async fn a_renewal_is_one_command_that_compares_and_sets_the_ttl() {
    let fixture = Fixture::redis().await;
    let commands = Commands::watch(fixture.server().unwrap());
    let lock = fixture
        .manager()
        .lock("job")
        .ttl(Duration::from_secs(20))
        .renew_every(ms(100));
    let _guard = lock.acquire().await.unwrap();
    let renewals = async |times: usize| {
        let mut sent = Vec::new();
        eventually("renewals", SOON, async || {
            sent.extend(commands.take());
            sent.iter().filter(|sent| sent.name == "pexpire").count() >= times
        })
        .await;
        sent
    };
    // The first use may load the script.
    renewals(1).await;
    let sent = renewals(10).await;
    let by_client: Vec<_> = sent
        .iter()
        .filter(|sent| sent.by_client)
        .map(|sent| &sent.name)
        .collect();
    let renewals = sent.iter().filter(|sent| sent.name == "pexpire").count();
    assert_eq!(by_client.len(), renewals, "{by_client:?}");
}

#[tokio::test]
async fn with_an_empty_namespace_a_plain_client_excludes_us_and_is_excluded_by_us() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    let locks = fixture.builder().namespace("").connect().await.unwrap();

    let guard = locks.lock("job").acquire().await.unwrap();
    assert_eq!(server.cli(&["SET", "job", "theirs", "NX", "PX", "60000"]), "(nil)");
    guard.release().await.unwrap();

    assert_eq!(server.cli(&["SET", "job", "theirs", "NX", "PX", "60000"]), "OK");
    assert!(locks.lock("job").try_acquire().await.unwrap().is_none());
    let theirs = locks.inspect("job").await.unwrap().unwrap();
    assert_eq!((theirs.token(), theirs.owner()), ("theirs", ""));

    let compare_and_delete =
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";
    assert_eq!(server.cli(&["EVAL", compare_and_delete, "1", "job", "theirs"]), "1");
    assert!(locks.lock("job").try_acquire().await.unwrap().is_some());
}

#[tokio::test]
async fn renewal_and_release_work_when_the_server_is_out_of_memory() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    let lock = fixture.manager().lock("job").ttl(ms(6000)).renew_every(ms(200));
    let guard = lock.acquire().await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = fixture.manager().lock("another job").try_acquire().await.unwrap_err();
    assert!(refused.is_unavailable() && !refused.is_conflict(), "{refused:?}");

    let (mut renewals, mut before) = (0, guard.lease().remaining());
    eventually("three renewals", SOON, async || {
        let now = guard.lease().remaining();
        renewals += u32::from(now > before);
        before = now;
        renewals >= 3
    })
    .await;
    guard.release().await.unwrap();
    assert!(!server.exists("lock:job"));
}

#[tokio::test]
async fn all_helper_keys_are_ours_by_name_and_locks_leave_no_others() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    for number in 0..10 {
        let guard = fixture.manager().lock(format!("job:{number}")).acquire().await.unwrap();
        let waiter = fixture
            .another_manager()
            .lock(format!("job:{number}"))
            .wait(ms(20))
            .acquire();
        assert!(waiter.await.unwrap_err().is_conflict());
        guard.release().await.unwrap();
    }
    let left = server.keys();
    assert!(left.iter().all(|key| key.starts_with("distributed-lock:")), "{left:?}");
}

#[tokio::test]
async fn a_lock_cannot_have_the_name_of_a_helper_key() {
    let fixture = Fixture::redis().await;
    let locks = fixture.builder().namespace("").connect().await.unwrap();
    let error = locks.lock("distributed-lock:fence").acquire().await.unwrap_err();
    assert!(matches!(error, LockError::InvalidKey { .. }), "{error:?}");
    // With a namespace in front it is a name like any other.
    let elsewhere = fixture
        .manager()
        .lock("distributed-lock:fence")
        .acquire()
        .await
        .unwrap();
    elsewhere.release().await.unwrap();
}

#[tokio::test]
async fn a_key_of_another_type_is_an_error_of_its_own_and_is_left_alone() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn fails(locks: &LockManager, ran: &Count) -> Result<(), LockError> {
        ran.add();
        Ok(())
    }
    #[distributed_lock(key = "job", on_conflict = "retry", wait = "60s", manager = locks)]
    async fn retries(locks: &LockManager, ran: &Count) -> Result<(), LockError> {
        ran.add();
        Ok(())
    }
    #[distributed_lock(key = "job", on_conflict = "skip", manager = locks)]
    async fn skips(locks: &LockManager, ran: &Count) -> Result<(), LockError> {
        ran.add();
        Ok(())
    }
    let fixture = Fixture::redis().await;
    let (server, locks, ran) = (fixture.server().unwrap(), fixture.manager(), Count::default());
    server.cli(&["RPUSH", "lock:job", "a", "b"]);
    let errors = [
        fails(locks, &ran).await.unwrap_err(),
        retries(locks, &ran).await.unwrap_err(),
        skips(locks, &ran).await.unwrap_err(),
        locks.lock("job").try_acquire().await.unwrap_err(),
        locks.inspect("job").await.unwrap_err(),
        locks.force_release("job").await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, LockError::WrongType { .. }), "{error:?}");
        assert!(!error.is_conflict() && !error.is_unavailable(), "{error:?}");
        assert_eq!(error.key().unwrap().as_str(), "job");
    }
    assert_eq!(server.cli(&["LRANGE", "lock:job", "0", "-1"]), "a\nb");
    assert_eq!(ran.get(), 0);
}
