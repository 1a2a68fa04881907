//! Lists: as much of them as the line of those who wait for a lock needs.

use super::store::{Value, View, WRONG_TYPE};

impl View<'_> {
    fn list(&mut self, key: &[u8]) -> Result<Option<&mut Vec<Vec<u8>>>, String> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list)),
            Some(Value::Text(_)) => Err(WRONG_TYPE.to_owned()),
        }
    }

    /// There is no empty list.
    fn without_if_empty(&mut self, key: &[u8]) {
        if matches!(self.value(key), Some(Value::List(list)) if list.is_empty()) {
            self.del(key);
        }
    }

    /// RPUSH of one value: how many there are.
    pub(super) fn rpush(&mut self, key: &[u8], value: &[u8]) -> Result<i64, String> {
        self.need_memory()?;
        let count = match self.list(key)? {
            Some(list) => {
                list.push(value.to_vec());
                list.len()
            }
            None => {
                self.put(key, Value::List(vec![value.to_vec()]));
                1
            }
        };
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// LRANGE key 0 -1: all of them.
    pub(super) fn lrange(&mut self, key: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        Ok(self.list(key)?.map_or_else(Vec::new, |list| list.clone()))
    }

    /// LSET of one that is there.
    pub(super) fn lset(&mut self, key: &[u8], index: usize, value: &[u8]) -> Result<(), String> {
        self.need_memory()?;
        let place = self.list(key)?.ok_or("ERR no such key")?.get_mut(index);
        *place.ok_or("ERR index out of range")? = value.to_vec();
        Ok(())
    }

    /// LPOP: the first one, which is removed.
    pub(super) fn lpop(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.need_no_memory();
        let first = match self.list(key)? {
            Some(list) if !list.is_empty() => Some(list.remove(0)),
            _ => None,
        };
        self.without_if_empty(key);
        Ok(first)
    }

    /// LREM of the first that is like this.
    pub(super) fn lrem(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        self.need_no_memory();
        if let Some(list) = self.list(key)?
            && let Some(index) = list.iter().position(|other| other == value)
        {
            list.remove(index);
        }
        self.without_if_empty(key);
        Ok(())
    }
}
