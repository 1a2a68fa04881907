//! `redis+cluster://`: locks over all slots, and nodes that do not disturb each other.

use std::collections::HashSet;

use lock_runtime::{LockError, LockManager};
use lock_tests::{ClusterGroup, RedisServer, eventually};

use crate::support::{
    ANSWER, LATE, LONG, SOON, conflicts, full, locks, manager, two_managers, unavailable, until_no_lock_is_left,
    until_renewed, until_subscribed, waiting, watched, within, works, works_again,
};

async fn refused(url: &str) -> LockError {
    within(ANSWER, url, LockManager::connect(url)).await.expect_err(url)
}

#[tokio::test]
async fn locks_over_many_slots_exclude_and_come_free() {
    let cluster = ClusterGroup::start();
    let [one, two] = two_managers(&cluster.url()).await;
    let names: Vec<_> = (0..40).map(|number| format!("order:{number}")).collect();
    let mut guards = Vec::new();
    for name in &names {
        guards.push(one.lock(name.as_str()).acquire().await.unwrap());
    }
    for name in &names {
        conflicts(&two, name).await;
    }
    let mut held: Vec<_> = cluster.nodes().iter().flat_map(locks).collect();
    let mut expected: Vec<_> = names.iter().map(|name| full(name)).collect();
    held.sort();
    expected.sort();
    assert_eq!(held, expected, "a key is the namespace and the key, and nothing else");
    for guard in guards {
        guard.release().await.unwrap();
    }
    until_no_lock_is_left(cluster.nodes()).await;
    works(&two, "order:1").await;
}

#[tokio::test]
async fn nothing_is_left_but_one_counter_for_each_slot_that_had_a_lock() {
    let cluster = ClusterGroup::start();
    let manager = manager(&cluster.url(), "one").await;
    let mut slots = HashSet::new();
    for number in 0..30 {
        for name in [
            format!("order:{number}"),
            format!("{{{number}}}a"),
            format!("{{{number}}}b"),
        ] {
            works(&manager, &name).await;
            slots.insert(cluster.slot_of(&full(&name)));
        }
    }
    manager.shutdown(SOON).await;
    let counters: Vec<_> = cluster.nodes().iter().flat_map(RedisServer::keys).collect();
    assert!(counters.len() <= slots.len(), "{} for {}", counters.len(), slots.len());
    for counter in &counters {
        assert!(slots.contains(&cluster.slot_of(counter)), "{counter}");
    }
}

#[tokio::test]
async fn braces_in_a_key_and_an_empty_namespace_decide_the_slot_as_everywhere() {
    let cluster = ClusterGroup::start();
    let manager = LockManager::builder().url(cluster.url()).namespace("");
    let manager = manager.connect().await.unwrap();
    for key in ["{shop}a", "a{}b", "{", "}{", "a{b", "x{y}z{w}", "ключ"] {
        let guard = manager.lock(key).try_acquire().await.unwrap().expect(key);
        assert!(cluster.node(cluster.node_of(key)).exists(key), "{key}");
        guard.release().await.unwrap();
    }
}

#[tokio::test]
async fn leases_on_all_nodes_are_renewed() {
    let cluster = ClusterGroup::start();
    let manager = manager(&cluster.url(), "one").await;
    let mut guards = Vec::new();
    for node in 0..3 {
        for prefix in ["lock:a", "lock:b"] {
            let key = cluster.key_on(node, prefix);
            guards.push(watched(&manager, key.trim_start_matches("lock:")).await);
        }
    }
    for guard in &guards {
        until_renewed(guard.lease()).await;
    }
}

