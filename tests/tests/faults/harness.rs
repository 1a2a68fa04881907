//! The harness does what the other tests take for granted.

use std::time::Duration;

use lock_tests::process::{self, Owned};
use lock_tests::{Proxy, RedisServer, eventually_blocking};

use crate::support::LATE;

/// A plain client through the proxy, which waits two seconds for a reply.
fn client(proxy: &Proxy) -> redis::Connection {
    let client = redis::Client::open(proxy.url()).unwrap();
    let connection = client.get_connection().unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    connection
}

#[test]
fn a_restarted_server_is_empty_and_has_its_old_port() {
    let mut server = RedisServer::start();
    let port = server.port();
    server.cli(&["SET", "a", "b"]);
    server.restart();
    assert_eq!(server.get("a"), None);
    assert_eq!(server.port(), port);
}

#[test]
fn a_server_listens_on_the_loopback_address_only() {
    let server = RedisServer::start();
    assert_eq!(server.cli(&["CONFIG", "GET", "bind"]), "bind\n127.0.0.1");
}

#[test]
fn a_dropped_server_is_gone_with_its_folder() {
    let server = RedisServer::start();
    let (url, socket) = (server.url(), server.socket());
    drop(server);
    assert!(redis::Client::open(url).unwrap().get_connection().is_err());
    assert!(!socket.parent().unwrap().exists());
}

#[test]
fn a_child_process_dies_with_the_process_that_started_it() {
    // A shell stands for the test process: what it starts the way we do goes when it is killed.
    let Some(setpriv) = process::find_program("setpriv") else {
        println!("skipped: setpriv (util-linux) is not installed");
        return;
    };
    let mut shell = process::command("sh");
    let script = format!("{} --pdeathsig KILL -- sleep 600 & echo $!; wait", setpriv.display());
    shell.args(["-c", &script]).stdout(std::process::Stdio::piped());
    let mut shell = Owned::spawn(shell);
    let mut pid = String::new();
    let mut output = std::io::BufReader::new(shell.child().stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut pid).unwrap();
    let status = format!("/proc/{}/comm", pid.trim());
    let runs = || std::fs::read_to_string(&status).is_ok_and(|name| name.trim() == "sleep");
    eventually_blocking("the grandchild runs", LATE, runs);
    shell.kill();
    eventually_blocking("the grandchild is gone", LATE, || !runs());
}

#[test]
fn the_proxy_loses_the_reply_and_not_the_request() {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let mut client = client(&proxy);
    proxy.lose_reply_to("mine");
    redis::cmd("SET")
        .arg("other")
        .arg("1")
        .query::<()>(&mut client)
        .unwrap();
    assert_eq!(proxy.lost_replies(), 0);
    redis::cmd("SET")
        .arg("mine")
        .arg("1")
        .query::<()>(&mut client)
        .unwrap_err();
    assert_eq!(proxy.lost_replies(), 1);
    assert_eq!(server.get("mine").as_deref(), Some("1"));
}

#[test]
fn the_frozen_proxy_holds_back_and_loses_nothing() {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let mut client = client(&proxy);
    redis::cmd("PING").query::<()>(&mut client).unwrap();
    proxy.freeze();
    redis::cmd("SET")
        .arg("mine")
        .arg("1")
        .query::<()>(&mut client)
        .unwrap_err();
    assert!(!server.exists("mine"));
    proxy.thaw();
    eventually_blocking("the request arrives", LATE, || server.exists("mine"));
}
