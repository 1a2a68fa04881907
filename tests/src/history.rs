//! What clients saw of locks, and whether a lock can have looked like that.
//!
//! Every client writes what it asks for and what it hears into a [`Recorder`]'s file, and a [`History`] is what all of
//! them wrote about one lock. It is judged by the five models that Hazelcast's Jepsen tests use ([`Model`]): is there
//! one order of all operations, each at some moment between its beginning and its end, in which the model allows every
//! one of them?
//!
//! Three outcomes, as Jepsen has them: done, not done, unknown. What was not done is left out. What is unknown may have
//! been done, at any time after its beginning, or never.
//!
//! **Leases.** A Jepsen lock is held until it is released, a lease may end before. So there is one operation more: the
//! end of a hold that nobody asked for ([`Action::Lose`]). It begins when its holder last saw the lease valid, because
//! until then nobody else may have held the lock, and ends when the loss was recorded. A holder who releases has to say,
//! too, when it last saw its lease valid: there the release begins. A holder whose record stops (it was killed) may lose
//! its lease at any time after its last record. What an unknown operation left behind may be lost at any time after it,
//! before the same client is granted the lock again.

mod events;
mod fast;
mod model;
mod operations;
mod record;
mod search;
#[cfg(test)]
mod tests;

pub use events::{Event, What};
pub use fast::{cores_do_not_overlap, in_the_order_of_fences};
pub use model::Model;
pub use operations::{Action, History, Operation};
pub use record::{Recorder, now};
pub use search::{Judgement, search};
