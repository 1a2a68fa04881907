//! Somebody who sees everything at once: every lease and every server, at the true time. Judges the run.

mod allowance;
mod judge;
mod tally;
mod votes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use allowance::Allowance;
use lock_runtime::{Lease, LostReason};
pub use tally::Tally;

use votes::Votes;

use crate::trace::Trace;

/// Names a hold in a run.
pub type HoldId = usize;

/// All that is known of a run.
pub struct Observer {
    /// What happened.
    pub trace: Trace,
    /// How often.
    pub tally: Tally,
    /// What may go wrong without being anybody's fault.
    pub allowance: Allowance,
    /// What was wrong, first things first.
    pub violations: Vec<String>,
    /// How many servers have to have a lease.
    quorum: usize,
    holds: Vec<Hold>,
    /// What the servers have granted.
    votes: Votes,
    /// When each claim was first seen to wait for its turn.
    waited: BTreeMap<Vec<u8>, Duration>,
    /// When processes were killed, and on which machine.
    kills: Vec<(usize, Duration)>,
    /// When each machine's last manager was shut down.
    shutdowns: BTreeMap<usize, Duration>,
    /// What was allowed, so that it is counted once.
    excused: BTreeSet<(String, Vec<HoldId>)>,
    /// What is protected by each lock: the highest fence that wrote to it.
    resources: BTreeMap<String, u64>,
}

/// One hold as it was seen.
struct Hold {
    machine: usize,
    key: String,
    fence: u64,
    /// For questions; let go when the hold ends.
    lease: Option<Lease>,
    /// What the servers have for it.
    value: Option<Vec<u8>>,
    /// When the acquire began.
    asked: Duration,
    /// When it was there.
    granted: Duration,
    /// Valid at least until here, as far as was seen.
    valid_until: Duration,
    /// It was given up.
    ended: Option<Duration>,
    /// Its loss was told.
    lost: Option<(Duration, LostReason)>,
    /// It was looked at whether the servers know its fence.
    is_counted: bool,
}

impl Hold {
    /// Whether its holder believes to hold it at the true time `at`.
    fn is_claimed(&self, at: Duration) -> bool {
        self.ended.is_none_or(|ended| at < ended)
            && self.lost.is_none_or(|(lost, _)| at < lost)
            && at < self.valid_until
    }
}

impl Observer {
    /// An observer of a run with so many servers.
    #[must_use]
    pub fn new(servers: usize, beyond: bool, printed: bool) -> Self {
        Self {
            trace: Trace::new(printed),
            tally: Tally::default(),
            allowance: Allowance::new(servers, beyond),
            violations: Vec::new(),
            quorum: servers / 2 + 1,
            holds: Vec::new(),
            votes: Votes::new(servers / 2 + 1),
            waited: BTreeMap::new(),
            kills: Vec::new(),
            shutdowns: BTreeMap::new(),
            excused: BTreeSet::new(),
            resources: BTreeMap::new(),
        }
    }

    /// A server has granted a lock to a claim.
    pub fn voted(&mut self, server: usize, lock: &[u8], claim: &[u8], fence: u64, at: Duration) {
        self.votes.add(server, lock, claim, fence, at);
    }

    /// A server was asked to release a lock for a claim, and `found` it held by the claim or not.
    pub fn released(&mut self, server: usize, lock: &[u8], claim: &[u8], found: bool, at: Duration) {
        self.votes.release(server, lock, claim, found, at);
    }

    /// A claim was seen to wait for its turn.
    pub fn waits(&mut self, claim: &[u8], at: Duration) {
        self.waited.entry(claim.to_vec()).or_insert(at);
    }

    /// Whether the process of a claim was killed after the claim had stood in line.
    fn died_in_line(&self, claim: &[u8]) -> bool {
        let of = |machine: usize| claim.ends_with(format!(" m{machine}").as_bytes());
        let since = self.waited.get(claim);
        since.is_some_and(|since| self.kills.iter().any(|(machine, at)| of(*machine) && since <= at))
    }

    /// A machine begins to shut its manager down.
    pub fn shuts_down(&mut self, machine: usize, at: Duration) {
        self.shutdowns.insert(machine, at);
    }

