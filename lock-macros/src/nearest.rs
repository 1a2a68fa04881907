//! The name that somebody probably meant.

/// The candidate that is at most a third of its letters away from `written`, the nearest first.
pub(crate) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&written, &candidate.to_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        // A one-letter name is one edit away from every other one-letter name.
        .filter(|(distance, candidate)| *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// ": did you mean `x`? The options are `x` and `y`", or ": the options are `x` and `y`".
pub(crate) fn suggest<'a>(written: &str, what: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let all = list(candidates.clone());
    match nearest(written, candidates) {
        Some(name) => format!(": did you mean `{name}`? The {what} {all}"),
        None => format!(": the {what} {all}"),
    }
}

/// "`a`, `b` and `c`".
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.pop() {
        None => String::new(),
        Some(last) if quoted.is_empty() => last,
        Some(last) => format!("{} and {last}", quoted.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_name() {
        let options = ["key", "ttl", "on_conflict", "max_hold"];
        assert_eq!(nearest("tll", options), Some("ttl"));
        assert_eq!(nearest("on_conflit", options), Some("on_conflict"));
        assert_eq!(nearest("maxhold", options), Some("max_hold"));
        assert_eq!(nearest("KEY", options), Some("key"));
    }

    #[test]
    fn a_different_word_finds_nothing() {
        assert_eq!(nearest("delay", ["key", "ttl", "wait"]), None);
        assert_eq!(nearest("a", ["b", "c"]), None);
    }

    #[test]
    fn suggestions_read_as_prose() {
        assert_eq!(
            suggest("tll", "options are", ["key", "ttl"]),
            ": did you mean `ttl`? The options are `key` and `ttl`"
        );
        assert_eq!(
            suggest("colour", "options are", ["key", "ttl"]),
            ": the options are `key` and `ttl`"
        );
    }

    #[test]
    fn lists_read_as_prose() {
        assert_eq!(list([]), "");
        assert_eq!(list(["a"]), "`a`");
        assert_eq!(list(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
