//! The scripts that know of the line of those who wait.

use super::Step::{Hear, UntilGone};
use super::{As, Case, Step, ask, eval, on, words};

const KEYS: [&str; 3] = ["lock:a", "distributed-lock:fence", "line"];

/// A claim asks for its turn: its first lease is 4 s, it stays for 9 s, it is told on `told`.
fn turn(claim: &str) -> Step {
    turn_with(claim, "1", "9000")
}

fn turn_with(claim: &str, fences: &str, stay: &str) -> Step {
    eval("turn", &KEYS, &[claim, "8000", fences, "4000", stay, "told", "1"])
}

/// The same, and the lock is taken for about so long.
fn stands(claim: &str, taken: i64) -> Step {
    turn(claim).about(taken)
}

fn release(claim: &str) -> Step {
    eval("release", &KEYS, &[claim, "0", "free"])
}

fn hold() -> Step {
    ask("SET lock:a me PX 5000")
}

fn line() -> Step {
    ask("LRANGE line 0 -1").compared(As::Behind)
}

fn listen() -> Step {
    on(1, "SUBSCRIBE told free").replies(2)
}

pub(super) fn turns() -> Vec<Case> {
    vec![
        Case::new(
            "a free lock without a line is granted at once, and nothing else is left",
            [
                turn("me"),
                ask("GET lock:a"),
                ask("PTTL lock:a").about(8000),
                ask("EXISTS line"),
            ],
        ),
        Case::new(
            "who finds it taken stands in line, in the order of the first question",
            [
                hold(),
                stands("b", 5000),
                stands("a", 5000),
                stands("b", 5000),
                line(),
                ask("PTTL line").about(18_000),
            ],
        ),
        Case::new(
            "the line lives as long as the one who stays longest",
            [
                hold(),
                turn_with("a", "1", "60000").about(5000),
                turn_with("b", "1", "100").about(5000),
                ask("PTTL line").about(120_000),
                turn_with("c", "1", "200000").about(5000),
                ask("PTTL line").about(400_000),
            ],
        ),
        Case::new(
            "one's own lock is granted again, with another fence and the whole time, and without a place",
            [
                ask("SET lock:a me PX 1000"),
                words(&["RPUSH", "line", "1 4000 1 told 1 me"]),
                turn("me"),
                turn("me"),
                ask("PTTL lock:a").about(8000),
                ask("EXISTS line"),
            ],
        ),
        Case::new(
            "an expired lock goes to the first in line, whoever looks",
            [
                listen(),
                ask("SET lock:a me PX 30"),
                stands("a", 30),
                stands("b", 30),
                UntilGone("lock:a"),
                stands("c", 4000),
                Hear(1),
                ask("GET lock:a"),
                line(),
            ],
        ),
        Case::new(
            "the first in line takes a free lock itself",
            [
                ask("SET lock:a me PX 30"),
                stands("a", 30),
                stands("b", 30),
                UntilGone("lock:a"),
                turn("a"),
                ask("PTTL lock:a").about(8000),
                line(),
            ],
        ),
        Case::new(
            "those whose time is over are passed over, and one that asks again is alive",
            [
                hold(),
                turn_with("a", "1", "1").about(5000),
                turn_with("b", "1", "1").about(5000),
                stands("c", 5000),
                ask("SET timer x PX 30"),
                UntilGone("timer"),
                stands("b", 5000),
                line(),
                ask("DEL lock:a"),
                stands("d", 4000),
                ask("GET lock:a"),
                line(),
            ],
        ),
        Case::new(
            "blocks of fences follow each other, in a turn and in a grant",
            [
                listen(),
                turn_with("me", "3000000", "9000"),
                turn_with("a", "3000000", "9000").about(8000),
                release("me"),
                Hear(1),
                ask("GET distributed-lock:fence"),
                turn_with("a", "2", "9000"),
                ask("GET distributed-lock:fence"),
            ],
        ),
    ]
}

