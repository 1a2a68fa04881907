//! Wake-ups for those who wait: one subscription connection for a manager, opened when somebody waits.
//!
//! A release publishes to the lock's channel, or to that of the manager whose claim is the first in line. Messages can be lost (Redis: "fire and forget"), so waiters keep timers;
//! after a reconnection all of them are woken.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{PubSub, PubSubSink};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::super::armed::{Armed, Watcher};
use super::super::{BoxFuture, Failure, Wakeup};
use super::answer::told;
use super::failure::classify;
use super::place::Place;
use super::seats::{Seat, Seats};

/// How long connecting and subscribing may take; the library knows no limit of its own here.
const ANSWER: Duration = Duration::from_secs(2);
/// How long to wait before the next connection when one broke; doubled while they do no good.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Wakeups {
    /// Where the server is that messages come from.
    place: Arc<dyn Place>,
    /// A std mutex, held for a map operation.
    channels: Mutex<Channels>,
    /// Tells the listening task that channels came or went.
    changed: Notify,
}

#[derive(Default)]
struct Channels {
    by_name: BTreeMap<String, Channel>,
    /// Those who wait for what is said to them on the channel of all [`Rouse::Named`].
    seats: Seats,
    /// Whether the listening task runs. It ends when nobody waits.
    listening: bool,
    /// Somebody came since the task last looked whether it is idle.
    used: bool,
}

struct Channel {
    notify: Arc<Notify>,
    /// True once the server has confirmed the subscription.
    armed: Armed,
    waiters: usize,
    rouse: Rouse,
}

/// Whom a message wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rouse {
    /// One waiter is enough for a lock: its own release publishes again.
    One,
    #[cfg(feature = "queue")]
    All,
    /// The one that the message names. Such a channel is kept for a while when nobody waits: somebody often does again,
    /// and need not wait for the subscription then.
    Named,
}

impl Wakeups {
    pub(super) fn new(place: Arc<dyn Place>) -> Self {
        Self {
            place,
            channels: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) fn listen(wakeups: &Arc<Self>, name: String, rouse: Rouse, runtime: &Handle) -> Box<dyn Wakeup> {
        Box::new(Self::join(wakeups, name, rouse, runtime))
    }

    /// From now on `seat` is told what is said to `claim`.
    pub(super) fn seat(&self, claim: &str, seat: &Arc<Seat>) {
        self.channels().seats.take(claim, seat);
    }

    /// The seat of a claim, if it has one.
    pub(super) fn seat_of(&self, claim: &str) -> Option<Arc<Seat>> {
        self.channels().seats.of(claim)
    }

    pub(super) fn leave(&self, claim: &str, seat: &Arc<Seat>) {
        self.channels().seats.leave(claim, seat);
    }

    /// Passes on what a message says to one of those who have a seat, on whichever connection it came.
    pub(super) fn tell(&self, message: &[u8]) {
        let seat = told(message).and_then(|(claim, told)| Some((self.seat_of(claim)?, told)));
        match seat {
            Some((seat, told)) => seat.tell(told),
            // What it was granted it has given up by now, or is about to.
            None => tracing::debug!("a turn came for somebody who waits no more"),
        }
    }

    pub(super) fn place(&self) -> &Arc<dyn Place> {
        &self.place
    }

    pub(super) fn join(wakeups: &Arc<Self>, name: String, rouse: Rouse, runtime: &Handle) -> Waiter {
        let mut channels = wakeups.channels();
        channels.used = true;
        let channel = channels.by_name.entry(name.clone()).or_insert_with(|| Channel {
            notify: Arc::new(Notify::new()),
            armed: Armed::default(),
            waiters: 0,
            rouse,
        });
        channel.waiters += 1;
        let is_heard = channel.armed.is_armed();
        let waiter = Waiter {
            wakeups: Arc::clone(wakeups),
            notify: Arc::clone(&channel.notify),
            armed: channel.armed.watch(),
            name,
        };
        let listens = std::mem::replace(&mut channels.listening, true);
        // Before anything is started: on a runtime that has ended, a task is dropped at once, and asks for the mutex.
        drop(channels);
        if listens {
            if !is_heard {
                wakeups.changed.notify_one();
            }
        } else {
            let listening = Listening {
                wakeups: Arc::clone(wakeups),
                finished: false,
            };
            runtime.spawn(listen(listening));
        }
        waiter
    }

    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, name: &str, message: &[u8]) {
        let channels = self.channels();
        let Some(channel) = channels.by_name.get(name) else {
            return;
        };
        match channel.rouse {
            Rouse::One => channel.notify.notify_one(),
            #[cfg(feature = "queue")]
            Rouse::All => channel.armed.ring(),
            Rouse::Named => {
                drop(channels);
                self.tell(message);
            }
        }
    }

    /// Nobody waits, and nobody has begun to since the last time that this was asked.
    fn is_idle(&self) -> bool {
        let mut channels = self.channels();
        !std::mem::take(&mut channels.used) && channels.is_empty()
    }

    /// Nobody can be sure of anything: all look for themselves, now and when they are heard again.
    fn disarm_all(&self) {
        for channel in self.channels().by_name.values() {
            channel.armed.set(false);
        }
    }

    fn arm(&self, name: &str) {
        if let Some(channel) = self.channels().by_name.get(name) {
            channel.armed.set(true);
        }
    }

    fn names(&self) -> BTreeSet<String> {
        self.channels().by_name.keys().cloned().collect()
    }
}