#[tokio::test]
async fn the_leases_of_each_slot_are_renewed_in_one_request() {
    const LEASES: usize = 20;
    let cluster = ClusterGroup::start();
    let manager = manager(&cluster.url(), "one").await;
    // Two slots of one node, and one of each other.
    let tags = [(0, "a"), (0, "b"), (1, "a"), (2, "a")].map(|(node, prefix)| cluster.key_on(node, prefix));
    let mut guards = Vec::new();
    for tag in &tags {
        for number in 0..LEASES {
            let key = format!("{{{tag}}}{number}");
            guards.push(manager.lock(&*key).ttl(LONG).acquire().await.unwrap());
            let node = cluster.node(cluster.node_of(tag));
            assert_eq!(node.cli(&["PEXPIRE", &full(&key), "300000"]), "1");
        }
    }
    let calls = |command: &str| -> usize {
        let line = format!("cmdstat_{command}:calls=");
        let of = |node: &RedisServer| -> usize {
            let stats = node.cli(&["INFO", "commandstats"]);
            let found = stats.lines().find_map(|each| each.strip_prefix(&line));
            found.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
        };
        cluster.nodes().iter().map(of).sum()
    };
    // No renewal is due for minutes; a new connection to a node is a reason to renew all of them.
    for node in cluster.nodes() {
        node.cli(&["CONFIG", "RESETSTAT"]);
        node.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    }
    for tag in &tags {
        let held = manager.inspect(format!("{{{tag}}}0")).await.unwrap();
        assert!(held.is_some());
    }
    eventually("all are renewed", LATE, async || {
        let mut nodes = cluster.nodes().iter();
        nodes.all(|node| locks(node).iter().all(|key| node.ttl(key).unwrap() > LONG / 2))
    })
    .await;
    assert!(guards.iter().all(|guard| guard.lease().is_held()));
    let (requests, renewed) = (calls("evalsha"), calls("pexpire"));
    println!("{requests} requests renewed {renewed} times a lease");
    // Each look once more where its connection was dead, and each slot where the script was unknown.
    let looks = tags.len() * 3;
    assert!(
        requests <= renewed / LEASES + looks,
        "{requests} requests renewed {renewed} times a lease"
    );
}