    /// A machine has got a lease, which it had begun to ask for at `asked`.
    pub fn granted(&mut self, machine: usize, lease: &Lease, asked: Duration, at: Duration) -> HoldId {
        let (key, fence) = (lease.key().to_string(), lease.fence().get());
        let remaining = lease.remaining();
        let id = self.holds.len();
        self.trace.add(
            at,
            &format!("m{machine} holds {key} as {id}, fence {fence}, for {remaining:?}"),
        );
        self.tally.acquired += 1;
        let value = self.votes.claim(&key, machine, fence);
        // It may have been asked for by somebody who waited before.
        let lock = format!("lock:{key}").into_bytes();
        let granted = value.as_ref().and_then(|claim| self.votes.last(&lock, claim));
        let asked = granted.map_or(asked, |granted| asked.min(granted));
        let hold = Hold {
            machine,
            key,
            fence,
            lease: Some(lease.clone()),
            value,
            asked,
            granted: at,
            valid_until: at + remaining,
            ended: None,
            lost: None,
            is_counted: false,
        };
        self.judge_grant(&hold, at);
        self.holds.push(hold);
        id
    }

    /// Its holder gives it up, at `at` if it still had it.
    pub fn ended(&mut self, id: HoldId, at: impl FnOnce() -> Duration) {
        if self.holds[id].ended.is_none() {
            let at = at();
            self.trace.add(at, &format!("m{} ends {id}", self.holds[id].machine));
            self.holds[id].ended = Some(at);
            self.holds[id].lease = None;
        }
    }

    /// Its holder was told of its loss.
    pub fn lost(&mut self, id: HoldId, reason: LostReason, at: Duration) {
        let hold = &mut self.holds[id];
        if hold.ended.is_some() || hold.lost.is_some() {
            return;
        }
        hold.lost = Some((at, reason));
        self.trace.add(at, &format!("m{} loses {id}: {reason:?}", hold.machine));
        self.tally.lose(reason);
    }

    /// A body was stopped for its loss, perhaps before the loss was told.
    pub fn stopped(&mut self, id: HoldId, reason: LostReason, at: Duration) {
        if self.holds[id].lost.is_none() {
            self.trace.add(
                at,
                &format!("m{} was stopped in {id}: {reason:?}", self.holds[id].machine),
            );
            self.tally.lose(reason);
        }
    }

    /// Whether a hold was lost, or its time was over when it was last seen.
    #[must_use]
    pub fn is_over(&self, id: HoldId) -> bool {
        self.holds[id].lease.is_none() || self.holds[id].lost.is_some()
    }

    /// A process ended without a word: it holds nothing any more.
    pub fn killed(&mut self, machine: usize, at: Duration) {
        self.kills.push((machine, at));
        for id in 0..self.holds.len() {
            if self.holds[id].machine == machine {
                self.ended(id, || at);
            }
        }
    }

    /// A body writes to what its lock protects. Whether its fence was high enough.
    pub fn write(&mut self, id: HoldId, believes: bool, at: Duration) -> bool {
        let (key, fence) = (self.holds[id].key.clone(), self.holds[id].fence);
        let highest = self.resources.entry(key).or_default();
        if fence < *highest {
            self.tally.refused += 1;
            let text = format!("hold {id} writes with fence {fence}, after {highest} has written");
            self.trace.add(at, &text);
            if believes {
                self.fault(at, &[id], "a valid lease's write was refused", &text);
            }
            return false;
        }
        *highest = fence;
        true
    }

    /// Notes what nobody may bear.
    pub fn violation(&mut self, at: Duration, text: &str) {
        let text = format!("at {:.3} ms: {text}", at.as_secs_f64() * 1_000.0);
        self.trace.add(at, &format!("VIOLATION {text}"));
        self.violations.push(text);
    }

    /// Notes what may be nobody's fault, if clocks or data were worse than what is promised.
    fn fault(&mut self, at: Duration, holds: &[HoldId], what: &str, text: &str) {
        let spans = holds.iter().map(|id| (self.holds[*id].asked, self.holds[*id].granted));
        let from = spans.clone().map(|(asked, _)| asked).min().unwrap_or(at);
        if self.allowance.covers(from, at) {
            // Once for a hold or a pair of them, however long it lasts.
            if self.excused.insert((what.to_owned(), holds.to_vec())) {
                self.tally.allowed += 1;
                self.trace.add(at, &format!("allowed: {what}: {text}"));
            }
        } else {
            self.violation(at, &format!("{what}: {text}"));
        }
    }
}
