//! A Redis server that is simulated: what the library asks of one, and nothing else.
//!
//! There is no Lua in it; the library's scripts are [native functions](scripts), and one suite of cases
//! ([`conformance`](crate::conformance)) holds them, and the commands, to a real server's answers.

mod clock;
mod commands;
mod info;
mod lists;
pub mod resp;
pub mod scripts;
mod sessions;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use clock::ServerClock;
pub use sessions::{Outbox, SessionId};

use resp::Reply;
use sessions::Session;
use store::{Store, View};

/// One server, in one life after the other.
pub struct Server {
    /// Its name in the simulated network.
    pub name: String,
    /// What it takes for the time.
    pub clock: ServerClock,
    /// Out of memory: what needs some is refused.
    pub full: bool,
    /// Scripts that were sent and have no twin: the simulation proves nothing then.
    pub strangers: Vec<String>,
    /// What its scripts did since somebody last looked.
    pub done: Vec<Done>,
    store: Store,
    /// The scripts that this life of the server was sent, by hash.
    known: BTreeSet<String>,
    sessions: BTreeMap<SessionId, Session>,
    /// Names no two sessions alike, in all lives.
    next_session: SessionId,
    /// Counts its lives; the run id comes from it.
    life: u32,
    /// When this life began, in microseconds of its own clock.
    started: i64,
}

/// One run of a script.
#[derive(Debug, Clone)]
pub struct Done {
    /// The true time.
    pub at: Duration,
    /// Who asked.
    pub session: SessionId,
    /// Which script or command.
    pub script: String,
    /// On which keys.
    pub keys: Vec<Vec<u8>>,
    /// The claim, or what else the first argument is.
    pub first: Vec<u8>,
    /// The fence that a vote was asked for.
    pub proposal: Option<u64>,
    /// Whether each key held the argument of the same place before.
    pub held: Vec<bool>,
    /// What it answered.
    pub reply: Reply,
    /// What it published: channels and messages.
    pub published: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Done {
    /// The claims that it gave the lock to, each with its first fence; of a vote, what it has counted up to.
    pub fn grants(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let own = match (self.script.as_str(), &self.reply) {
            ("acquire" | "turn", Reply::Bulk(fence)) => parsed(fence),
            ("vote", Reply::Int(_)) => self.proposal,
            ("vote", Reply::Array(parts)) => match parts.as_slice() {
                [Reply::Int(counter), Reply::Int(_)] => u64::try_from(*counter).ok(),
                _ => None,
            },
            _ => None,
        };
        // To those in line.
        let granted = self.published.iter().filter_map(|(_, message)| {
            let mut parts = message.splitn(3, |byte| *byte == b' ');
            let (fence, _question, claim) = (parts.next()?, parts.next()?, parts.next()?);
            Some((claim, parsed(fence)?))
        });
        let own = own.map(|fence| (self.first.as_slice(), fence));
        own.into_iter().chain(granted).filter(|(_, fence)| *fence > 0)
    }
}

fn parsed(number: &[u8]) -> Option<u64> {
    str::from_utf8(number).ok()?.parse().ok()
}

impl Server {
    /// A server that is not started yet, with nothing in it.
    #[must_use]
    pub fn new(name: impl Into<String>, clock: ServerClock) -> Self {
        Self {
            name: name.into(),
            clock,
            full: false,
            strangers: Vec::new(),
            done: Vec::new(),
            store: Store::default(),
            known: BTreeSet::new(),
            sessions: BTreeMap::new(),
            next_session: 0,
            life: 0,
            started: 0,
        }
    }

    /// Begins a life: another run id, no scripts, nobody connected. The data is what the last one left.
    pub fn start(&mut self, at: Duration) {
        self.life += 1;
        self.started = self.clock.micros(at);
        self.known.clear();
        self.sessions.clear();
    }

    /// Loses all data.
    pub fn forget(&mut self) {
        self.store.clear();
    }

    /// SCRIPT FLUSH.
    pub fn forget_scripts(&mut self) {
        self.known.clear();
    }

    /// What is stored as text under a key of database 0.
    #[must_use]
    pub fn text(&self, name: &[u8], at: Duration) -> Option<&[u8]> {
        self.store.text(name, self.clock.micros(at))
    }

