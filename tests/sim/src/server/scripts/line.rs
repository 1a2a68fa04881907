//! The scripts that know of the line: turn, and the end of release.

use super::{Call, Raised, called, fences, number};
use crate::server::resp::Reply;

const COUNTER: usize = 1;
const LINE: usize = 2;
const PLACES: usize = 3;
const MOST_DEAD: usize = 1_000;

/// Where a claim in line is told, and what it gets.
struct Place {
    lease: Vec<u8>,
    count: Vec<u8>,
    question: Vec<u8>,
    channel: Vec<u8>,
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
    let mut is_in_line = false;
    let waiting = waiting(call);
    if waiting > 0 {
        if is_free {
            held = grant(call, waiting).0;
        }
        is_in_line = !is_free || held.as_ref() != Some(&me);
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
            if is_in_line {
                leave_line(call, &me);
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
    let (line, places) = (call.key(LINE).unwrap_or_default(), call.key(PLACES).unwrap_or_default());
    let (me, count, lease, stay) = (call.arg(0), call.arg(2), call.arg(3), call.arg(4));
    let (channel, question) = (call.arg(5), call.arg(6));
    let until = millis(call) + number(Some(stay.clone())).unwrap_or(f64::NAN);
    let place = [
        format!("{until:.0}").as_bytes(),
        lease.as_slice(),
        count.as_slice(),
        question.as_slice(),
        channel.as_slice(),
    ]
    .join(&b' ');
    let (seconds, micros) = call.data.time();
    let came = format!("{seconds}{micros:06}");
    if call.data.zadd(&line, came.as_bytes(), &me, true).is_err() {
        return Ok(());
    }
    if call.data.hset(&places, &me, &place).is_err() {
        drop(call.data.zrem(&line, &me));
        return Ok(());
    }
    let stay = number(Some(stay)).unwrap_or(f64::NAN);
    #[allow(clippy::cast_precision_loss, reason = "Lua's numbers are these")]
    let left = call.data.pttl(&places) as f64;
    if left < stay {
        let time = (2.0 * stay).to_string();
        called(call.data.pexpire(&line, time.as_bytes()))?;
        called(call.data.pexpire(&places, time.as_bytes()))?;
    }
    Ok(())
}

/// next.lua
pub(super) fn next(call: &mut Call<'_>) -> Result<(), Raised> {
    let lock = call.key(0).unwrap_or_default();
    let (claim, rest, channel) = (call.arg(0), call.arg(1), call.arg(2));
    if rest != b"0" {
        called(call.data.pexpire(&lock, &rest))?;
        look(call);
        call.published.push((channel, Vec::new()));
        return Ok(());
    }
    let waiting = waiting(call);
    let (mut next, left) = grant(call, waiting);
    if next.as_ref() == Some(&claim) {
        next = grant(call, left).0;
    }
    if next.is_none() {
        call.data.del(&lock);
        call.published.push((channel, Vec::new()));
    }
    Ok(())
}

/// How many stand in line, as release.lua and turn.lua ask for it.
pub(super) fn waiting(call: &mut Call<'_>) -> usize {
    let line = call.key(LINE).and_then(|line| call.data.zrange(&line).ok());
    line.map_or(0, |line| line.len())
}

/// Out of the line, as at the end of turn.lua and at the start of release.lua.
pub(super) fn leave_line(call: &mut Call<'_>, claim: &[u8]) {
    if let (Some(line), Some(places)) = (call.key(LINE), call.key(PLACES)) {
        drop(call.data.zrem(&line, claim));
        drop(call.data.hdel(&places, claim));
    }
}

/// living of lib.lua
fn living(call: &mut Call<'_>, claim: &[u8]) -> Option<Place> {
    let places = call.key(PLACES)?;
    let place = call.data.hget(&places, claim).ok()??;
    let mut parts = place.splitn(5, |byte| *byte == b' ').map(<[u8]>::to_vec);
    let (until, lease, count) = (parts.next()?, parts.next()?, parts.next()?);
    let (question, channel) = (parts.next()?, parts.next()?);
    let is_number = |text: &Vec<u8>| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if ![&until, &lease, &count, &question].into_iter().all(is_number) {
        return None;
    }
    (number(Some(until))? >= millis(call)).then_some(Place {
        lease,
        count,
        question,
        channel,
    })
}

/// look of lib.lua
fn look(call: &mut Call<'_>) {
    let first = call
        .key(LINE)
        .and_then(|line| call.data.zrange(&line).ok()?.into_iter().next());
    if let Some(first) = first
        && let Some(place) = living(call, &first)
    {
        tell(call, place.channel, b"0", &place.question, &first);
    }
}

/// grant of lib.lua
fn grant(call: &mut Call<'_>, waiting: usize) -> (Option<Vec<u8>>, usize) {
    let [lock, counter, line, places] = [0, COUNTER, LINE, PLACES].map(|index| call.key(index).unwrap_or_default());
    let mut left = waiting;
    while left > 0 && left + MOST_DEAD > waiting {
        let Ok(Some(claim)) = call.data.zpopmin(&line) else {
            return (None, 0);
        };
        left -= 1;
        if claim == call.arg(0) {
            drop(call.data.hdel(&places, &claim));
            return (Some(claim), left);
        }
        let place = living(call, &claim);
        drop(call.data.hdel(&places, &claim));
        let Some(place) = place else {
            continue;
        };
        if let Ok(fence) = fences::block(call, &counter, &place.count)
            && call.data.set(&lock, &claim, Some(&place.lease)).is_ok()
        {
            tell(call, place.channel, fence.as_bytes(), &place.question, &claim);
            if left > 0 {
                look(call);
            }
            return (Some(claim), left);
        }
        tell(call, place.channel, b"0", &place.question, &claim);
        return (None, left);
    }
    (None, left)
}

fn tell(call: &mut Call<'_>, channel: Vec<u8>, fence: &[u8], question: &[u8], claim: &[u8]) {
    call.published.push((channel, [fence, question, claim].join(&b' ')));
}

/// `now` of lib.lua
#[allow(clippy::cast_precision_loss, reason = "Lua's numbers are these")]
fn millis(call: &Call<'_>) -> f64 {
    let (seconds, micros) = call.data.time();
    (seconds * 1_000 + micros / 1_000) as f64
}
