//! What a server answered, with everything taken out that may differ from one run to the next.

use std::collections::{BTreeMap, BTreeSet};

use super::{As, Target};

/// A reply as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// `+…` or `-…`.
    Line(String),
    Int(i64),
    Text(Vec<u8>),
    Nil,
    Array(Vec<Seen>),
}

/// Above any time in milliseconds, below any in microseconds since 1970: such numbers are fences.
const FENCES: i64 = 100_000_000_000_000;
/// How much later than we think a server may look at a time.
const LATE: i64 = 900;

#[derive(Default)]
pub(super) struct Transcript {
    lines: Vec<String>,
    /// Bytes that were read and not yet used, by connection.
    unread: BTreeMap<usize, Vec<u8>>,
    fences: BTreeSet<i64>,
}

impl Transcript {
    /// The next reply of a connection.
    pub(super) fn read(&mut self, target: &mut dyn Target, connection: usize) -> Seen {
        let buffer = self.unread.entry(connection).or_default();
        loop {
            let mut place = 0;
            if let Some(seen) = parse(buffer, &mut place) {
                buffer.drain(..place);
                return seen;
            }
            buffer.extend(target.receive(connection));
        }
    }

    pub(super) fn note(&mut self, command: &[Vec<u8>], reply: &Seen, compared: As) {
        let mut words: Vec<_> = command.iter().map(|word| String::from_utf8_lossy(word)).collect();
        if words.len() > 1 && words[1].len() > 40 {
            words[1] = "(script)".into();
        }
        let reply = self.show(reply, compared);
        self.lines.push(format!("{} -> {reply}", words.join(" ")));
    }

    /// The lines; fences are numbered by their size.
    pub(super) fn lines(self) -> Vec<String> {
        let fences = self.fences;
        let name = |mut line: String| {
            for (place, fence) in fences.iter().enumerate() {
                line = line.replace(&fence.to_string(), &format!("fence {place}"));
            }
            line
        };
        self.lines.into_iter().map(name).collect()
    }

    fn show(&mut self, seen: &Seen, compared: As) -> String {
        match (seen, compared) {
            (Seen::Line(line), _) => without_place(line),
            (Seen::Int(number), As::About(most)) if (most - LATE..=most).contains(number) => format!("about {most}"),
            (Seen::Int(number), _) => {
                if *number > FENCES {
                    self.fences.insert(*number);
                }
                number.to_string()
            }
            (Seen::Text(_), As::Shape) => "a text".to_owned(),
            (Seen::Text(text), As::Behind) => {
                let text = String::from_utf8_lossy(text);
                format!("\"… {}\"", text.split_once(' ').map_or("", |(_, behind)| behind))
            }
            (Seen::Text(text), As::Fields(names)) => fields(&String::from_utf8_lossy(text), names),
            (Seen::Text(text), _) => {
                let text = String::from_utf8_lossy(text);
                // Alone, or at the start of a message.
                let first = text.split(' ').next().unwrap_or_default();
                if let Some(fence) = first.parse().ok().filter(|number| *number > FENCES) {
                    self.fences.insert(fence);
                }
                format!("\"{text}\"")
            }
            (Seen::Nil, _) => "nothing".to_owned(),
            (Seen::Array(parts), _) => {
                let parts: Vec<_> = parts.iter().map(|part| self.show(part, compared)).collect();
                format!("[{}]", parts.join(", "))
            }
        }
    }
}

/// A real server tells the line of the script; ours does not know it.
fn without_place(line: &str) -> String {
    match line.split_once("@user_script:") {
        Some((before, _)) => format!("{before}@user_script"),
        None => line.to_owned(),
    }
}

fn fields(info: &str, names: &[&str]) -> String {
    let value = |name: &str| {
        let mut lines = info.split("\r\n").filter_map(|line| line.split_once(':'));
        let value = lines.find(|(field, _)| *field == name).map(|(_, value)| value);
        match (name, value) {
            (_, None) => format!("{name} is not there"),
            ("run_id", Some(id)) => format!("run_id of {}", id.len()),
            // How long a real server has been there is not ours to say.
            ("uptime_in_seconds", Some(seconds)) => format!("uptime is a number: {}", seconds.parse::<u32>().is_ok()),
            (_, Some(value)) => format!("{name} {value}"),
        }
    };
    names.iter().map(|name| value(name)).collect::<Vec<_>>().join(", ")
}

/// One reply at `place`, which moves behind it; `None`: it is not all there.
fn parse(buffer: &[u8], place: &mut usize) -> Option<Seen> {
    let rest = buffer.get(*place..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = String::from_utf8_lossy(&rest[..end]).into_owned();
    *place += end + 2;
    let number = line.get(1..).and_then(|digits| digits.parse::<i64>().ok());
    match (line.as_bytes().first(), number) {
        (Some(b':'), Some(number)) => Some(Seen::Int(number)),
        (Some(b'$' | b'*'), Some(-1)) => Some(Seen::Nil),
        (Some(b'$'), Some(length)) => {
            let length = usize::try_from(length).ok()?;
            let text = buffer.get(*place..*place + length)?.to_vec();
            *place += length + 2;
            (*place <= buffer.len()).then_some(Seen::Text(text))
        }
        (Some(b'*'), Some(count)) => (0..count)
            .map(|_| parse(buffer, place))
            .collect::<Option<_>>()
            .map(Seen::Array),
        _ => Some(Seen::Line(line)),
    }
}
