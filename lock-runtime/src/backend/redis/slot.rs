//! Which slot of a cluster a key belongs to, and a fence counter in that slot.

use std::sync::LazyLock;

use super::FENCE_COUNTER;

pub(super) const SLOTS: u16 = 16_384;

/// The slot of a key (Redis cluster specification: CRC16 of the hash tag, or of the whole key without one).
pub(super) fn slot(key: &str) -> u16 {
    let key = key.as_bytes();
    crc16::State::<crc16::XMODEM>::calculate(tag(key).unwrap_or(key)) % SLOTS
}

/// What stands between the first `{` and the next `}`, if it is anything.
fn tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|&byte| byte == b'{')?;
    let rest = &key[open + 1..];
    let close = rest.iter().position(|&byte| byte == b'}')?;
    (close > 0).then(|| &rest[..close])
}

/// The counter for the locks of `slot`: there are as many as slots, however many locks there are.
pub(super) fn counter(slot: u16) -> String {
    format!("{FENCE_COUNTER}:{{{}}}", tag_of(slot))
}

/// A tag that belongs to `slot`.
pub(super) fn tag_of(slot: u16) -> u32 {
    /// For each slot the smallest number that belongs to it as a tag.
    static TAGS: LazyLock<Vec<u32>> = LazyLock::new(|| {
        let mut tags = vec![u32::MAX; usize::from(SLOTS)];
        let mut left = tags.len();
        let mut number = 0;
        while left > 0 {
            let tag = &mut tags[usize::from(self::slot(&number.to_string()))];
            if *tag == u32::MAX {
                *tag = number;
                left -= 1;
            }
            number += 1;
        }
        tags
    });
    TAGS[usize::from(slot % SLOTS)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        // Appendix A of the specification: the reference value of the CRC.
        assert_eq!(crc16::State::<crc16::XMODEM>::calculate(b"123456789"), 0x31C3);
        assert_eq!(slot("foo"), 12_182);
        assert_eq!(slot("a{foo}b{bar}"), slot("foo"));
        assert_eq!(slot("foo{}{bar}"), slot("foo{}{bar}"));
        assert_ne!(slot("foo{}{bar}"), slot("bar"));
        assert_eq!(slot("foo{{bar}}zap"), slot("{bar"));
    }

    #[test]
    fn every_slot_has_a_counter_of_its_own() {
        for number in 0..SLOTS {
            assert_eq!(slot(&counter(number)), number);
        }
    }
}
