//! Replies as a server may send them: what one of ours would say, or anything at all.

use std::fmt::Write;

use libfuzzer_sys::arbitrary::{Result, Unstructured};

/// Deeper than any reply of ours.
const DEEPEST: usize = 4;

/// Any reply of the protocol, and now and then no reply at all but bytes.
pub(crate) fn any(data: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    push(data, &mut bytes, DEEPEST)?;
    Ok(bytes)
}

fn push(data: &mut Unstructured<'_>, bytes: &mut Vec<u8>, depth: usize) -> Result<()> {
    let kind: u8 = data.arbitrary()?;
    match kind % 13 {
        0 | 1 => bytes.extend(format!(":{}\r\n", integer(data)?).bytes()),
        2 | 3 => bytes.extend(bulk(&text(data)?)),
        4 => bytes.extend(b"$-1\r\n"),
        5 => bytes.extend(b"*-1\r\n"),
        6 => line(b'+', data, bytes)?,
        7 => line(b'-', data, bytes)?,
        8 => {
            let code = [
                "MOVED 1 b:2",
                "ASK 1 b:2",
                "TRYAGAIN x",
                "NOSCRIPT x",
                "READONLY x",
                "OOM x",
                "NOPERM x",
                "WRONGTYPE x",
                "CLUSTERDOWN x",
                "LOADING x",
                "NOAUTH x",
            ];
            bytes.extend(format!("-{}\r\n", data.choose(&code)?).bytes());
        }
        12 if depth == DEEPEST => bytes.extend(text(data)?),
        _ if depth == 0 => bytes.extend(b":0\r\n"),
        _ => {
            let count = data.int_in_range(0..=4)?;
            bytes.extend(format!("*{count}\r\n").bytes());
            for _ in 0..count {
                push(data, bytes, depth - 1)?;
            }
        }
    }
    Ok(())
}

fn integer(data: &mut Unstructured<'_>) -> Result<i64> {
    Ok(match data.arbitrary::<u8>()? {
        0 => data.arbitrary()?,
        1 => i64::MAX,
        2 => i64::MIN,
        small => i64::from(small % 8) - 3,
    })
}

/// Short, or as long as the rest.
fn text(data: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let length = usize::from(data.arbitrary::<u8>()? % 48).min(data.len());
    Ok(data.bytes(length)?.to_vec())
}

fn line(kind: u8, data: &mut Unstructured<'_>, bytes: &mut Vec<u8>) -> Result<()> {
    bytes.push(kind);
    bytes.extend(text(data)?.into_iter().filter(|byte| !matches!(byte, b'\r' | b'\n')));
    bytes.extend(b"\r\n");
    Ok(())
}

/// A text.
pub(crate) fn bulk(text: &[u8]) -> Vec<u8> {
    let mut bytes = format!("${}\r\n", text.len()).into_bytes();
    bytes.extend(text);
    bytes.extend(b"\r\n");
    bytes
}

/// What a server of ours would say to this command.
pub(crate) fn usual(command: &[Vec<u8>]) -> Vec<u8> {
    let word = |index: usize| command.get(index).map_or(&b""[..], Vec::as_slice);
    let name = String::from_utf8_lossy(word(0)).to_ascii_uppercase();
    match name.as_str() {
        "EVALSHA" | "EVAL" => script(command),
        "INFO" => bulk(b"redis_version:7.0.0\r\nrun_id:0123456789\r\nuptime_in_seconds:999999\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n"),
        "TIME" => b"*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n".to_vec(),
        "ROLE" => b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n".to_vec(),
        "WAIT" => b":1\r\n".to_vec(),
        "SENTINEL" => b"*2\r\n$1\r\nm\r\n$1\r\n9\r\n".to_vec(),
        "CLUSTER" => b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$1\r\na\r\n:1\r\n".to_vec(),
        "GET" | "MGET" => b"$-1\r\n".to_vec(),
        "SUBSCRIBE" | "UNSUBSCRIBE" => {
            let mut bytes = b"*3\r\n".to_vec();
            bytes.extend(bulk(name.to_ascii_lowercase().as_bytes()));
            bytes.extend(bulk(word(1)));
            bytes.extend(b":1\r\n");
            bytes
        }
        _ => b"+OK\r\n".to_vec(),
    }
}

/// The scripts are told apart by how many keys and arguments they have.
fn script(command: &[Vec<u8>]) -> Vec<u8> {
    let keys: usize = command
        .get(2)
        .and_then(|count| std::str::from_utf8(count).ok()?.parse().ok())
        .unwrap_or_default();
    let arguments = command.len().saturating_sub(3 + keys);
    match (keys, arguments) {
        // inspect; a fence is asked for in the same way, and is then an error.
        (1, 0) => b"$-1\r\n".to_vec(),
        // raise
        (1, 1) => b":0\r\n".to_vec(),
        // release
        (1, 3) => b":1\r\n".to_vec(),
        // acquire
        (2 | 3, 2) => b"*2\r\n:7\r\n:0\r\n".to_vec(),
        // renew
        (keys, arguments) if arguments == 2 * keys => {
            let mut text = format!("*{keys}\r\n");
            for _ in 0..keys {
                // Writing into a String cannot fail.
                let _ = write!(text, ":1\r\n");
            }
            text.into_bytes()
        }
        _ => b"$-1\r\n".to_vec(),
    }
}