#[tokio::test]
async fn one_named_node_is_enough_for_all_locks_and_their_fences() {
    let cluster = ClusterGroup::start();
    let url = format!("redis+cluster://127.0.0.1:{}", cluster.node(2).port());
    let managers = two_managers(&url).await;
    for key in ["a", "b", "c", "d", "e", "f"] {
        let mut last = 0;
        for turn in 0..4 {
            let guard = managers[turn % 2].lock(key).acquire().await.unwrap();
            assert!(guard.fence().get() > last);
            last = guard.fence().get();
            guard.release().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_node_without_our_scripts_gets_them_again() {
    let cluster = ClusterGroup::start();
    let manager = manager(&cluster.url(), "one").await;
    let guard = watched(&manager, "job").await;
    let node = cluster.node(cluster.node_of("lock:job"));
    node.cli(&["SCRIPT", "FLUSH"]);
    until_renewed(guard.lease()).await;
    node.cli(&["SCRIPT", "FLUSH"]);
    within(SOON, "release", guard.release()).await.unwrap();
    assert!(locks(node).is_empty());
    node.cli(&["SCRIPT", "FLUSH"]);
    works(&manager, "job").await;
}

#[tokio::test]
async fn a_node_gets_our_scripts_while_another_hangs() {
    let mut cluster = ClusterGroup::with_replicas();
    let manager = manager(&cluster.url(), "one").await;
    let key = cluster.key_on(0, "lock:");
    let key = key.trim_start_matches("lock:");
    works(&manager, key).await;
    // A replica: the cluster stays well.
    cluster.pause(4);
    cluster.node(0).cli(&["SCRIPT", "FLUSH"]);
    works(&manager, key).await;
}

#[tokio::test]
async fn a_node_that_hangs_does_not_disturb_the_locks_of_the_others() {
    let mut cluster = ClusterGroup::start();
    // For as long as this test lasts, the others do not notice.
    for node in cluster.nodes() {
        node.cli(&["CONFIG", "SET", "cluster-node-timeout", "60000"]);
    }
    let [one, two] = two_managers(&cluster.url()).await;
    let keys: Vec<_> = (0..3).map(|node| cluster.key_on(node, "lock:")).collect();
    let keys: Vec<_> = keys.iter().map(|key| key.trim_start_matches("lock:")).collect();
    let on_hung = watched(&one, keys[0]).await;
    let held = watched(&one, keys[1]).await;
    cluster.pause(0);
    for _ in 0..5 {
        works(&one, keys[2]).await;
    }
    until_renewed(held.lease()).await;
    conflicts(&two, keys[1]).await;
    unavailable(&two, keys[0]).await;
    works(&one, keys[2]).await;
    until_renewed(held.lease()).await;
    cluster.resume(0);
    until_renewed(on_hung.lease()).await;
}

#[tokio::test]
async fn a_cluster_that_has_lost_slots_is_unavailable() {
    let mut cluster = ClusterGroup::start();
    let manager = manager(&cluster.url(), "one").await;
    let key = cluster.key_on(1, "lock:");
    let key = key.trim_start_matches("lock:").to_owned();
    works(&manager, &key).await;
    cluster.kill(2);
    eventually("the cluster is down", LATE, async || {
        cluster.node(1).cli(&["CLUSTER", "INFO"]).contains("cluster_state:fail")
    })
    .await;
    let error = unavailable(&manager, &key).await;
    assert!(error.to_string().to_lowercase().contains("cluster"), "{error}");
    cluster.restart(2);
    cluster.until_ok();
    drop(works_again(&manager, &key).await);
}

#[tokio::test]
async fn lost_replies_leave_one_holder_and_no_key() {
    let cluster = ClusterGroup::behind_proxies();
    let [one, two] = two_managers(&cluster.url()).await;
    let node = cluster.node_of("lock:job");
    works(&one, "job").await;
    for _ in 0..3 {
        cluster.proxy(node).lose_reply_to("lock:job");
        let guard = works_again(&one, "job").await;
        conflicts(&two, "job").await;
        cluster.proxy(node).lose_reply_to("lock:job");
        // Known or not, it is done in the end.
        drop(guard);
        eventually("the lock is free", LATE, async || locks(cluster.node(node)).is_empty()).await;
    }
}

#[tokio::test]
async fn a_release_wakes_who_waits_wherever_the_lock_is() {
    let cluster = ClusterGroup::start();
    let [one, two] = two_managers(&cluster.url()).await;
    let nodes: Vec<_> = cluster.nodes().iter().collect();
    for node in 0..3 {
        let key = cluster.key_on(node, "lock:");
        let key = key.trim_start_matches("lock:");
        let guard = one.lock(key).ttl(LONG).acquire().await.unwrap();
        let waiter = waiting(&two, key);
        until_subscribed(&nodes, key, 1).await;
        guard.release().await.unwrap();
        drop(within(ANSWER, "the waiter", waiter).await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn an_operator_sees_the_holder_and_can_free_the_lock() {
    let cluster = ClusterGroup::start();
    let [one, two] = two_managers(&cluster.url()).await;
    for key in ["a", "b", "c"] {
        let _guard = one.lock(key).acquire().await.unwrap();
        let holder = two.inspect(key).await.unwrap().expect("it is held");
        assert_eq!(holder.owner(), "one");
        assert!(two.force_release(key).await.unwrap());
        works(&two, key).await;
    }
}

#[tokio::test]
async fn connect_works_while_a_named_node_is_dead_or_hung() {
    let mut cluster = ClusterGroup::with_replicas();
    cluster.pause(3);
    cluster.kill(4);
    works(&manager(&cluster.url(), "one").await, "job").await;
}

#[tokio::test]
async fn a_server_that_is_in_no_cluster_is_an_error_that_says_so() {
    let server = RedisServer::start();
    let error = refused(&format!("redis+cluster://127.0.0.1:{}", server.port())).await;
    assert!(error.to_string().to_lowercase().contains("cluster"), "{error}");
}

#[tokio::test]
async fn nodes_that_nobody_can_reach_are_named() {
    let port = lock_tests::server::unused_port();
    let error = refused(&format!("redis+cluster://127.0.0.1:{port}")).await;
    assert!(error.is_unavailable(), "{error:?}");
    assert!(error.to_string().contains(&port.to_string()), "{error}");
}

#[tokio::test]
async fn a_cluster_has_no_database_but_the_first() {
    let error = refused("redis+cluster://127.0.0.1:7000/2").await;
    assert!(matches!(error, LockError::InvalidUrl { .. }), "{error:?}");
    assert!(error.to_string().contains("database"), "{error}");
}
