//! RESP2, the protocol's second version: commands as they come in, replies as they go out.

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `+OK` and the like.
    Status(&'static str),
    /// `-CODE text`.
    Error(String),
    /// A number.
    Int(i64),
    /// A text.
    Bulk(Vec<u8>),
    /// Nothing.
    Nil,
    /// Several, in one.
    Array(Vec<Reply>),
    /// Several, one after the other: a command that is answered more than once.
    Each(Vec<Reply>),
}

impl Reply {
    /// A text.
    #[must_use]
    pub fn bulk(text: impl Into<Vec<u8>>) -> Self {
        Self::Bulk(text.into())
    }

    /// An error: its code, a space, its text.
    #[must_use]
    pub fn error(text: impl Into<String>) -> Self {
        Self::Error(text.into())
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Status(text) => line(bytes, '+', text),
            Self::Error(text) => line(bytes, '-', text),
            Self::Int(number) => line(bytes, ':', &number.to_string()),
            Self::Nil => line(bytes, '$', "-1"),
            Self::Bulk(text) => {
                line(bytes, '$', &text.len().to_string());
                bytes.extend_from_slice(text);
                bytes.extend_from_slice(b"\r\n");
            }
            Self::Array(replies) => {
                line(bytes, '*', &replies.len().to_string());
                replies.iter().for_each(|reply| reply.write(bytes));
            }
            Self::Each(replies) => replies.iter().for_each(|reply| reply.write(bytes)),
        }
    }
}

fn line(bytes: &mut Vec<u8>, kind: char, text: &str) {
    bytes.extend_from_slice(format!("{kind}{text}\r\n").as_bytes());
}

/// The bytes of a command.
#[must_use]
pub fn command(parts: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let bulks = parts.iter().map(|part| Reply::bulk(part.as_ref())).collect();
    Reply::Array(bulks).encode()
}

/// What came is no array of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoCommand;

/// Takes the first whole command out of `buffer`; `None`: more bytes are needed.
///
/// # Errors
///
/// [`NoCommand`], which ends a connection.
pub fn next_command(buffer: &mut Vec<u8>) -> Result<Option<Vec<Vec<u8>>>, NoCommand> {
    let mut place = 0;
    let Some(count) = number(buffer, &mut place, b'*')? else {
        return Ok(None);
    };
    let mut parts = Vec::with_capacity(count);
    for _ in 0..count {
        let Some(length) = number(buffer, &mut place, b'$')? else {
            return Ok(None);
        };
        let Some(part) = buffer.get(place..place + length) else {
            return Ok(None);
        };
        parts.push(part.to_vec());
        place += length + 2;
    }
    if place > buffer.len() {
        return Ok(None);
    }
    buffer.drain(..place);
    Ok(Some(parts))
}

/// A line of `kind` and a number, at `place`, which moves behind it.
fn number(buffer: &[u8], place: &mut usize, kind: u8) -> Result<Option<usize>, NoCommand> {
    let Some(rest) = buffer.get(*place..).filter(|rest| !rest.is_empty()) else {
        return Ok(None);
    };
    if rest[0] != kind {
        return Err(NoCommand);
    }
    let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
        return Ok(None);
    };
    let digits = std::str::from_utf8(&rest[1..end]).map_err(|_| NoCommand)?;
    *place += end + 2;
    digits.parse().map(Some).map_err(|_| NoCommand)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_when_all_of_it_is_there() {
        let whole = command(&["SET", "a", "1\r\n2"]);
        for cut in 0..whole.len() {
            let mut buffer = whole[..cut].to_vec();
            assert_eq!(next_command(&mut buffer), Ok(None), "{cut}");
            assert_eq!(buffer.len(), cut, "nothing is taken before all is there");
        }
        let mut buffer = whole;
        buffer.extend_from_slice(&command(&["PING"]));
        let parts = next_command(&mut buffer).ok().flatten();
        assert_eq!(parts, Some(vec![b"SET".to_vec(), b"a".to_vec(), b"1\r\n2".to_vec()]));
        assert_eq!(next_command(&mut buffer), Ok(Some(vec![b"PING".to_vec()])));
        assert!(buffer.is_empty());
    }

    #[test]
    fn what_is_no_command_is_refused() {
        assert_eq!(next_command(&mut b"GET / HTTP/1.1\r\n".to_vec()), Err(NoCommand));
    }
}
