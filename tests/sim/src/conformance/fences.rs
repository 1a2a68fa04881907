//! The scripts about fences, branch by branch.

use super::{Case, ask, eval};

const LOCK: &str = "lock:a";
const COUNTER: &str = "distributed-lock:fence";

pub(super) fn fences() -> Vec<Case> {
    let fence = || eval("fence", &[COUNTER], &["1"]);
    let block = |count: &str| eval("fence", &[COUNTER], &[count]);
    let raise = |to: &str| eval("raise", &[COUNTER], &[to]);
    let raise_for = |claim: &str, to: &str| eval("raise", &[COUNTER, LOCK], &[to, claim]);
    vec![
        Case::new(
            "each fence is larger than the one before",
            [
                fence(),
                fence(),
                ask("GET distributed-lock:fence"),
                fence(),
                block("3000000"),
                block("2"),
                fence(),
                ask("GET distributed-lock:fence"),
            ],
        ),
        Case::new(
            "a raised counter gives larger fences, is never lowered, and tells how far it is",
            [
                raise("1000"),
                raise("1000"),
                raise("999"),
                raise("4000000000000000"),
                fence(),
                raise("3000000000000000"),
                ask("GET distributed-lock:fence"),
                fence(),
            ],
        ),
        Case::new(
            "a raise for a claim counts only where the claim holds the lock",
            [
                raise_for("me", "1000"),
                ask("EXISTS distributed-lock:fence"),
                ask("SET lock:a you"),
                raise_for("me", "1000"),
                ask("EXISTS distributed-lock:fence"),
                ask("SET lock:a me"),
                raise_for("me", "1000"),
                raise_for("me", "1000"),
                ask("GET distributed-lock:fence"),
                ask("DEL lock:a"),
                ask("RPUSH lock:a me"),
                raise_for("me", "2000"),
                ask("GET distributed-lock:fence"),
            ],
        ),
        Case::new(
            "a counter of another type is refused and left alone",
            [
                ask("RPUSH distributed-lock:fence x"),
                fence(),
                raise("4000000000000000"),
                ask("EXISTS distributed-lock:fence"),
            ],
        ),
        Case::new(
            "out of memory there is no fence, and only a raise that changes nothing works",
            [
                ask("SET distributed-lock:fence 4000000000000000"),
                ask("CONFIG SET maxmemory 1"),
                fence(),
                raise("4000000000000001"),
                raise("3000000000000000"),
                ask("GET distributed-lock:fence"),
                ask("CONFIG SET maxmemory 0"),
            ],
        ),
    ]
}
