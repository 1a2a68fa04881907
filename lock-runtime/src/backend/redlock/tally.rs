//! Counting votes: what a majority says.

use std::collections::HashMap;
use std::time::Duration;

use super::super::redis::Vote;
use super::super::{Failure, Released, Renewed, Stored};
use super::no_majority;

/// What the votes on a claim amount to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// By a majority.
    Granted(Grants),
    /// Another claim has a majority, or may have one; how long until enough of it has expired.
    Held(Option<Duration>),
    /// Nobody can have a majority.
    Split,
    /// Too few answers.
    Undecided,
}

/// What those say beside it who granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grants {
    /// A majority counts for the proposal.
    pub(super) is_counted: bool,
    /// Somebody refused the proposal for being ahead of the time.
    pub(super) is_too_high: bool,
    /// The largest number that is known to those who granted.
    pub(super) highest: u64,
    /// The earliest time that one of them told.
    pub(super) time: u64,
}

/// The votes on one claim.
pub(super) struct Ballot {
    servers: usize,
    quorum: usize,
    /// The fence that may be the claim's.
    proposal: u64,
    granted: usize,
    counted: usize,
    grants: Grants,
    busy: Vec<(Option<Duration>, Vec<u8>)>,
    failures: Vec<Failure>,
}

impl Ballot {
    pub(super) fn new(servers: usize, quorum: usize, proposal: u64) -> Self {
        Self {
            servers,
            quorum,
            proposal,
            granted: 0,
            counted: 0,
            grants: Grants {
                is_counted: false,
                is_too_high: false,
                highest: 0,
                time: u64::MAX,
            },
            busy: Vec::new(),
            failures: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, vote: Result<Vote, Failure>) {
        match vote {
            Ok(Vote::Counted { time }) => {
                self.counted += 1;
                self.grant(self.proposal, time);
            }
            Ok(Vote::Ahead { counter, time }) => {
                self.grants.is_too_high |= counter < self.proposal;
                self.grant(counter, time);
            }
            Ok(Vote::Busy { remaining, holder }) => self.busy.push((remaining, holder)),
            Err(failure) => self.failures.push(failure),
        }
    }

    fn grant(&mut self, known: u64, time: u64) {
        self.granted += 1;
        let grants = &mut self.grants;
        grants.is_counted = self.counted >= self.quorum;
        grants.highest = grants.highest.max(known);
        grants.time = grants.time.min(time);
    }

    /// So many answers more there must be at least, or all, until it is certain.
    pub(super) fn missing(&self) -> usize {
        self.quorum.saturating_sub(self.granted.max(self.strongest()))
    }

    /// As soon as it is certain.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        if self.granted >= self.quorum {
            return Some(Verdict::Granted(self.grants));
        }
        let counted = self.granted + self.busy.len() + self.failures.len();
        let most = self.strongest();
        // No vote that is left can change anything: neither for us nor about who holds it.
        (counted == self.servers || most >= self.quorum).then(|| self.close())
    }

    /// With the votes that there are; the others never came.
    pub(super) fn close(&self) -> Verdict {
        let answered = self.granted + self.busy.len();
        if self.granted >= self.quorum {
            Verdict::Granted(self.grants)
        } else if answered < self.quorum {
            Verdict::Undecided
        } else if self.strongest() + (self.servers - answered) >= self.quorum && !self.busy.is_empty() {
            Verdict::Held(self.enough_free())
        } else {
            Verdict::Split
        }
    }

    pub(super) fn failures(self) -> Vec<Failure> {
        self.failures
    }

    /// The votes of the other claim that has most.
    fn strongest(&self) -> usize {
        if self.busy.is_empty() {
            return 0;
        }
        let mut counts: HashMap<&[u8], usize> = HashMap::new();
        for (_, holder) in &self.busy {
            *counts.entry(holder).or_default() += 1;
        }
        counts.into_values().max().unwrap_or_default()
    }

    /// When so many of the others' votes have expired that ours would be a majority.
    fn enough_free(&self) -> Option<Duration> {
        let mut remaining: Vec<Duration> = self
            .busy
            .iter()
            .map(|(remaining, _)| remaining.unwrap_or(Duration::MAX))
            .collect();
        remaining.sort_unstable();
        let missing = self.quorum.saturating_sub(self.granted).max(1);
        let last = remaining.get(missing - 1).or(remaining.last()).copied();
        last.filter(|remaining| *remaining != Duration::MAX)
    }
}

/// The answers to one claim's renewal.
pub(super) struct Extension {
    servers: usize,
    quorum: usize,
    extended: usize,
    taken: usize,
    lost_by: Vec<usize>,
    failures: Vec<Failure>,
}

