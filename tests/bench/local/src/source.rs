//! The programs whose compile time is measured: many functions of a few lines, each made a `Pin<Box<dyn Future>>`.

use std::fmt::Write;

/// How the functions are written.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    Plain,
    Instrument,
    Locked,
}

pub(crate) const STYLES: [(&str, Style); 3] = [
    ("plain", Style::Plain),
    ("instrument", Style::Instrument),
    ("locked", Style::Locked),
];

impl Style {
    fn attribute(self) -> &'static str {
        match self {
            Style::Plain => "",
            Style::Instrument => "#[tracing::instrument]\n",
            Style::Locked => "#[lock_runtime::distributed_lock(key = \"order:<id>\", on_conflict = \"retry\")]\n",
        }
    }
}

/// The library with so many functions.
pub(crate) fn library(style: Style, functions: usize) -> String {
    let mut text = String::from(HEAD);
    for number in 0..functions {
        let attribute = style.attribute();
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "
{attribute}pub async fn ship_{number}(id: u64, names: String) -> Answer {{
    let mut total = id + {number};
    for name in names.split(',') {{
        total += step(name.len() as u64).await?;
    }}
    if total % 7 == 3 {{
        return Err(Error::Total(total));
    }}
    Ok(total)
}}
"
        );
    }
    text.push_str("\npub fn all() -> Vec<Pin<Box<dyn Future<Output = Answer> + Send>>> {\n    vec![\n");
    for number in 0..functions {
        let _ = writeln!(text, "        Box::pin(ship_{number}({number}, String::new())),");
    }
    text.push_str("    ]\n}\n");
    text
}

const HEAD: &str = "\
use std::future::Future;
use std::pin::Pin;

#[derive(Debug)]
pub enum Error {
    Lock(lock_runtime::LockError),
    Total(u64),
}

impl From<lock_runtime::LockError> for Error {
    fn from(error: lock_runtime::LockError) -> Self {
        Self::Lock(error)
    }
}

pub type Answer = Result<u64, Error>;

async fn step(length: u64) -> Answer {
    std::future::ready(Ok(length)).await
}
";

/// The manifest of a program that is compiled alone, with what it needs already compiled.
pub(crate) fn manifest(name: &str, runtime: &str) -> String {
    format!(
        "[package]
name = \"{name}\"
version = \"0.0.0\"
edition = \"2024\"

[dependencies]
lock-runtime = {{ path = {runtime:?} }}
tracing = \"0.1\"

[workspace]
"
    )
}
