//! Where a connection has to lead, and what must be true of the server there before it is used.

use redis::aio::MultiplexedConnection;
use tokio::sync::watch;

use super::super::{BoxFuture, Failure};
use super::door::Door;

/// A place where a server is, or whichever server is there at present.
pub(in crate::backend) trait Place: Send + Sync + 'static {
    /// The way to the server that is there now.
    fn door(&self) -> BoxFuture<'_, Result<Door, Failure>>;

    /// Asks a server whether it may be used, on each new connection and before any operation.
    fn vet<'a>(
        &'a self,
        _door: &'a Door,
        _connection: &'a mut MultiplexedConnection,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Counts the times that the server there became another one: a connection from before leads to the wrong one.
    fn moves(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}

/// One address, and whatever answers there.
impl Place for Door {
    fn door(&self) -> BoxFuture<'_, Result<Door, Failure>> {
        Box::pin(std::future::ready(Ok(self.clone())))
    }
}
