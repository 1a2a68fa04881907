//! Many leases that are only held.

use std::time::Duration;

use anyhow::Result;
use bench_report::{Check, Row};

use crate::bench::{self, Bench, Measured, float};
use crate::clock;
use crate::job::{Kind, Task};
use crate::server::Server;

const NAME: &str = "renewal";
const OURS: &str = "ours";
const EACH: &str = "one EVALSHA each, 1024 tasks";
const TTL: Duration = Duration::from_secs(30);
/// Of the held leases, looked at in one go.
const LOOKED_AT: u32 = 500;

pub(crate) fn run(bench: &Bench) -> Result<()> {
    if !bench.wants(NAME) {
        return Ok(());
    }
    let server = Server::start(false)?;
    let leases = bench.size(100_000, 20_000);
    let seconds = bench.size(70, 25);
    let what = format!(
        "{leases} held leases, ttl 30 s: renewals late by more than ttl/10; client CPU for a renewal against one EVALSHA each"
    );
    let mut row = Row::new(9, NAME, &what)
        .target("0; at most 0.3")
        .peer("Redisson batches 100")
        .base(EACH)
        .figures(&[
            ("client CPU", "µs/renewal"),
            ("server CPU", "µs/renewal"),
            ("renewals", ""),
            ("late, said", ""),
            ("late, seen", ""),
            ("least left", "s"),
        ])
        .check(Check::worst("late", OURS, "late, said").at_most(0.0))
        .check(Check::worst("late on the server", OURS, "late, seen").at_most(0.0))
        .check(Check::ratio("CPU ×", OURS, EACH, "client CPU").at_most(0.3))
        .note(
            "Said: warnings of the library that a renewal is late or has failed, and leases that were lost. Seen: leases \
             that had less than ttl × (2/3 – 1/10) left when the server was asked, by samples of 500 twice a second.",
        );
    bench.rounds(&mut row, 1, &[EACH, OURS], |variant| match variant {
        EACH => each(&server, leases),
        _ => held(&server, leases, seconds),
    });
    bench.finish(&row)
}

fn each(server: &Server, leases: u32) -> Result<Measured> {
    let server = std::slice::from_ref(server);
    let (outcome, used) = bench::once(server, Kind::Raw, Task::RenewEach { leases, times: 5 }, false)?;
    let renewals = bench::count(&outcome);
    Ok(Measured {
        figures: vec![
            ("client CPU", float(outcome.processor) / 1e3 / renewals),
            ("server CPU", used / 1e3 / renewals),
            ("renewals", renewals),
        ],
        samples: Vec::new(),
    })
}

fn held(server: &Server, leases: u32, seconds: u64) -> Result<Measured> {
    let task = Task::Renewal {
        leases,
        ttl: u64::try_from(TTL.as_millis())?,
        seconds,
    };
    let mut worker = bench::start(std::slice::from_ref(server), Kind::OursByHand, task, false)?;
    worker.ready()?;
    server.reset_counters();
    let used = server.processor();
    let begin = clock::now();
    worker.go(begin)?;

    let (mut seen, mut least) = (0_u32, TTL.as_secs_f64());
    let late = TTL.as_secs_f64() * (2.0 / 3.0 - 1.0 / 10.0);
    let mut connection = redis::Client::open(server.url())?.get_connection()?;
    while clock::micros(begin, clock::now()) / 1e6 < float(seconds) - 1.0 {
        std::thread::sleep(Duration::from_millis(500));
        let mut look = redis::pipe();
        for _ in 0..LOOKED_AT {
            look.cmd("PTTL").arg(crate::clients::name(fastrand::u32(0..leases)));
        }
        let left: Vec<i64> = look.query(&mut connection)?;
        for left in left {
            #[allow(clippy::cast_precision_loss, reason = "at most 30 000")]
            let left = left as f64 / 1e3;
            seen += u32::from(left < late);
            least = least.min(left);
        }
    }
    // Only renewals: nothing is acquired or released in this time.
    let outcome = worker.outcome()?;
    let renewals = float(server.calls("pexpire").max(1));
    let used = (server.processor() - used) * 1e9;
    Ok(Measured {
        figures: vec![
            ("client CPU", float(outcome.processor) / 1e3 / renewals),
            ("late, said", float(outcome.late)),
            ("late, seen", f64::from(seen)),
            ("server CPU", used / 1e3 / renewals),
            ("renewals", renewals),
            ("least left", least),
        ],
        samples: Vec::new(),
    })
}
