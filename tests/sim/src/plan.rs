//! From a seed to everything that the run leaves to chance.

use std::time::Duration;

use fastrand::Rng;

/// One run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where all of it comes from.
    pub seed: u64,
    /// How many servers: one, or a group of independent ones.
    pub servers: usize,
    /// How many client processes.
    pub machines: usize,
    /// How many tasks of each process want locks.
    pub workers: usize,
    /// How many locks there are.
    pub keys: usize,
    /// How long faults come and go.
    pub chaos: Duration,
    /// The longest that a message is under way while nothing is wrong.
    pub latency: Duration,
    /// The leases that are asked for.
    pub ttls: Vec<Duration>,
    /// How much faster each server's clock runs, in parts of a million.
    pub rates: Vec<i64>,
    /// How far each server's clock is ahead, in microseconds.
    pub ahead: Vec<i64>,
    /// Clocks, or data, are worse than what the library promises to bear: overlaps are counted, not judged.
    pub beyond: bool,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

/// Something that goes wrong for a while.
#[derive(Debug, Clone)]
pub struct Fault {
    /// From here.
    pub at: Duration,
    /// To here.
    pub until: Duration,
    /// What.
    pub kind: Kind,
}

/// What may go wrong. Machines and servers are numbered from 0.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Messages between the two wait, and arrive all at once in the end.
    Hold(usize, usize),
    /// Messages between the two are lost.
    Cut(usize, usize),
    /// Those to the server are lost.
    CutTo(usize, usize),
    /// Those from the server are lost.
    CutFrom(usize, usize),
    /// A machine reaches no server.
    Isolate(usize),
    /// Messages between the two may take so long.
    Slow(usize, usize, Duration),
    /// The server's process ends, with or without what it stored; its connections end with it, or nobody is told.
    Crash {
        /// Which server.
        server: usize,
        /// What it stored is there when it comes back.
        keeps: bool,
        /// Nobody is told.
        silent: bool,
    },
    /// The server hangs; its kernel goes on.
    Freeze(usize),
    /// The server has no memory left.
    Full(usize),
    /// SCRIPT FLUSH.
    ForgetScripts(usize),
    /// FLUSHALL.
    ForgetAll(usize),
    /// The client's process is paused.
    Pause(usize),
    /// The client's process ends without a word, and comes back.
    Kill(usize),
    /// The server's clock jumps by so many microseconds.
    Jump(usize, i64),
}

/// The drift that leases make room for is a hundredth; with rates up to this, servers keep within it.
const WITHIN: i64 = 9_000;

impl Plan {
    /// The plan of a seed, for one server or several.
    #[must_use]
    pub fn new(seed: u64, servers: usize) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x5eed_0000_0000_0000);
        let beyond = rng.u32(..12) == 0;
        let most = if beyond { 60_000 } else { WITHIN };
        let rate = |rng: &mut Rng| match rng.u32(..3) {
            0 => most,
            1 => -most,
            _ => rng.i64(-most..=most),
        };
        let long = rng.u32(..6) == 0;
        let ttls: &[u64] = if long { &[1_000, 2_000] } else { &[100, 150, 250, 400] };
        let mut plan = Self {
            seed,
            servers,
            machines: rng.usize(2..=3),
            workers: rng.usize(1..=2),
            keys: rng.usize(1..=2),
            chaos: millis(rng.u64(1_200..=2_500)) + millis(if long { 2_000 } else { 0 }),
            latency: millis(*pick(&mut rng, &[3, 8, 25])),
            ttls: ttls.iter().copied().map(millis).collect(),
            rates: (0..servers).map(|_| rate(&mut rng)).collect(),
            ahead: (0..servers).map(|_| rng.i64(-300_000..300_000)).collect(),
            beyond,
            faults: Vec::new(),
        };
        let count = rng.usize(0..=7);
        // Those whose data may be lost: never so many that the rest is no majority.
        let minority = (servers - 1) / 2;
        let forgetful = if beyond { servers } else { minority.max(1) };
        for _ in 0..count {
            let fault = plan.fault(&mut rng, forgetful);
            plan.faults.push(fault);
        }
        if servers > 2 && rng.u32(..5) == 0 {
            plan.a_bare_majority_forgets(&mut rng, minority);
        }
        plan.faults.sort_by_key(|fault| fault.at);
        plan
    }

    /// The longest lease of the run.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.ttls.iter().copied().max().unwrap_or_default()
    }

    /// Again and again: a machine reaches so few servers that it needs those that forget at that moment. Whoever asks
    /// the others finds a majority without its lease, unless the forgetful ones keep silent for a while.
    fn a_bare_majority_forgets(&mut self, rng: &mut Rng, minority: usize) {
        let longest = u64::try_from(self.longest().as_millis()).unwrap_or(1_000);
        for _ in 0..3 {
            let machine = rng.usize(..self.machines);
            let chaos = u64::try_from(self.chaos.as_millis()).unwrap_or(1_000);
            let at = millis(rng.u64(50..chaos));
            let until = at + millis(longest * 2);
            for server in minority + 1..self.servers {
                self.faults.push(Fault {
                    at,
                    until,
                    kind: Kind::CutTo(machine, server),
                });
            }
            let at = at + millis(rng.u64(longest / 4..longest));
            for server in 0..minority {
                let kind = Kind::Crash {
                    server,
                    keeps: false,
                    silent: false,
                };
                let until = at + millis(rng.u64(4..20));
                self.faults.push(Fault { at, until, kind });
            }
        }
    }

    fn fault(&self, rng: &mut Rng, forgetful: usize) -> Fault {
        let at = millis(rng.u64(50..u64::try_from(self.chaos.as_millis()).unwrap_or(1_000)));
        let longest = u64::try_from(self.longest().as_millis()).unwrap_or(1_000);
        let length = match rng.u32(..4) {
            0 => millis(rng.u64(5..60)),
            1 => millis(rng.u64(longest..longest * 3)),
            _ => millis(rng.u64(20..longest * 3 / 2)),
        };
        let machine = rng.usize(..self.machines);
        let server = rng.usize(..self.servers);
        let kind = match rng.u32(..24) {
            0..4 => Kind::Hold(machine, server),
            4..6 => Kind::Cut(machine, server),
            6 => Kind::CutTo(machine, server),
            7..9 => Kind::CutFrom(machine, server),
            9 => Kind::Isolate(machine),
            10 | 11 => Kind::Slow(machine, server, millis(rng.u64(20..longest))),
            12 | 13 => Kind::Crash {
                server,
                keeps: true,
                silent: rng.bool(),
            },
            14 => Kind::Crash {
                server: rng.usize(..forgetful),
                keeps: false,
                silent: rng.bool(),
            },
            15 | 16 => Kind::Freeze(server),
            17 => Kind::Full(server),
            18 => Kind::ForgetScripts(server),
            19 if self.servers == 1 || self.beyond => Kind::ForgetAll(server),
            20..22 => Kind::Pause(machine),
            22 => Kind::Kill(machine),
            _ if self.beyond => Kind::Jump(server, rng.i64(-2_000_000..2_000_000)),
            _ => Kind::Pause(machine),
        };
        Fault {
            at,
            until: at + length,
            kind,
        }
    }
}

pub(crate) fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// One of several.
pub(crate) fn pick<'a, T>(rng: &mut Rng, among: &'a [T]) -> &'a T {
    &among[rng.usize(..among.len())]
}
