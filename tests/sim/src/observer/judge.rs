//! The invariants.

use std::time::Duration;

use super::{Hold, Observer};
use crate::server::Server;

/// So long a shutdown goes on to clear up behind requests whose answers were lost.
const LAST_CALL: Duration = Duration::from_millis(1_500);

impl Observer {
    /// A new hold: its fence was given out, is new and is the largest; nobody else believes to hold the lock.
    pub(super) fn judge_grant(&mut self, new: &Hold, at: Duration) {
        let id = self.holds.len();
        if new.value.is_none() {
            self.violation(
                at,
                &format!("hold {id} was not granted by enough servers: an unknown answer was taken for a grant"),
            );
        }
        if new.valid_until <= at {
            self.violation(at, &format!("hold {id} was over when it was given out"));
        }
        let others: Vec<_> = (0..id).filter(|other| self.holds[*other].key == new.key).collect();
        for other in others {
            let old = &self.holds[other];
            let covered = self.allowance.covers(old.asked.min(new.asked), at);
            if old.fence >= new.fence {
                let text = format!(
                    "hold {id} of `{}` has fence {}, and hold {other}, which was granted before it, {}",
                    new.key, new.fence, old.fence
                );
                self.either(covered, at, "fences do not grow", &text);
            }
            if self.holds[other].is_claimed(at) {
                let text = format!("holds {other} and {id} of `{}`", new.key);
                self.either(covered, at, "two holders at once", &text);
            }
        }
    }

    fn either(&mut self, covered: bool, at: Duration, what: &str, text: &str) {
        if covered {
            self.tally.allowed += 1;
            self.trace.add(at, &format!("allowed: {what}: {text}"));
        } else {
            self.violation(at, &format!("{what}: {text}"));
        }
    }

    /// Looks at every lease of a process, from inside it, at its present moment. `step`: how often this is done.
    pub fn look(&mut self, machine: usize, now: Duration, step: Duration) {
        for id in 0..self.holds.len() {
            let hold = &mut self.holds[id];
            if hold.machine != machine || hold.lost.is_some() {
                continue;
            }
            let Some(lease) = &hold.lease else {
                continue;
            };
            // A lease that is over is lost by being asked. So it is not asked before its own timer had its chance.
            if now < hold.valid_until || now > hold.valid_until + step {
                let remaining = lease.remaining();
                if !remaining.is_zero() {
                    hold.valid_until = now + remaining;
                } else if now < hold.valid_until {
                    // Lost before its time; its watcher is about to say so.
                    hold.valid_until = now;
                } else {
                    let text = format!(
                        "hold {id} was over at {:?}, and its holder was not told",
                        hold.valid_until
                    );
                    hold.lease = None;
                    self.violation(now, &text);
                }
            }
        }
    }

    /// Whoever believes to hold a lock is alone, and enough servers have it stored.
    pub fn compare(&mut self, servers: &[&Server], now: Duration) {
        let claimed: Vec<_> = (0..self.holds.len())
            .filter(|id| self.holds[*id].lease.is_some() && self.holds[*id].is_claimed(now))
            .collect();
        for (place, id) in claimed.iter().enumerate() {
            for other in &claimed[place + 1..] {
                if self.holds[*id].key == self.holds[*other].key {
                    let text = format!("holds {id} and {other} of `{}`", self.holds[*id].key);
                    self.fault(now, &[*id, *other], "two holders at once", &text);
                }
            }
            let hold = &self.holds[*id];
            let name = format!("lock:{}", hold.key).into_bytes();
            let stored = servers
                .iter()
                .filter(|server| server.text(&name, now) == hold.value.as_deref());
            let (stored, forgot) = (stored.count(), self.allowance.forgot(hold.asked));
            if stored + forgot < self.quorum {
                let text = format!(
                    "hold {id} of `{}` is valid until {:?}, and {stored} servers have it",
                    hold.key, hold.valid_until
                );
                self.fault(now, &[*id], "a valid lease is not stored", &text);
            }
        }
    }

    /// Before a body begins, its fence is known to so many servers that every later majority has one of them.
    pub fn count_fences(&mut self, servers: &[&Server], now: Duration) {
        for id in 0..self.holds.len() {
            let hold = &mut self.holds[id];
            if std::mem::replace(&mut hold.is_counted, true) {
                continue;
            }
            let counted = |server: &&&Server| {
                let counter = server.text(b"distributed-lock:fence", now);
                let counter = counter.and_then(|text| str::from_utf8(text).ok()?.parse::<u64>().ok());
                counter >= Some(hold.fence)
            };
            let (count, forgot) = (
                servers.iter().filter(counted).count(),
                self.allowance.forgot(hold.asked),
            );
            if count + forgot < self.quorum {
                let text = format!("hold {id} of `{}`: {count} servers know fence {}", hold.key, hold.fence);
                self.fault(now, &[id], "a fence was not written back", &text);
            }
        }
    }

    /// Every lock has a time, and none longer than anybody has asked for.
    pub fn no_lock_for_ever(&mut self, servers: &[&Server], longest: Duration, now: Duration) {
        if self.allowance.is_beyond() {
            // A clock that jumps back gives a key more time.
            return;
        }
        let longest = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
        for server in servers {
            for (name, _, left) in server.texts(now) {
                if name.starts_with(b"lock:") && left.is_none_or(|left| left > longest) {
                    let text = format!(
                        "`{}` on {} lives for {left:?} ms",
                        String::from_utf8_lossy(name),
                        server.name
                    );
                    self.violation(now, &text);
                }
            }
        }
    }

    /// Everything was released: no lock is there any more. But with several servers, a minority may have some of a
    /// process that was killed, from before `since`: nobody has to wait for their time. And what arrived after the last
    /// call of a shutdown stays. And a lock that a release has given to a process which was killed while it stood in line
    /// stays for its first lease.
    pub fn nothing_left(&mut self, servers: &[&Server], since: Duration, now: Duration) {
        for (index, server) in servers.iter().enumerate() {
            for (name, claim, left) in server.texts(now) {
                let granted = self.votes.last(name, claim.unwrap_or_default());
                let old = self.quorum > 1 && granted.is_some_and(|granted| granted < since);
                let dead = self.died_in_line(claim.unwrap_or_default());
                if name.starts_with(b"lock:") && !old && !dead {
                    if self.came_after_last_call(index, name, claim.unwrap_or_default()) {
                        self.tally.late += 1;
                        self.trace
                            .add(now, "allowed: a lock that came after the last call of its shutdown");
                        continue;
                    }
                    let text = format!(
                        "`{}` is left on {} for {left:?} ms",
                        String::from_utf8_lossy(name),
                        server.name
                    );
                    self.violation(now, &text);
                }
            }
        }
    }

    /// Whether a request took the lock whose answer nobody got, when its manager had already cleared up behind it at
    /// the end of its shutdown's time. Nobody can do more; the ttl bounds the rest.
    fn came_after_last_call(&self, server: usize, lock: &[u8], claim: &[u8]) -> bool {
        let Some(released) = self.votes.came_after_release(server, lock, claim) else {
            return false;
        };
        self.shutdowns.iter().any(|(machine, began)| {
            claim.ends_with(format!(" m{machine}").as_bytes()) && *began + LAST_CALL <= released
        })
    }
}
