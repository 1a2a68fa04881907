//! What a client process says, a line for each thing that happened.

use std::fmt;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// A body begins.
    Got {
        /// Unique in its process.
        id: u64,
        key: usize,
        fence: u64,
        /// When the call began; by [`clock::now`](crate::clock::now), as all moments here.
        asked: u64,
        /// When the body began.
        granted: u64,
    },
    /// A body ended, and its lease was valid until then.
    Ended {
        id: u64,
        at: u64,
        /// A fence stopped one of its steps.
        stopped: bool,
    },
    /// A body ended, because its lease was lost, or after that.
    Lost {
        id: u64,
        /// Until when the lease was claimed to be valid, as far as that was looked at.
        until: u64,
        /// When the body ended.
        at: u64,
        cause: String,
    },
    /// A lease was lost before its body, or was found to be lost at its release.
    LostOutside {
        cause: String,
    },
    Conflict,
    /// Nobody knows whether the lock was taken; it was cleared up.
    Unknown {
        reason: String,
    },
    Unavailable {
        reason: String,
    },
    /// A release got no answer and went on in the background.
    Unreleased,
    /// Something that must not happen.
    Wrong {
        what: String,
    },
    /// The client ends in good order.
    Bye,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Got {
                id,
                key,
                fence,
                asked,
                granted,
            } => write!(f, "got {id} {key} {fence} {asked} {granted}"),
            Line::Ended { id, at, stopped } => write!(f, "ended {id} {at} {stopped}"),
            Line::Lost { id, until, at, cause } => write!(f, "lost {id} {until} {at} {cause}"),
            Line::LostOutside { cause } => write!(f, "outside {cause}"),
            Line::Conflict => write!(f, "conflict"),
            Line::Unknown { reason } => write!(f, "unknown {}", one_line(reason)),
            Line::Unavailable { reason } => write!(f, "unavailable {}", one_line(reason)),
            Line::Unreleased => write!(f, "unreleased"),
            Line::Wrong { what } => write!(f, "wrong {}", one_line(what)),
            Line::Bye => write!(f, "bye"),
        }
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// The line as it was meant; `None`: it is none.
pub(crate) fn parse(line: &str) -> Option<Line> {
    let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
    let mut words = rest.split(' ');
    let mut number = || words.next()?.parse::<u64>().ok();
    let text = || rest.to_owned();
    Some(match name {
        "got" => Line::Got {
            id: number()?,
            key: usize::try_from(number()?).ok()?,
            fence: number()?,
            asked: number()?,
            granted: number()?,
        },
        "ended" => Line::Ended {
            id: number()?,
            at: number()?,
            stopped: words.next()?.parse().ok()?,
        },
        "lost" => Line::Lost {
            id: number()?,
            until: number()?,
            at: number()?,
            cause: words.next()?.to_owned(),
        },
        "outside" => Line::LostOutside { cause: text() },
        "conflict" => Line::Conflict,
        "unknown" => Line::Unknown { reason: text() },
        "unavailable" => Line::Unavailable { reason: text() },
        "unreleased" => Line::Unreleased,
        "wrong" => Line::Wrong { what: text() },
        "bye" => Line::Bye,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_as_it_was_meant() {
        let lines = [
            Line::Got {
                id: 1,
                key: 2,
                fence: 3,
                asked: 4,
                granted: 5,
            },
            Line::Ended {
                id: 1,
                at: 2,
                stopped: true,
            },
            Line::Lost {
                id: 1,
                until: 2,
                at: 3,
                cause: "Expired".into(),
            },
            Line::LostOutside { cause: "Taken".into() },
            Line::Conflict,
            Line::Unknown { reason: "it is".into() },
            Line::Unavailable { reason: "it is".into() },
            Line::Unreleased,
            Line::Wrong {
                what: "all of it".into(),
            },
            Line::Bye,
        ];
        for line in lines {
            assert_eq!(parse(&line.to_string()), Some(line));
        }
        assert_eq!(parse("got 1 2"), None);
        assert_eq!(parse("else"), None);
    }
}
