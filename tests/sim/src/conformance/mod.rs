//! One suite of cases for two servers: the simulated one must answer as a real one does.

mod cases;
mod commands;
mod fences;
mod line;
mod simulated;
mod transcript;

use std::time::Duration;

pub use simulated::Simulated;

use crate::server::resp;
use crate::server::scripts::{TWINS, Twin};

/// A server under comparison, with as many connections as a case wants.
pub trait Target {
    /// Sends bytes over a connection, which is opened if it is not there.
    fn send(&mut self, connection: usize, bytes: &[u8]);
    /// The next bytes that came over it; waits for them.
    fn receive(&mut self, connection: usize) -> Vec<u8>;
    /// Lets time go by.
    fn wait(&mut self, time: Duration);
}

/// Steps that begin on an empty server.
pub struct Case {
    /// What it shows.
    pub name: &'static str,
    steps: Vec<Step>,
}

enum Step {
    /// A command over a connection; so many replies; how they are compared.
    Ask(usize, Vec<Vec<u8>>, usize, As),
    /// A message that comes by itself over a connection.
    Hear(usize),
    /// Until there is no such key any more.
    UntilGone(&'static str),
}

/// How a reply is compared.
#[derive(Clone, Copy)]
enum As {
    /// As it is, but for numbers that are fences: only their order counts.
    Itself,
    /// Numbers up to this one, and not far below it, are alike.
    About(i64),
    /// Texts may differ.
    Shape,
    /// The first word of a text may differ.
    Behind,
    /// These lines of an INFO.
    Fields(&'static [&'static str]),
}

/// All cases.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut all = cases::acquire();
    all.extend(cases::others());
    all.extend(fences::fences());
    all.extend(line::turns());
    all.extend(line::grants());
    all.extend(line::troubles());
    all.extend(commands::data());
    all.extend(commands::connections());
    all
}

/// The longest that a case may wait for a key to go.
const GONE: Duration = Duration::from_secs(5);

impl Case {
    fn new(name: &'static str, steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            name,
            steps: steps.into_iter().collect(),
        }
    }

    /// Runs it on an empty server: a line for each reply.
    ///
    /// # Panics
    ///
    /// When a key does not go.
    pub fn run(&self, target: &mut dyn Target) -> Vec<String> {
        let mut transcript = transcript::Transcript::default();
        for step in &self.steps {
            match step {
                Step::Ask(connection, command, replies, compared) => {
                    target.send(*connection, &resp::command(command));
                    for _ in 0..*replies {
                        let reply = transcript.read(target, *connection);
                        transcript.note(command, &reply, *compared);
                    }
                }
                Step::Hear(connection) => {
                    let message = transcript.read(target, *connection);
                    transcript.note(&[b"a message".to_vec()], &message, As::Itself);
                }
                Step::UntilGone(key) => {
                    let step = Duration::from_millis(5);
                    let mut waited = Duration::ZERO;
                    loop {
                        target.send(0, &resp::command(&["EXISTS", key]));
                        if transcript.read(target, 0) == transcript::Seen::Int(0) {
                            break;
                        }
                        assert!(waited < GONE, "{}: `{key}` does not go", self.name);
                        target.wait(step);
                        waited += step;
                    }
                }
            }
        }
        transcript.lines()
    }
}

/// A command of words, over the first connection.
fn ask(words: &str) -> Step {
    on(0, words)
}

/// A command of words that may have spaces in them.
fn words(words: &[&str]) -> Step {
    let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    Step::Ask(0, words, 1, As::Itself)
}

/// A command of words, over another connection.
fn on(connection: usize, words: &str) -> Step {
    let words = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    Step::Ask(connection, words, 1, As::Itself)
}

impl Step {
    fn compared(self, compared: As) -> Self {
        match self {
            Self::Ask(connection, command, replies, _) => Self::Ask(connection, command, replies, compared),
            other => other,
        }
    }

    fn about(self, number: i64) -> Self {
        self.compared(As::About(number))
    }

    fn replies(self, count: usize) -> Self {
        match self {
            Self::Ask(connection, command, _, compared) => Self::Ask(connection, command, count, compared),
            other => other,
        }
    }
}

fn twin(name: &str) -> &'static Twin {
    let twin = TWINS.iter().find(|twin| twin.name == name);
    twin.unwrap_or(&TWINS[0])
}

/// A script, in full.
fn eval(name: &str, keys: &[&str], args: &[&str]) -> Step {
    call("EVAL", twin(name).text, keys, args)
}

/// A script, by its hash.
fn evalsha(name: &str, keys: &[&str], args: &[&str]) -> Step {
    call("EVALSHA", &twin(name).hash(), keys, args)
}

fn call(command: &str, which: &str, keys: &[&str], args: &[&str]) -> Step {
    let count = keys.len().to_string();
    let words = [command, which, &count].into_iter();
    let words = words.chain(keys.iter().copied()).chain(args.iter().copied());
    Step::Ask(0, words.map(|word| word.as_bytes().to_vec()).collect(), 1, As::Itself)
}