pub(super) fn grants() -> Vec<Case> {
    vec![
        Case::new(
            "a release gives the lock to the first in line, for its first lease, and tells it",
            [
                listen(),
                hold(),
                stands("a", 5000),
                stands("b", 5000),
                release("me"),
                Hear(1),
                ask("GET lock:a"),
                ask("PTTL lock:a").about(4000),
                line(),
                release("me"),
                release("a"),
                Hear(1),
                release("b"),
                Hear(1),
                ask("EXISTS lock:a line"),
            ],
        ),
        Case::new(
            "a release passes over the dead and what is no place, and deletes the lock if nobody is left",
            [
                listen(),
                hold(),
                words(&["RPUSH", "line", "1 4000 1 told 1 a"]),
                words(&["RPUSH", "line", "b"]),
                words(&["RPUSH", "line", "9999999999999 4000 x told 1 c"]),
                words(&["RPUSH", "line", "9999999999999 4000 1  1 d"]),
                words(&["RPUSH", "line", "9999999999999 4000 1 told 1 me"]),
                release("me"),
                Hear(1),
                ask("EXISTS lock:a line"),
            ],
        ),
        Case::new(
            "a lock that stays taken is not given away, and the first in line is told to look",
            [
                listen(),
                hold(),
                stands("a", 5000),
                stands("b", 5000),
                eval("release", &KEYS, &["me", "3000", "free"]),
                Hear(1),
                Hear(1),
                ask("PTTL lock:a").about(3000),
                line(),
            ],
        ),
        Case::new(
            "who gives up leaves the line, and a lock that was granted to it goes on",
            [
                listen(),
                hold(),
                stands("a", 5000),
                stands("b", 5000),
                release("a"),
                line(),
                release("me"),
                Hear(1),
                release("b"),
                Hear(1),
                release("b"),
                ask("EXISTS lock:a line"),
            ],
        ),
        Case::new(
            "a release that finds nothing ends its own place only",
            [
                hold(),
                stands("a", 5000),
                ask("DEL lock:a"),
                release("b"),
                line(),
                release("a"),
                ask("EXISTS lock:a line"),
            ],
        ),
    ]
}

pub(super) fn troubles() -> Vec<Case> {
    vec![
        Case::new(
            "out of memory a release gives the lock on, and nobody comes to stand in line",
            [
                listen(),
                hold(),
                stands("a", 5000),
                ask("CONFIG SET maxmemory 1"),
                stands("b", 5000),
                line(),
                release("me"),
                Hear(1),
                ask("GET lock:a"),
                turn("a"),
                ask("PTTL lock:a").about(8000),
                release("a"),
                Hear(1),
                turn("b"),
                ask("CONFIG SET maxmemory 0"),
                ask("EXISTS lock:a line"),
            ],
        ),
        Case::new(
            "a lock of another type is refused and left alone, and the place is given up",
            [
                hold(),
                stands("a", 5000),
                ask("DEL lock:a"),
                ask("RPUSH lock:a x"),
                turn("a"),
                line(),
                release("a"),
                ask("EXISTS lock:a line"),
            ],
        ),
        Case::new(
            "a line of another type is no line",
            [
                ask("SET line x"),
                turn("me"),
                stands("a", 8000),
                eval("release", &KEYS, &["me", "3000", "free"]),
                ask("PTTL lock:a").about(3000),
                release("a"),
                release("me"),
                ask("EXISTS lock:a"),
                ask("GET line"),
                ask("PTTL line"),
                turn("a"),
            ],
        ),
        Case::new(
            "with a fence counter of another type nothing is granted, and the first in line looks for itself",
            [
                listen(),
                hold(),
                stands("a", 5000),
                ask("RPUSH distributed-lock:fence x"),
                release("me"),
                Hear(1),
                Hear(1),
                ask("EXISTS lock:a"),
                turn("a"),
                ask("EXISTS lock:a line"),
                hold(),
                turn("me"),
                ask("GET lock:a"),
            ],
        ),
        Case::new(
            "a time that is none is refused",
            [
                eval("turn", &KEYS, &["me", "0", "1", "4000", "9000", "told", "1"]),
                ask("EXISTS lock:a"),
                hold(),
                eval("turn", &KEYS, &["me", "x", "1", "4000", "9000", "told", "1"]),
                ask("PTTL lock:a").about(5000),
            ],
        ),
    ]
}
