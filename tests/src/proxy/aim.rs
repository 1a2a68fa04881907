//! Which request a proxy is to do something about, and which reply.

/// The request of a number among those that contain some bytes.
#[derive(Debug)]
pub(super) struct Aim {
    /// How many such requests are still to come, this one included.
    left: usize,
    bytes: Vec<u8>,
    pub(super) then: Then,
}

/// What is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Its connection is cut in place of the reply.
    LoseReply,
    /// That, and nothing passes after it.
    LoseReplyAndFreeze,
    /// Nothing passes from it on.
    FreezeBefore,
}

impl Aim {
    /// Requests are counted from 1.
    pub(super) fn at(number: usize, bytes: &str, then: Then) -> Aim {
        Aim {
            left: number,
            bytes: bytes.as_bytes().to_vec(),
            then,
        }
    }

    /// Whether it is this one. One that contains the bytes counts.
    pub(super) fn is_hit_by(&mut self, request: &[u8]) -> bool {
        if !contains(request, &self.bytes) {
            return false;
        }
        self.left = self.left.saturating_sub(1);
        self.left == 0
    }
}

pub(super) fn contains(request: &[u8], bytes: &[u8]) -> bool {
    bytes.is_empty() || request.windows(bytes.len()).any(|window| window == bytes)
}

/// Which of the server's words never come.
#[derive(Debug, Default)]
pub(super) enum Swallow {
    #[default]
    Nothing,
    /// What contains these bytes.
    What(Vec<u8>),
    Everything,
}

impl Swallow {
    pub(super) fn takes(&self, reply: &[u8]) -> bool {
        match self {
            Swallow::Nothing => false,
            Swallow::What(bytes) => contains(reply, bytes),
            Swallow::Everything => true,
        }
    }
}
