//! One connection through a proxy, in both directions.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;

use super::Shared;
use super::aim::Then;

/// What the two directions of a connection share.
struct Link {
    /// Connections are counted from 1.
    number: usize,
    lose_next_reply: AtomicBool,
}

/// Ends when either side does; both are closed then.
pub(super) async fn connection(client: TcpStream, number: usize, shared: &Shared) {
    let upstream = *shared.upstream.lock().unwrap();
    let Ok(server) = TcpStream::connect(upstream).await else {
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let link = Link {
        number,
        lose_next_reply: AtomicBool::new(false),
    };
    tokio::select! {
        () = requests(from_client, to_server, &link, shared) => {}
        () = replies(from_server, to_client, &link, shared) => {}
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, link: &Link, shared: &Shared) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let request = &buffer[..length];
        shared.requests.lock().unwrap().push(request.to_vec());
        shared.until_let_through(link.number).await;
        match shared.takes_aim_at(request) {
            Some(Then::LoseReply | Then::LoseReplyAndFreeze) => link.lose_next_reply.store(true, Ordering::SeqCst),
            Some(Then::FreezeBefore) => shared.until_let_through(link.number).await,
            None => {}
        }
        if to.write_all(request).await.is_err() {
            return;
        }
    }
}

async fn replies(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, link: &Link, shared: &Shared) {
    let mut buffer = vec![0; 64 * 1024];
    // What is on its way to the client, and when it arrives.
    let mut under_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    loop {
        let arrival = under_way.front().map(|(arrival, _)| *arrival);
        tokio::select! {
            read = from.read(&mut buffer) => {
                let Ok(length @ 1..) = read else { return };
                let (delay, swallowing) = {
                    let rules = shared.rules();
                    (rules.delay, rules.swallowing.takes(&buffer[..length]))
                };
                if link.lose_next_reply.load(Ordering::SeqCst) {
                    shared.lost.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if swallowing {
                    shared.lost.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                under_way.push_back((Instant::now() + delay, buffer[..length].to_vec()));
            }
            () = tokio::time::sleep_until(arrival.unwrap_or_else(Instant::now)), if arrival.is_some() => {
                shared.until_thawed().await;
                let Some((_, reply)) = under_way.pop_front() else { continue };
                if to.write_all(&reply).await.is_err() {
                    return;
                }
            }
        }
    }
}
