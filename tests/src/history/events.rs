//! One line for each thing that a client did or heard.

use std::collections::BTreeMap;
use std::path::Path;

/// A line of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, on the machine's clock (see [`now`](super::now)).
    pub time: u64,
    /// Who: one sequence of operations, such as a task of a process.
    pub client: String,
    /// Which lock.
    pub lock: String,
    /// What.
    pub what: What,
}

/// What a client did or heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It asks for the lock; inside a hold of its own, for a re-entry.
    Acquire,
    /// It has the lock, with this fence.
    Acquired(u64),
    /// It has not got the lock, for certain.
    NotAcquired,
    /// It does not know whether it got the lock.
    AcquireUnknown,
    /// The lease was valid after this moment.
    Valid,
    /// It releases, at the end of a re-entry the re-entry. The lease was valid after this moment.
    Release,
    /// It has released.
    Released,
    /// It has not released, for certain.
    NotReleased,
    /// It does not know whether it has released.
    ReleaseUnknown,
    /// It was told that the lease is lost, or noticed.
    Lost,
}

impl What {
    const WORDS: [(Self, &'static str); 9] = [
        (Self::Acquire, "acquire"),
        (Self::NotAcquired, "acquire-failed"),
        (Self::AcquireUnknown, "acquire-unknown"),
        (Self::Valid, "valid"),
        (Self::Release, "release"),
        (Self::Released, "release-ok"),
        (Self::NotReleased, "release-failed"),
        (Self::ReleaseUnknown, "release-unknown"),
        (Self::Lost, "lost"),
    ];
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            time,
            client,
            lock,
            what,
        } = self;
        let word = What::WORDS.iter().find(|(word, _)| word == what);
        match (what, word) {
            (What::Acquired(fence), _) => write!(f, "{time} {client} {lock} acquire-ok {fence}"),
            (_, Some((_, word))) => write!(f, "{time} {client} {lock} {word}"),
            (_, None) => Err(std::fmt::Error),
        }
    }
}

impl Event {
    /// Reads a line; `None` when it is none.
    #[must_use]
    pub fn parse(line: &str) -> Option<Event> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (time, client, lock, what) = match words[..] {
            [time, client, lock, "acquire-ok", fence] => (time, client, lock, What::Acquired(fence.parse().ok()?)),
            [time, client, lock, word] => {
                let what = What::WORDS.iter().find(|(_, other)| *other == word)?.0;
                (time, client, lock, what)
            }
            _ => return None,
        };
        Some(Event {
            time: time.parse().ok()?,
            client: client.to_owned(),
            lock: lock.to_owned(),
            what,
        })
    }

    /// All records in a folder, by lock, and for each client in its order. A process that was killed may have left half
    /// a line, which counts as not written.
    ///
    /// # Panics
    /// When the folder cannot be read, or a whole line is no event.
    #[must_use]
    pub fn read(folder: &Path) -> BTreeMap<String, Vec<Event>> {
        let mut locks: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
                let event = Event::parse(line).unwrap_or_else(|| panic!("no event: {line:?}"));
                locks.entry(event.lock.clone()).or_default().push(event);
            }
        }
        locks
    }
}
