//! A private certificate authority, and servers that know it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::RedisServer;
use crate::server::Config;

/// An authority that nobody but the test trusts.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    folder: TempDir,
}

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Authority {
    /// A new authority with a key of its own.
    ///
    /// # Panics
    /// When there is no randomness, or no room for a temporary file.
    #[must_use]
    pub fn new() -> Authority {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name of its own: with that of what it signs, that would look as if it had signed itself.
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        authority.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = authority.self_signed(&key).unwrap().pem();
        Authority {
            issuer: Issuer::new(authority, key),
            pem,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The authority's own certificate, as PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these names and addresses.
    ///
    /// # Panics
    /// When a name is none.
    #[must_use]
    pub fn identity(&self, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer);
        Identity {
            certificate: certificate.unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// A server with TLS only, with a certificate for 127.0.0.1 and localhost, which talks to
    /// nobody who has no certificate of this authority.
    #[must_use]
    pub fn server_for_known_clients(&self) -> RedisServer {
        self.server_with(|_| {})
    }

    /// As [`Authority::server_for_known_clients`], with directives of the test's own, which may
    /// let others in again (`tls-auth-clients no`).
    #[must_use]
    pub fn server_with(&self, configure: impl FnOnce(&mut Config)) -> RedisServer {
        let identity = self.identity(&["127.0.0.1", "localhost"]);
        let certificate = self.file("server.pem", &identity.certificate);
        let key = self.file("server.key", &identity.key);
        let authority = self.file("ca.pem", &self.pem);
        RedisServer::start_with(|config| {
            config.tls_for_known_clients(&certificate, &key, &authority);
            configure(config);
        })
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Default for Authority {
    fn default() -> Self {
        Authority::new()
    }
}
