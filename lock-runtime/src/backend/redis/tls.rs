//! A client that speaks TLS, with the user's certificates.

use redis::{Client, ConnectionInfo};

use crate::LockError;
use crate::url::{Settings, invalid};

#[cfg(feature = "tls")]
pub(super) fn client(info: ConnectionInfo, settings: &Settings) -> Result<Client, LockError> {
    use redis::{ClientTlsConfig, TlsCertificates};
    use rustls::crypto::{CryptoProvider, ring};

    // The library panics inside the connecting task where the process has no crypto provider; so there is one before.
    if CryptoProvider::get_default().is_none() && ring::default_provider().install_default().is_err() {
        // Somebody else was faster: then there is one, theirs.
        tracing::debug!("a rustls crypto provider was installed in the same moment");
    }
    let Some(tls) = &settings.tls else {
        return Client::open(info).map_err(|error| invalid("URL", error.category()));
    };
    check(tls)?;
    let certificates = TlsCertificates {
        client_tls: tls.client.as_ref().map(|(certificate, key)| ClientTlsConfig {
            client_cert: certificate.clone(),
            client_key: key.clone(),
        }),
        root_cert: tls.ca.clone(),
    };
    Client::build_with_tls(info, certificates).map_err(|error| LockError::InvalidOption {
        key: None,
        option: "tls",
        // Its text names what is wrong, never the content.
        reason: format!("{error}; certificates and keys are PEM texts"),
    })
}

/// The library takes a text without any certificate for an empty list, and trusts nobody.
#[cfg(feature = "tls")]
fn check(tls: &crate::Tls) -> Result<(), LockError> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let invalid = |what: &str| LockError::InvalidOption {
        key: None,
        option: "tls",
        reason: format!("the {what} is no PEM text with one; it begins with `-----BEGIN`"),
    };
    let certificates = |pem: &[u8]| {
        let mut found = CertificateDer::pem_slice_iter(pem).peekable();
        found.peek().is_some() && found.all(|certificate| certificate.is_ok())
    };
    if tls.ca.as_deref().is_some_and(|pem| !certificates(pem)) {
        return Err(invalid("authority's certificate (`ca`)"));
    }
    if let Some((certificate, key)) = &tls.client {
        if !certificates(certificate) {
            return Err(invalid("client's certificate"));
        }
        if PrivateKeyDer::from_pem_slice(key).is_err() {
            return Err(invalid("client's private key"));
        }
    }
    Ok(())
}

#[cfg(not(feature = "tls"))]
pub(super) fn client(_info: ConnectionInfo, _settings: &Settings) -> Result<Client, LockError> {
    Err(invalid("scheme", "TLS needs the feature `tls` of lock-runtime"))
}

/// Certificates are of no use without TLS, and whoever gives some believes to be safe.
pub(super) fn refuse(settings: &Settings) -> Result<(), LockError> {
    if settings.tls.is_none() {
        return Ok(());
    }
    Err(invalid(
        "scheme",
        "certificates were given (`tls`), and this URL makes no use of TLS; begin it with `rediss`",
    ))
}
