//! Other processes that want the same lock.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use lock_tests::eventually;
use lock_tests::process::{self, Owned};

use crate::support::LATE;

/// A `contention-test-child`.
pub(crate) struct Neighbour {
    process: Owned,
    said: Arc<Mutex<Vec<String>>>,
}

/// One hold of a neighbour. The times are nanoseconds on a clock that all processes share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    /// Which neighbour, by the order in which they were given.
    pub(crate) process: usize,
    pub(crate) fence: u64,
    pub(crate) asked: u64,
    pub(crate) began: u64,
    pub(crate) ended: u64,
}

impl Neighbour {
    /// A process with a manager on `url`.
    pub(crate) async fn start(url: &str, hand_over: bool) -> Neighbour {
        let mut command = process::command(env!("CARGO_BIN_EXE_contention-test-child"));
        command.args([url, if hand_over { "true" } else { "false" }]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Owned::spawn(command);
        let output = BufReader::new(process.child().stdout.take().unwrap());
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let lines = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        let neighbour = Neighbour { process, said };
        neighbour.says("ready").await;
        neighbour
    }

    pub(crate) fn tell(&mut self, order: &str) {
        let input = self.process.child().stdin.as_mut().unwrap();
        writeln!(input, "{order}").unwrap();
    }

    /// Waits until it says a line that begins like this, and gives the line.
    pub(crate) async fn says(&self, start: &str) -> String {
        let mut found = None;
        eventually(&format!("the neighbour says {start}"), LATE, async || {
            let said = self.said.lock().unwrap();
            found = said.iter().find(|line| line.starts_with(start)).cloned();
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// Waits until it has the lock that it was told to keep, and gives the fence.
    pub(crate) async fn got(&self) -> u64 {
        let line = self.says("got ").await;
        line["got ".len()..].parse().unwrap()
    }

    pub(crate) fn has_got(&self) -> bool {
        self.said.lock().unwrap().iter().any(|line| line.starts_with("got "))
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Stops the loops of all neighbours, and gives all their holds in the order of fences. Two of them never overlap.
pub(crate) async fn holds(neighbours: &mut [&mut Neighbour]) -> Vec<Hold> {
    for neighbour in neighbours.iter_mut() {
        neighbour.tell("stop");
    }
    let mut holds = Vec::new();
    for (process, neighbour) in neighbours.iter().enumerate() {
        neighbour.says("stopped").await;
        let said = neighbour.said.lock().unwrap();
        holds.extend(said.iter().filter_map(|line| hold(process, line)));
    }
    holds.sort_by_key(|hold| hold.fence);
    for pair in holds.windows(2) {
        assert!(pair[0].fence < pair[1].fence, "one fence twice: {pair:?}");
        assert!(
            pair[0].ended <= pair[1].began,
            "two at once, or fences out of order: {pair:?}"
        );
    }
    holds
}

fn hold(process: usize, line: &str) -> Option<Hold> {
    let numbers = line
        .strip_prefix("hold ")?
        .split(' ')
        .map(|number| number.parse().unwrap());
    let [fence, asked, began, ended] = numbers.collect::<Vec<u64>>()[..] else {
        panic!("{line}");
    };
    Some(Hold {
        process,
        fence,
        asked,
        began,
        ended,
    })
}
