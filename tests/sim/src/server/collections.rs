//! Sorted sets and hashes: as much of them as the line of those who wait for a lock needs.

use std::collections::BTreeMap;

use super::store::{Value, View, WRONG_TYPE};

const NO_FLOAT: &str = "ERR value is not a valid float";

macro_rules! found {
    ($view:ident, $key:ident, $kind:ident) => {
        match $view.value($key) {
            None => None,
            Some(Value::$kind(found)) => Some(found),
            Some(_) => return Err(WRONG_TYPE.to_owned()),
        }
    };
}

impl View<'_> {
    /// ZADD of one member, NX or not: how many are new. Scores are whole numbers.
    pub(super) fn zadd(&mut self, key: &[u8], score: &[u8], member: &[u8], only_new: bool) -> Result<i64, String> {
        self.need_memory()?;
        let score = str::from_utf8(score).ok().and_then(|text| text.parse::<i64>().ok());
        let score = score.ok_or(NO_FLOAT)?;
        match found!(self, key, Sorted) {
            None => {
                let sorted = BTreeMap::from([(member.to_vec(), score)]);
                self.put(key, Value::Sorted(sorted));
                Ok(1)
            }
            Some(sorted) if only_new && sorted.contains_key(member) => Ok(0),
            Some(sorted) => Ok(sorted.insert(member.to_vec(), score).is_none().into()),
        }
    }

    /// ZRANGE key 0 -1: all members in their order.
    pub(super) fn zrange(&mut self, key: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let Some(sorted) = found!(self, key, Sorted) else {
            return Ok(Vec::new());
        };
        let mut members: Vec<_> = sorted.iter().map(|(member, score)| (*score, member.clone())).collect();
        members.sort();
        Ok(members.into_iter().map(|(_, member)| member).collect())
    }

    /// ZPOPMIN: the first member, which is removed.
    pub(super) fn zpopmin(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.need_no_memory();
        let first = self.zrange(key)?.into_iter().next();
        if let Some(first) = &first {
            self.zrem(key, first)?;
        }
        Ok(first)
    }

    /// ZREM of one member: how many there were.
    pub(super) fn zrem(&mut self, key: &[u8], member: &[u8]) -> Result<i64, String> {
        self.need_no_memory();
        let Some(sorted) = found!(self, key, Sorted) else {
            return Ok(0);
        };
        let removed = sorted.remove(member).is_some();
        if sorted.is_empty() {
            self.del(key);
        }
        Ok(removed.into())
    }

    /// HSET of one field: how many are new.
    pub(super) fn hset(&mut self, key: &[u8], field: &[u8], value: &[u8]) -> Result<i64, String> {
        self.need_memory()?;
        match found!(self, key, Hash) {
            None => {
                let hash = BTreeMap::from([(field.to_vec(), value.to_vec())]);
                self.put(key, Value::Hash(hash));
                Ok(1)
            }
            Some(hash) => Ok(hash.insert(field.to_vec(), value.to_vec()).is_none().into()),
        }
    }

    /// HGET.
    pub(super) fn hget(&mut self, key: &[u8], field: &[u8]) -> Result<Option<Vec<u8>>, String> {
        Ok(found!(self, key, Hash).and_then(|hash| hash.get(field).cloned()))
    }

    /// HDEL of one field: how many there were.
    pub(super) fn hdel(&mut self, key: &[u8], field: &[u8]) -> Result<i64, String> {
        self.need_no_memory();
        let Some(hash) = found!(self, key, Hash) else {
            return Ok(0);
        };
        let removed = hash.remove(field).is_some();
        if hash.is_empty() {
            self.del(key);
        }
        Ok(removed.into())
    }
}
