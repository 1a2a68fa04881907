//! Judgements that take no longer for long histories.

use super::operations::NEVER;
use super::{Action, History, Operation};

/// One hold: from an acquire to what ended it.
struct Hold {
    fence: u64,
    acquire: Operation,
    /// Re-entries and their ends, in their order.
    inner: Vec<Operation>,
    /// What ended it, if anything did.
    end: Option<Operation>,
}

/// Whether all operations can have happened in the order of the holds' fences, one hold after the other, each operation
/// at some moment between its beginning and its end. Fences leave no other order, so this is exact for the fenced
/// models; and a history that has this order is allowed by all five.
///
/// # Errors
/// The first operation that does not fit, and why. Also a release without a hold: an unknown acquire must have been
/// done, which only [`search`](super::search) can judge.
pub fn in_the_order_of_fences(history: &History) -> Result<(), String> {
    let mut holds = holds(history)?;
    holds.sort_by_key(|hold| hold.fence);
    let mut now = 0;
    let mut pass = |operation: &Operation| {
        now = now.max(operation.start);
        if now <= operation.end {
            return Ok(());
        }
        Err(format!("{operation:?} comes too late: at {now}, or fences go back"))
    };
    for (index, hold) in holds.iter().enumerate() {
        let next = holds.get(index + 1);
        if next.is_some_and(|next| next.fence == hold.fence) {
            return Err(format!("two holds have the fence {}", hold.fence));
        }
        pass(&hold.acquire)?;
        let mut depth = 1;
        for operation in &hold.inner {
            pass(operation)?;
            match operation.action {
                Action::Acquire(fence) if fence != Some(hold.fence) => {
                    return Err(format!("{operation:?} has another fence than its hold: {}", hold.fence));
                }
                Action::Acquire(_) => depth += 1,
                Action::Release | Action::Lose => depth -= 1,
            }
            if depth > 2 {
                return Err(format!("{operation:?} enters too often"));
            }
        }
        match &hold.end {
            Some(end) => pass(end)?,
            None if next.is_some() => return Err(format!("{:?} was never ended", hold.acquire)),
            None => {}
        }
    }
    Ok(())
}

/// Whether no two clients hold the lock for certain at one time: from the answer to an acquire until the release began,
/// or the lease was last seen valid. Every model demands that, and not more than that is demanded here.
///
/// # Errors
/// Two holds that overlap, or what [`in_the_order_of_fences`] cannot judge either.
pub fn cores_do_not_overlap(history: &History) -> Result<(), String> {
    let holds = holds(history)?;
    let core = |hold: &Hold| (hold.acquire.end, hold.end.map_or(NEVER, |end| end.start));
    let mut cores: Vec<_> = holds.iter().map(core).zip(&holds).collect();
    cores.retain(|((start, end), _)| start < end);
    cores.sort_by_key(|(core, _)| *core);
    match cores.windows(2).find(|pair| pair[1].0.0 < pair[0].0.1) {
        Some(pair) => Err(format!("{:?} and {:?} overlap", pair[0].1.acquire, pair[1].1.acquire)),
        None => Ok(()),
    }
}

fn holds(history: &History) -> Result<Vec<Hold>, String> {
    let mut holds: Vec<Hold> = Vec::new();
    // For each client, the hold that it is in, and how deep.
    let mut inside: std::collections::HashMap<usize, (usize, usize)> = std::collections::HashMap::new();
    for operation in &history.operations {
        let current = inside.get(&operation.client).copied();
        match (operation.action, current) {
            // Unknown, so it needs no place. What is entered without a fence is not judged here.
            (Action::Acquire(None), _) if operation.is_optional => {}
            (Action::Acquire(Some(fence)), None) => {
                inside.insert(operation.client, (holds.len(), 1));
                holds.push(Hold {
                    fence,
                    acquire: *operation,
                    inner: Vec::new(),
                    end: None,
                });
            }
            (Action::Acquire(_), Some((hold, depth))) => {
                inside.insert(operation.client, (hold, depth + 1));
                holds[hold].inner.push(*operation);
            }
            (Action::Release, Some((hold, depth))) if depth > 1 => {
                inside.insert(operation.client, (hold, depth - 1));
                holds[hold].inner.push(*operation);
            }
            (Action::Release | Action::Lose, Some((hold, _))) => {
                holds[hold].end = Some(*operation);
                inside.remove(&operation.client);
            }
            (Action::Release | Action::Lose, None) if operation.is_optional => {}
            (Action::Acquire(None) | Action::Release | Action::Lose, None) => {
                return Err(format!("{operation:?} has no hold that is known"));
            }
        }
    }
    Ok(holds)
}
