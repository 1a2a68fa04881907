//! Receivers and `Self`, in plain impls, in traits and under `#[async_trait]`.

use crate::{locked, run};
use lock_runtime::{LockError, distributed_lock};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Shop(u64);

impl Shop {
    #[distributed_lock(key = "receivers:<self.0>")]
    async fn shared(&self) -> Result<u64, LockError> {
        assert!(locked());
        Ok(self.0)
    }
    #[distributed_lock(key = "receivers:<self.0>")]
    async fn exclusive(&mut self) -> Result<&mut Self, LockError> {
        self.0 += 1;
        tokio::task::yield_now().await;
        Ok(self)
    }
    #[distributed_lock(key = "receivers:<self.0>")]
    async fn owned(self) -> Result<Self, LockError> {
        Ok(self)
    }
    #[distributed_lock(key = "receivers:<self.0>")]
    async fn owned_mut(mut self) -> Result<Self, LockError> {
        self.0 += 1;
        Ok(self)
    }
    #[distributed_lock(key = "receivers:<self.0>")]
    #[allow(clippy::needless_arbitrary_self_type)]
    async fn typed(self: &Self) -> Result<u64, LockError> {
        Ok(self.0)
    }
    #[distributed_lock(key = "receivers:<self.0>")]
    async fn arc(self: Arc<Self>) -> Result<u64, LockError> {
        Ok(self.0)
    }
    #[distributed_lock(key = "receivers:<self.0>")]
    async fn mut_rc(mut self: Rc<Self>) -> Result<u64, LockError> {
        Rc::make_mut(&mut self).0 += 1;
        Ok(self.0)
    }
    #[distributed_lock(key = "receivers:<self.0>")]
    async fn pinned(mut self: Pin<&mut Self>) -> Result<u64, LockError> {
        self.0 += 1;
        Ok(self.0)
    }
    #[distributed_lock(key = "receivers:none")]
    async fn none() -> Result<Self, LockError> {
        let Self(zero) = Self(0);
        Ok(Self(zero))
    }
}

#[test]
fn every_receiver() {
    run(async {
        let mut shop = Shop(1);
        assert_eq!(shop.shared().await.unwrap(), 1);
        assert_eq!(shop.exclusive().await.unwrap().0, 2);
        assert_eq!(shop.typed().await.unwrap(), 2);
        assert_eq!(Pin::new(&mut shop).pinned().await.unwrap(), 3);
        assert_eq!(shop.clone().owned().await.unwrap(), shop);
        assert_eq!(shop.owned_mut().await.unwrap(), Shop(4));
        assert_eq!(Arc::new(Shop(5)).arc().await.unwrap(), 5);
        assert_eq!(Rc::new(Shop(5)).mut_rc().await.unwrap(), 6);
        assert_eq!(Shop::none().await.unwrap(), Shop(0));
    });
}

#[test]
fn self_in_macros_paths_and_nested_items() {
    struct Local(u64);
    impl Local {
        #[distributed_lock(key = format!("receivers:{}", self.0))]
        async fn nested(&self) -> Result<String, LockError> {
            struct Inner(u64);
            impl Inner {
                fn value(&self) -> u64 {
                    self.0
                }
            }
            macro_rules! value {
                () => {
                    self.0
                };
            }
            let inner = Inner(self::function::double(value!()));
            Ok(format!("{} {}", inner.value(), self.0))
        }
    }
    assert_eq!(run(Local(2).nested()).unwrap(), "4 2");
}

// For `self::function` above.
mod function {
    pub(super) fn double(n: u64) -> u64 {
        n * 2
    }
}

#[test]
fn trait_methods_and_default_methods() {
    trait Ship {
        async fn ship(&self, id: u64) -> Result<u64, LockError>;
        #[distributed_lock(key = "receivers:default:<id>")]
        async fn twice(&self, id: u64) -> Result<u64, LockError> {
            Ok(self.ship(id).await? * 2)
        }
    }
    impl Ship for Shop {
        #[distributed_lock(key = "receivers:trait:<self.0>:<id>")]
        async fn ship(&self, id: u64) -> Result<u64, LockError> {
            assert!(locked());
            Ok(self.0 + id)
        }
    }
    assert_eq!(run(Shop(1).twice(2)).unwrap(), 6);
}

#[async_trait::async_trait]
trait Boxed: Sync {
    async fn plain(&self, id: u64) -> Result<u64, LockError>;
    async fn patterns(&self, ab: (u64, &str), cd: &[u64; 2], text: String) -> Result<String, LockError>;
    async fn by_mut<'a>(&'a mut self, mut by: u64) -> Result<&'a mut u64, LockError>;
    #[distributed_lock(key = "receivers:async-trait:default:<id>")]
    async fn default<T: Send + 'static>(&self, id: u64, value: T) -> Result<(u64, T), LockError>
    where
        T: Clone,
    {
        Ok((self.plain(id).await?, value.clone()))
    }
}

#[async_trait::async_trait]
impl Boxed for Shop {
    #[distributed_lock(key = "receivers:async-trait:<id>:<self.0>")]
    async fn plain(&self, id: u64) -> Result<u64, LockError> {
        tokio::task::yield_now().await;
        assert!(locked());
        if id == 0 {
            return Ok(0);
        }
        Ok(self.0 + id)
    }

    #[distributed_lock(key = "receivers:async-trait:<a>:<b>:<c>")]
    async fn patterns(&self, (a, b): (u64, &str), [c, _]: &[u64; 2], _: String) -> Result<String, LockError> {
        assert!(locked());
        Ok(format!("{a}{b}{c}"))
    }

    #[distributed_lock(key = "receivers:async-trait:mut")]
    async fn by_mut<'a>(&'a mut self, mut by: u64) -> Result<&'a mut u64, LockError> {
        by += 1;
        self.0 += by;
        Ok(&mut self.0)
    }
}

#[test]
fn methods_under_async_trait() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    run(async {
        let mut shop = Shop(1);
        let object: &dyn Boxed2 = &shop;
        assert_eq!(object.id().await.unwrap(), 1);
        assert_eq!(is_send(shop.plain(2)).await.unwrap(), 3);
        assert_eq!(shop.patterns((1, "b"), &[2, 3], String::new()).await.unwrap(), "1b2");
        assert_eq!(*shop.by_mut(1).await.unwrap(), 3);
        assert_eq!(shop.default(2, "x").await.unwrap(), (5, "x"));
    });
}

#[async_trait::async_trait(?Send)]
trait Boxed2 {
    async fn id(&self) -> Result<u64, LockError>;
}

#[async_trait::async_trait(?Send)]
impl Boxed2 for Shop {
    #[distributed_lock(key = "receivers:async-trait:local")]
    async fn id(&self) -> Result<u64, LockError> {
        let local = Rc::new(self.0);
        tokio::task::yield_now().await;
        Ok(*local)
    }
}
