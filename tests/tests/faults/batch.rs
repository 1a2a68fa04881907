//! Many leases that one request renews: each has an answer of its own.

use lock_runtime::LostReason;
use lock_tests::{RedisServer, eventually};

use crate::support::{LATE, LONG, SOON, redis, within};

const LEASES: usize = 40;

/// How often the server ran this command since its statistics were reset.
fn calls(server: &RedisServer, command: &str) -> usize {
    let stats = server.cli(&["INFO", "commandstats"]);
    let line = format!("cmdstat_{command}:calls=");
    let found = stats.lines().find_map(|each| each.strip_prefix(&line));
    found.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_bad_key_in_a_batch_is_told_to_its_holder_and_costs_no_other_its_lease() {
    let (server, manager) = redis().await;
    let mut guards = Vec::new();
    for number in 0..LEASES {
        guards.push(manager.lock(format!("job:{number}")).ttl(LONG).acquire().await.unwrap());
    }
    server.cli(&["DEL", "lock:job:0", "lock:job:13"]);
    server.cli(&["RPUSH", "lock:job:13", "a"]);
    server.cli(&["SET", "lock:job:27", "somebody", "PX", "600000"]);
    let bad = [
        (0, LostReason::Missing),
        (13, LostReason::Taken),
        (27, LostReason::Taken),
    ];
    let good = (0..LEASES).filter(|number| bad.iter().all(|(bad, _)| bad != number));
    let good: Vec<_> = good
        .map(|number| (&guards[number], format!("lock:job:{number}")))
        .collect();
    for (_, key) in &good {
        server.cli(&["PEXPIRE", key, "300000"]);
    }
    // No renewal is due for minutes; a new connection is a reason to renew all of them.
    server.cli(&["CONFIG", "RESETSTAT"]);
    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    manager.inspect("another").await.unwrap();
    for (number, expected) in bad {
        let reason = within(SOON, "the loss", guards[number].lease().lost()).await;
        assert_eq!(reason, expected, "job:{number}");
    }
    eventually("all others are renewed", LATE, async || {
        let mut good = good.iter();
        good.all(|(_, key)| server.ttl(key).unwrap() > LONG / 2)
    })
    .await;
    assert!(good.iter().all(|(guard, _)| guard.lease().is_held()));
    let requests = calls(&server, "evalsha");
    assert!(requests <= 6, "{requests} requests, so this was no batch");
    assert_eq!(server.cli(&["LRANGE", "lock:job:13", "0", "-1"]), "a");
    assert_eq!(server.get("lock:job:27").as_deref(), Some("somebody"));
}
