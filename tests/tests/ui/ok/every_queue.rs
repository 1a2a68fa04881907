//! Functions whose calls may be stored, in every form.

use lock_runtime::{LockError, LockManager, Outcome, Queued, Ticket, distributed_lock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

struct Db {
    locks: LockManager,
}

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    id: u64,
    lines: Vec<(String, u32)>,
}

#[distributed_lock(key = "order:<id>", on_conflict = "queue")]
async fn plain(id: u64) -> Result<(), LockError> {
    let _ = id;
    Ok(())
}

#[distributed_lock(key = "order", on_conflict = "queue", delay = "250ms", attempts = 1)]
async fn nothing_is_stored() -> Result<Outcome<u8>, LockError> {
    Ok(Outcome::Done(1))
}

#[distributed_lock(
    key = "order:<note>",
    ttl = "10s",
    on_conflict = "queue",
    delay = "5s",
    attempts = 4_294_967_295,
    renew = "2s",
    max_hold = "1m",
    hold_at_least = "1s",
    on_lost = "abort",
    compensate = undo(db, note, &reason),
    reentrant,
    manager = db.locks,
    crate = ::lock_runtime,
)]
async fn everything(
    #[state] db: &Db,
    #[serde(alias = "number", alias = "no", default)]
    #[serde(alias = "id")]
    order: Option<Order>,
    #[serde(default = "BTreeMap::new")] mut sizes: BTreeMap<String, u8>,
    #[state] clock: &Arc<dyn Fn() -> u64 + Send + Sync>,
    #[allow(unused)]
    #[serde(default = "three")]
    copies: u32,
    note: String,
    _unused: Vec<u8>,
    r#type: (u8, Box<[u8]>),
) -> Result<Accepted, ShopError> {
    let Some(order) = order else {
        return Ok(Accepted::Shipped);
    };
    sizes.insert(note, u8::try_from(order.lines.len()).unwrap_or(r#type.0));
    let at = std::future::ready(clock()).await;
    if at == order.id {
        return Err(ShopError);
    }
    Ok(Accepted::Shipped)
}

fn three() -> u32 {
    3
}

async fn undo(db: &Db, note: String, _reason: &lock_runtime::LostReason) -> Result<Accepted, ShopError> {
    db.locks.lock(note.as_str()).try_acquire().await?;
    Ok(Accepted::Shipped)
}

enum Accepted {
    Shipped,
    Later(Ticket),
}

impl Queued for Accepted {
    fn queued(ticket: Ticket) -> Self {
        Accepted::Later(ticket)
    }
}

/// Neither `Display` nor `Debug`.
struct ShopError;

impl From<LockError> for ShopError {
    fn from(_: LockError) -> Self {
        ShopError
    }
}

#[distributed_lock(key = "state", on_conflict = "queue")]
async fn a_state_that_is_taken_apart(
    #[state] Db { locks }: &Db,
    #[state] _: &u8,
    #[state] (a, _): &(u8, Order),
    id: u64,
) -> Result<(), Box<LockError>> {
    let _ = (locks, a, id);
    Ok(())
}

type Ret<T> = Result<Outcome<T>, LockError>;

#[distributed_lock(key = format!("{id}"), on_conflict = "queue", on_lost = "continue")]
async fn an_alias_of_result(id: u64) -> Ret<impl Send> {
    Ok(Outcome::Done(id))
}

fn is_send<T: Send>(_: &T) {}

/// `Send` only.
#[derive(Serialize, Deserialize)]
struct Counter(std::cell::Cell<u8>);

#[distributed_lock(key = "send", on_conflict = "queue")]
async fn an_argument_that_is_not_sync(counter: Counter) -> Result<(), LockError> {
    counter.0.set(1);
    std::future::ready(()).await;
    counter.0.set(2);
    Ok(())
}

macro_rules! made {
    ($vis:vis $name:ident($($arg:ident: $ty:ty),*), $policy:literal, $attempts:expr, $key:literal, $body:block) => {
        #[distributed_lock(key = $key, on_conflict = $policy, attempts = $attempts)]
        $vis async fn $name(#[state] db: &Db, $(#[serde(default)] $arg: $ty),*) -> Result<(), LockError> $body
    };
}

made!(made(id: u64, name: String), "queue", 3, "made:<id>", {
    let _ = (id, name);
    Ok(())
});

mod inner {
    use lock_runtime::{LockError, distributed_lock};

    #[distributed_lock(key = "order:<id>", on_conflict = "queue")]
    pub(super) async fn plain(id: u64) -> Result<(), LockError> {
        let _ = id;
        Ok(())
    }
}

fn in_a_body() -> impl Future<Output = Result<(), LockError>> + Send {
    #[derive(Serialize, Deserialize)]
    struct Local(u8);

    #[distributed_lock(key = "local", on_conflict = "queue")]
    async fn local(local: Local) -> Result<(), LockError> {
        struct Local;
        let _ = (local.0, Local);
        Ok(())
    }
    local(Local(1))
}

/// The states that the functions above need, but for one.
pub(crate) fn lend_all_but_one(worker: lock_runtime::Worker) -> lock_runtime::Worker {
    let clock: Arc<dyn Fn() -> u64 + Send + Sync> = Arc::new(|| 7);
    let order = Order {
        id: 1,
        lines: Vec::new(),
    };
    let db = Db {
        locks: LockManager::in_memory(),
    };
    worker.state(db).state(clock).state((1_u8, order))
}

fn main() {
    let db = Db {
        locks: LockManager::in_memory(),
    };
    let clock: Arc<dyn Fn() -> u64 + Send + Sync> = Arc::new(|| 7);
    let order = Order {
        id: 1,
        lines: Vec::new(),
    };
    is_send(&plain(1));
    is_send(&inner::plain(1));
    is_send(&nothing_is_stored());
    is_send(&everything(
        &db,
        Some(order.clone()),
        BTreeMap::new(),
        &clock,
        three(),
        String::new(),
        Vec::new(),
        (1, Box::new([])),
    ));
    is_send(&a_state_that_is_taken_apart(&db, &1, &(1, order), 1));
    is_send(&an_alias_of_result(1));
    is_send(&an_argument_that_is_not_sync(Counter(std::cell::Cell::new(0))));
    is_send(&made(&db, 1, String::new()));
    is_send(&in_a_body());
    if let Accepted::Later(ticket) = Accepted::Shipped {
        let _ = ticket;
    }
}
