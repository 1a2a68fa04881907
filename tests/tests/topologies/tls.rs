//! `rediss://` with an authority of one's own, and clients that have to show a certificate.

use lock_runtime::{LockError, LockManager, Tls};
use lock_tests::{Authority, RedisServer};

use crate::support::{ANSWER, SOON, within, works};

fn secure(server: &RedisServer) -> String {
    format!("rediss://127.0.0.1:{}", server.port())
}

async fn connect(url: &str, tls: Tls) -> Result<LockManager, LockError> {
    let builder = LockManager::builder().url(url).default_ttl(SOON).tls(tls);
    within(ANSWER, "connect", builder.connect()).await
}

/// What this client is told; in time, and about certificates.
async fn refused(url: &str, tls: Tls) -> LockError {
    let error = connect(url, tls).await.expect_err("the server is not for everybody");
    let text = error.to_string().to_lowercase();
    assert!(text.contains("certificate"), "{text}");
    error
}

/// Trusts this authority, and shows a certificate of it.
fn known(authority: &Authority) -> Tls {
    let identity = authority.identity(&["client"]);
    Tls::new()
        .ca(authority.pem())
        .client(identity.certificate, identity.key)
}

#[tokio::test]
async fn a_client_with_the_right_certificate_locks() {
    let authority = Authority::new();
    let server = authority.server_for_known_clients();
    let manager = connect(&secure(&server), known(&authority)).await.unwrap();
    works(&manager, "job").await;
}

#[tokio::test]
async fn a_server_that_asks_for_no_certificate_needs_only_its_authority() {
    let authority = Authority::new();
    let server = authority.server_with(|config| {
        config.set("tls-auth-clients", "no");
    });
    let manager = connect(&secure(&server), Tls::new().ca(authority.pem())).await.unwrap();
    works(&manager, "job").await;
}

#[tokio::test]
async fn a_client_without_a_certificate_is_told_so() {
    let authority = Authority::new();
    let server = authority.server_for_known_clients();
    refused(&secure(&server), Tls::new().ca(authority.pem())).await;
}

#[tokio::test]
async fn a_client_with_a_certificate_of_another_authority_is_told_so() {
    let (authority, another) = (Authority::new(), Authority::new());
    let server = authority.server_for_known_clients();
    let identity = another.identity(&["client"]);
    let tls = Tls::new()
        .ca(authority.pem())
        .client(identity.certificate, identity.key);
    refused(&secure(&server), tls).await;
}

#[tokio::test]
async fn a_server_of_an_authority_that_is_not_trusted_is_refused() {
    let (authority, another) = (Authority::new(), Authority::new());
    let server = authority.server_for_known_clients();
    let identity = authority.identity(&["client"]);
    let tls = Tls::new().ca(another.pem()).client(identity.certificate, identity.key);
    refused(&secure(&server), tls).await;
}

#[tokio::test]
async fn a_private_authority_is_trusted_in_place_of_the_machine_s_not_beside_it() {
    // The machine's authorities have signed no certificate for 127.0.0.1; so this says only that
    // nothing is trusted without being named.
    let authority = Authority::new();
    let server = authority.server_for_known_clients();
    refused(&secure(&server), Tls::new()).await;
}

#[tokio::test]
async fn a_server_under_another_name_than_its_certificate_is_refused() {
    let authority = Authority::new();
    let server = authority.server_for_known_clients();
    server.cli(&["CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2"]);
    let url = format!("rediss://127.0.0.2:{}", server.port());
    refused(&url, known(&authority)).await;
}

#[tokio::test]
async fn what_is_no_certificate_or_key_is_an_invalid_option() {
    let authority = Authority::new();
    let server = authority.server_for_known_clients();
    let identity = authority.identity(&["client"]);
    let wrong = [
        Tls::new().ca("no certificate"),
        known(&authority).client("no certificate", identity.key.clone()),
        known(&authority).client(identity.certificate.clone(), "no key"),
    ];
    for tls in wrong {
        let error = connect(&secure(&server), tls).await.unwrap_err();
        let is_about_it = matches!(&error, LockError::InvalidOption { option, .. } if option.contains("tls"));
        assert!(is_about_it, "{error:?}");
        assert!(!error.to_string().contains("PRIVATE KEY"), "{error}");
    }
}

#[tokio::test]
async fn user_and_password_go_over_tls_too() {
    let authority = Authority::new();
    let server = authority.server_for_known_clients();
    server.user("shop", "correct-horse", &["~*", "&*", "+@all"]);
    server.cli(&["ACL", "SETUSER", "default", "off"]);
    let url = format!("rediss://shop:correct-horse@127.0.0.1:{}/3", server.port());
    let manager = connect(&url, known(&authority)).await.unwrap();
    works(&manager, "job").await;
}

#[tokio::test]
async fn each_member_of_a_redlock_group_may_have_tls() {
    let authority = Authority::new();
    let servers: Vec<_> = (0..3).map(|_| authority.server_for_known_clients()).collect();
    let builder = LockManager::builder().redlock(servers.iter().map(secure));
    let builder = builder.tls(known(&authority));
    let manager = within(ANSWER, "connect", builder.connect()).await.unwrap();
    works(&manager, "job").await;
}

#[tokio::test]
async fn who_waits_is_woken_over_tls_too() {
    let authority = Authority::new();
    let server = authority.server_for_known_clients();
    let one = connect(&secure(&server), known(&authority)).await.unwrap();
    let two = connect(&secure(&server), known(&authority)).await.unwrap();
    let guard = one.lock("job").acquire().await.unwrap();
    let waiter = crate::support::waiting(&two, "job");
    crate::support::until_subscribed(&[&server], "job", 1).await;
    guard.release().await.unwrap();
    drop(within(ANSWER, "the waiter", waiter).await.unwrap().unwrap());
}
