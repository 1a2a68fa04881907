//! The scripts about one lock, or several: acquire, vote, renew, release, inspect.

use super::{Call, Raised, called, fences, line, number};
use crate::server::resp::Reply;

/// acquire.lua
pub(super) fn acquire(call: &mut Call<'_>) -> Result<Reply, Raised> {
    let lock = call.key(0).unwrap_or_default();
    let (claim, ttl, count) = (call.arg(0), call.arg(1), call.arg(2));
    let set = call.data.set_new(&lock, &claim, &ttl);
    if !matches!(set, Ok(true)) {
        match call.data.get(&lock) {
            Err(error) => return Ok(Reply::Error(error)),
            Ok(Some(held)) if held != claim => return Ok(busy(call, &lock, held)),
            Ok(_) => {}
        }
    }
    let is_new = match set {
        Ok(is_new) => is_new,
        Err(error) => return Ok(Reply::Error(error)),
    };
    let mut answer = Reply::Int(-1);
    if let Some(counter) = call.key(1) {
        answer = match fences::block(call, &counter, &count) {
            Ok(fence) => Reply::bulk(fence),
            Err(refused) => {
                if is_new {
                    call.data.del(&lock);
                }
                return Ok(refused);
            }
        };
    }
    if !is_new {
        called(call.data.set(&lock, &claim, Some(&ttl)))?;
    }
    Ok(answer)
}

/// vote.lua
pub(super) fn vote(call: &mut Call<'_>) -> Result<Reply, Raised> {
    let [lock, counter, longest] = [0, 1, 2].map(|index| call.key(index).unwrap_or_default());
    let (claim, ttl, proposal) = (call.arg(0), call.arg(1), call.arg(2));
    let set = call.data.set_new(&lock, &claim, &ttl);
    if !matches!(set, Ok(true)) {
        match call.data.get(&lock) {
            Err(error) => return Ok(Reply::Error(error)),
            Ok(Some(held)) if held != claim => return Ok(busy(call, &lock, held)),
            Ok(_) => {}
        }
    }
    let is_new = match set {
        Ok(is_new) => is_new,
        Err(error) => return Ok(Reply::Error(error)),
    };
    match counted_and_noted(call, &counter, &proposal, &longest, &ttl) {
        Err(error) => {
            if is_new {
                call.data.del(&lock);
            }
            Ok(Reply::Error(error))
        }
        Ok(answer) => {
            if !is_new {
                called(call.data.set(&lock, &claim, Some(&ttl)))?;
            }
            Ok(answer)
        }
    }
}

/// The middle of vote.lua; an error is its answer.
fn counted_and_noted(
    call: &mut Call<'_>,
    counter: &[u8],
    proposal: &[u8],
    longest: &[u8],
    ttl: &[u8],
) -> Result<Reply, String> {
    let last = call.data.get(counter)?;
    let noted = number(call.data.get(longest)?).unwrap_or(0.0);
    let answer = fences::propose(call, counter, last, proposal)?;
    if noted < number(Some(ttl.to_vec())).unwrap_or(f64::NAN) {
        call.data.set(longest, ttl, None)?;
    }
    Ok(answer)
}

fn busy(call: &mut Call<'_>, lock: &[u8], held: Vec<u8>) -> Reply {
    let pttl = Reply::Int(call.data.pttl(lock));
    Reply::Array(vec![Reply::Int(0), pttl, Reply::Bulk(held)])
}

/// renew.lua
pub(super) fn renew(call: &mut Call<'_>) -> Result<Reply, Raised> {
    let count = call.keys.len();
    let mut answers = Vec::new();
    for index in 0..count {
        let lock = &call.keys[index];
        let answer = match call.data.get(lock) {
            Ok(Some(held)) if held == call.arg(index) => {
                let ttl = call.arg(if call.args.len() > count + 1 {
                    count + index
                } else {
                    count
                });
                u8::from(called(call.data.pexpire(lock, &ttl))?)
            }
            Ok(None) => 0,
            Ok(Some(_)) | Err(_) => 2,
        };
        answers.push(b'0' + answer);
    }
    Ok(Reply::Bulk(answers))
}

/// release.lua and what is behind it
pub(super) fn release(call: &mut Call<'_>) -> Result<Reply, Raised> {
    let lock = call.key(0).unwrap_or_default();
    let (claim, rest, channel) = (call.arg(0), call.arg(1), call.arg(2));
    let held = call.data.get(&lock);
    if !matches!(&held, Ok(Some(held)) if *held == claim) {
        line::leave(call);
        return Ok(match held {
            Err(error) => Reply::Error(error),
            Ok(None) => Reply::Int(0),
            Ok(Some(_)) => Reply::Int(2),
        });
    }
    if rest == b"0" {
        match line::pop(call) {
            Some(first) => line::next(call, first),
            None => {
                call.data.del(&lock);
                tell_all(call, channel);
            }
        }
    } else if call.keys.len() > 1 {
        line::stay(call, &rest)?;
    } else {
        called(call.data.pexpire(&lock, &rest))?;
        tell_all(call, channel);
    }
    Ok(Reply::Int(1))
}

fn tell_all(call: &mut Call<'_>, channel: Vec<u8>) {
    if !channel.is_empty() {
        call.published.push((channel, Vec::new()));
    }
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
