//! The scripts about one lock, or several: acquire, renew, release, inspect.

use super::{Call, Raised, called, fences, number};
use crate::server::resp::Reply;

/// acquire.lua
pub(super) fn acquire(call: &mut Call<'_>) -> Result<Reply, Raised> {
    let lock = call.key(0).unwrap_or_default();
    let (claim, ttl) = (call.arg(0), call.arg(1));
    let held = match call.data.get(&lock) {
        Ok(held) => held,
        Err(error) => return Ok(Reply::Error(error)),
    };
    if let Some(held) = held.filter(|held| *held != claim) {
        let pttl = Reply::Int(call.data.pttl(&lock));
        return Ok(Reply::Array(vec![Reply::Int(0), pttl, Reply::Bulk(held)]));
    }
    let mut fence = Reply::Int(-1);
    if let Some(counter) = call.key(1) {
        fence = match fences::next(call, &counter)? {
            Ok(fence) => fence,
            Err(refused) => return Ok(refused),
        };
    }
    if let Some(longest) = call.key(2) {
        let noted = number(called(call.data.get(&longest))?).unwrap_or(0.0);
        if noted < number(Some(ttl.clone())).unwrap_or(f64::NAN)
            && let Err(error) = call.data.set(&longest, &ttl, None)
        {
            return Ok(Reply::Error(error));
        }
    }
    match call.data.set(&lock, &claim, Some(&ttl)) {
        Ok(()) => Ok(Reply::Array(vec![fence, Reply::Int(0)])),
        Err(error) => Ok(Reply::Error(error)),
    }
}

/// renew.lua
pub(super) fn renew(call: &mut Call<'_>) -> Result<Reply, Raised> {
    let count = call.keys.len();
    let mut answers = Vec::new();
    for index in 0..count {
        let lock = &call.keys[index];
        let answer = match call.data.get(lock) {
            Ok(Some(held)) if held == call.arg(index) => {
                let ttl = call.arg(count + index);
                i64::from(called(call.data.pexpire(lock, &ttl))?)
            }
            Ok(None) => 0,
            Ok(Some(_)) | Err(_) => 2,
        };
        answers.push(Reply::Int(answer));
    }
    Ok(Reply::Array(answers))
}

/// release.lua
pub(super) fn release(call: &mut Call<'_>) -> Result<Reply, Raised> {
    let lock = call.key(0).unwrap_or_default();
    let (claim, rest, channel) = (call.arg(0), call.arg(1), call.arg(2));
    match call.data.get(&lock) {
        Err(error) => return Ok(Reply::Error(error)),
        Ok(None) => return Ok(Reply::Int(0)),
        Ok(Some(held)) if held != claim => return Ok(Reply::Int(2)),
        Ok(Some(_)) => {}
    }
    if rest == b"0" {
        call.data.del(&lock);
    } else {
        called(call.data.pexpire(&lock, &rest))?;
    }
    if !channel.is_empty() {
        call.published.push((channel, Vec::new()));
    }
    Ok(Reply::Int(1))
}

/// inspect.lua
pub(super) fn inspect(call: &mut Call<'_>) -> Result<Reply, Raised> {
    let lock = call.key(0).unwrap_or_default();
    Ok(match call.data.get(&lock) {
        Err(error) => Reply::Error(error),
        Ok(None) => Reply::Nil,
        Ok(Some(held)) => Reply::Array(vec![Reply::Bulk(held), Reply::Int(call.data.pttl(&lock))]),
    })
}
