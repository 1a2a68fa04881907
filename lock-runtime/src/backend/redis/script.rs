//! Our scripts: sent by their hash, and in full when the server does not know them.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::LazyLock;

use redis::{Cmd, RedisWrite, Script, ToRedisArgs, cmd};
use uuid::fmt::Hyphenated;

use crate::backend;

/// A script of one file, or of several, one behind the other.
macro_rules! script {
    ($($file:literal),+) => {
        LuaScript::new(
            || Script::new(concat!($(include_str!($file)),+)),
            concat!($(include_str!($file)),+),
        )
    };
}

pub(super) static ACQUIRE: LuaScript = script!("acquire.lua");
pub(super) static TURN: LuaScript = script!("line/lib.lua", "turn.lua");
pub(super) static VOTE: LuaScript = script!("vote.lua");
pub(super) static FENCE: LuaScript = script!("fence.lua");
pub(super) static RAISE: LuaScript = script!("raise.lua");
pub(super) static RENEW: LuaScript = script!("renew.lua");
// What is first is all that a release runs where nobody stands in line.
pub(super) static RELEASE: LuaScript = script!("release.lua", "line/lib.lua", "line/next.lua");
pub(super) static INSPECT: LuaScript = script!("inspect.lua");

/// A script's text, and its hash, found once.
pub(super) struct LuaScript {
    text: &'static str,
    script: LazyLock<Script>,
}

/// One call of a script: its keys and arguments.
pub(super) struct ScriptCall {
    script: &'static LuaScript,
    by_hash: Cmd,
}

impl LuaScript {
    pub(super) const fn new(script: fn() -> Script, text: &'static str) -> Self {
        Self {
            text,
            script: LazyLock::new(script),
        }
    }

    /// Begins a call with so many keys; then the keys and the arguments are to follow.
    pub(super) fn keys(&'static self, count: usize) -> ScriptCall {
        // For names of a usual length.
        self.keys_and_room(count, 9, 320)
    }

    /// As [`keys`](Self::keys), with room for so many keys and arguments of so many bytes in all.
    pub(super) fn keys_and_room(&'static self, count: usize, args: usize, bytes: usize) -> ScriptCall {
        let mut by_hash = Cmd::with_capacity(3 + args, 64 + bytes);
        by_hash.arg("EVALSHA");
        self.begun(count, by_hash)
    }

    fn begun(&'static self, count: usize, mut by_hash: Cmd) -> ScriptCall {
        by_hash.arg(self.script.get_hash()).arg(count);
        ScriptCall { script: self, by_hash }
    }
}

impl ScriptCall {
    pub(super) fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.by_hash.arg(arg);
        self
    }

    pub(super) fn args(mut self, args: impl Iterator<Item: ToRedisArgs>) -> Self {
        for arg in args {
            self.by_hash.arg(arg);
        }
        self
    }

    pub(super) fn by_hash(&self) -> &Cmd {
        &self.by_hash
    }

    /// The same call with the script's text, which the server keeps from then on. Not SCRIPT LOAD: in a cluster that
    /// goes to all nodes, and one that hangs would fail the call.
    pub(super) fn in_full(&self) -> Cmd {
        let mut full = cmd("EVAL");
        full.arg(self.script.text);
        for arg in self.by_hash.args_iter().skip(2) {
            if let redis::Arg::Simple(arg) = arg {
                full.arg(arg);
            }
        }
        full
    }
}

/// A claim's value as an argument.
pub(super) struct Text<'a>(pub(super) &'a backend::Value);

impl Text<'_> {
    pub(super) fn len(&self) -> usize {
        Hyphenated::LENGTH + 1 + self.0.owner.as_deref().map_or(0, str::len)
    }
}

impl ToRedisArgs for Text<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        let mut arg = out.writer_for_next_arg();
        self.0.parts(|parts| {
            for part in parts {
                // It goes to memory.
                let _ = arg.write_all(part.as_bytes());
            }
        });
    }
}

/// A name of two parts as an argument.
pub(super) struct Name<'a>(pub(super) &'static str, pub(super) Cow<'a, str>);

impl ToRedisArgs for Name<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        let mut arg = out.writer_for_next_arg();
        for part in [self.0, &self.1] {
            // As above.
            let _ = arg.write_all(part.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_call_has_the_same_keys_and_arguments() {
        let call = RELEASE.keys(1).arg("name").arg("value").arg(0).arg("channel");
        let full = call.in_full();
        let args: Vec<_> = full
            .args_iter()
            .map(|arg| match arg {
                redis::Arg::Simple(arg) => String::from_utf8_lossy(arg).into_owned(),
                _ => panic!("only simple arguments"),
            })
            .collect();
        assert_eq!(args[0], "EVAL");
        assert_eq!(args[2..], ["1", "name", "value", "0", "channel"]);
    }
}
