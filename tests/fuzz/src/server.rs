//! Servers that answer as the input says, on a network in memory.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libfuzzer_sys::arbitrary::Unstructured;
use lock_runtime::simulation::{Connecting, Network};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::reply;

/// All servers of one input, whatever their address.
#[derive(Clone)]
pub(crate) struct Server(Arc<Mutex<Script>>);

struct Script {
    /// What is left of the input: each command takes some.
    data: Vec<u8>,
    said: Vec<Vec<u8>>,
}

impl Server {
    pub(crate) fn new(data: &[u8]) -> Self {
        Self(Arc::new(Mutex::new(Script {
            data: data.to_vec(),
            said: Vec::new(),
        })))
    }

    /// Whether any reply had a text of which this is true.
    pub(crate) fn has_said(&self, is: impl Fn(&[u8]) -> bool) -> bool {
        self.script().said.iter().any(|reply| texts(reply).any(&is))
    }

    /// `None`: the connection breaks.
    fn answer(&self, command: &[Vec<u8>]) -> Option<Vec<u8>> {
        let mut script = self.script();
        let mut data = Unstructured::new(&script.data);
        let reply = match data.arbitrary::<u8>().unwrap_or_default() % 16 {
            0..=7 => Some(reply::usual(command)),
            8 => None,
            9 => Some(Vec::new()),
            _ => reply::any(&mut data).ok(),
        };
        let used = script.data.len() - data.len();
        script.data.drain(..used);
        script.said.extend(reply.clone());
        reply
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every stretch of a reply between two line ends, and with line ends in it.
fn texts(reply: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = |reply: &[u8]| -> Vec<usize> {
        let found = reply.windows(2).enumerate().filter(|(_, pair)| *pair == b"\r\n");
        found.map(|(at, _)| at).collect()
    };
    let ends = ends(reply);
    let starts: Vec<usize> = ends.iter().map(|end| end + 2).collect();
    starts.into_iter().flat_map(move |start| {
        let later: Vec<usize> = ends.iter().copied().filter(|end| *end >= start).collect();
        later.into_iter().map(move |end| &reply[start..end])
    })
}

impl Network for Server {
    fn connect<'a>(&'a self, _host: &'a str, _port: u16) -> Connecting<'a> {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(serve(self.clone(), ours));
        Box::pin(async move { Ok(Box::new(theirs) as _) })
    }
}

/// Ends with the connection, on either side.
async fn serve(server: Server, mut stream: DuplexStream) -> io::Result<()> {
    let mut received = Vec::new();
    loop {
        while let Some((command, length)) = command(&received) {
            received.drain(..length);
            let Some(reply) = server.answer(&command) else {
                return Ok(());
            };
            stream.write_all(&reply).await?;
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

/// The first whole command, and how long it is. The client is trusted to send arrays of texts.
fn command(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let (count, mut at) = header(bytes, 0)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (length, start) = header(bytes, at)?;
        words.push(bytes.get(start..start + length)?.to_vec());
        at = start + length + 2;
    }
    (at <= bytes.len()).then_some((words, at))
}

/// `*3\r\n` or `$3\r\n`: the number, and what comes after it.
fn header(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = bytes.get(at + 1..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let number = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((number, at + 1 + end + 2))
}
