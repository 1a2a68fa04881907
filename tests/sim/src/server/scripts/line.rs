//! The scripts that know of the line: turn, and what release does about it.

use super::{Call, Raised, called, fences, number};
use crate::server::resp::Reply;

const COUNTER: usize = 1;
const LINE: usize = 2;
const MOST_DEAD: usize = 1_000;

/// A place in the line.
struct Place {
    alive_until: Vec<u8>,
    lease: Vec<u8>,
    count: Vec<u8>,
    channel: Vec<u8>,
    /// The last question and the claim, as a message ends.
    ending: Vec<u8>,
    claim: Vec<u8>,
}

/// turn.lua
pub(super) fn turn(call: &mut Call<'_>) -> Result<Reply, Raised> {
    let lock = call.key(0).unwrap_or_default();
    let (me, ttl, count) = (call.arg(0), call.arg(1), call.arg(2));
    let mut held = match call.data.get(&lock) {
        Ok(held) => held,
        Err(error) => return Ok(Reply::Error(error)),
    };
    let is_free = held.is_none();
    let mut may_stand = true;
    if is_free && first(call).is_some() {
        held = grant(call, None);
        may_stand = held.as_ref() != Some(&me);
    }
    if let Some(held) = held.filter(|held| *held != me) {
        stand(call)?;
        let pttl = Reply::Int(call.data.pttl(&lock));
        return Ok(Reply::Array(vec![Reply::Int(0), pttl, Reply::Bulk(held)]));
    }
    let done = if is_free {
        call.data.set(&lock, &me, Some(&ttl))
    } else {
        call.data.pexpire(&lock, &ttl).map(drop)
    };
    if let Err(error) = done {
        return Ok(Reply::Error(error));
    }
    let counter = call.key(COUNTER).unwrap_or_default();
    match fences::block(call, &counter, &count) {
        Ok(fence) => {
            if may_stand {
                leave(call);
            }
            Ok(Reply::bulk(fence))
        }
        Err(refused) => {
            if is_free {
                call.data.del(&lock);
            }
            Ok(refused)
        }
    }
}

/// The last part of turn.lua: a place in the line, if that can be had.
fn stand(call: &mut Call<'_>) -> Result<(), Raised> {
    let line = call.key(LINE).unwrap_or_default();
    let (me, count, lease, stay) = (call.arg(0), call.arg(2), call.arg(3), call.arg(4));
    let (channel, question) = (call.arg(5), call.arg(6));
    let stay = number(Some(stay)).unwrap_or(f64::NAN);
    let alive_until = format!("{:.0}", millis(call) + stay).into_bytes();
    let place = [alive_until, lease, count, channel, question, me].join(&b' ');
    let stands = match own_place(call) {
        Some((index, _)) => call.data.lset(&line, index, &place),
        None => call.data.rpush(&line, &place).map(drop),
    };
    #[allow(clippy::cast_precision_loss, reason = "Lua's numbers are these")]
    if stands.is_ok() && (call.data.pttl(&line) as f64) < stay {
        let time = (2.0 * stay).to_string();
        called(call.data.pexpire(&line, time.as_bytes()))?;
    }
    Ok(())
}

/// next.lua, where the claim of this call does not hold the lock.
pub(super) fn leave(call: &mut Call<'_>) {
    if let (Some(line), Some((_, place))) = (call.key(LINE), own_place(call)) {
        drop(call.data.lrem(&line, &place));
    }
}

/// next.lua, where the lock stays taken for this long.
pub(super) fn stay(call: &mut Call<'_>, rest: &[u8]) -> Result<(), Raised> {
    let (lock, channel) = (call.key(0).unwrap_or_default(), call.arg(2));
    called(call.data.pexpire(&lock, rest))?;
    look(call);
    call.published.push((channel, Vec::new()));
    Ok(())
}

/// next.lua, where somebody stood in line: the place that was the first.
pub(super) fn next(call: &mut Call<'_>, first: Vec<u8>) {
    let (lock, claim, channel) = (call.key(0).unwrap_or_default(), call.arg(0), call.arg(2));
    let mut next = grant(call, Some(first));
    if next.as_ref() == Some(&claim) {
        next = grant(call, None);
    }
    if next.is_none() {
        call.data.del(&lock);
        call.published.push((channel, Vec::new()));
    }
}

/// The first place, which is taken out; there is none where that is refused.
pub(super) fn pop(call: &mut Call<'_>) -> Option<Vec<u8>> {
    let line = call.key(LINE)?;
    call.data.lpop(&line).ok()?
}

fn first(call: &mut Call<'_>) -> Option<Vec<u8>> {
    let line = call.key(LINE)?;
    call.data.lrange(&line).ok()?.into_iter().next()
}

/// parts of lib.lua
fn parts(place: &[u8]) -> Option<Place> {
    let mut parts = place.splitn(5, |byte| *byte == b' ').map(<[u8]>::to_vec);
    let (alive_until, lease, count) = (parts.next()?, parts.next()?, parts.next()?);
    let (channel, ending) = (parts.next()?, parts.next()?);
    let split = ending.iter().position(|byte| *byte == b' ')?;
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let are_numbers = [&alive_until[..], &lease, &count, &ending[..split]]
        .into_iter()
        .all(is_number);
    (are_numbers && !channel.is_empty()).then(|| Place {
        alive_until,
        lease,
        count,
        channel,
        claim: ending[split + 1..].to_vec(),
        ending,
    })
}

/// own_place of lib.lua
fn own_place(call: &mut Call<'_>) -> Option<(usize, Vec<u8>)> {
    let line = call.key(LINE)?;
    let ending = [b" ".to_vec(), call.arg(0)].concat();
    let places = call.data.lrange(&line).ok()?;
    let mut places = places.into_iter().enumerate();
    places.find(|(_, place)| place.ends_with(&ending))
}

/// look of lib.lua
fn look(call: &mut Call<'_>) {
    if let Some(place) = first(call).and_then(|first| parts(&first))
        && is_alive(call, &place)
    {
        tell(call, b"0", &place);
    }
}

/// grant of lib.lua
fn grant(call: &mut Call<'_>, mut first: Option<Vec<u8>>) -> Option<Vec<u8>> {
    let [lock, counter] = [0, COUNTER].map(|index| call.key(index).unwrap_or_default());
    for _ in 0..MOST_DEAD {
        let place = match first.take() {
            Some(first) => first,
            None => pop(call)?,
        };
        let Some(place) = parts(&place) else {
            continue;
        };
        if place.claim == call.arg(0) {
            return Some(place.claim);
        }
        if !is_alive(call, &place) {
            continue;
        }
        if let Ok(fence) = fences::block(call, &counter, &place.count)
            && call.data.set(&lock, &place.claim, Some(&place.lease)).is_ok()
        {
            tell(call, fence.as_bytes(), &place);
            look(call);
            return Some(place.claim);
        }
        tell(call, b"0", &place);
        return None;
    }
    None
}

fn is_alive(call: &Call<'_>, place: &Place) -> bool {
    number(Some(place.alive_until.clone())).is_some_and(|until| until >= millis(call))
}

fn tell(call: &mut Call<'_>, fence: &[u8], place: &Place) {
    let message = [fence, &place.ending].join(&b' ');
    call.published.push((place.channel.clone(), message));
}

/// `now` of lib.lua
#[allow(clippy::cast_precision_loss, reason = "Lua's numbers are these")]
fn millis(call: &Call<'_>) -> f64 {
    let (seconds, micros) = call.data.time();
    (seconds * 1_000 + micros / 1_000) as f64
}