    /// The keys of database 0: name, text if it is one, the rest of its time in ms.
    pub fn texts(&self, at: Duration) -> impl Iterator<Item = (&[u8], Option<&[u8]>, Option<i64>)> {
        self.store.texts(self.clock.micros(at))
    }

    /// Carries out one command at the true time `at`.
    pub fn execute(&mut self, id: SessionId, command: &[Vec<u8>], at: Duration) -> Reply {
        let name = command.first().map(|name| String::from_utf8_lossy(name).to_lowercase());
        let name = name.unwrap_or_default();
        if let Some(refused) = self.refuse(id, &name) {
            return refused;
        }
        if !["eval", "evalsha"].contains(&name.as_str()) {
            self.done.push(Done {
                at,
                session: id,
                script: name.clone(),
                keys: command[1..].to_vec(),
                first: Vec::new(),
                proposal: None,
                held: Vec::new(),
                reply: Reply::Nil,
                published: Vec::new(),
            });
        }
        match (name.as_str(), &command[1..]) {
            ("eval" | "evalsha", rest) => self.script(id, name == "eval", rest, at),
            ("script", [what]) if what.eq_ignore_ascii_case(b"flush") => {
                self.forget_scripts();
                Reply::Status("OK")
            }
            ("subscribe", channels) if !channels.is_empty() => self.subscribe(id, channels),
            ("unsubscribe", channels) => self.unsubscribe(id, channels),
            ("publish", [channel, message]) => Reply::Int(self.publish(channel, message)),
            ("select", [index]) => self.select(id, index),
            ("info", _) => Reply::bulk(self.info(at)),
            ("config", rest) => self.config(rest),
            ("flushall", _) => {
                self.forget();
                Reply::Status("OK")
            }
            (_, rest) => commands::plain(&mut self.view(id, at), &name, rest),
        }
    }

    fn view(&mut self, id: SessionId, at: Duration) -> View<'_> {
        View {
            database: self.sessions.get(&id).map_or(0, |session| session.database),
            now: self.clock.micros(at),
            full: self.full,
            store: &mut self.store,
        }
    }

    fn script(&mut self, id: SessionId, in_full: bool, rest: &[Vec<u8>], at: Duration) -> Reply {
        let [which, count, rest @ ..] = rest else {
            return commands::wrong_arguments("eval");
        };
        let count = String::from_utf8_lossy(count).parse().unwrap_or(usize::MAX);
        if count > rest.len() {
            return Reply::error("ERR Number of keys can't be greater than number of args");
        }
        let which = String::from_utf8_lossy(which);
        let known = scripts::TWINS.iter().find(|twin| {
            if in_full {
                twin.text == which
            } else {
                twin.reviewed == which && self.known.contains(twin.reviewed)
            }
        });
        let Some(twin) = known.filter(|twin| twin.is_reviewed()) else {
            if !in_full {
                return Reply::error("NOSCRIPT No matching script. Please use EVAL.");
            }
            self.strangers.push(which.into_owned());
            return Reply::error("ERR the simulated server has no twin of this script");
        };
        self.known.insert(twin.reviewed.to_owned());
        let (keys, args) = rest.split_at(count);
        let mut published = Vec::new();
        let held = keys.iter().zip(args).map(|(key, claim)| {
            let held = self.view(id, at).get(key);
            held.is_ok_and(|held| held.as_ref() == Some(claim))
        });
        let held = held.collect();
        let reply = twin.run(scripts::Call {
            data: self.view(id, at),
            keys,
            args,
            published: &mut published,
        });
        for (channel, message) in &published {
            self.publish(channel, message);
        }
        self.done.push(Done {
            at,
            session: id,
            script: twin.name.to_owned(),
            keys: keys.to_vec(),
            first: args.first().cloned().unwrap_or_default(),
            proposal: args.get(2).and_then(|proposal| parsed(proposal)),
            held,
            reply: reply.clone(),
            published,
        });
        reply
    }

    fn config(&mut self, rest: &[Vec<u8>]) -> Reply {
        let words: Vec<_> = rest
            .iter()
            .map(|word| String::from_utf8_lossy(word).to_lowercase())
            .collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["get", "maxmemory-policy"] => Reply::Array(["maxmemory-policy", "noeviction"].map(Reply::bulk).into()),
            ["set", "maxmemory", bytes] => {
                self.full = *bytes != "0";
                Reply::Status("OK")
            }
            _ => Reply::error("ERR the simulated server does not know this setting"),
        }
    }
}
