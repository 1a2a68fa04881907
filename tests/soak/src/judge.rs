//! The judge: from the order of events to what was promised and not kept.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::log::Event;

/// A call by its lock and its place among the calls that were stored for that lock, from 1.
pub(crate) type Call = (u32, u32);

/// What the judge found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Runs that came to their end.
    pub(crate) runs: u64,
    /// Runs that were cut off by a kill.
    pub(crate) interrupted: u64,
    /// Calls that ran to their end more than once, each time because the worker was killed that had run them.
    pub(crate) duplicates: u64,
    /// And those for which no worker was killed.
    pub(crate) duplicates_without_a_kill: u64,
    /// Runs before an earlier call for the same lock had ended.
    pub(crate) order_violations: u64,
    /// Runs that began while another one for the same lock was under way.
    pub(crate) overlaps: u64,
    /// Calls that never ran.
    pub(crate) missing: u64,
}

/// What is known of one lock's calls at one point of the log.
#[derive(Default)]
struct Lane {
    /// The run under way.
    open: Option<(u32, u32)>,
    /// Who ran each call to its end, the last time.
    ended: BTreeMap<u32, u32>,
    /// The latest call that was begun.
    latest: u32,
}

/// Judges a log. `calls`: how many were stored for each lock. `crashing`: calls that take down whoever runs them, so that
/// they never end.
pub(crate) fn judge(events: &[Event], calls: &HashMap<u32, u32>, crashing: &HashSet<Call>) -> Findings {
    let mut findings = Findings::default();
    let mut lanes: HashMap<u32, Lane> = HashMap::new();
    let mut killed: HashSet<u32> = HashSet::new();
    let mut crashed: HashSet<Call> = HashSet::new();
    for event in events {
        match *event {
            Event::Killed { life } => {
                killed.insert(life);
                for lane in lanes.values_mut() {
                    if lane.open.is_some_and(|(_, by)| by == life) {
                        lane.open = None;
                        findings.interrupted += 1;
                    }
                }
            }
            Event::Started { key, number, life } => {
                let lane = lanes.entry(key).or_default();
                if lane.open.is_some() {
                    findings.overlaps += 1;
                }
                if let Some(by) = lane.ended.get(&number) {
                    if killed.contains(by) {
                        findings.duplicates += 1;
                    } else {
                        findings.duplicates_without_a_kill += 1;
                    }
                }
                let earlier = (1..number).rev();
                let mut before = earlier.take_while(|earlier| *earlier >= lane.latest.saturating_sub(1).max(1));
                let all_ended =
                    before.all(|earlier| lane.ended.contains_key(&earlier) || crashed.contains(&(key, earlier)));
                if number < lane.latest || number > lane.latest + 1 || !all_ended {
                    findings.order_violations += 1;
                }
                lane.latest = lane.latest.max(number);
                if crashing.contains(&(key, number)) {
                    crashed.insert((key, number));
                }
                // What a dead process has sent may be read after the news of its death.
                if killed.contains(&life) {
                    findings.interrupted += 1;
                } else {
                    lane.open = Some((number, life));
                }
            }
            Event::Ended { key, number, life } => {
                let lane = lanes.entry(key).or_default();
                if lane.open == Some((number, life)) {
                    lane.open = None;
                }
                lane.ended.insert(number, life);
                findings.runs += 1;
            }
        }
    }
    for (key, stored) in calls {
        let ran = |number| {
            crashed.contains(&(*key, number)) || lanes.get(key).is_some_and(|lane| lane.ended.contains_key(&number))
        };
        findings.missing += (1..=*stored).map(|number| u64::from(!ran(number))).sum::<u64>();
    }
    findings
}

#[cfg(test)]
mod tests {
    //! Right and wrong histories.

    use super::*;

    const A: u32 = 1;
    const B: u32 = 2;

    fn start(number: u32, life: u32) -> Event {
        Event::Started { key: 7, number, life }
    }

    fn end(number: u32, life: u32) -> Event {
        Event::Ended { key: 7, number, life }
    }

    fn kill(life: u32) -> Event {
        Event::Killed { life }
    }

    fn judged(events: &[Event], stored: u32) -> Findings {
        judge(events, &HashMap::from([(7, stored)]), &HashSet::new())
    }

    #[test]
    fn calls_one_after_the_other_are_right() {
        let findings = judged(&[start(1, A), end(1, A), start(2, B), end(2, B)], 2);
        assert_eq!(
            findings,
            Findings {
                runs: 2,
                ..Findings::default()
            }
        );
    }

    #[test]
    fn a_call_that_ran_again_after_its_worker_was_killed_is_right() {
        let in_the_body = judged(&[start(1, A), kill(A), start(1, B), end(1, B)], 1);
        assert_eq!(
            in_the_body,
            Findings {
                runs: 1,
                interrupted: 1,
                ..Findings::default()
            }
        );
        let after_it = judged(&[start(1, A), end(1, A), kill(A), start(1, B), end(1, B)], 1);
        assert_eq!((after_it.duplicates, after_it.duplicates_without_a_kill), (1, 0));
        assert_eq!((after_it.order_violations, after_it.overlaps), (0, 0));
    }

    #[test]
    fn a_call_that_ran_twice_without_a_kill_is_found() {
        let findings = judged(&[start(1, A), end(1, A), start(1, B), end(1, B)], 1);
        assert_eq!(findings.duplicates_without_a_kill, 1);
    }

    #[test]
    fn a_call_before_its_turn_is_found() {
        assert_eq!(
            judged(&[start(2, A), end(2, A), start(1, A), end(1, A)], 2).order_violations,
            2
        );
        assert_eq!(
            judged(&[start(1, A), kill(A), start(2, B), end(2, B)], 2).order_violations,
            1
        );
        let back = [start(1, A), end(1, A), start(2, A), end(2, A), kill(A), start(1, B)];
        assert_eq!(judged(&back, 2).order_violations, 1);
    }

    #[test]
    fn two_runs_at_once_are_found() {
        let findings = judged(&[start(1, A), start(1, B), end(1, A), end(1, B)], 1);
        assert_eq!(findings.overlaps, 1);
    }

    #[test]
    fn a_call_that_never_ran_is_found() {
        assert_eq!(judged(&[start(1, A), end(1, A)], 2).missing, 1);
        assert_eq!(judged(&[start(1, A), kill(A)], 1).missing, 1);
    }

    #[test]
    fn a_call_that_crashes_its_workers_need_not_end() {
        let crashing = HashSet::from([(7, 1)]);
        let events = [start(1, A), kill(A), start(1, B), kill(B), start(2, 3), end(2, 3)];
        let findings = judge(&events, &HashMap::from([(7, 2)]), &crashing);
        assert_eq!(
            (findings.order_violations, findings.missing, findings.interrupted),
            (0, 0, 2)
        );
    }

    #[test]
    fn what_a_dead_worker_has_sent_is_no_run_under_way() {
        let findings = judged(&[kill(A), start(1, A), start(1, B), end(1, B)], 1);
        assert_eq!(
            (findings.overlaps, findings.order_violations, findings.interrupted),
            (0, 0, 1)
        );
    }
}
