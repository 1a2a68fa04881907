//! Durations as people write them: `"10s"`, `"1m 30s"`, `"20ms..500ms"`.

use std::time::Duration;

/// Longer than any lease makes sense, and far below where adding to a clock could overflow.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 31_557_600);

/// A shorter lease could not be renewed in time over a network.
pub(crate) const SHORTEST_TTL: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "write for example \"250ms\", \"10s\" or \"1m 30s\"";

/// A duration above zero and of at most 100 years.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| explain(text, &error))?;
    if duration.is_zero() {
        return Err(format!("`{text}` is no time at all: {EXAMPLES}"));
    }
    if duration > LONGEST {
        return Err(format!("`{text}` is too long: at most \"100years\""));
    }
    Ok(duration)
}

/// Two durations, the smaller one first: `20ms..500ms`.
pub(crate) fn parse_range(text: &str) -> Result<(Duration, Duration), String> {
    let Some((min, max)) = text.split_once("..") else {
        return Err(format!("`{text}` is no range: write the bounds as \"20ms..500ms\""));
    };
    let (min, max) = (parse(min.trim())?, parse(max.trim())?);
    if min > max {
        return Err(format!(
            "`{text}` begins above its end: write the smaller bound first, \"{}..{}\"",
            display(max),
            display(min),
        ));
    }
    Ok((min, max))
}

/// As one writes it in the attribute.
pub(crate) fn display(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn explain(text: &str, error: &humantime::DurationError) -> String {
    use humantime::DurationError as Error;
    match error {
        Error::Empty => format!("the duration is empty: {EXAMPLES}"),
        Error::NumberOverflow => format!("`{text}` is too long: at most \"100years\""),
        Error::UnknownUnit { unit, .. } if unit.is_empty() => {
            format!("`{text}` lacks a unit of time: {EXAMPLES}")
        }
        Error::UnknownUnit { unit, .. } => {
            format!(
                "`{unit}` in `{text}` is no unit of time; the units are ns, us, ms, s, m, h, days, weeks, months and years"
            )
        }
        _ => format!("`{text}` is no duration: {EXAMPLES}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_add_up() {
        assert_eq!(parse("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(parse("100years"), Ok(Duration::from_secs(100 * 31_557_600)));
    }

    #[test]
    fn zero_is_no_duration() {
        for text in ["0s", "0ms", "0", "0h 0m"] {
            assert!(parse(text).unwrap_err().contains("no time at all"), "{text}");
        }
    }

    #[test]
    fn more_than_a_hundred_years_is_too_long() {
        for text in [
            "101years",
            "99999999999years",
            "18446744073709551616s",
            "18446744073709551615s",
        ] {
            assert!(
                parse(text).unwrap_err().contains("too long"),
                "{text}: {:?}",
                parse(text)
            );
        }
    }

    #[test]
    fn what_is_no_duration_says_what_to_write() {
        for text in ["", "  ", "soon", "10", "-1s", "10 apples", "s10", "1..2"] {
            let message = parse(text).unwrap_err();
            assert!(
                message.contains("write") || message.contains("the units are"),
                "{text}: {message}"
            );
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let message = |text| parse(text).unwrap_err();
        assert!(message("").contains("is empty"), "{}", message(""));
        assert!(message("10").contains("`10` lacks a unit of time"), "{}", message("10"));
        assert!(
            message("10 apples").contains("`apples` in `10 apples` is no unit of time"),
            "{}",
            message("10 apples")
        );
        assert!(message("soon").contains("`soon` is no duration"), "{}", message("soon"));
    }

    #[test]
    fn ranges_have_two_ends_in_order() {
        assert_eq!(
            parse_range("20ms..500ms"),
            Ok((Duration::from_millis(20), Duration::from_millis(500)))
        );
        assert_eq!(
            parse_range("1s .. 1s"),
            Ok((Duration::from_secs(1), Duration::from_secs(1)))
        );
        assert!(parse_range("20ms").unwrap_err().contains("20ms..500ms"));
        assert!(parse_range("500ms..20ms").unwrap_err().contains("\"20ms..500ms\""));
        assert!(parse_range("..").is_err());
        assert!(parse_range("1s..").is_err());
        assert!(parse_range("0s..1s").is_err());
        assert!(parse_range("1s..2s..3s").is_err());
    }

    proptest! {
        #[test]
        fn what_is_displayed_is_read_back(nanos in 1..=3_155_760_000_000_000_000_u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&display(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse(&text);
            let _ = parse_range(&text);
        }
    }
}
