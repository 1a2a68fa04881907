//! URLs, whatever is in them: connecting never panics, ends in time, and says the password to nobody.
#![no_main]

mod heard;
mod paused;

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use lock_runtime::simulation::{Connecting, Network};
use lock_runtime::{LockError, LockManager, LockManagerBuilder};

/// Stands for the password in the input, where it is part of the URL.
const PASSWORD: char = '\u{1e}';
/// In lower case, as hosts and schemes are made.
const SECRET: &str = "s3cr3t";
const ENDS_OF_HOSTS: [char; 4] = ['/', '?', '#', '\n'];

fuzz_target!(|data: &[u8]| {
    let Some((&flags, text)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else { return };
    if text.to_lowercase().contains(SECRET) {
        return;
    }
    // The parser leaves these out, wherever they are: then nobody can say what is a password.
    let left_out: &[char] = if is_list(flags) {
        &['\t', '\r']
    } else {
        &['\t', '\r', '\n']
    };
    if text.contains(left_out) && text.contains(PASSWORD) {
        return;
    }
    let Some(url) = with_password(text) else { return };
    let (answer, heard) = heard::during(|| paused::run(connect(builder(&url, flags))));
    if let Err(error) = answer {
        must_be_silent(&chain(&error));
    }
    must_be_silent(&heard);
});

/// As one URL or as a list of servers, each with a line of its own.
fn builder(url: &str, flags: u8) -> LockManagerBuilder {
    let builder = LockManager::builder()
        .network(Arc::new(Nowhere))
        .min_replicas((flags & 1).into());
    if is_list(flags) {
        builder.redlock(url.lines())
    } else {
        builder.url(url)
    }
}

fn is_list(flags: u8) -> bool {
    flags & 2 != 0
}

async fn connect(builder: LockManagerBuilder) -> Result<(), LockError> {
    let shown = format!("{builder:?}");
    must_be_silent(&shown);
    let manager = paused::within_5_s(builder.connect()).await?;
    must_be_silent(&format!("{manager:?}"));
    Ok(())
}

/// The URL, where the password stands at a place that is one: after the user's colon, or as a value of the query.
/// Elsewhere it would be somebody's host or path.
fn with_password(text: &str) -> Option<String> {
    let mut url = String::new();
    for (index, piece) in text.split(PASSWORD).enumerate() {
        if index > 0 {
            // Of the last server in a list of them.
            let (scheme, rest) = url.lines().last()?.split_once("://")?;
            // `unix:/path/with://in.it` is a path.
            if !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+') {
                return None;
            }
            let after_the_user = !rest.contains(ENDS_OF_HOSTS) && rest.contains(':');
            let before_the_host = piece.split(ENDS_OF_HOSTS).next()?.contains('@');
            let in_the_query = rest.split_once('?').is_some_and(|(_, query)| {
                !query.contains('#') && query.rsplit('&').next().is_some_and(|last| last.contains('='))
            });
            if url.ends_with('\n') || !(after_the_user && before_the_host || in_the_query) {
                return None;
            }
            url.push_str(SECRET);
        }
        url.push_str(piece);
    }
    Some(url)
}

fn chain(error: &LockError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text += &format!(" {error} {error:?}");
        source = error.source();
    }
    text
}

fn must_be_silent(text: &str) {
    assert!(!text.to_lowercase().contains(SECRET), "it says the password: {text}");
}

/// A network without any server.
struct Nowhere;

impl Network for Nowhere {
    fn connect<'a>(&'a self, _host: &'a str, _port: u16) -> Connecting<'a> {
        Box::pin(async { Err(std::io::ErrorKind::ConnectionRefused.into()) })
    }
}
