//! Clients that know nothing of us, and follow the pattern of Redis's own documentation, exclude us
//! and are excluded by us when the namespace is empty.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says why"
)]

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Duration;

use lock_runtime::LockManager;
use lock_tests::process::{self, find_program};
use lock_tests::{Proxy, RedisServer, eventually};

const LATE: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(600);

async fn without_namespace() -> (RedisServer, LockManager) {
    let server = RedisServer::start();
    let manager = LockManager::builder()
        .url(server.url())
        .namespace("")
        .connect()
        .await
        .unwrap();
    (server, manager)
}

/// <https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/>: `SET key token NX PX`.
fn plain_acquire(server: &RedisServer, key: &str, token: &str, ttl: &str) -> bool {
    server.cli(&["SET", key, token, "NX", "PX", ttl]) == "OK"
}

/// The same page: compare and delete.
fn plain_release(server: &RedisServer, key: &str, token: &str) -> bool {
    let script = r#"if redis.call("get",KEYS[1]) == ARGV[1] then
        return redis.call("del",KEYS[1])
    else
        return 0
    end"#;
    server.cli(&["EVAL", script, "1", key, token]) == "1"
}

#[tokio::test]
async fn a_plain_client_excludes_us() {
    let (server, manager) = without_namespace().await;
    assert!(plain_acquire(&server, "order:42", "theirs", "60000"));
    assert!(manager.lock("order:42").try_acquire().await.unwrap().is_none());
}

#[tokio::test]
async fn a_plain_client_excludes_us_until_it_releases() {
    let (server, manager) = without_namespace().await;
    assert!(plain_acquire(&server, "order:42", "theirs", "60000"));
    assert!(plain_release(&server, "order:42", "theirs"));
    let guard = manager.lock("order:42").try_acquire().await.unwrap();
    assert!(guard.is_some(), "the lock is free");
}

