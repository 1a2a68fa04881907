//! A TCP proxy in front of a server, which delays, loses, freezes, holds back and cuts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use self::aim::{Aim, Swallow, Then};
use self::link::connection;
use crate::{RedisServer, eventually_blocking};

mod aim;
mod link;

/// A proxy on 127.0.0.1, driven by a thread of its own, so that neither a blocked nor a paused
/// runtime of the test stands in its way. Gone when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What the proxy's connections look at.
#[derive(Debug)]
struct Shared {
    /// Where new connections lead.
    upstream: Mutex<SocketAddr>,
    rules: Mutex<Rules>,
    /// Wakes those who wait for a thaw, or to be let through.
    changed: Notify,
    /// Counts the cuts; every connection ends when it moves. Closed when the proxy is dropped.
    cuts: watch::Sender<u64>,
    /// What is open: each connection keeps the other half of its entry until both sides are closed.
    open: Mutex<Vec<Weak<()>>>,
    /// How many replies were thrown away.
    lost: AtomicUsize,
    /// How many connections were ever accepted.
    accepted: AtomicUsize,
    /// How many connections were closed at once.
    refused: AtomicUsize,
    /// What the clients sent, read by read.
    requests: Mutex<Vec<Vec<u8>>>,
}

#[derive(Debug, Default)]
struct Rules {
    delay: Duration,
    frozen: bool,
    refusing: bool,
    swallowing: Swallow,
    /// What clients send on the connections up to this number is held back.
    held_back: usize,
    aim: Option<Aim>,
}

