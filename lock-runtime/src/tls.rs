//! Certificates for `rediss://`.

use std::fmt;

/// The certificates of a private authority, and of this client, for
/// [`LockManagerBuilder::tls`](crate::LockManagerBuilder::tls). Texts in PEM format.
///
/// Without a CA of one's own the system's are trusted. A server's certificate and name are always checked.
#[derive(Clone, Default)]
#[must_use = "certificates do nothing before they are given to a builder"]
pub struct Tls {
    pub(crate) ca: Option<Vec<u8>>,
    /// Certificate and key.
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// The system's authorities, and no certificate of our own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the servers that this authority (or one of these) has signed, and no others.
    pub fn ca(mut self, certificates: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(certificates.into());
        self
    }

    /// What a server is shown that asks who we are.
    pub fn client(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.client = Some((certificate.into(), key.into()));
        self
    }
}

// No `Debug` by derive: there is a private key in it.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("ca", &self.ca.is_some())
            .field("client", &self.client.is_some())
            .finish()
    }
}
