//! Where byte streams to servers come from: the operating system, or a simulated network.

use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection's bytes, in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The answer of [`Network::connect`].
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// A network that a test simulates. A manager that uses one lives on the runtime of its callers, by their (paused)
/// clock, instead of a thread of its own.
pub trait Network: Send + Sync + 'static {
    /// Opens a stream to `port` of `host`.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Connecting<'a>;
}
