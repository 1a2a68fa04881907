//! The library's scripts as native functions: a twin for each, next to the hash of the text that it mirrors.
//!
//! A twin answers to its script's text and to no other one: when a script changes, the simulated server does not know
//! it any more, and says so, until somebody has read both again and written down the new hash.

mod fences;
mod line;
mod locks;

use std::sync::LazyLock;

use redis::Script;

use super::resp::Reply;
use super::store::View;

/// A script of the library and the function that does the same.
pub struct Twin {
    /// The script's file, without its ending.
    pub name: &'static str,
    /// The script as the library has it now.
    pub text: &'static str,
    /// The hash of the text that the function was compared with, line by line.
    pub reviewed: &'static str,
    run: fn(&mut Call<'_>) -> Result<Reply, Raised>,
}

/// One call of a script.
pub(super) struct Call<'a> {
    pub(super) data: View<'a>,
    pub(super) keys: &'a [Vec<u8>],
    pub(super) args: &'a [Vec<u8>],
    /// What the script publishes: channels and messages.
    pub(super) published: &'a mut Vec<(Vec<u8>, Vec<u8>)>,
}

/// An error of a `redis.call`: it ends the script.
pub(super) struct Raised(String);

macro_rules! twin {
    ($name:literal, $reviewed:literal, $run:path) => {
        twin!($name, $reviewed, $run, [$name])
    };
    // Of several files, one behind the other.
    ($name:literal, $reviewed:literal, $run:path, [$($file:literal),+]) => {
        Twin {
            name: $name,
            text: concat!($(include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../lock-runtime/src/backend/redis/",
                $file,
                ".lua"
            ))),+),
            reviewed: $reviewed,
            run: $run,
        }
    };
}

/// Every script of the library.
pub static TWINS: [Twin; 8] = [
    twin!("acquire", "69dfcf9a7dadcb550d9fc7f1cfe96558c41b8440", locks::acquire),
    twin!(
        "turn",
        "de56c7df5389319dd33223e2a7adc559d1084171",
        line::turn,
        ["line/lib", "turn"]
    ),
    twin!("vote", "9b35fe57684a568fe3f917e48bd530200bb2b778", locks::vote),
    twin!("renew", "a1a3f416d28f5cf93dda4b60a69e77acf21c46a6", locks::renew),
    twin!(
        "release",
        "4ad9015dabbff0be78bd174a6bf180aa57f5bf32",
        locks::release,
        ["release", "line/lib", "line/next"]
    ),
    twin!("inspect", "52f821ae573975c082c1aa410d3a136d36806311", locks::inspect),
    twin!("fence", "aeb19d35ebb7792b24d40ebdaff509312effbc8f", fences::fence),
    twin!("raise", "726c75023b0f895698aa455816e04169a58dad61", fences::raise),
];

impl Twin {
    /// The hash by which EVALSHA names the script.
    #[must_use]
    pub fn hash(&self) -> String {
        Script::new(self.text).get_hash().to_owned()
    }

    /// Whether the function is known to do what the text says.
    pub(super) fn is_reviewed(&self) -> bool {
        static REVIEWED: LazyLock<Vec<&str>> = LazyLock::new(|| {
            TWINS
                .iter()
                .filter(|twin| twin.hash() == twin.reviewed)
                .map(|twin| twin.name)
                .collect()
        });
        REVIEWED.contains(&self.name)
    }

    /// Runs the native function.
    pub(super) fn run(&self, mut call: Call<'_>) -> Reply {
        match (self.run)(&mut call) {
            Ok(reply) => reply,
            // So says Redis 7 where in a script it was; the line is not ours to know.
            Err(Raised(error)) => Reply::Error(format!("{error} script: {}, on @user_script:0.", self.reviewed)),
        }
    }
}

impl Call<'_> {
    /// The n-th key; Lua counts from 1, this from 0.
    fn key(&self, index: usize) -> Option<Vec<u8>> {
        self.keys.get(index).cloned()
    }

    fn arg(&self, index: usize) -> Vec<u8> {
        self.args.get(index).cloned().unwrap_or_default()
    }
}

/// `redis.call`: its error ends the script.
fn called<T>(answer: Result<T, String>) -> Result<T, Raised> {
    answer.map_err(Raised)
}

/// `tonumber`.
fn number(text: Option<Vec<u8>>) -> Option<f64> {
    let text = String::from_utf8(text?).ok()?;
    text.trim().parse().ok()
}

/// A Lua number as Redis answers it: cut, not rounded.
#[allow(clippy::cast_possible_truncation, reason = "as Redis does it")]
fn integer(number: f64) -> Reply {
    Reply::Int(number as i64)
}
