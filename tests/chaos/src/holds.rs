//! All holds of a run, compared with each other: did two of one key overlap, did fences grow?

use std::collections::BTreeMap;
use std::time::Duration;

/// One hold of one key, by one clock for all processes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hold {
    pub(crate) key: usize,
    pub(crate) fence: u64,
    /// When it was asked for.
    pub(crate) asked: u64,
    /// When its body began.
    pub(crate) granted: u64,
    /// Until when its lease was claimed to be valid.
    pub(crate) until: u64,
}

/// What comes out of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Holds that began while an earlier one of the same key was claimed to be valid.
    pub(crate) overlaps: u64,
    /// The longest time that two of them had in common.
    pub(crate) longest: Duration,
    /// Holds whose fence is not larger than that of one that was granted before they were asked for.
    pub(crate) backwards: u64,
}

/// Compares all holds, key by key.
pub(crate) fn judge(holds: &[Hold]) -> Verdict {
    let mut keys: BTreeMap<usize, Vec<Hold>> = BTreeMap::new();
    for hold in holds {
        keys.entry(hold.key).or_default().push(*hold);
    }
    let mut verdict = Verdict::default();
    for holds in keys.values_mut() {
        holds.sort_by_key(|hold| hold.granted);
        overlaps(holds, &mut verdict);
        verdict.backwards += backwards(holds);
    }
    verdict
}

/// Of one key, by the moment of their grant.
fn overlaps(holds: &[Hold], verdict: &mut Verdict) {
    let mut until = 0;
    for hold in holds {
        let common = until.min(hold.until).saturating_sub(hold.granted);
        if common > 0 {
            verdict.overlaps += 1;
            verdict.longest = verdict.longest.max(Duration::from_nanos(common));
        }
        until = until.max(hold.until);
    }
}

/// Of one key, by the moment of their grant.
fn backwards(by_grant: &[Hold]) -> u64 {
    let mut by_question = by_grant.to_vec();
    by_question.sort_by_key(|hold| hold.asked);
    let mut granted = by_grant.iter().peekable();
    let (mut largest, mut count) = (0, 0);
    for hold in &by_question {
        while let Some(earlier) = granted.next_if(|earlier| earlier.granted < hold.asked) {
            largest = largest.max(earlier.fence);
        }
        count += u64::from(hold.fence <= largest);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(fence: u64, asked: u64, granted: u64, until: u64) -> Hold {
        Hold {
            key: 0,
            fence,
            asked,
            granted,
            until,
        }
    }

    #[test]
    fn holds_one_after_the_other_are_well() {
        let other_key = Hold {
            key: 1,
            ..hold(1, 10, 20, 90)
        };
        let holds = [hold(5, 10, 20, 30), hold(6, 5, 30, 40), other_key];
        assert_eq!(judge(&holds), Verdict::default());
    }

    #[test]
    fn what_overlaps_is_counted_with_the_time_in_common() {
        let holds = [hold(1, 0, 10, 100), hold(2, 50, 60, 70), hold(3, 60, 80, 200)];
        let verdict = judge(&holds);
        assert_eq!((verdict.overlaps, verdict.longest), (2, Duration::from_nanos(20)));
    }

    #[test]
    fn a_fence_that_does_not_grow_is_seen() {
        assert_eq!(judge(&[hold(5, 0, 10, 20), hold(5, 30, 40, 50)]).backwards, 1);
        assert_eq!(judge(&[hold(5, 0, 10, 20), hold(4, 30, 40, 50)]).backwards, 1);
    }

    #[test]
    fn of_two_that_were_asked_for_at_once_either_may_be_larger() {
        assert_eq!(judge(&[hold(5, 0, 10, 20), hold(4, 5, 30, 40)]).backwards, 0);
    }
}
