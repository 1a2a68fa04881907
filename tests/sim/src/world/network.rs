//! The network as a client process sees it, and the machine's kernel between the two.
//!
//! A kernel is a host of the simulated network. The process talks to it through a pipe, so that a process can be
//! paused while its kernel goes on: what arrives meanwhile is there when it wakes.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use lock_runtime::simulation::{Connecting, Network, Stream};
use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::sync::{mpsc, oneshot};
use turmoil::net::TcpStream;

/// As much as a kernel keeps of a connection, in bytes.
const BUFFER: usize = 64 * 1024;

/// A process asks its kernel for a connection.
struct Dial {
    host: String,
    port: u16,
    answer: oneshot::Sender<io::Result<DuplexStream>>,
}

/// A process's way to its kernel.
struct Dialler(mpsc::UnboundedSender<Dial>);

/// A kernel's end of that way, for its next life.
#[derive(Clone, Default)]
pub(super) struct Socket(Arc<Mutex<Option<mpsc::UnboundedReceiver<Dial>>>>);

impl Socket {
    /// The network for a new process. The kernel takes the other end when it starts.
    pub(super) fn open(&self) -> Arc<dyn Network> {
        let (dials, incoming) = mpsc::unbounded_channel();
        *self.slot() = Some(incoming);
        Arc::new(Dialler(dials))
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<mpsc::UnboundedReceiver<Dial>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Network for Dialler {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Connecting<'a> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let host = host.to_owned();
            let gone = || io::Error::from(io::ErrorKind::NetworkDown);
            self.0.send(Dial { host, port, answer }).map_err(|_| gone())?;
            let stream = answered.await.map_err(|_| gone())??;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// The software of a client's host: connects, and carries bytes.
pub(super) async fn kernel(socket: Socket) -> turmoil::Result {
    let incoming = socket.slot().take();
    if let Some(mut incoming) = incoming {
        while let Some(dial) = incoming.recv().await {
            tokio::task::spawn_local(carry(dial));
        }
    }
    // The process is gone; the host stays.
    std::future::pending().await
}

async fn carry(mut dial: Dial) {
    let connected = tokio::select! {
        biased;
        // Whoever asked has given up.
        () = dial.answer.closed() => return,
        connected = TcpStream::connect((dial.host.as_str(), dial.port)) => connected,
    };
    match connected {
        Err(error) => drop(dial.answer.send(Err(error))),
        Ok(mut stream) => {
            let (ours, mut theirs) = duplex(BUFFER);
            if dial.answer.send(Ok(ours)).is_ok() {
                // However it ends, both ends are closed.
                let _ = copy_bidirectional(&mut stream, &mut theirs).await;
            }
        }
    }
}
