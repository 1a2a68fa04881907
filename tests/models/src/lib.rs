//! Models of the lock's protocols, small enough that a model checker visits every state of them.
//!
//! [`lease`] is the life of leases on one server, [`redlock`] a majority of three servers with fences. Each keeps the
//! rules of the runtime, and names the function that every step stands for. Each rule that matters is a safeguard
//! that can be taken out; then the checker must find the accident that the rule is there for, or the model would not
//! show anything.
//!
//! What the two models leave out: how requests become bytes, who waits for whom, and real durations. A tick is an
//! arbitrary length of time, a lease has three of them. Nobody is forced to move: a client that does nothing more is
//! one that was paused or killed, a request that never arrives was lost. Time goes on for ever; what is bounded is how
//! many claims there are, and how often each repeats something.

pub mod lease;
pub mod redlock;

/// How long a key lives on a server after it was armed, in ticks.
pub const TTL: u8 = 3;

/// The clients' clock. It stands still: when a tick passes, every time that is kept moves back by one instead, down to
/// 0, where it is as long ago as matters. So there are as many states as there are differences between times, and time
/// has no end.
pub const NOW: u8 = TTL;

/// What the two clocks may differ over a ttl: a server may let a key go this much too early by a client's clock.
pub const SKEW: u8 = 1;

/// What a client takes off the ttl for that (`drift` in `hold::deadline`).
pub const DRIFT: u8 = 1;
