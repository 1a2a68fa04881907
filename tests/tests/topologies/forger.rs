//! A link to a server that changes what the server says: a server of another age, or with another
//! clock.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use lock_tests::RedisServer;

/// The URL of `server` as it would be if its replies were what `forge` makes of them. The link ends
/// with the test process.
pub(crate) fn forged(server: &RedisServer, forge: impl Fn(String) -> String + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let upstream = server.port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let forge = forge.clone();
            thread::spawn(move || link(&client, upstream, forge));
        }
    });
    format!("redis://127.0.0.1:{port}")
}

fn link(client: &TcpStream, upstream: u16, forge: impl Fn(String) -> String) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)) else {
        return;
    };
    thread::scope(|scope| {
        scope.spawn(|| pass(client, &server, |bytes| bytes));
        pass(&server, client, |bytes| {
            forge(String::from_utf8_lossy(&bytes).into_owned()).into_bytes()
        });
    });
}

fn pass(mut from: &TcpStream, mut to: &TcpStream, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&change(buffer[..length].to_vec())).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// The replies with this version in place of the server's own, cut or filled to the same length.
pub(crate) fn of_version(version: &'static str) -> impl Fn(String) -> String + Clone + Send + 'static {
    move |reply| {
        let Some(start) = reply.find("redis_version:").map(|start| start + "redis_version:".len()) else {
            return reply;
        };
        let length = reply[start..].find('\r').unwrap();
        let mut forged = format!("{version:0<length$}");
        forged.truncate(length);
        format!("{}{forged}{}", &reply[..start], &reply[start + length..])
    }
}

/// The replies with a clock that is so many seconds behind: the first element of the answer to TIME.
pub(crate) fn behind_by(seconds: u64) -> impl Fn(String) -> String + Clone + Send + 'static {
    move |reply| {
        let Some(start) = reply.find("*2\r\n$10\r\n").map(|start| start + "*2\r\n$10\r\n".len()) else {
            return reply;
        };
        let Ok(time) = reply[start..start + 10].parse::<u64>() else {
            return reply;
        };
        format!("{}{}{}", &reply[..start], time - seconds, &reply[start + 10..])
    }
}
