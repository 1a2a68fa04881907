//! A few hundred runs, and the promise that a seed gives the same one again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use lock_sim::batch::{Batch, Servers};
use lock_sim::run;

/// So many runs fit into half a minute without optimization.
const SEEDS: u64 = 240;

#[test]
fn nothing_goes_wrong_in_a_few_hundred_runs() {
    let batch = Batch {
        seeds: 0..SEEDS,
        servers: Servers::Both,
        threads: 2,
    };
    let summary = batch.run(|progress| println!("{progress}"));
    assert!(summary.wrong.is_empty(), "{summary}");
    // Runs in which nothing happens prove nothing.
    assert!(summary.tally.acquired > SEEDS, "{summary}");
    assert!(summary.tally.conflicts > SEEDS / 2, "{summary}");
    assert!(summary.tally.unavailable > 0, "{summary}");
    assert!(summary.tally.abandoned > 0 && summary.tally.reentered > 0, "{summary}");
    assert!(summary.tally.refused > 0, "no stale write was ever tried: {summary}");
    for reason in ["expired", "maxhold"] {
        assert!(summary.tally.lost.contains_key(reason), "{reason}: {summary}");
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for servers in [1, 5] {
        for seed in 0..6 {
            let (first, second) = (run(seed, servers, false), run(seed, servers, false));
            assert!(first.events > 50, "{first:?}");
            assert_eq!(
                (first.hash, first.events, first.simulated),
                (second.hash, second.events, second.simulated),
                "seed {seed} with {servers} servers"
            );
        }
    }
}
