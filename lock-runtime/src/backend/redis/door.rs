//! How a server is reached: its address, the credentials, TLS, and the network in between.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{AsyncPushSender, MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, ProtocolVersion, RedisError, RedisResult};
use tokio::time::timeout;

use super::super::{Applied, Failure};
use super::failure::{classify, no_answer};
use crate::network::{Network, Stream};

/// How long connecting may take, the handshake included. Operations wait as long as they may, and the next one finds
/// the connection.
const CONNECT: Duration = Duration::from_secs(3);

/// Opens connections to one address.
#[derive(Clone)]
pub(in crate::backend) struct Door {
    client: Client,
    /// `None`: the operating system's.
    network: Option<Arc<dyn Network>>,
}

fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        // Ours are around everything, and the library's response timeout costs 3 % (measured).
        .set_response_timeout(None)
        // Requests are sent in the order in which they are first polled as long as none has to wait for room.
        .set_pipeline_buffer_size(1 << 16)
}

impl Door {
    pub(super) fn new(client: Client, network: Option<Arc<dyn Network>>) -> Self {
        Self { client, network }
    }

    /// The same credentials and settings for another server.
    ///
    /// # Errors
    ///
    /// The library's, for settings that it cannot work with.
    pub(super) fn at(&self, host: &str, port: u16) -> RedisResult<Self> {
        let info = self.client.get_connection_info().clone();
        let host = host.to_owned();
        let address = match info.addr().clone() {
            ConnectionAddr::TcpTls {
                insecure, tls_params, ..
            } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure,
                tls_params,
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        Ok(Self {
            client: Client::open(info.set_addr(address))?,
            network: self.network.clone(),
        })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// `host:port` or the socket's path. Holds no secret.
    pub(in crate::backend) fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    /// Opens a connection for commands.
    pub(in crate::backend) async fn open(&self) -> Result<MultiplexedConnection, Failure> {
        // Nothing of an operation was sent yet, whatever goes wrong.
        match timeout(CONNECT, self.multiplexed()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(Failure {
                applied: Applied::No,
                ..classify(error)
            }),
            Err(_) => Err(no_answer("connecting to", Applied::No)),
        }
    }

    /// Opens a connection for subscriptions.
    ///
    /// # Errors
    ///
    /// The library's. It knows no time limit here.
    pub(super) async fn subscribe(&self) -> RedisResult<PubSub> {
        match self.simulated().await {
            None => self.client.get_async_pubsub().await,
            Some(stream) => PubSub::new(self.client.get_connection_info().redis_settings(), stream?).await,
        }
    }

    /// Opens a connection that lives on the runtime around the caller; needs no timer there, and knows no limit.
    ///
    /// # Errors
    ///
    /// The library's.
    pub(super) async fn multiplexed(&self) -> RedisResult<MultiplexedConnection> {
        let Some(stream) = self.simulated().await else {
            return self
                .client
                .get_multiplexed_async_connection_with_config(&config())
                .await;
        };
        let settings = self.client.get_connection_info().redis_settings();
        let (connection, driver) = MultiplexedConnection::new_with_config(settings, stream?, config()).await?;
        tokio::spawn(driver);
        Ok(connection)
    }

    /// As [`multiplexed`](Self::multiplexed); what the server says by itself is for `pushes`.
    ///
    /// # Errors
    ///
    /// The library's. It takes a protocol that servers before 6.0 do not have, which a user may be forbidden to choose, and
    /// which is not simulated.
    pub(super) async fn with_pushes(&self, pushes: impl AsyncPushSender) -> RedisResult<MultiplexedConnection> {
        if self.network.is_some() {
            let error = (ErrorKind::RESP3NotSupported, "a simulated network has no pushes");
            return Err(RedisError::from(error));
        }
        let info = self.client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings))?;
        let config = config().set_push_sender(pushes);
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    async fn simulated(&self) -> Option<RedisResult<Box<dyn Stream>>> {
        let network = self.network.as_ref()?;
        let ConnectionAddr::Tcp(host, port) = self.client.get_connection_info().addr() else {
            let error = (
                ErrorKind::InvalidClientConfig,
                "a simulated network has neither sockets nor TLS",
            );
            return Some(Err(RedisError::from(error)));
        };
        Some(network.connect(host, *port).await.map_err(RedisError::from))
    }
}
