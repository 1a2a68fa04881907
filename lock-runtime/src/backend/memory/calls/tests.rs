//! The suite for all stores.

use std::sync::Arc;

use crate::backend::memory::MemoryBackend;
use crate::backend::queue::tests::{Place, conformance};

conformance!(place);

async fn place() -> Place {
    Place::new(Arc::new(MemoryBackend::private()), ())
}
