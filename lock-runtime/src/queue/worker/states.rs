//! What a worker lends to the functions that it runs: one value of each type.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

/// Cheap to clone: all runs share the values.
#[derive(Clone, Default)]
pub(in crate::queue) struct States(Arc<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl States {
    /// And `value`, instead of another one of its type.
    pub(in crate::queue) fn with<T: Any + Send + Sync>(mut self, value: T) -> Self {
        Arc::make_mut(&mut self.0).insert(TypeId::of::<T>(), Arc::new(value));
        self
    }

    pub(in crate::queue) fn has(&self, id: TypeId) -> bool {
        self.0.contains_key(&id)
    }

    pub(in crate::queue) fn get<T: Any>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }
}
