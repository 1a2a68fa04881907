//! What the queue's scripts answer. `None`: that is no answer of theirs.

use std::time::Duration;

use redis::Value;
use uuid::Uuid;

use super::super::super::queue::{
    CallRecord, Cancelling, Census, Claimed, Claims, Found, Settled, Standing, Storing, Upcoming,
};
use super::super::super::{Applied, Failure, FailureKind};

/// Not with the answer itself: it may be megabytes of users' data.
pub(super) fn unexpected(script: &str) -> Failure {
    Failure {
        kind: FailureKind::Permanent,
        applied: Applied::Unknown,
        reason: format!("the server gave an answer that our script `{script}` never gives"),
        source: None,
    }
}

pub(super) fn storing(reply: &Value) -> Option<Storing> {
    match array(reply)? {
        [Value::Int(1)] => Some(Storing::Stored),
        [Value::Int(0), count] => Some(Storing::Full(number(count)?)),
        _ => None,
    }
}

pub(super) fn claims(reply: &Value) -> Option<Claims> {
    let [claimed, upcoming, buried, next] = array(reply)? else {
        return None;
    };
    Some(Claims {
        claimed: each(claimed, self::claimed)?,
        upcoming: each(upcoming, |reply| match array(reply)? {
            [id, lane] => Some(Upcoming {
                id: uuid(id)?,
                lane: text(lane)?,
            }),
            _ => None,
        })?,
        buried: each(buried, uuid)?,
        next: duration_or_none(next)?,
    })
}

fn claimed(reply: &Value) -> Option<Claimed> {
    let [id, token, lane, payload, tried, attempts, delay, early, age] = array(reply)? else {
        return None;
    };
    Some(Claimed {
        id: uuid(id)?,
        token: uuid(token)?,
        lane: text(lane)?,
        payload: text(payload)?,
        tried: count(tried)?,
        attempts: count(attempts)?,
        delay: duration(delay)?,
        early: duration(early)?,
        age: duration(age)?,
    })
}

/// One for each of `count` claims.
pub(super) fn kept(reply: &Value, count: usize) -> Option<Vec<bool>> {
    each(reply, is_so).filter(|kept| kept.len() == count)
}

pub(super) fn settled(reply: &Value) -> Option<Settled> {
    match reply {
        Value::Int(0) => Some(Settled::NotOurs),
        Value::Int(1) => Some(Settled::AsAsked),
        Value::Int(2) => Some(Settled::Exhausted),
        _ => None,
    }
}

pub(super) fn census(reply: &Value) -> Option<Census> {
    let [due, delayed, running, dead, oldest, now] = array(reply)? else {
        return None;
    };
    Some(Census {
        due: number(due)?,
        delayed: number(delayed)?,
        running: number(running)?,
        dead: number(dead)?,
        oldest_due: duration_or_none(oldest)?,
        now: number(now)?,
    })
}

pub(super) fn page(reply: &Value, standing: Standing) -> Option<Vec<CallRecord>> {
    each(reply, |reply| match array(reply)? {
        [id, at, text, payload] => record(uuid(id)?, standing, at, text, payload),
        _ => None,
    })
}

pub(super) fn found(reply: &Value, id: Uuid) -> Option<Found> {
    match reply {
        Value::Int(0) => Some(Found::Nothing),
        Value::Int(1) => Some(Found::Done),
        Value::Int(2) => Some(Found::Cancelled),
        _ => match array(reply)? {
            [standing, at, text, payload] => {
                let standing = self::standing(&self::text(standing)?)?;
                Some(Found::Call(Box::new(record(id, standing, at, text, payload)?)))
            }
            _ => None,
        },
    }
}

pub(super) fn cancelling(reply: &Value) -> Option<Cancelling> {
    match reply {
        Value::Int(0) => Some(Cancelling::Nothing),
        Value::Int(1) => Some(Cancelling::Cancelled),
        Value::Int(2) => Some(Cancelling::Running),
        _ => None,
    }
}

pub(super) fn is_so(reply: &Value) -> Option<bool> {
    match reply {
        Value::Int(0) => Some(false),
        Value::Int(1) => Some(true),
        _ => None,
    }
}

pub(super) fn number(reply: &Value) -> Option<u64> {
    match reply {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// How the scripts call it.
pub(super) fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::Due => "due",
        Standing::Delayed => "delayed",
        Standing::Running => "running",
        Standing::Dead => "dead",
    }
}

fn standing(name: &str) -> Option<Standing> {
    [Standing::Due, Standing::Delayed, Standing::Running, Standing::Dead]
        .into_iter()
        .find(|standing| self::name(*standing) == name)
}

/// A call, of which the server keeps all but the payload as JSON.
fn record(id: Uuid, standing: Standing, at: &Value, record: &Value, payload: &Value) -> Option<CallRecord> {
    let Value::BulkString(record) = record else {
        return None;
    };
    let record: serde_json::Value = serde_json::from_slice(record).ok()?;
    let text = |name: &str| record[name].as_str().map(str::to_owned);
    let count = |name: &str| record[name].as_u64().and_then(|count| u32::try_from(count).ok());
    Some(CallRecord {
        id,
        standing,
        lane: text("lane")?,
        payload: self::text(payload)?,
        stored: record["stored"].as_u64()?,
        at: number(at)?,
        tried: count("tried")?,
        attempts: count("attempts")?,
        worker: text("worker"),
        cause: text("cause"),
        error: text("error"),
    })
}

fn array(reply: &Value) -> Option<&[Value]> {
    match reply {
        Value::Array(parts) => Some(parts),
        _ => None,
    }
}

fn each<T>(reply: &Value, one: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    array(reply)?.iter().map(one).collect()
}

fn text(reply: &Value) -> Option<String> {
    match reply {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}

fn uuid(reply: &Value) -> Option<Uuid> {
    match reply {
        Value::BulkString(bytes) => Uuid::try_parse_ascii(bytes).ok(),
        _ => None,
    }
}

fn count(reply: &Value) -> Option<u32> {
    u32::try_from(number(reply)?).ok()
}

fn duration(reply: &Value) -> Option<Duration> {
    number(reply).map(Duration::from_millis)
}

/// Negative: there is none.
fn duration_or_none(reply: &Value) -> Option<Option<Duration>> {
    match reply {
        Value::Int(ms) => Some(u64::try_from(*ms).ok().map(Duration::from_millis)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_server_is_none_of_ours() {
        let strange = [
            Value::Nil,
            Value::Okay,
            Value::Int(7),
            Value::Int(-1),
            Value::Array(Vec::new()),
            Value::Array(vec![Value::Int(1), Value::Int(1)]),
            Value::Array(vec![Value::BulkString(b"due".to_vec()); 4]),
        ];
        for reply in strange {
            assert_eq!(storing(&reply), None, "{reply:?}");
            assert_eq!(claims(&reply), None, "{reply:?}");
            assert_eq!(kept(&reply, 1), None, "{reply:?}");
            assert_eq!(settled(&reply), None, "{reply:?}");
            assert_eq!(census(&reply), None, "{reply:?}");
            assert_eq!(found(&reply, Uuid::nil()), None, "{reply:?}");
            assert_eq!(cancelling(&reply), None, "{reply:?}");
            assert_eq!(is_so(&reply), None, "{reply:?}");
        }
    }
}
