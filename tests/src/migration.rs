//! The move of a slot from one node of a cluster to another, step by step.

use crate::cluster_group::{AGREE, ClusterGroup};
use crate::{RedisServer, eventually_blocking};

/// A slot on its way: what is gone from the old node is asked for at the new one (ASK), and several
/// keys of which one is gone are refused (TRYAGAIN), until the move is finished. It stays open when
/// dropped.
#[derive(Debug)]
pub struct Migration<'a> {
    cluster: &'a ClusterGroup,
    slot: u16,
    from: usize,
    to: usize,
}

impl ClusterGroup {
    /// Opens the move of a slot to node `to`; no key is moved yet.
    ///
    /// # Panics
    /// When a node refuses.
    #[must_use]
    pub fn migrate(&self, slot: u16, to: usize) -> Migration<'_> {
        let migration = Migration {
            cluster: self,
            slot,
            from: self.master_of(slot),
            to,
        };
        let slot = slot.to_string();
        // In this order: the new node is ready before the old one sends anybody there.
        migration
            .new_node()
            .cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &self.id(migration.from)]);
        migration
            .old_node()
            .cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &self.id(to)]);
        migration
    }

    /// Moves a slot with all its keys to node `to`.
    pub fn move_slot(&self, slot: u16, to: usize) {
        let migration = self.migrate(slot, to);
        migration.move_keys();
        migration.finish();
    }
}

impl Migration<'_> {
    /// The keys of the slot that are still on the old node.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let slot = self.slot.to_string();
        let keys = self.old_node().cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "10000"]);
        keys.lines().map(str::to_owned).collect()
    }

    /// Moves one key, which need not be there.
    pub fn move_key(&self, key: &str) {
        let port = self.new_node().port().to_string();
        // In place of what an earlier life of the new node may have left there.
        self.old_node()
            .cli(&["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "REPLACE", "KEYS", key]);
    }

    /// Moves all keys.
    pub fn move_keys(&self) {
        for key in self.keys() {
            self.move_key(&key);
        }
    }

    /// Moves what is left, and the slot is the new node's; returns when all know it.
    ///
    /// # Panics
    /// When they do not.
    pub fn finish(self) {
        let (slot, id) = (self.slot.to_string(), self.cluster.id(self.to));
        // A key may come to the old node until the slot is closed there.
        loop {
            self.move_keys();
            self.new_node().cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
            if self
                .old_node()
                .try_cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &id])
                .is_ok()
            {
                break;
            }
        }
        eventually_blocking("all nodes know who has the slot", AGREE, || {
            self.cluster.all_know(self.slot, self.to)
        });
    }

    fn old_node(&self) -> &RedisServer {
        self.cluster.node(self.from)
    }

    fn new_node(&self) -> &RedisServer {
        self.cluster.node(self.to)
    }
}
