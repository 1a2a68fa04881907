//! The plain commands, as far as the library and its client library use them.

use super::Step::{Hear, UntilGone};
use super::{As, Case, ask, eval, on};

pub(super) fn data() -> Vec<Case> {
    vec![
        Case::new(
            "texts are set, read, counted and deleted",
            [
                ask("GET a"),
                ask("SET a 1"),
                ask("GET a"),
                ask("SET b 2 PX 5000"),
                ask("PTTL b").about(5000),
                ask("SET b 3"),
                ask("PTTL b"),
                ask("SET b 4 NX"),
                ask("SET c 5 XX"),
                ask("SET c 5 NX PX 5000"),
                ask("MGET a b c d"),
                ask("EXISTS a b d"),
                ask("DEL a b d"),
                ask("PTTL d"),
            ],
        ),
        Case::new(
            "a time is over when it is over",
            [
                ask("SET a 1 PX 30"),
                UntilGone("a"),
                ask("GET a"),
                ask("PEXPIRE a 5000"),
                ask("PTTL a"),
            ],
        ),
        Case::new(
            "a time that is none deletes, or is refused",
            [
                ask("SET a 1 PX 0"),
                ask("SET a 1 PX -5"),
                ask("SET a 1 PX x"),
                ask("SET a 1"),
                ask("PEXPIRE a x"),
                ask("PEXPIRE a -1"),
                ask("EXISTS a"),
            ],
        ),
        Case::new(
            "another type is not read as a text",
            [
                ask("RPUSH a x"),
                ask("GET a"),
                ask("MGET a"),
                ask("SET a 1"),
                ask("GET a"),
            ],
        ),
        Case::new(
            "out of memory, what needs some is refused",
            [
                ask("SET a 1 PX 5000"),
                ask("CONFIG SET maxmemory 1"),
                ask("SET a 2"),
                ask("PEXPIRE a 9000"),
                ask("DEL a"),
                ask("CONFIG SET maxmemory 0"),
                ask("GET a"),
            ],
        ),
        Case::new(
            "commands want their arguments",
            [ask("GET"), ask("SET a"), ask("PTTL a b"), ask("TIME 1")],
        ),
        Case::new("the time comes in two parts", [ask("TIME").compared(As::Shape)]),
        Case::new(
            "everything can be forgotten",
            [ask("SET a 1"), ask("FLUSHALL"), ask("EXISTS a")],
        ),
    ]
}

pub(super) fn connections() -> Vec<Case> {
    const FIELDS: &[&str] = &[
        "redis_mode",
        "run_id",
        "uptime_in_seconds",
        "maxmemory_policy",
        "role",
        "connected_slaves",
    ];
    vec![
        Case::new(
            "a connection says hello",
            [
                ask("PING"),
                ask("ECHO a"),
                ask("HELLO 9"),
                ask("AUTH secret"),
                ask("CLIENT SETNAME a"),
            ],
        ),
        Case::new(
            "a connection has its database",
            [
                ask("SELECT 1"),
                ask("SET a 1"),
                on(1, "GET a"),
                on(1, "SELECT 1"),
                on(1, "GET a"),
                ask("SELECT 99"),
                ask("SELECT x"),
                ask("GET a"),
            ],
        ),
        Case::new(
            "a master without replicas says so",
            [
                ask("ROLE"),
                ask("WAIT 0 100"),
                ask("WAIT 1 10"),
                ask("CONFIG GET maxmemory-policy"),
                ask("INFO").compared(As::Fields(FIELDS)),
            ],
        ),
        Case::new(
            "who listens hears, in order, until it listens no more",
            [
                on(1, "SUBSCRIBE free other").replies(2),
                ask("PUBLISH free 1"),
                Hear(1),
                ask("PUBLISH nobody 1"),
                ask("SET lock:a me PX 5000"),
                eval("release", &["lock:a"], &["me", "0", "free"]),
                Hear(1),
                on(1, "GET a"),
                on(1, "UNSUBSCRIBE other"),
                on(1, "UNSUBSCRIBE free"),
                on(1, "UNSUBSCRIBE"),
                on(1, "GET a"),
                ask("PUBLISH free 1"),
            ],
        ),
        Case::new(
            "a release without a channel wakes nobody",
            [
                on(1, "SUBSCRIBE free"),
                ask("SET lock:a me PX 5000"),
                eval("release", &["lock:a"], &["me", "0", ""]),
                ask("PUBLISH free last"),
                Hear(1),
            ],
        ),
    ]
}