impl Extension {
    pub(super) fn new(servers: usize, quorum: usize) -> Self {
        Self {
            servers,
            quorum,
            extended: 0,
            taken: 0,
            lost_by: Vec::new(),
            failures: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, server: usize, answer: Result<Renewed, Failure>) {
        match answer {
            Ok(Renewed::Extended) => self.extended += 1,
            Ok(Renewed::Taken) => self.taken += 1,
            Ok(Renewed::Missing) => self.lost_by.push(server),
            Err(failure) => self.failures.push(failure),
        }
    }

    /// As soon as no answer that is missing can change it.
    pub(super) fn verdict(&self) -> Option<Renewed> {
        let against = self.taken + self.lost_by.len();
        if self.extended >= self.quorum {
            Some(Renewed::Extended)
        } else if self.servers - against >= self.quorum {
            None
        } else if self.taken > self.lost_by.len() {
            Some(Renewed::Taken)
        } else {
            Some(Renewed::Missing)
        }
    }

    /// The servers that did not have the key.
    pub(super) fn lost_by(&self) -> &[usize] {
        &self.lost_by
    }

    pub(super) fn into_failures(self) -> Vec<Failure> {
        self.failures
    }
}

/// The first answers to a release.
pub(super) struct Release {
    servers: usize,
    quorum: usize,
    done: usize,
    missing: usize,
    taken: usize,
    failures: Vec<Failure>,
}

impl Release {
    pub(super) fn new(servers: usize, quorum: usize) -> Self {
        Self {
            servers,
            quorum,
            done: 0,
            missing: 0,
            taken: 0,
            failures: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, answer: Result<Released, Failure>) {
        match answer {
            Ok(Released::Done) => self.done += 1,
            Ok(Released::Missing) => self.missing += 1,
            Ok(Released::Taken) => self.taken += 1,
            Err(failure) => self.failures.push(failure),
        }
    }

    /// So many answers more there must be at least, or all, until it is certain.
    pub(super) fn missing(&self) -> usize {
        let against = self.servers - self.quorum + 1;
        let done = self.quorum.saturating_sub(self.done);
        done.min(against.saturating_sub(self.missing + self.taken))
    }

    /// As soon as it is certain.
    pub(super) fn verdict(&self) -> Option<Released> {
        let certain = self.done >= self.quorum || self.missing + self.taken > self.servers - self.quorum;
        certain.then(|| self.close()).flatten()
    }

    /// With the answers that there are, if they are a majority.
    pub(super) fn close(&self) -> Option<Released> {
        if self.done + self.missing + self.taken < self.quorum {
            None
        } else if self.missing + self.taken <= self.servers - self.quorum {
            // A majority may have had it until now.
            Some(Released::Done)
        } else if self.taken > self.missing {
            Some(Released::Taken)
        } else {
            Some(Released::Missing)
        }
    }

    pub(super) fn into_failures(self) -> Vec<Failure> {
        self.failures
    }
}

/// What a majority has stored: nobody holds a lock that fewer servers know.
pub(super) fn stored(answers: Vec<Result<Option<Stored>, Failure>>, quorum: usize) -> Result<Option<Stored>, Failure> {
    let (answers, failures) = split(answers);
    if answers.len() < quorum {
        return Err(no_majority(failures, "answered"));
    }
    let mut holders: HashMap<String, Vec<Option<Duration>>> = HashMap::new();
    for stored in answers.into_iter().flatten() {
        holders.entry(stored.value).or_default().push(stored.remaining);
    }
    let holder = holders.into_iter().find(|(_, remaining)| remaining.len() >= quorum);
    Ok(holder.map(|(value, mut remaining)| {
        // Until fewer than a majority are left. `None`, no ttl, is last.
        remaining.sort_by_key(|remaining| remaining.unwrap_or(Duration::MAX));
        let over = remaining.len() - quorum;
        Stored {
            value,
            remaining: remaining.get(over).copied().flatten(),
        }
    }))
}

/// Whether something was deleted anywhere.
pub(super) fn forced(answers: Vec<Result<bool, Failure>>, quorum: usize) -> Result<bool, Failure> {
    let (answers, failures) = split(answers);
    if answers.len() < quorum {
        return Err(no_majority(failures, "answered"));
    }
    Ok(answers.contains(&true))
}

fn split<T>(answers: Vec<Result<T, Failure>>) -> (Vec<T>, Vec<Failure>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Ok(answer) => good.push(answer),
            Err(failure) => bad.push(failure),
        }
    }
    (good, bad)
}

#[cfg(test)]
#[path = "tests/tally.rs"]
mod tests;
