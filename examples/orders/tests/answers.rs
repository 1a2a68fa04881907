//! Starts the service as a user does and looks at its answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use lock_runtime::LockManager;
use lock_tests::process::Owned;
use lock_tests::{RedisServer, eventually, eventually_blocking};

/// Far more than any answer takes; the service itself answers within 5 s.
const DEADLINE: Duration = Duration::from_secs(30);

/// The running service; killed on drop if it did not end by itself.
struct Orders {
    process: Owned,
    /// Kept open: a service whose output nobody takes would fail at its next line.
    output: BufReader<ChildStdout>,
    address: String,
}

impl Orders {
    fn start(lock_url: Option<&str>) -> Orders {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
        command
            .env("ORDERS_ADDRESS", "127.0.0.1:0")
            .env_remove("LOCK_URL")
            .stdout(Stdio::piped());
        if let Some(url) = lock_url {
            command.env("LOCK_URL", url);
        }
        let mut process = Owned::spawn(command);
        let mut output = BufReader::new(process.child().stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line
            .trim()
            .strip_prefix("listening on http://")
            .expect("its first line says where")
            .to_owned();
        Orders {
            process,
            output,
            address,
        }
    }

    fn post(&self, path: &str) -> Answer {
        post(&self.address, path)
    }

    /// SIGTERM, and how the service ended.
    fn stop(mut self) -> (ExitStatus, String) {
        let sent = Command::new("kill")
            .arg(self.process.id().to_string())
            .status()
            .unwrap();
        assert!(sent.success());
        let mut ended = None;
        eventually_blocking("the service ends", DEADLINE, || {
            ended = self.process.ended();
            ended.is_some()
        });
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        (ended.unwrap(), rest)
    }
}

/// Status, head and body of an answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn retry_after(&self) -> Option<u32> {
        let line = self.head.lines().find_map(|line| line.strip_prefix("retry-after: "))?;
        Some(line.parse().expect("Retry-After is a number of seconds"))
    }
}

fn post(address: &str, path: &str) -> Answer {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(
        connection,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

#[test]
fn two_requests_for_one_order_are_answered_200_and_409_with_retry_after() {
    let orders = Orders::start(None);
    let mut answers = thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| orders.post("/orders/7/ship")));
        both.map(|request| request.join().unwrap())
    });
    answers.sort_by_key(|answer| answer.status);
    let [shipped, refused] = answers;
    assert_eq!((shipped.status, refused.status), (200, 409), "{shipped:?} {refused:?}");
    assert!(shipped.body.contains(r#""state":"shipped""#), "{shipped:?}");
    assert!(refused.retry_after().is_some_and(|seconds| seconds > 0), "{refused:?}");

    // Not the lock's conflict but the order's state: trying again is of no use.
    let again = orders.post("/orders/7/ship");
    assert_eq!((again.status, again.retry_after()), (409, None), "{again:?}");

    let (status, output) = orders.stop();
    assert!(status.success(), "{status}: {output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_down_is_answered_503_and_a_holder_elsewhere_409() {
    let mut server = RedisServer::start();
    let elsewhere = LockManager::builder()
        .url(server.url())
        .namespace("orders:")
        .connect()
        .await
        .unwrap();
    let orders = Orders::start(Some(&server.url()));

    let guard = elsewhere.lock("order:8").acquire().await.unwrap();
    let refused = orders.post("/orders/8/ship");
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.retry_after().is_some(), "{refused:?}");
    guard.release().await.unwrap();
    assert_eq!(orders.post("/orders/8/cancel").status, 204);

    server.kill();
    let down = orders.post("/orders/8/cancel");
    assert_eq!(down.status, 503, "{down:?}");
    assert!(down.retry_after().is_some(), "{down:?}");

    let (status, output) = orders.stop();
    assert!(status.success(), "{status}: {output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_told_to_stop_finishes_its_request_and_releases_the_lock() {
    let server = RedisServer::start();
    let elsewhere = LockManager::builder()
        .url(server.url())
        .namespace("orders:")
        .connect()
        .await
        .unwrap();
    let orders = Orders::start(Some(&server.url()));

    let address = orders.address.clone();
    let request = thread::spawn(move || post(&address, "/orders/9/ship"));
    eventually("the order is being packed", DEADLINE, async || {
        elsewhere.inspect("order:9").await.unwrap().is_some()
    })
    .await;
    let (status, output) = orders.stop();

    assert!(status.success(), "{status}: {output}");
    assert!(output.contains("every lock is released"), "{output}");
    assert_eq!(request.join().unwrap().status, 200, "the request was answered");
    assert!(
        elsewhere.inspect("order:9").await.unwrap().is_none(),
        "the lock is free"
    );
}
