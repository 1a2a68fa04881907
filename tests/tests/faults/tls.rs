//! `rediss://`: whom it trusts, and that nothing has to be installed for it.
//!
//! A CA of the test is trusted through `SSL_CERT_FILE`, which is read by the process; so each
//! client is a process of its own.

use std::path::Path;
use std::process::Stdio;

use lock_tests::{RedisServer, process};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// A server with a certificate for 127.0.0.1 and localhost, and the folder with the CA that signed it.
fn server_with_tls() -> (RedisServer, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);

    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let server_key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&server_key, &issuer)
        .unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    file("ca.pem", &authority_certificate.pem());
    let certificate = file("server.pem", &certificate.pem());
    let key = file("server.key", &server_key.serialize_pem());
    let server = RedisServer::start_with(|config| {
        config.tls(&certificate, &key);
    });
    (server, folder)
}

/// What a fresh process says that connects to `url`, takes a lock and releases it.
fn client(url: &str, trusts: Option<&Path>) -> String {
    let mut command = process::command(env!("CARGO_BIN_EXE_lock-test-child"));
    command.args(["connect", url]).stdin(Stdio::null());
    match trusts {
        Some(authority) => command.env("SSL_CERT_FILE", authority),
        // An empty list of trusted authorities, not the machine's.
        None => command.env("SSL_CERT_FILE", "/dev/null"),
    };
    command.env_remove("SSL_CERT_DIR");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}{errors}", output.status);
    assert!(!errors.contains("panicked"), "{errors}");
    text
}

fn secure(server: &RedisServer) -> String {
    format!("rediss://127.0.0.1:{}", server.port())
}

#[test]
fn a_server_whose_authority_is_trusted_works_without_an_installed_crypto_provider() {
    let (server, folder) = server_with_tls();
    let said = client(&secure(&server), Some(&folder.path().join("ca.pem")));
    assert_eq!(said.trim(), "ok");
}

#[test]
fn a_server_is_known_by_its_name_too() {
    let (server, folder) = server_with_tls();
    let url = format!("rediss://localhost:{}", server.port());
    assert_eq!(client(&url, Some(&folder.path().join("ca.pem"))).trim(), "ok");
}

#[test]
fn a_server_whose_authority_is_not_trusted_is_an_error_that_says_so() {
    let (server, _folder) = server_with_tls();
    let said = client(&secure(&server), None);
    assert!(said.contains("error:"), "{said}");
    assert!(said.to_lowercase().contains("certificate"), "{said}");
}

#[test]
fn a_server_under_another_name_than_its_certificate_is_an_error() {
    let (server, folder) = server_with_tls();
    let url = format!("rediss://127.0.0.2:{}", server.port());
    server.cli(&["CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2"]);
    let said = client(&url, Some(&folder.path().join("ca.pem")));
    assert!(
        said.contains("error:") && said.to_lowercase().contains("certificate"),
        "{said}"
    );
}

#[test]
fn a_server_without_tls_is_an_error_that_names_it() {
    let server = RedisServer::start();
    let said = client(&secure(&server), None);
    assert!(said.contains("error:"), "{said}");
    assert!(said.contains(&server.port().to_string()), "{said}");
}

#[test]
fn a_server_with_tls_is_an_error_for_a_client_without() {
    let (server, _folder) = server_with_tls();
    let said = client(&server.url(), None);
    assert!(said.contains("error:"), "{said}");
    assert!(said.contains(&server.port().to_string()), "{said}");
}

#[test]
fn user_password_and_database_work_over_tls() {
    let (server, folder) = server_with_tls();
    server.cli(&["ACL", "SETUSER", "shop", "on", ">secret", "~*", "&*", "+@all"]);
    server.cli(&["ACL", "SETUSER", "default", "off"]);
    let url = format!("rediss://shop:secret@127.0.0.1:{}/3", server.port());
    assert_eq!(client(&url, Some(&folder.path().join("ca.pem"))).trim(), "ok");
}
