//! Writing a record, in a process that may be killed at any moment.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use super::{Event, What};

/// Nanoseconds on a clock that all processes of the machine share, and that no one sets.
#[must_use]
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).expect("a machine boots at 0")
}

/// Appends to a file of its own. What it has written stays, whatever happens to the process.
#[derive(Debug)]
pub struct Recorder {
    file: File,
    client: String,
}

impl Recorder {
    /// A recorder for `client`, a name without spaces that nobody else has, in `folder`.
    ///
    /// # Panics
    /// When the file cannot be made.
    #[must_use]
    pub fn new(folder: &Path, client: &str) -> Recorder {
        let path = folder.join(client);
        let file = OpenOptions::new().create_new(true).append(true).open(path).unwrap();
        Recorder {
            file,
            client: client.to_owned(),
        }
    }

    /// Records that something happens now. Before what the client does, after what it hears.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn record(&mut self, lock: &str, what: What) {
        self.record_at(now(), lock, what);
    }

    /// Records what was so at `time`.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn record_at(&mut self, time: u64, lock: &str, what: What) {
        assert!(!lock.contains(char::is_whitespace), "{lock:?}");
        let event = Event {
            time,
            client: self.client.clone(),
            lock: lock.to_owned(),
            what,
        };
        // In one write, so that a killed process leaves whole lines.
        self.file.write_all(format!("{event}\n").as_bytes()).unwrap();
    }
}
