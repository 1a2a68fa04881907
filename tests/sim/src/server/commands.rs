//! The plain commands: those that a script does not need.

use super::resp::Reply;
use super::store::{View, reply};

pub(super) fn wrong_arguments(name: &str) -> Reply {
    Reply::Error(format!("ERR wrong number of arguments for '{name}' command"))
}

/// One command on the data, or about the connection.
pub(super) fn plain(data: &mut View<'_>, name: &str, rest: &[Vec<u8>]) -> Reply {
    match (name, rest) {
        ("get", [key]) => reply(data.get(key).map(text)),
        ("mget", keys) if !keys.is_empty() => {
            // Of another type: as if it were not there.
            let values = keys.iter().map(|key| data.get(key).map_or(Reply::Nil, text));
            Reply::Array(values.collect())
        }
        ("set", [key, value, options @ ..]) => set(data, key, value, options),
        ("del", keys) if !keys.is_empty() => count(keys.iter().filter(|key| data.del(key))),
        ("exists", keys) if !keys.is_empty() => count(keys.iter().filter(|key| data.exists(key))),
        ("pttl", [key]) => Reply::Int(data.pttl(key)),
        ("pexpire", [key, px]) => reply(data.pexpire(key, px).map(|done| Reply::Int(done.into()))),
        ("rpush", [key, value]) => reply(data.rpush(key, value).map(Reply::Int)),
        ("lrange", [key, from, to]) if from == b"0" && to == b"-1" => reply(data.lrange(key).map(texts)),
        ("keys", [pattern]) if pattern == b"*" => texts(data.keys()),
        ("time", []) => {
            let (seconds, micros) = data.time();
            Reply::Array([seconds, micros].map(|part| Reply::bulk(part.to_string())).into())
        }
        ("ping", []) => Reply::Status("PONG"),
        ("echo", [message]) => Reply::bulk(message.as_slice()),
        // No replicas: so it would be after the time, too.
        ("wait", [_, _]) => Reply::Int(0),
        ("role", []) => Reply::Array(vec![Reply::bulk("master"), Reply::Int(0), Reply::Array(Vec::new())]),
        ("client", [what, _]) if what.eq_ignore_ascii_case(b"setname") => Reply::Status("OK"),
        ("hello", [version, ..]) if version != b"2" => Reply::error("NOPROTO unsupported protocol version"),
        ("auth", [_] | [_, _]) => Reply::error(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        ),
        (
            "get" | "mget" | "set" | "del" | "exists" | "pttl" | "pexpire" | "rpush" | "lrange" | "time" | "echo"
            | "wait" | "role" | "publish" | "subscribe" | "select",
            _,
        ) => wrong_arguments(name),
        _ => Reply::Error(format!("ERR unknown command '{name}'")),
    }
}

fn text(value: Option<Vec<u8>>) -> Reply {
    value.map_or(Reply::Nil, Reply::Bulk)
}

fn texts(values: Vec<Vec<u8>>) -> Reply {
    Reply::Array(values.into_iter().map(Reply::Bulk).collect())
}

fn count<T>(found: impl Iterator<Item = T>) -> Reply {
    Reply::Int(i64::try_from(found.count()).unwrap_or(i64::MAX))
}

fn set(data: &mut View<'_>, key: &[u8], value: &[u8], options: &[Vec<u8>]) -> Reply {
    let mut px = None;
    let (mut only_new, mut only_old) = (false, false);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match option.to_ascii_lowercase().as_slice() {
            b"nx" => only_new = true,
            b"xx" => only_old = true,
            b"px" => px = options.next(),
            _ => return Reply::error("ERR syntax error"),
        }
    }
    if data.full {
        return reply(data.set(key, value, None).map(|()| Reply::Nil));
    }
    let there = data.exists(key);
    if (only_new && there) || (only_old && !there) {
        return Reply::Nil;
    }
    reply(
        data.set(key, value, px.map(Vec::as_slice))
            .map(|()| Reply::Status("OK")),
    )
}