impl Proxy {
    /// Starts a proxy in front of `server`.
    #[must_use]
    pub fn to(server: &RedisServer) -> Proxy {
        let shared = Arc::new(Shared {
            upstream: Mutex::new(address_of(server)),
            rules: Mutex::default(),
            changed: Notify::new(),
            cuts: watch::Sender::new(0),
            open: Mutex::default(),
            lost: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            requests: Mutex::default(),
        });
        let (address, bound) = std::sync::mpsc::channel();
        let here = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("proxy".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    address.send(listener.local_addr().unwrap()).unwrap();
                    let mut dropped = here.cuts.subscribe();
                    let dropped = dropped.wait_for(|cuts| *cuts == u64::MAX);
                    tokio::select! {
                        _ = dropped => {}
                        () = accept(&listener, &here) => {}
                    }
                });
            })
            .unwrap();
        Proxy {
            address: bound.recv().unwrap(),
            shared,
        }
    }

    /// `redis://127.0.0.1:<port of the proxy>`
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The port that clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on every reply is late by `delay` (requests are not; replies keep their order, and
    /// do not wait for each other).
    pub fn delay(&self, delay: Duration) {
        self.rules().delay = delay;
    }

    /// From now on (`true`) the server gets every request and the client gets no reply. Swallowed
    /// replies never come; so end it with [`Proxy::cut`], or the client takes the next reply for
    /// the answer to an older request.
    pub fn swallow_replies(&self, swallow: bool) {
        self.rules().swallowing = if swallow { Swallow::Everything } else { Swallow::Nothing };
    }

    /// From now on, until [`Proxy::swallow_replies`], what the server sends and contains `bytes` never comes, for
    /// instance a message on a channel; everything else does.
    pub fn swallow_what_contains(&self, bytes: &str) {
        self.rules().swallowing = Swallow::What(bytes.as_bytes().to_vec());
    }

    /// The server gets the next request that contains `bytes`, for instance the name of a key; the
    /// connection is cut in place of the reply.
    pub fn lose_reply_to(&self, bytes: &str) {
        self.lose_reply_to_the(1, bytes);
    }

    /// As [`Proxy::lose_reply_to`], for the request of this number among those that contain `bytes`,
    /// counted from 1 and from now on.
    pub fn lose_reply_to_the(&self, number: usize, bytes: &str) {
        self.aim_at(number, bytes, Then::LoseReply);
    }

    /// As [`Proxy::lose_reply_to`], and everything is frozen in the same moment, so that what the
    /// client sends then is under way until [`Proxy::thaw`].
    pub fn lose_reply_and_freeze(&self, bytes: &str) {
        self.freeze_after_the(1, bytes);
    }

    /// As [`Proxy::lose_reply_and_freeze`], for the request of this number among those that contain
    /// `bytes`, counted from 1 and from now on.
    pub fn freeze_after_the(&self, number: usize, bytes: &str) {
        self.aim_at(number, bytes, Then::LoseReplyAndFreeze);
    }

    /// As [`Proxy::freeze_after_the`], before the server gets that request.
    pub fn freeze_before_the(&self, number: usize, bytes: &str) {
        self.aim_at(number, bytes, Then::FreezeBefore);
    }

    /// Whether nothing passes, see [`Proxy::freeze`].
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.rules().frozen
    }

    /// How many replies were thrown away so far.
    #[must_use]
    pub fn lost_replies(&self) -> usize {
        self.shared.lost.load(Ordering::SeqCst)
    }

    /// How many requests that contain `bytes` (the name of a key; all requests contain the empty
    /// text) came from clients so far, whether or not the server got them. (It counts reads; so requests sent in one go, which
    /// wait for no reply of each other, count once.)
    #[must_use]
    pub fn requests_with(&self, bytes: &str) -> usize {
        let requests = self.shared.requests.lock().unwrap();
        requests
            .iter()
            .filter(|request| aim::contains(request, bytes.as_bytes()))
            .count()
    }

    /// Closes every connection, and returns when nothing can pass through them any more; new ones are
    /// welcome.
    ///
    /// # Panics
    /// When the proxy's thread does not close them.
    pub fn cut(&self) {
        let cut = std::mem::take(&mut *self.shared.open.lock().unwrap());
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
        eventually_blocking("the connections are closed", Duration::from_secs(20), || {
            cut.iter().all(|connection| connection.strong_count() == 0)
        });
    }

    /// From now on (`true`) new connections are closed at once; what is open stays.
    pub fn refuse(&self, refuse: bool) {
        self.rules().refusing = refuse;
    }

    /// How many connections were refused so far, see [`Proxy::refuse`].
    #[must_use]
    pub fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// Nothing passes any more, in either direction, and nothing is lost: see [`Proxy::thaw`].
    pub fn freeze(&self) {
        self.rules().frozen = true;
    }

    /// What was held back passes, in its order.
    pub fn thaw(&self) {
        self.rules().frozen = false;
        self.shared.changed.notify_waiters();
    }

    /// From now on nothing that clients send on the connections of now reaches the server, until
    /// [`Proxy::let_through`]; replies and new connections pass.
    pub fn hold_back(&self) {
        let mut rules = self.rules();
        rules.held_back = self.connections();
    }

    /// What was held back reaches the server, in its order, also when its client has given up and
    /// closed the connection.
    pub fn let_through(&self) {
        self.rules().held_back = 0;
        self.shared.changed.notify_waiters();
    }

    /// From now on new connections lead to `server`; those of now stay where they are.
    pub fn lead_to(&self, server: &RedisServer) {
        *self.shared.upstream.lock().unwrap() = address_of(server);
    }

    /// How many connections were made through this proxy so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    fn aim_at(&self, number: usize, bytes: &str, then: Then) {
        self.rules().aim = Some(Aim::at(number, bytes, then));
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.shared.rules()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.cuts.send_replace(u64::MAX);
    }
}

impl Shared {
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap()
    }

    async fn until_thawed(&self) {
        self.until(|rules| !rules.frozen).await;
    }

    /// Waits until what came on the connection of this number may pass to the server.
    async fn until_let_through(&self, number: usize) {
        self.until(|rules| !rules.frozen && number > rules.held_back).await;
    }

    async fn until(&self, passes: impl Fn(&Rules) -> bool) {
        loop {
            // Registered before the look, so that a change in between is not missed.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if passes(&self.rules()) {
                return;
            }
            changed.await;
        }
    }

    /// What is to happen to this request, once.
    fn takes_aim_at(&self, request: &[u8]) -> Option<Then> {
        let mut rules = self.rules();
        let then = rules.aim.take_if(|aim| aim.is_hit_by(request))?.then;
        rules.frozen |= then != Then::LoseReply;
        Some(then)
    }
}

fn address_of(server: &RedisServer) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], server.port()))
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        // All under one lock with the rule, so that nothing slips through between `refuse` and `cut`.
        let rules = shared.rules();
        if rules.refusing {
            shared.refused.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        let is_open = Arc::new(());
        shared.open.lock().unwrap().push(Arc::downgrade(&is_open));
        let mut cuts = shared.cuts.subscribe();
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst) + 1;
        drop(rules);
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            tokio::select! {
                _ = cuts.changed() => {}
                () = connection(client, number, &shared) => {}
            }
            drop(is_open);
        });
    }
}
