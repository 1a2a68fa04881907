//! The data of a server: keys, their values and their times.

use std::collections::BTreeMap;

use super::resp::Reply;

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A text.
    Text(Vec<u8>),
    /// Several, one behind the other.
    List(Vec<Vec<u8>>),
}

#[derive(Debug, Clone)]
struct Entry {
    value: Value,
    /// In milliseconds of the server's clock; gone once the clock has passed it.
    until: Option<i64>,
}

/// All keys, by database and name.
#[derive(Debug, Clone, Default)]
pub(super) struct Store(BTreeMap<(u8, Vec<u8>), Entry>);

/// One database at one moment, as a command or a script sees it. Time stands still in it, as on a real server.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) store: &'a mut Store,
    pub(super) database: u8,
    /// Microseconds of the server's clock.
    pub(super) now: i64,
    /// Writes that need memory are refused: unless one that needs none came before it in the same script.
    pub(super) full: bool,
}

pub(super) const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const FULL: &str = "OOM command not allowed when used memory > 'maxmemory'.";
const NO_INTEGER: &str = "ERR value is not an integer or out of range";

impl Store {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The keys of database 0 that are there at `now` (microseconds of the server's clock): name, text if it is one,
    /// and the rest of its time in milliseconds.
    pub(super) fn texts(&self, now: i64) -> impl Iterator<Item = (&[u8], Option<&[u8]>, Option<i64>)> {
        let now = now / 1_000;
        self.0
            .iter()
            .filter(move |((database, _), entry)| *database == 0 && !entry.is_over(now))
            .map(move |((_, name), entry)| {
                let text = match &entry.value {
                    Value::Text(text) => Some(text.as_slice()),
                    _ => None,
                };
                (name.as_slice(), text, entry.until.map(|until| until - now))
            })
    }

    /// The text of a key of database 0 at `now` (microseconds of the server's clock).
    #[must_use]
    pub(super) fn text(&self, name: &[u8], now: i64) -> Option<&[u8]> {
        let entry = self.0.get(&(0, name.to_vec()))?;
        match &entry.value {
            Value::Text(text) if !entry.is_over(now / 1_000) => Some(text),
            _ => None,
        }
    }
}

impl Entry {
    fn is_over(&self, now: i64) -> bool {
        self.until.is_some_and(|until| now > until)
    }
}

impl View<'_> {
    fn millis(&self) -> i64 {
        self.now / 1_000
    }

    fn entry(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let now = self.millis();
        let place = (self.database, key.to_vec());
        if self.store.0.get(&place).is_some_and(|entry| entry.is_over(now)) {
            self.store.0.remove(&place);
        }
        self.store.0.get_mut(&place)
    }

    pub(super) fn value(&mut self, key: &[u8]) -> Option<&mut Value> {
        self.entry(key).map(|entry| &mut entry.value)
    }

    /// A new key, without a time.
    pub(super) fn put(&mut self, key: &[u8], value: Value) {
        let entry = Entry { value, until: None };
        self.store.0.insert((self.database, key.to_vec()), entry);
    }

    /// Before a write that needs memory.
    pub(super) fn need_memory(&self) -> Result<(), String> {
        if self.full { Err(FULL.to_owned()) } else { Ok(()) }
    }

    /// Before a write that needs none: a script that has begun to write is not stopped.
    pub(super) fn need_no_memory(&mut self) {
        self.full = false;
    }

    /// GET.
    pub(super) fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err(WRONG_TYPE.to_owned()),
        }
    }

    /// SET key value, with PX if there is a time.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8], px: Option<&[u8]>) -> Result<(), String> {
        self.need_memory()?;
        let until = px.map(|px| self.until(px, "set", 1)).transpose()?;
        let value = Value::Text(value.to_vec());
        self.store
            .0
            .insert((self.database, key.to_vec()), Entry { value, until });
        Ok(())
    }

    /// SET key value NX PX: whether there was no such key.
    pub(super) fn set_new(&mut self, key: &[u8], value: &[u8], px: &[u8]) -> Result<bool, String> {
        self.need_memory()?;
        self.until(px, "set", 1)?;
        if self.exists(key) {
            return Ok(false);
        }
        self.set(key, value, Some(px)).map(|()| true)
    }

    /// GETSET: what was there before.
    pub(super) fn getset(&mut self, key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.need_memory()?;
        let before = self.get(key)?;
        self.set(key, value, None)?;
        Ok(before)
    }

    /// Whether there is such a key, whatever it holds.
    pub(super) fn exists(&mut self, key: &[u8]) -> bool {
        self.entry(key).is_some()
    }

    /// DEL of one key.
    pub(super) fn del(&mut self, key: &[u8]) -> bool {
        self.need_no_memory();
        let there = self.exists(key);
        self.store.0.remove(&(self.database, key.to_vec()));
        there
    }

    /// PTTL: -2 there is no key, -1 it has no time.
    pub(super) fn pttl(&mut self, key: &[u8]) -> i64 {
        let now = self.millis();
        self.entry(key)
            .map_or(-2, |entry| entry.until.map_or(-1, |until| until - now))
    }

    /// PEXPIRE; a time that is over deletes the key.
    pub(super) fn pexpire(&mut self, key: &[u8], px: &[u8]) -> Result<bool, String> {
        self.need_no_memory();
        let until = self.until(px, "pexpire", i64::MIN)?;
        let now = self.millis();
        let Some(entry) = self.entry(key) else {
            return Ok(false);
        };
        entry.until = Some(until);
        if until <= now {
            self.store.0.remove(&(self.database, key.to_vec()));
        }
        Ok(true)
    }

    /// All keys of this database.
    pub(super) fn keys(&mut self) -> Vec<Vec<u8>> {
        let now = self.millis();
        let mine = self
            .store
            .0
            .iter()
            .filter(|((database, _), entry)| *database == self.database && !entry.is_over(now));
        mine.map(|((_, name), _)| name.clone()).collect()
    }

    /// TIME: seconds, and microseconds of the second.
    pub(super) fn time(&self) -> (i64, i64) {
        (self.now / 1_000_000, self.now % 1_000_000)
    }

    fn until(&self, px: &[u8], command: &str, least: i64) -> Result<i64, String> {
        let px = std::str::from_utf8(px).ok().and_then(|text| text.parse::<i64>().ok());
        let px = px.ok_or(NO_INTEGER)?;
        self.millis()
            .checked_add(px)
            .filter(|_| px >= least)
            .ok_or_else(|| format!("ERR invalid expire time in '{command}' command"))
    }
}

/// An error of the store as a reply.
pub(super) fn reply(answer: Result<Reply, String>) -> Reply {
    answer.unwrap_or_else(Reply::Error)
}
