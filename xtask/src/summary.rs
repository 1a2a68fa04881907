//! What `cargo test` said, added up.

use std::fmt;

/// The sum of the "test result" lines of one run.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Summary {
    /// Test programs and sets of doctests that came to their end.
    programs: u64,
    passed: u64,
    failed: u64,
    /// Nothing here may be ignored; a number other than zero is somebody's mistake.
    ignored: u64,
}

impl Summary {
    /// Reads one line of the output; every line but a "test result" says nothing.
    pub(crate) fn look(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        self.programs += 1;
        self.passed += number_before(result, " passed");
        self.failed += number_before(result, " failed");
        self.ignored += number_before(result, " ignored");
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary {
            programs,
            passed,
            failed,
            ignored,
        } = self;
        write!(
            f,
            "{passed} passed, {failed} failed, {ignored} ignored, in {programs} test programs"
        )
    }
}

fn number_before(text: &str, word: &str) -> u64 {
    let before = text.find(word).map_or("", |end| &text[..end]);
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    //! Lines as libtest prints them.

    use super::Summary;

    #[test]
    fn results_add_up_and_other_lines_count_for_nothing() {
        let mut summary = Summary::default();
        for line in [
            "running 3 tests",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 9.10s",
        ] {
            summary.look(line);
        }
        assert_eq!(
            summary.to_string(),
            "15 passed, 2 failed, 1 ignored, in 2 test programs"
        );
    }
}
