//! What the clients and the nemesis have told so far.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::holds::Hold;
use crate::protocol::Line;

/// How many wrong things are kept word by word.
const KEPT: usize = 20;

/// The record, for all threads of the parent.
#[derive(Default)]
pub(crate) struct Shared(Mutex<Record>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts, and all holds.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) acquired: u64,
    pub(crate) conflicts: u64,
    pub(crate) unknowns: u64,
    pub(crate) unavailable: u64,
    pub(crate) unreleased: u64,
    /// By cause.
    pub(crate) lost: BTreeMap<String, u64>,
    /// Leases that were lost while a body ran.
    losses: Vec<Loss>,
    /// When clients stood still: which one, from when, until when.
    pauses: Vec<(u32, u64, u64)>,
    /// Holds that ended.
    pub(crate) holds: Vec<Hold>,
    /// By kind, servers' and clients'.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// The latest one, for a reader.
    pub(crate) latest: String,
    /// What must not happen, in words.
    pub(crate) wrong: Vec<String>,
    pub(crate) wrongs: u64,
    pub(crate) crashed: u64,
    pub(crate) clients: u64,
    /// Holds whose end was not told yet, by client and hold.
    open: HashMap<(u32, u64), Hold>,
    /// Who was killed.
    killed: HashSet<u32>,
    /// Who said that it ends.
    ended: HashSet<u32>,
    /// Whose output has not ended.
    left: HashSet<u32>,
}

/// From the loss of a lease to the end of its body.
struct Loss {
    client: u32,
    lost: u64,
    ended: u64,
}

impl Record {
    /// A client begins.
    pub(crate) fn started(&mut self, client: u32) {
        self.clients += 1;
        self.left.insert(client);
    }

    /// A client said this.
    pub(crate) fn heard(&mut self, client: u32, line: Option<Line>, text: &str) {
        match line {
            Some(Line::Got {
                id,
                key,
                fence,
                asked,
                granted,
            }) => {
                self.acquired += 1;
                let hold = Hold {
                    key,
                    fence,
                    asked,
                    granted,
                    until: granted,
                };
                self.open.insert((client, id), hold);
            }
            Some(Line::Ended { id, at, .. }) => self.close(client, id, at),
            Some(Line::Lost { id, until, at, cause }) => {
                self.close(client, id, until);
                self.losses.push(Loss {
                    client,
                    lost: until,
                    ended: at,
                });
                *self.lost.entry(cause).or_default() += 1;
            }
            Some(Line::LostOutside { cause }) => *self.lost.entry(cause).or_default() += 1,
            Some(Line::Conflict) => self.conflicts += 1,
            Some(Line::Unknown { .. }) => self.unknowns += 1,
            Some(Line::Unavailable { .. }) => self.unavailable += 1,
            Some(Line::Unreleased) => self.unreleased += 1,
            Some(Line::Wrong { what }) => self.wrong(what),
            Some(Line::Bye) => {
                self.ended.insert(client);
            }
            // A client that was killed in the middle of a line.
            None if self.killed.contains(&client) => {}
            None => self.wrong(format!("a client says what nobody understands: {text}")),
        }
    }

    /// A client is about to be killed.
    pub(crate) fn killed(&mut self, client: u32) {
        self.killed.insert(client);
    }

    /// A client stood still.
    pub(crate) fn paused(&mut self, client: u32, from: u64, until: u64) {
        self.pauses.push((client, from, until));
    }

    /// From each loss to the end of its body, in nanoseconds, without the time that the client stood still.
    pub(crate) fn reactions(&self) -> Vec<u64> {
        let reaction = |loss: &Loss| {
            let pauses = self.pauses.iter().filter(|(client, ..)| *client == loss.client);
            let still = pauses.map(|(_, from, until)| loss.ended.min(*until).saturating_sub(loss.lost.max(*from)));
            (loss.ended - loss.lost.min(loss.ended)).saturating_sub(still.sum())
        };
        self.losses.iter().map(reaction).collect()
    }

    /// The output of a client has ended.
    pub(crate) fn gone(&mut self, client: u32, now: u64) {
        if !self.killed.contains(&client) && !self.ended.contains(&client) {
            self.crashed += 1;
        }
        let open: Vec<_> = self
            .open
            .keys()
            .filter(|(owner, _)| *owner == client)
            .copied()
            .collect();
        for (owner, id) in open {
            self.close(owner, id, now);
        }
        self.left.remove(&client);
    }

    /// Whether the output of a client has not ended.
    pub(crate) fn anybody_left(&self) -> bool {
        !self.left.is_empty()
    }

    /// Something was broken.
    pub(crate) fn struck(&mut self, fault: &'static str, what: String) {
        *self.faults.entry(fault).or_default() += 1;
        self.latest = what;
    }

    fn close(&mut self, client: u32, id: u64, until: u64) {
        if let Some(mut hold) = self.open.remove(&(client, id)) {
            hold.until = until.max(hold.granted);
            self.holds.push(hold);
        }
    }

    fn wrong(&mut self, what: String) {
        self.wrongs += 1;
        if self.wrong.len() < KEPT {
            self.wrong.push(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(id: u64) -> Line {
        Line::Got {
            id,
            key: 0,
            fence: 1,
            asked: 0,
            granted: 10,
        }
    }

    fn heard(record: &mut Record, client: u32, line: Line) {
        let text = line.to_string();
        record.heard(client, Some(line), &text);
    }

    #[test]
    fn the_time_that_a_client_stood_still_is_no_part_of_its_reaction() {
        let mut record = Record::default();
        let lost = Line::Lost {
            id: 1,
            until: 100,
            at: 507,
            cause: "Expired".into(),
        };
        heard(&mut record, 0, got(1));
        heard(&mut record, 0, lost);
        record.paused(0, 50, 500);
        record.paused(1, 500, 600);
        assert_eq!(record.reactions(), [7]);
        assert_eq!(record.holds[0].until, 100);
    }

    #[test]
    fn what_a_killed_client_held_ends_with_it_and_that_is_no_crash() {
        let mut record = Record::default();
        for client in [0, 1] {
            record.started(client);
            heard(&mut record, client, got(1));
        }
        record.killed(0);
        record.gone(0, 77);
        assert_eq!((record.holds[0].until, record.crashed), (77, 0));
        assert!(record.anybody_left());
        record.gone(1, 78);
        assert_eq!((record.crashed, record.anybody_left()), (1, false));
    }
}
