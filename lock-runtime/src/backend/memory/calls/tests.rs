//! The suite for all stores, and how long a store lives.

use std::sync::Arc;
use std::time::Duration;

use super::super::store::Store;
use crate::backend::Backend;
use crate::backend::memory::MemoryBackend;
use crate::backend::queue::tests::{Place, call, conformance};

conformance!(place);

async fn place() -> Place {
    Place::new(Arc::new(MemoryBackend::private()), ())
}

#[tokio::test]
async fn a_named_store_outlives_its_users_as_long_as_it_has_calls() {
    const WITHIN: Duration = Duration::from_secs(10);
    let named = || MemoryBackend::named("it-has-calls");
    let store = {
        let (user, another) = (named(), named());
        assert!(Arc::ptr_eq(&user.store, &another.store));
        Arc::downgrade(&user.store)
    };
    assert_eq!(store.strong_count(), 0, "without calls it goes with its last user");

    let call = call("k");
    let store = {
        let user = named();
        let calls = user.calls("shop:").unwrap();
        calls.store(&call, WITHIN).await.unwrap();
        Arc::downgrade(&user.store)
    };
    assert_eq!(store.strong_count(), 1, "nobody has it, and it is there");
    {
        let user = named();
        assert!(std::ptr::eq(
            Arc::as_ptr(&user.store),
            std::sync::Weak::<Store>::as_ptr(&store)
        ));
        let calls = user.calls("shop:").unwrap();
        assert_eq!(calls.census(WITHIN).await.unwrap().due, 1);
        calls.cancel(call.id, WITHIN).await.unwrap();
    }
    assert_eq!(store.strong_count(), 0, "the last call has ended");
}
