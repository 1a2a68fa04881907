//! The line on a real server, without anybody who waits by the rules of the runtime.

mod granting;
mod standing;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::ToRedisArgs;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};
use url::Url;
use uuid::Uuid;

use super::super::super::{Acquired, Backend, Claim, Grantee, Leave, Released, Told, Turn, Value, Wakeup};
use super::super::server::Server;
use super::super::{RedisBackend, Settings};
use crate::{Fence, Key};

const WITHIN: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(50);
const NAME: &str = "lock:job";
const LINE: &str = "distributed-lock:line:lock:job";

const TURN: Turn = Turn {
    question: 1,
    ttl: LONG,
    first_lease: LONG,
    stay: LONG,
    fences: 1,
};

fn backend(server: &Server) -> RedisBackend {
    RedisBackend::single(&Url::parse(&server.url()).unwrap(), &Settings::default()).unwrap()
}

/// What one claim was granted and has not asked for yet.
#[derive(Default)]
struct Grants(Mutex<Vec<Told>>);

impl Grantee for Grants {
    fn granted(&self, told: Told) {
        self.0.lock().unwrap().push(told);
    }
}

/// One process, with one claim.
struct Process {
    backend: Arc<RedisBackend>,
    claim: Claim,
    grants: Arc<Grants>,
    place: Box<dyn Wakeup>,
}

impl Process {
    async fn new(server: &Server) -> Self {
        Self::with(Arc::new(backend(server))).await
    }

    async fn with(backend: Arc<RedisBackend>) -> Self {
        Self::near(backend, None).await
    }

    /// On this runtime.
    async fn near(backend: Arc<RedisBackend>, near: Option<&Handle>) -> Self {
        let claim = claim_of(NAME);
        let grants = Arc::new(Grants::default());
        let mut place = backend.place(
            &claim,
            near,
            Arc::clone(&grants) as Arc<dyn Grantee>,
            &Handle::current(),
        );
        timeout(WITHIN, place.armed()).await.expect("the subscription");
        Self {
            backend,
            claim,
            grants,
            place,
        }
    }

    async fn ask_with(&self, turn: Turn) -> Acquired {
        self.backend.acquire_in_turn(&self.claim, turn, WITHIN).await.unwrap()
    }

    async fn ask(&self) -> Acquired {
        self.ask_with(TURN).await
    }

    /// Stands in line from now on.
    async fn stand_with(&self, turn: Turn) {
        let answer = self.ask_with(turn).await;
        assert!(matches!(answer, Acquired::Busy(_)), "{answer:?}");
    }

    async fn stand(&self) {
        self.stand_with(TURN).await;
    }

    async fn release(&self) -> Released {
        self.leave(Leave::Nothing).await
    }

    async fn leave(&self, leave: Leave) -> Released {
        self.backend.release(&self.claim, leave, WITHIN).await.unwrap()
    }

    async fn give_up(&self) -> Released {
        self.backend.release(&self.claim, Leave::Nothing, WITHIN).await.unwrap()
    }

    /// It is to look.
    async fn woken(&mut self) {
        timeout(WITHIN, self.place.woken()).await.expect("a word");
    }

    async fn granted(&mut self) -> Fence {
        until("the word of the grant", || !self.grants.0.lock().unwrap().is_empty()).await;
        self.grants.0.lock().unwrap().remove(0).fence
    }

    fn holds(&self, server: &Server) -> bool {
        holder(server).is_some_and(|value| value == self.claim.value.text())
    }
}

fn claim_of(name: &str) -> Claim {
    Claim {
        key: Key::from(name),
        value: value(),
    }
}

/// Of a hold of its own.
fn value() -> Value {
    Value {
        token: Uuid::new_v4(),
        owner: Some("tests".into()),
    }
}

fn fence(acquired: &Acquired) -> Fence {
    match acquired {
        Acquired::Granted(fence) => *fence,
        Acquired::Busy(_) => panic!("busy"),
    }
}

fn holder(server: &Server) -> Option<String> {
    server.ask(&["GET", NAME])
}

fn remaining(server: &Server) -> Duration {
    let left: i64 = server.ask(&["PTTL", NAME]);
    Duration::from_millis(u64::try_from(left).expect("a key with a time"))
}

fn helpers(server: &Server) -> Vec<String> {
    server.ask(&["KEYS", "distributed-lock:l*"])
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < WITHIN, "not in time: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}
