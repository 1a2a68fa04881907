//! What the scripts' replies mean.

use std::time::Duration;

use redis::Value;

use super::super::{Acquired, Applied, Failure, FailureKind, Released, Renewed, Stored, Told};
use crate::Fence;

/// One server's word on a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend) enum Vote {
    /// Granted, and the proposed fence is known there: it was above all that were.
    Counted {
        /// The server's time, in microseconds.
        time: u64,
    },
    /// Granted, and the proposed fence does not count there.
    Ahead {
        /// What does.
        counter: u64,
        time: u64,
    },
    /// Another claim holds the lock there.
    Busy {
        remaining: Option<Duration>,
        holder: Vec<u8>,
    },
}

pub(super) fn vote(reply: &Value) -> Result<Vote, Failure> {
    let number = |number: &i64| u64::try_from(*number).map_err(|_| unexpected(reply));
    let parts = match reply {
        Value::Int(time) => return Ok(Vote::Counted { time: number(time)? }),
        Value::Array(parts) => parts.as_slice(),
        _ => return Err(unexpected(reply)),
    };
    match parts {
        [Value::Int(counter), Value::Int(time)] => Ok(Vote::Ahead {
            counter: number(counter)?,
            time: number(time)?,
        }),
        [Value::Int(0), Value::Int(pttl), Value::BulkString(holder)] => Ok(Vote::Busy {
            remaining: remaining(*pttl),
            holder: holder.clone(),
        }),
        _ => Err(unexpected(reply)),
    }
}

/// The answer to a claim; `None`: it holds the lock, and the fence is to be asked for.
pub(super) fn acquired(reply: &Value) -> Result<Option<Acquired>, Failure> {
    let parts = match reply {
        Value::Array(parts) => parts.as_slice(),
        Value::Int(-1) => return Ok(None),
        // No need of anything beside it, and cheapest for the server as it is.
        granted => return fence(granted).map(|fence| Some(Acquired::Granted(fence))),
    };
    match parts {
        [Value::Int(0), Value::Int(pttl), Value::BulkString(_)] => Ok(Some(Acquired::Busy(remaining(*pttl)))),
        _ => Err(unexpected(reply)),
    }
}

/// Whether a fence is known to a server where the claim holds the lock.
pub(super) fn raised(reply: &Value) -> Result<bool, Failure> {
    match reply {
        Value::Int(-1) => Ok(false),
        Value::Int(0..) => Ok(true),
        _ => Err(unexpected(reply)),
    }
}

pub(super) fn fence(reply: &Value) -> Result<Fence, Failure> {
    let fence = match reply {
        Value::Int(fence) => u64::try_from(*fence).ok(),
        Value::BulkString(fence) => str::from_utf8(fence).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    fence.map(Fence::from).ok_or_else(|| unexpected(reply))
}

/// What a message to those in line says: to which claim, and what it was granted, or that it is to look.
pub(super) fn told(message: &[u8]) -> Option<(&str, Option<Told>)> {
    let (fence, rest) = str::from_utf8(message).ok()?.split_once(' ')?;
    let (question, claim) = rest.split_once(' ')?;
    let told = match fence.parse().ok()? {
        0 => None,
        fence => Some(Told {
            fence: Fence::from(fence),
            question: question.parse().ok()?,
        }),
    };
    Some((claim, told))
}

pub(super) fn released(reply: &Value) -> Result<Released, Failure> {
    match reply {
        Value::Int(1) => Ok(Released::Done),
        Value::Int(0) => Ok(Released::Missing),
        Value::Int(2) => Ok(Released::Taken),
        other => Err(unexpected(other)),
    }
}

/// One answer for each of `count` leases; a failure of the whole script is each one's failure.
pub(super) fn renewed(
    reply: Result<Value, Failure>,
    count: usize,
) -> Box<dyn Iterator<Item = Result<Renewed, Failure>> + Send> {
    let failure = match reply {
        Ok(Value::BulkString(answers)) if answers.len() == count => {
            return Box::new(answers.into_iter().map(|answer| match answer {
                b'1' => Ok(Renewed::Extended),
                b'0' => Ok(Renewed::Missing),
                b'2' => Ok(Renewed::Taken),
                other => Err(unexpected(&Value::BulkString(vec![other]))),
            }));
        }
        Ok(other) => unexpected(&other),
        Err(failure) => failure,
    };
    Box::new((0..count).map(move |_| {
        Err(Failure {
            kind: failure.kind,
            applied: failure.applied,
            reason: failure.reason.clone(),
            source: None,
        })
    }))
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

/// A reply that is a text.
pub(in crate::backend) fn text(reply: &Value) -> Option<String> {
    match reply {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_has_an_answer_for_each_lease_and_what_is_unknown_fails_it_alone() {
        let answers: Vec<_> = renewed(Ok(Value::BulkString(b"1029".to_vec())), 4).collect();
        assert!(matches!(
            answers[..],
            [Ok(Renewed::Extended), Ok(Renewed::Missing), Ok(Renewed::Taken), Err(_)]
        ));
    }

    #[test]
    fn where_there_is_no_answer_for_each_lease_each_has_the_failure() {
        let failure = Failure {
            kind: FailureKind::WrongType,
            applied: Applied::No,
            reason: "why".to_owned(),
            source: None,
        };
        let failed: Vec<_> = renewed(Err(failure), 3).collect();
        assert_eq!(failed.len(), 3);
        for failure in failed {
            let failure = failure.unwrap_err();
            assert_eq!(
                (failure.kind, failure.applied, failure.reason.as_str()),
                (FailureKind::WrongType, Applied::No, "why")
            );
        }
        for reply in [Value::BulkString(b"11".to_vec()), Value::Int(1), Value::Nil] {
            let failed: Vec<_> = renewed(Ok(reply), 3).collect();
            assert!(failed.len() == 3 && failed.iter().all(Result::is_err));
        }
    }
}
