//! What the scripts' replies mean.

use std::time::Duration;

use redis::Value;

use super::super::{Acquired, Applied, Failure, FailureKind, Renewed, Stored};
use crate::Fence;

pub(super) fn acquired(reply: &Value) -> Result<Acquired, Failure> {
    let Value::Array(parts) = reply else {
        return Err(unexpected(reply));
    };
    match parts.as_slice() {
        [Value::Int(0), Value::Int(pttl)] => Ok(Acquired::Busy(remaining(*pttl))),
        [Value::Int(fence), Value::Int(_)] => match u64::try_from(*fence) {
            Ok(fence) => Ok(Acquired::Granted(Fence::from(fence))),
            Err(_) => Err(unexpected(reply)),
        },
        _ => Err(unexpected(reply)),
    }
}

/// One answer for each of `count` leases; a failure of the whole script is each one's failure.
pub(super) fn renewed(reply: Result<Value, Failure>, count: usize) -> Vec<Result<Renewed, Failure>> {
    match reply {
        Ok(Value::Array(answers)) if answers.len() == count => answers
            .iter()
            .map(|answer| match answer {
                Value::Int(1) => Ok(Renewed::Extended),
                Value::Int(0) => Ok(Renewed::Missing),
                Value::Int(_) => Ok(Renewed::Taken),
                other => Err(unexpected(other)),
            })
            .collect(),
        Ok(other) => (0..count).map(|_| Err(unexpected(&other))).collect(),
        Err(failure) => (0..count)
            .map(|_| {
                Err(Failure {
                    kind: failure.kind,
                    applied: failure.applied,
                    reason: failure.reason.clone(),
                    source: None,
                })
            })
            .collect(),
    }
}

pub(super) fn stored(reply: &Value) -> Result<Option<Stored>, Failure> {
    match reply {
        Value::Nil => Ok(None),
        Value::Array(parts) => match parts.as_slice() {
            [Value::BulkString(value), Value::Int(pttl)] => Ok(Some(Stored {
                value: String::from_utf8_lossy(value).into_owned(),
                remaining: remaining(*pttl),
            })),
            _ => Err(unexpected(reply)),
        },
        _ => Err(unexpected(reply)),
    }
}

/// The stored value as it is, for a comparison on the server; foreign ones need not be text.
pub(super) fn raw_value(reply: &Value) -> Result<Option<&[u8]>, Failure> {
    match reply {
        Value::Nil => Ok(None),
        Value::Array(parts) => match parts.first() {
            Some(Value::BulkString(value)) => Ok(Some(value)),
            _ => Err(unexpected(reply)),
        },
        _ => Err(unexpected(reply)),
    }
}

/// A PTTL; negative: there is none.
fn remaining(pttl: i64) -> Option<Duration> {
    u64::try_from(pttl).ok().map(Duration::from_millis)
}

/// A server that answers something else is not one that we know: nothing may be concluded from it.
pub(super) fn unexpected(reply: &Value) -> Failure {
    Failure {
        kind: FailureKind::Permanent,
        applied: Applied::Unknown,
        reason: format!("the server gave an answer that none of our scripts gives: {reply:?}"),
        source: None,
    }
}