impl Channels {
    /// Nobody waits.
    fn is_empty(&self) -> bool {
        self.by_name.values().all(|channel| channel.waiters == 0)
    }
}

/// Makes the next waiter start another task, however this one ends.
struct Listening {
    wakeups: Arc<Wakeups>,
    /// It has said so already.
    finished: bool,
}

impl Drop for Listening {
    fn drop(&mut self) {
        if !self.finished {
            self.wakeups.channels().listening = false;
            self.wakeups.disarm_all();
        }
    }
}

/// Connects while somebody waits.
async fn listen(mut listening: Listening) {
    let wakeups = Arc::clone(&listening.wakeups);
    let mut pause = PAUSE;
    loop {
        let started = Instant::now();
        // Before the question where the server is: a move after it is not missed.
        let moves = wakeups.place.moves();
        match timeout(ANSWER, connect(&*wakeups.place)).await {
            Ok(Ok(connection)) => serve(&wakeups, connection, moves).await,
            Ok(Err(failure)) => {
                tracing::debug!(
                    reason = failure.reason,
                    "no subscription connection; waiters go by their timers"
                );
            }
            Err(_) => tracing::debug!("no subscription connection in time; waiters go by their timers"),
        }
        wakeups.disarm_all();
        {
            let mut channels = wakeups.channels();
            if channels.is_empty() {
                // Under the mutex, so that a waiter who comes now starts another task.
                channels.by_name.clear();
                channels.listening = false;
                listening.finished = true;
                return;
            }
        }
        let did_good = started.elapsed() > LONGEST_PAUSE;
        pause = if did_good {
            PAUSE
        } else {
            (pause * 2).min(LONGEST_PAUSE)
        };
        sleep(pause).await;
    }
}

async fn connect(place: &dyn Place) -> Result<PubSub, Failure> {
    place.door().await?.subscribe().await.map_err(classify)
}

/// How long the connection is kept when nobody waits any more: somebody often does again.
const LINGER: Duration = Duration::from_secs(10);

/// Until the connection breaks or nobody waits any more.
async fn serve(wakeups: &Wakeups, connection: PubSub, mut moves: Option<watch::Receiver<u64>>) {
    let (mut sink, mut messages) = connection.split();
    let mut subscribed = BTreeSet::new();
    let mut lingered = pin!(sleep(LINGER));
    let mut is_new = true;
    loop {
        if std::mem::take(&mut is_new) && !follow(wakeups, &mut sink, &mut subscribed).await {
            return;
        }
        let moved = async {
            match &mut moves {
                Some(moves) => drop(moves.changed().await),
                None => pending().await,
            }
        };
        // Whichever is first; the others have nothing half-done.
        tokio::select! {
            biased;
            message = messages.next() => match message {
                Some(message) => wakeups.wake(message.get_channel_name(), message.get_payload_bytes()),
                None => return,
            },
            () = wakeups.changed.notified() => is_new = true,
            // The messages come from somewhere else now.
            () = moved => return,
            () = lingered.as_mut() => {
                if wakeups.is_idle() {
                    return;
                }
                lingered.as_mut().reset(Instant::now() + LINGER);
            }
        }
    }
}

/// Subscribes to what is waited for and unsubscribes from the rest. False: the connection is no good.
async fn follow(wakeups: &Wakeups, sink: &mut PubSubSink, subscribed: &mut BTreeSet<String>) -> bool {
    let names = wakeups.names();
    let unwanted: Vec<String> = subscribed.difference(&names).cloned().collect();
    if !unwanted.is_empty() {
        subscribed.retain(|name| names.contains(name));
        match timeout(ANSWER, sink.unsubscribe(&unwanted)).await {
            // A user may be forbidden to unsubscribe: then messages come that nobody waits for.
            Ok(Ok(()) | Err(_)) => {}
            Err(_) => return false,
        }
    }
    let (heard, missing): (Vec<String>, Vec<String>) = names.into_iter().partition(|name| subscribed.contains(name));
    for name in heard {
        wakeups.arm(&name);
    }
    if missing.is_empty() {
        return true;
    }
    // In one request, however many there are: messages are not read meanwhile.
    match timeout(ANSWER, sink.subscribe(&missing)).await {
        Ok(Ok(())) => {
            for name in missing {
                wakeups.arm(&name);
                subscribed.insert(name);
            }
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "cannot subscribe; waiters go by their timers");
            return false;
        }
        Err(_) => return false,
    }
    true
}

/// A place among those who wait for one lock, or who are named on one channel.
pub(super) struct Waiter {
    wakeups: Arc<Wakeups>,
    notify: Arc<Notify>,
    pub(super) armed: Watcher,
    name: String,
}

impl Wakeup for Waiter {
    #[cfg(any(feature = "queue", test))]
    fn armed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.armed.armed())
    }

    fn woken(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // A subscription that broke, or is there again, is a wake-up too: a release in between was not heard. The
            // receiver remembers it even while the waiter is busy with an attempt.
            tokio::select! {
                biased;
                () = self.notify.notified() => {}
                () = self.armed.changed() => {}
            }
        })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut channels = self.wakeups.channels();
        let Some(channel) = channels.by_name.get_mut(&self.name) else {
            return;
        };
        channel.waiters -= 1;
        if channel.rouse == Rouse::Named {
            // It is kept, and what one was told is not for another.
        } else if channel.waiters == 0 {
            channels.by_name.remove(&self.name);
            self.wakeups.changed.notify_one();
        } else {
            // This one may have been woken and then given up; the wake-up must not be lost with it.
            channel.notify.notify_one();
        }
    }
}