#[tokio::test]
async fn a_waiter_gets_the_lock_that_a_plain_client_released() {
    let server = RedisServer::start();
    assert!(plain_acquire(&server, "order:42", "theirs", "600000"));
    let proxy = Proxy::to(&server);
    let builder = LockManager::builder().url(proxy.url()).namespace("");
    let manager = builder.connect().await.unwrap();
    let waiting = tokio::spawn(async move { manager.lock("order:42").wait(LONG).acquire().await });
    // Nobody tells us of a plain client's release: the re-check finds it, every 500 ms at the latest.
    eventually("the waiter asked", LATE, async || proxy.requests_with("order:42") > 0).await;
    assert!(plain_release(&server, "order:42", "theirs"));
    let _guard = tokio::time::timeout(SOON, waiting)
        .await
        .expect("woken")
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_waiter_gets_the_lock_that_a_plain_client_let_expire() {
    let (server, manager) = without_namespace().await;
    assert!(plain_acquire(&server, "order:42", "theirs", "1000"));
    let waiting = manager.lock("order:42").wait(LONG).acquire();
    let woken = tokio::time::timeout(Duration::from_secs(1) + SOON, waiting).await;
    let _guard = woken.expect("woken").unwrap();
}

#[tokio::test]
async fn a_plain_client_is_excluded_by_us() {
    let (server, manager) = without_namespace().await;
    let _guard = manager.lock("order:42").acquire().await.unwrap();
    assert!(!plain_acquire(&server, "order:42", "theirs", "60000"));
}

#[tokio::test]
async fn a_plain_client_gets_the_lock_that_we_released() {
    let (server, manager) = without_namespace().await;
    manager
        .lock("order:42")
        .acquire()
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
    assert!(plain_acquire(&server, "order:42", "theirs", "60000"));
}

#[tokio::test]
async fn a_plain_release_with_another_token_leaves_our_lock_alone() {
    let (server, manager) = without_namespace().await;
    let guard = manager.lock("order:42").acquire().await.unwrap();
    assert!(!plain_release(&server, "order:42", "theirs"));
    guard.lease().ensure_held().unwrap();
    assert!(server.exists("order:42"));
}

#[tokio::test]
async fn our_release_after_our_loss_leaves_a_plain_clients_lock_alone() {
    let (server, manager) = without_namespace().await;
    let guard = manager
        .lock("order:42")
        .ttl(SOON)
        .never_renew()
        .acquire()
        .await
        .unwrap();
    guard.lease().lost().await;
    eventually("the plain client has the lock", LATE, async || {
        plain_acquire(&server, "order:42", "theirs", "600000")
    })
    .await;
    assert!(guard.release().await.unwrap_err().is_lost());
    assert_eq!(server.get("order:42").as_deref(), Some("theirs"));
}

#[tokio::test]
async fn a_plain_clients_lock_is_shown_with_its_token_and_no_owner() {
    let (server, manager) = without_namespace().await;
    assert!(plain_acquire(&server, "order:42", "theirs", "60000"));
    let holder = manager.inspect("order:42").await.unwrap().expect("the lock is held");
    assert_eq!((holder.token(), holder.owner()), ("theirs", ""));
    assert!(holder.remaining() <= Duration::from_secs(60));
}

#[tokio::test]
async fn a_plain_lock_without_a_ttl_excludes_us() {
    let (server, manager) = without_namespace().await;
    server.cli(&["SET", "order:42", "theirs"]);
    assert!(manager.lock("order:42").try_acquire().await.unwrap().is_none());
    let holder = manager.inspect("order:42").await.unwrap().expect("the lock is held");
    assert_eq!(holder.remaining(), Duration::MAX);
}

/// Python with redis-py, if it is there: `$LOCK_TESTS_PYTHON`, or python3 on the `PATH`.
fn python() -> Option<OsString> {
    let python = std::env::var_os("LOCK_TESTS_PYTHON").or_else(|| find_program("python3").map(OsString::from));
    let Some(python) = python else {
        println!("skipped: no python3; install it, and redis-py (pip install redis)");
        return None;
    };
    let mut import = Command::new(&python);
    import
        .args(["-c", "import redis.lock"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    if import.status().is_ok_and(|status| status.success()) {
        return Some(python);
    }
    println!(
        "skipped: {} has no redis-py; pip install redis, or name a Python that has it in LOCK_TESTS_PYTHON",
        python.display()
    );
    None
}

/// Runs `script` with `client` connected to `server`, and gives what it prints.
fn redis_py(python: &OsString, server: &RedisServer, script: &str) -> String {
    let script = format!(
        "import redis\nfrom redis.lock import Lock\n\
         client = redis.Redis(host='127.0.0.1', port={})\n{script}",
        server.port()
    );
    let mut command = process::command(python);
    let output = command.args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

const ACQUIRE: &str = "print(Lock(client, 'order:42', timeout=60).acquire(blocking=False))";

#[tokio::test]
async fn redis_py_is_excluded_by_us() {
    let Some(python) = python() else { return };
    let (server, manager) = without_namespace().await;
    let _guard = manager.lock("order:42").acquire().await.unwrap();
    assert_eq!(redis_py(&python, &server, ACQUIRE), "False");
}

#[tokio::test]
async fn redis_py_gets_the_lock_that_we_released() {
    let Some(python) = python() else { return };
    let (server, manager) = without_namespace().await;
    manager
        .lock("order:42")
        .acquire()
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
    assert_eq!(redis_py(&python, &server, ACQUIRE), "True");
}

#[tokio::test]
async fn redis_py_excludes_us() {
    let Some(python) = python() else { return };
    let (server, manager) = without_namespace().await;
    assert_eq!(redis_py(&python, &server, ACQUIRE), "True");
    assert!(manager.lock("order:42").try_acquire().await.unwrap().is_none());
}

#[tokio::test]
async fn redis_py_excludes_us_until_it_releases() {
    let Some(python) = python() else { return };
    let (server, manager) = without_namespace().await;
    let script = "lock = Lock(client, 'order:42', timeout=60)\nprint(lock.acquire(blocking=False))\nlock.release()";
    assert_eq!(redis_py(&python, &server, script), "True");
    let guard = manager.lock("order:42").try_acquire().await.unwrap();
    assert!(guard.is_some(), "the lock is free");
}

#[tokio::test]
async fn redis_py_cannot_release_our_lock() {
    let Some(python) = python() else { return };
    let (server, manager) = without_namespace().await;
    let guard = manager.lock("order:42").acquire().await.unwrap();
    let script = "lock = Lock(client, 'order:42', timeout=60)\nlock.local.token = b'theirs'\n\
        try:\n    lock.release()\n    print('released')\nexcept redis.exceptions.LockError:\n    print('refused')";
    assert_eq!(redis_py(&python, &server, script), "refused");
    guard.lease().ensure_held().unwrap();
    assert!(server.exists("order:42"));
}

/// Node.js with node-redlock and ioredis, if they are there: where `NODE_PATH` says.
fn node() -> Option<OsString> {
    let Some(node) = find_program("node") else {
        println!("skipped: no node; install it, and node-redlock (npm install redlock@5.0.0-beta.2 ioredis)");
        return None;
    };
    let mut require = Command::new(&node);
    require
        .args(["-e", "require('redlock'); require('ioredis')"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    if require.status().is_ok_and(|status| status.success()) {
        return Some(node.into());
    }
    println!(
        "skipped: node has no node-redlock; npm install redlock@5.0.0-beta.2 ioredis, and name the folder in NODE_PATH"
    );
    None
}

/// Runs `script` with a `redlock` on `server`, which tries once, and gives what it prints.
fn node_redlock(node: &OsString, server: &RedisServer, script: &str) -> String {
    let script = format!(
        "const Redis = require('ioredis').default ?? require('ioredis');\n\
         const Redlock = require('redlock').default ?? require('redlock');\n\
         const redlock = new Redlock([new Redis({}, '127.0.0.1')], {{ retryCount: 0 }});\n\
         const key = ['order:42'];\n\
         (async () => {{ {script} }})().then(said => {{ console.log(said); process.exit(0); }});",
        server.port()
    );
    let mut command = process::command(node);
    let output = command.args(["-e", &script]).stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

const LOCK: &str = "return redlock.acquire(key, 60000).then(() => 'locked', () => 'refused');";

#[tokio::test]
async fn node_redlock_is_excluded_by_us_until_we_release() {
    let Some(node) = node() else { return };
    let (server, manager) = without_namespace().await;
    let guard = manager.lock("order:42").acquire().await.unwrap();
    assert_eq!(node_redlock(&node, &server, LOCK), "refused");
    guard.lease().ensure_held().unwrap();
    guard.release().await.unwrap();
    assert_eq!(node_redlock(&node, &server, LOCK), "locked");
}

#[tokio::test]
async fn node_redlock_excludes_us_until_it_releases() {
    let Some(node) = node() else { return };
    let (server, manager) = without_namespace().await;
    assert_eq!(node_redlock(&node, &server, LOCK), "locked");
    assert!(manager.lock("order:42").try_acquire().await.unwrap().is_none());
    server.cli(&["DEL", "order:42"]);
    let script = "const lock = await redlock.acquire(key, 60000); await lock.release(); return 'released';";
    assert_eq!(node_redlock(&node, &server, script), "released");
    let guard = manager.lock("order:42").try_acquire().await.unwrap();
    assert!(guard.is_some(), "the lock is free");
}

#[tokio::test]
async fn node_redlock_neither_extends_nor_releases_our_lock() {
    let Some(node) = node() else { return };
    let (server, manager) = without_namespace().await;
    let guard = manager.lock("order:42").ttl(LONG).acquire().await.unwrap();
    // It takes our lock for its own.
    let held = "const held = await redlock.acquire(['another'], 60000); held.resources = key;\n\
        const refused = [];\n\
        await held.extend(600000).catch(() => refused.push('extend'));\n\
        await held.release().catch(() => refused.push('release'));\n\
        return refused.join();";
    let refused = node_redlock(&node, &server, held);
    assert!(refused.contains("extend"), "{refused}");
    guard.lease().ensure_held().unwrap();
    assert!(server.exists("order:42"));
    guard.release().await.unwrap();
}
