//! A lease that is lost while the body runs: the body stops, and the compensation cleans up.

use std::time::Duration;

use lock_examples::Replica;
use lock_runtime::{LockError, LostReason, distributed_lock};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::{Failure, check};

const ORDER: u64 = 43;

/// Far longer than this program runs: the body never gets to its end.
const CARRIER: Duration = Duration::from_secs(600);

#[distributed_lock(key = "order:<order>", ttl = "1s", manager = replica.locks, compensate = put_back(replica, order, reason))]
async fn ship(replica: &Replica, order: u64, at_work: &Notify) -> Result<&'static str, LockError> {
    replica.says(format_args!(
        "has the lock, takes the goods of order {order} from the shelf, waits for the carrier"
    ));
    at_work.notify_one();
    sleep(CARRIER).await;
    Ok("shipped")
}

/// Runs after the body was dropped, without the lock. What it returns is what `ship` returns.
async fn put_back(replica: &Replica, order: u64, reason: LostReason) -> Result<&'static str, LockError> {
    replica.says(format_args!(
        "lost the lease ({reason}): puts the goods of order {order} back"
    ));
    Ok("put back")
}

/// The holder learns of the loss by its next renewal, here a third of a second later at most.
pub(crate) async fn compensated([a, b, _]: &[Replica; 3]) -> Result<(), Failure> {
    println!("\n4. A lease is lost while the body runs: the body is stopped, `compensate` cleans up.");
    let at_work = Notify::new();
    let operator = async {
        at_work.notified().await;
        let key = format!("order:{ORDER}");
        if let Some(holder) = b.locks.inspect(key.as_str()).await? {
            b.says(format_args!(
                "sees that {} holds {key}, and takes the lock away by force",
                holder.owner()
            ));
        }
        b.locks.force_release(key.as_str()).await
    };
    let (outcome, taken) = tokio::try_join!(ship(a, ORDER, &at_work), operator)?;
    a.says(format_args!("returned Ok({outcome:?})"));
    check(taken, "the lock was there to be taken away")?;
    check(
        outcome == "put back",
        "the compensation's answer is the function's answer",
    )
}
