//! A holder that sleeps past its lease and then writes. No lock can prevent that; a fence can.

use std::sync::{Mutex, PoisonError};

use lock_examples::Replica;
use lock_runtime::{Fence, LockError, current, distributed_lock};
use tokio::sync::oneshot;

use crate::{Failure, check};

const ORDER: u64 = 44;

/// The protected resource: it keeps the fence of the last write and refuses older ones. In a
/// database this is `UPDATE … SET label = ?, fence = ? WHERE id = ? AND fence < ?`.
#[derive(Default)]
struct Label(Mutex<Option<(Fence, &'static str)>>);

impl Label {
    /// Whether the write was taken.
    fn write(&self, fence: Fence, text: &'static str) -> bool {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = written.is_none_or(|(last, _)| last < fence);
        if newer {
            *written = Some((fence, text));
        }
        newer
    }
}

/// `renew = false` and `on_lost = "continue"` make this replica as careless as a process that the
/// machine stopped for a while: it goes on after its lease is over, and knows nothing of it.
#[distributed_lock(
    key = "order:<order>", ttl = "500ms", renew = false, on_lost = "continue",
    on_conflict = "retry", wait = "10s", manager = replica.locks,
)]
async fn print_label(
    replica: &Replica,
    order: u64,
    label: &Label,
    text: &'static str,
    asleep: impl Future,
) -> Result<bool, LockError> {
    let Some(lease) = current() else { return Ok(false) };
    replica.says(format_args!(
        "has the lock of order {order}, with fence {}",
        lease.fence()
    ));
    asleep.await;
    let held = if lease.is_held() {
        "holds its lease"
    } else {
        "has lost its lease"
    };
    let taken = label.write(lease.fence(), text);
    let answer = if taken { "taken" } else { "refused" };
    replica.says(format_args!("{held}, writes with fence {}: {answer}", lease.fence()));
    Ok(taken)
}

/// The first replica sleeps until the second one has written.
pub(crate) async fn refused([a, b, _]: &[Replica; 3]) -> Result<(), Failure> {
    println!("\n5. A holder sleeps longer than its lease: the resource refuses what it writes then.");
    let label = Label::default();
    let (holds, held) = oneshot::channel();
    let (wakes, woken) = oneshot::channel();

    let late = async {
        let asleep = async {
            // The other side is gone only when it failed, and then its error is the answer.
            let _ = holds.send(());
            let _ = woken.await;
        };
        print_label(a, ORDER, &label, "to the old address", asleep).await
    };
    let in_time = async {
        let _ = held.await;
        let taken = print_label(b, ORDER, &label, "to the new address", async {}).await;
        let _ = wakes.send(());
        taken
    };
    let (late, in_time) = tokio::try_join!(late, in_time)?;
    check(in_time, "the write of the present holder was taken")?;
    check(!late, "the write of the former holder was refused")
}
