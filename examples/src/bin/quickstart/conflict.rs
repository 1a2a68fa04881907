//! When somebody else holds the lock: the three policies.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lock_examples::Replica;
use lock_runtime::{LockError, distributed_lock};
use tokio::time::sleep;

use crate::{Failure, check};

const ORDER: u64 = 42;
const PACKING: Duration = Duration::from_millis(400);

/// How many bodies run at this moment. The locks see to it that this is never more than one.
static PACKING_NOW: AtomicU32 = AtomicU32::new(0);

#[distributed_lock(key = "order:<order>", ttl = "5s", manager = replica.locks)]
async fn ship_or_fail(replica: &Replica, order: u64) -> Result<(), LockError> {
    pack(replica, order).await;
    Ok(())
}

#[distributed_lock(key = "order:<order>", ttl = "5s", on_conflict = "retry", wait = "10s", manager = replica.locks)]
async fn ship_in_turn(replica: &Replica, order: u64) -> Result<(), LockError> {
    pack(replica, order).await;
    Ok(())
}

/// `Option`, because a call that is skipped needs something to return: `None`.
#[distributed_lock(key = "order:<order>", ttl = "5s", on_conflict = "skip", manager = replica.locks)]
async fn ship_if_free(replica: &Replica, order: u64) -> Result<Option<&'static str>, LockError> {
    pack(replica, order).await;
    Ok(Some("parcel"))
}

async fn pack(replica: &Replica, order: u64) {
    let others = PACKING_NOW.fetch_add(1, Ordering::SeqCst);
    replica.says(format_args!(
        "has the lock, packs order {order} (others that pack it now: {others})"
    ));
    sleep(PACKING).await;
    if PACKING_NOW.fetch_sub(1, Ordering::SeqCst) == 1 {
        replica.says("is done, releases the lock");
    }
}

/// `"fail"`, the default.
pub(crate) async fn fail([a, b, c]: &[Replica; 3]) -> Result<(), Failure> {
    println!("1. on_conflict = \"fail\": who comes second gets an error, at once.");
    let calls = tokio::join!(
        reported(a, ship_or_fail(a, ORDER)),
        reported(b, ship_or_fail(b, ORDER)),
        reported(c, ship_or_fail(c, ORDER)),
    );
    let calls = [calls.0, calls.1, calls.2];
    check(
        calls.iter().filter(|call| call.is_ok()).count() == 1,
        "one replica shipped the order",
    )?;
    let refused = calls.iter().filter_map(|call| call.as_ref().err());
    check(
        refused.filter(|error| error.is_conflict()).count() == 2,
        "two replicas met a conflict",
    )
}

/// `"retry"`.
pub(crate) async fn retry([a, b, c]: &[Replica; 3]) -> Result<(), Failure> {
    println!("\n2. on_conflict = \"retry\": who comes second waits for its turn, here for at most 10 s.");
    tokio::try_join!(ship_in_turn(a, ORDER), ship_in_turn(b, ORDER), ship_in_turn(c, ORDER))?;
    check(
        PACKING_NOW.load(Ordering::SeqCst) == 0,
        "all three came to their end, one after the other",
    )
}

/// `"skip"`.
pub(crate) async fn skip([a, b, c]: &[Replica; 3]) -> Result<(), Failure> {
    println!("\n3. on_conflict = \"skip\": who comes second does nothing, and that is fine.");
    let ship = async |replica: &Replica| {
        let parcel = ship_if_free(replica, ORDER).await?;
        replica.says(format_args!("returned {parcel:?}"));
        Ok::<_, LockError>(parcel)
    };
    let parcels = tokio::try_join!(ship(a), ship(b), ship(c))?;
    let shipped = [parcels.0, parcels.1, parcels.2].iter().flatten().count();
    check(shipped == 1, "one replica shipped the order, the others skipped it")
}

/// The call's own result, after a line about its error.
async fn reported<T>(replica: &Replica, call: impl Future<Output = Result<T, LockError>>) -> Result<T, LockError> {
    let result = call.await;
    if let Err(error) = &result {
        replica.says(format_args!("gets an error: {error}"));
    }
    result
}
