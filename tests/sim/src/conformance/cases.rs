//! The scripts, branch by branch.

use super::Step::UntilGone;
use super::{As, Case, ask, eval, evalsha};

const LOCK: &str = "lock:a";
const COUNTER: &str = "distributed-lock:fence";
const LONGEST: &str = "distributed-lock:longest-ttl";

pub(super) fn acquire() -> Vec<Case> {
    let acquire = |claim: &str, ttl: &str| eval("acquire", &[LOCK, COUNTER], &[claim, ttl, "1"]);
    let block = |claim: &str, count: &str| eval("acquire", &[LOCK, COUNTER], &[claim, "5000", count]);
    let vote = |claim: &str, ttl: &str, fence: &str| eval("vote", &[LOCK, COUNTER, LONGEST], &[claim, ttl, fence]);
    // The answer has the time in it.
    let noting = |claim: &str, ttl: &str| vote(claim, ttl, "1").compared(As::Shape);
    let proposing = |fence: &str| vote("me", "5000", fence).compared(As::Shape);
    vec![
        Case::new(
            "a free lock is granted, stored and given a time",
            [
                acquire("me 1", "5000"),
                ask("GET lock:a"),
                ask("PTTL lock:a").about(5000),
                ask("GET distributed-lock:fence"),
                ask("PTTL distributed-lock:fence"),
            ],
        ),
        Case::new(
            "another claim is refused with the rest of the time and the holder",
            [
                acquire("me", "5000"),
                acquire("you", "9000").about(5000),
                ask("PTTL lock:a").about(5000),
                ask("GET lock:a"),
            ],
        ),
        Case::new(
            "the same claim twice is granted twice, with another fence and a new time",
            [
                acquire("me", "3000"),
                acquire("me", "9000"),
                ask("PTTL lock:a").about(9000),
            ],
        ),
        Case::new(
            "a lock without a time is refused with -1",
            [ask("SET lock:a you"), acquire("me", "5000")],
        ),
        Case::new(
            "an expired lock is granted",
            [
                acquire("you", "30"),
                UntilGone(LOCK),
                acquire("me", "5000"),
                ask("GET lock:a"),
            ],
        ),
        Case::new(
            "a key of another type is refused and left alone",
            [
                ask("RPUSH lock:a x"),
                acquire("me", "5000"),
                ask("EXISTS lock:a distributed-lock:fence"),
            ],
        ),
        Case::new(
            "with a fence counter of another type a free lock stays free, and one's own as it was",
            [
                ask("RPUSH distributed-lock:fence x"),
                acquire("me", "5000"),
                ask("EXISTS lock:a"),
                ask("SET lock:a me PX 5000"),
                acquire("me", "9000"),
                ask("PTTL lock:a").about(5000),
            ],
        ),
        Case::new(
            "a fence counter that is no number begins anew",
            [
                ask("SET distributed-lock:fence nonsense"),
                acquire("me", "5000"),
                ask("SET distributed-lock:fence a-nonsense-of-16"),
                acquire("me", "5000"),
                ask("GET distributed-lock:fence"),
            ],
        ),
        Case::new(
            "a fence counter of another length is compared as a number",
            [
                ask("SET distributed-lock:fence 17000000000000000"),
                acquire("me", "5000"),
                ask("SET distributed-lock:fence 9"),
                acquire("me", "5000"),
                ask("GET distributed-lock:fence"),
            ],
        ),
        Case::new(
            "a block of fences is counted to its end, from the time or from the counter on",
            [
                block("me", "1000"),
                block("me", "3000000"),
                block("me", "3000000"),
                block("me", "1"),
                ask("GET distributed-lock:fence"),
                ask("SET distributed-lock:fence 4000000000000000"),
                block("me", "64"),
                ask("GET distributed-lock:fence"),
            ],
        ),
        Case::new(
            "a fence counter ahead of the time is counted up",
            [
                ask("SET distributed-lock:fence 4000000000000000"),
                acquire("me", "5000").compared(As::Itself),
                ask("GET distributed-lock:fence"),
            ],
        ),
        Case::new(
            "out of memory, nothing is granted and nothing is left behind",
            [
                ask("CONFIG SET maxmemory 1"),
                acquire("me", "5000"),
                ask("CONFIG SET maxmemory 0"),
                ask("EXISTS lock:a distributed-lock:fence"),
            ],
        ),
        Case::new(
            "out of memory, another claim is told who holds the lock, and the same claim is refused",
            [
                acquire("me", "5000"),
                ask("CONFIG SET maxmemory 1"),
                acquire("you", "5000").about(5000),
                acquire("me", "5000"),
                ask("CONFIG SET maxmemory 0"),
                ask("GET lock:a"),
            ],
        ),
        Case::new(
            "a time that is none is refused, and no lock is left behind",
            [
                acquire("me", "0"),
                acquire("me", "x"),
                ask("EXISTS lock:a"),
                ask("SET lock:a me PX 5000"),
                acquire("me", "0"),
                ask("PTTL lock:a").about(5000),
            ],
        ),
        Case::new(
            "without a counter there is no fence",
            [
                eval("acquire", &[LOCK], &["me", "5000", "1"]),
                ask("EXISTS distributed-lock:fence"),
                ask("GET lock:a"),
            ],
        ),
        Case::new(
            "the longest time that was asked for is noted and never gets shorter",
            [
                noting("me", "3000"),
                ask("GET distributed-lock:longest-ttl"),
                noting("me", "2000"),
                ask("GET distributed-lock:longest-ttl"),
                noting("me", "10000"),
                ask("GET distributed-lock:longest-ttl"),
                ask("PTTL distributed-lock:longest-ttl"),
                vote("you", "20000", "1").about(10000),
                ask("GET distributed-lock:longest-ttl"),
            ],
        ),
        Case::new(
            "a vote is as an acquire",
            [
                noting("me", "3000"),
                noting("me", "9000"),
                ask("PTTL lock:a").about(9000),
                ask("DEL lock:a"),
                ask("RPUSH lock:a x"),
                vote("me", "3000", "1"),
                ask("CONFIG SET maxmemory 1"),
                ask("DEL lock:a"),
                vote("me", "3000", "1"),
                ask("CONFIG SET maxmemory 0"),
                ask("EXISTS lock:a"),
            ],
        ),
        Case::new(
            "with a note or a counter of another type a free lock stays free, and one's own as it was",
            [
                ask("RPUSH distributed-lock:longest-ttl x"),
                vote("me", "3000", "1"),
                ask("EXISTS lock:a distributed-lock:fence"),
                ask("DEL distributed-lock:longest-ttl"),
                ask("RPUSH distributed-lock:fence x"),
                vote("me", "3000", "1"),
                ask("EXISTS lock:a distributed-lock:longest-ttl"),
                ask("SET lock:a me PX 9000"),
                vote("me", "3000", "1"),
                ask("PTTL lock:a").about(9000),
            ],
        ),
        Case::new(
            "a proposal counts where it is above the counter",
            [
                ask("SET distributed-lock:fence 1700000000000000"),
                proposing("1700000000000000"),
                ask("GET distributed-lock:fence"),
                proposing("1700000000000001"),
                ask("GET distributed-lock:fence"),
                proposing("1699999999999999"),
                ask("GET distributed-lock:fence"),
            ],
        ),
        Case::new(
            "a proposal ahead of the time counts only where the counter is ahead, too, and a step away",
            [
                ask("SET distributed-lock:fence 1700000000000000"),
                proposing("4000000000000000"),
                ask("GET distributed-lock:fence"),
                ask("SET distributed-lock:fence 4000000000000000"),
                proposing("4000000000001001"),
                ask("GET distributed-lock:fence"),
                proposing("4000000000001000"),
                ask("GET distributed-lock:fence"),
            ],
        ),
        Case::new(
            "without a counter the time is above each proposal",
            [
                proposing("1700000000000000"),
                ask("DEL distributed-lock:fence"),
                proposing("4000000000000000"),
                ask("EXISTS distributed-lock:fence"),
            ],
        ),
    ]
}

