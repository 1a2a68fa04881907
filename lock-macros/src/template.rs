//! Key templates: literal text with placeholders `<parameter.field.0.method()>`.

/// What separates one value from the next. The runtime percent-encodes these in values, so that two
/// lists of values never make the same key.
const SEPARATORS: [char; 4] = [':', '/', '|', '#'];

/// A key has at most this many bytes after encoding.
const LONGEST_KEY: usize = 1024;

/// A stretch of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(String),
    Placeholder(Placeholder),
}

/// `<root.access.access>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placeholder {
    /// A parameter or `self`, without `r#`.
    pub(crate) root: String,
    pub(crate) accesses: Vec<Access>,
    /// As it stands in the template, without the brackets.
    pub(crate) text: String,
}

/// One step from a value to a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// `.name`, without `r#`
    Field(String),
    /// `.0`
    Index(u32),
    /// `.name()`, without `r#`
    Method(String),
}

/// Reads a template, or says everything that is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Vec<Part>, Vec<String>> {
    if text.is_empty() {
        return Err(vec![
            "the key is empty: name what is locked, for example `key = \"order:<id>\"`".to_owned(),
        ]);
    }
    let mut problems = Vec::new();
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let position = text.len() - rest.len();
        if let Some(after) = rest.strip_prefix("<<") {
            literal.push('<');
            rest = after;
        } else if let Some(after) = rest.strip_prefix(">>") {
            literal.push('>');
            rest = after;
        } else if next == '>' {
            problems.push(format!(
                "the `>` at {} closes nothing: write `>>` for the character itself",
                place(text, position),
            ));
            rest = &rest[1..];
        } else if next == '<' {
            let Some(end) = rest.find('>') else {
                problems.push(format!(
                    "the `<` at {} is never closed: write `<name>` for a placeholder, `<<` for the character itself",
                    place(text, position),
                ));
                break;
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            match placeholder(&rest[1..end]) {
                Ok(placeholder) => parts.push(Part::Placeholder(placeholder)),
                Err(problem) => problems.push(format!("{problem} (at {})", place(text, position))),
            }
            rest = &rest[end + 1..];
        } else {
            literal.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    if problems.is_empty() {
        problems.extend(separation(&parts));
        problems.extend(length(&parts));
    }
    if problems.is_empty() { Ok(parts) } else { Err(problems) }
}

/// Counted as an editor counts.
fn place(text: &str, position: usize) -> String {
    format!("character {} of the key", text[..position].chars().count() + 1)
}

fn placeholder(text: &str) -> Result<Placeholder, String> {
    if text.is_empty() {
        return Err("`<>` names nothing: write a parameter between the brackets, `<id>`".to_owned());
    }
    let malformed = |why: &str| {
        format!(
            "`<{text}>` {why}: a placeholder is a parameter or `self`, then any of `.field`, `.0`, `.method()`; \
             for anything else write the key as an expression"
        )
    };
    let mut steps = text.split('.');
    // `split` yields at least one piece.
    let root = steps.next().unwrap_or_default();
    let root = match root.strip_suffix("()") {
        Some(_) => return Err(malformed("calls a function")),
        None => name(root).ok_or_else(|| malformed(&unreadable(root)))?,
    };
    let mut accesses = Vec::new();
    for step in steps {
        let access = if let Some(method) = step.strip_suffix("()") {
            name(method).filter(|name| name != "self").map(Access::Method)
        } else if step.chars().all(|c| c.is_ascii_digit()) {
            // Rust does not take `.00` or `.01` either.
            step.parse()
                .ok()
                .filter(|index: &u32| index.to_string() == step)
                .map(Access::Index)
        } else {
            name(step)
                .filter(|name| name != "self" && name != "await")
                .map(Access::Field)
        };
        accesses.push(access.ok_or_else(|| malformed(&unreadable(step)))?);
    }
    Ok(Placeholder {
        root,
        accesses,
        text: text.to_owned(),
    })
}

fn unreadable(piece: &str) -> String {
    if piece.is_empty() {
        "has a part without a name".to_owned()
    } else {
        format!("has `{piece}` where a name is expected")
    }
}

/// An identifier, raw or not, without its `r#`.
fn name(text: &str) -> Option<String> {
    let plain = text.strip_prefix("r#").unwrap_or(text);
    let raw = format!("r#{plain}");
    // `self` is the one name that cannot be raw.
    let readable = text == "self" || (text != "_" && is_identifier(&raw));
    readable.then(|| plain.to_owned())
}

fn is_identifier(text: &str) -> bool {
    // syn reads past white space and comments.
    !text.contains(|c: char| c.is_whitespace() || c == '/') && syn::parse_str::<syn::Ident>(text).is_ok()
}

fn separation(parts: &[Part]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut before: Option<&Placeholder> = None;
    let mut between = "";
    for part in parts {
        match part {
            Part::Literal(text) => between = text,
            Part::Placeholder(placeholder) => {
                if let Some(before) = before
                    && !between.contains(SEPARATORS)
                {
                    let (a, b) = (&before.text, &placeholder.text);
                    problems.push(format!(
                        "`<{a}>` and `<{b}>` need one of `:`, `/`, `|` and `#` between them, so that different values \
                         never make the same key: write `<{a}>:<{b}>`"
                    ));
                }
                before = Some(placeholder);
                between = "";
            }
        }
    }
    problems
}

fn length(parts: &[Part]) -> Option<String> {
    let literal: usize = parts
        .iter()
        .map(|part| match part {
            Part::Literal(text) => text.len(),
            Part::Placeholder(_) => 0,
        })
        .sum();
    (literal > LONGEST_KEY)
        .then(|| format!("the key has {literal} bytes without its values, and at most {LONGEST_KEY} are allowed"))
}

#[cfg(test)]
#[path = "tests/template.rs"]
mod tests;