pub(super) fn others() -> Vec<Case> {
    let release = |claim: &str, rest: &str, channel: &str| eval("release", &[LOCK], &[claim, rest, channel]);
    let inspect = || eval("inspect", &[LOCK], &[]);
    vec![
        Case::new(
            "renewal extends what is the claim's, and says of each other what it is",
            [
                ask("SET a me PX 1000"),
                ask("SET b you PX 2000"),
                ask("RPUSH c x"),
                ask("SET e me"),
                eval(
                    "renew",
                    &["a", "b", "c", "d", "e"],
                    &["me", "me", "me", "me", "me", "5000", "5000", "5000", "5000", "6000"],
                ),
                ask("PTTL a").about(5000),
                ask("PTTL b").about(2000),
                ask("PTTL c"),
                ask("PTTL d"),
                ask("PTTL e").about(6000),
            ],
        ),
        Case::new(
            "renewal takes one time for all that it is about",
            [
                ask("SET a me PX 1000"),
                ask("SET b you PX 2000"),
                eval("renew", &["a", "b", "c"], &["me", "you", "me", "5000"]),
                ask("PTTL a").about(5000),
                ask("PTTL b").about(5000),
            ],
        ),
        Case::new(
            "renewal never creates a key, and may be sent twice",
            [
                ask("SET a me PX 30"),
                UntilGone("a"),
                eval("renew", &["a"], &["me", "5000"]),
                ask("EXISTS a"),
                ask("SET a me PX 1000"),
                eval("renew", &["a"], &["me", "5000"]),
                eval("renew", &["a"], &["me", "5000"]),
                ask("PTTL a").about(5000),
            ],
        ),
        Case::new(
            "renewal works out of memory",
            [
                ask("SET a me PX 1000"),
                ask("CONFIG SET maxmemory 1"),
                eval("renew", &["a"], &["me", "5000"]),
                ask("PTTL a").about(5000),
                ask("CONFIG SET maxmemory 0"),
            ],
        ),
        Case::new(
            "a renewal by nothing deletes, one by no number is an error",
            [
                ask("SET a me PX 1000"),
                eval("renew", &["a"], &["me", "x"]),
                eval("renew", &["a"], &["me", "0"]),
                ask("EXISTS a"),
            ],
        ),
        Case::new(
            "release deletes what is the claim's, once",
            [
                ask("SET lock:a me PX 5000"),
                release("me", "0", "free"),
                ask("EXISTS lock:a"),
                release("me", "0", "free"),
            ],
        ),
        Case::new(
            "release leaves another claim alone",
            [
                ask("SET lock:a you PX 5000"),
                release("me", "0", "free"),
                release("me", "100", "free"),
                ask("PTTL lock:a").about(5000),
            ],
        ),
        Case::new(
            "release may leave the lock taken for a while, and again",
            [
                ask("SET lock:a me PX 9000"),
                release("me", "5000", ""),
                ask("PTTL lock:a").about(5000),
                release("me", "3000", ""),
                ask("PTTL lock:a").about(3000),
                release("me", "0", ""),
                ask("EXISTS lock:a"),
            ],
        ),
        Case::new(
            "release leaves a key of another type alone",
            [ask("RPUSH lock:a x"), release("me", "0", "free"), ask("EXISTS lock:a")],
        ),
        Case::new(
            "release works out of memory",
            [
                ask("SET lock:a me PX 5000"),
                ask("CONFIG SET maxmemory 1"),
                release("me", "0", "free"),
                ask("EXISTS lock:a"),
                ask("CONFIG SET maxmemory 0"),
            ],
        ),
        Case::new(
            "inspection tells the value and its time, or nothing",
            [
                inspect(),
                ask("SET lock:a me PX 5000"),
                inspect().about(5000),
                ask("SET lock:a me"),
                inspect(),
                ask("DEL lock:a"),
                ask("RPUSH lock:a x"),
                inspect(),
            ],
        ),
        Case::new(
            "a script is known by its hash once it was sent in full, and not after a flush",
            [
                evalsha("inspect", &[LOCK], &[]),
                inspect(),
                evalsha("inspect", &[LOCK], &[]),
                ask("SCRIPT FLUSH"),
                evalsha("inspect", &[LOCK], &[]),
            ],
        ),
    ]
}
