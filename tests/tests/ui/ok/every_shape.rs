//! Functions of every shape, under lints that would blame the expansion. What they do when they run is
//! tested in `tests/shapes`.

#![deny(
    warnings,
    unused_qualifications,
    single_use_lifetimes,
    let_underscore_drop,
    unreachable_pub
)]
#![forbid(unsafe_op_in_unsafe_fn)]
#![allow(
    clippy::non_minimal_cfg,
    clippy::too_many_arguments,
    dead_code,
    unused_variables,
    async_fn_in_trait
)]

use lock_runtime::{LockError, distributed_lock};
use std::fmt::{Debug, Display};
use std::pin::Pin;
use std::sync::Arc;

type Answer<T> = Result<T, LockError>;

#[distributed_lock(key = "shape:<id>")]
async fn generic<T: Display, U, const N: usize>(id: T, list: [U; N]) -> Answer<[U; N]>
where
    U: Debug,
{
    Ok(list)
}

#[distributed_lock(key = "shape:<text>")]
async fn elided(text: &str) -> Answer<&str> {
    Ok(text)
}

#[distributed_lock(key = "shape")]
async fn opaque(list: &[impl Debug + Sync], each: impl Fn() + Send) -> Answer<impl Debug> {
    each();
    Ok(1)
}

#[distributed_lock(key = "shape")]
#[allow(improper_ctypes_definitions)]
async extern "C" fn external() -> Answer<u8> {
    Ok(1)
}

/// Documented.
#[distributed_lock(key = "shape")]
#[must_use = "it ships"]
#[inline]
#[doc(hidden)]
async fn with_attributes() -> Answer<u8> {
    #![allow(unused_mut)]
    //! Documented inside.
    let mut n = 1;
    Ok(n)
}

#[distributed_lock(key = "shape")]
async fn diverging() -> Answer<u8> {
    loop {
        std::future::pending::<()>().await;
    }
}

#[distributed_lock(key = "shape")]
async fn unfinished() -> Answer<u8> {
    todo!()
}

#[distributed_lock(key = "shape:<x>:<type>")]
async fn patterns(
    mut n: u8,
    (a, _): (u8, String),
    Wrap { x, .. }: Wrap,
    _: String,
    _b: String,
    [first, .., last]: [u8; 4],
    &c: &u8,
    r#type: u8,
    #[cfg(any())] missing: NoSuchType,
    #[cfg(all())] there: u8,
) -> Answer<u8> {
    n += 1;
    Ok(n + a + x + first + last + c + r#type + there)
}

struct Wrap {
    x: u8,
    y: u8,
}

impl Wrap {
    #[distributed_lock(key = "shape:<self.x>")]
    async fn shared(&self) -> Answer<&Self> {
        Ok(self)
    }
    #[distributed_lock(key = "shape:<self.x>")]
    async fn exclusive(&mut self) -> Answer<&mut u8> {
        self.x += 1;
        Ok(&mut self.x)
    }
    #[distributed_lock(key = "shape:<self.x>")]
    async fn owned(mut self) -> Answer<Self> {
        self.x += 1;
        Ok(self)
    }
    #[distributed_lock(key = "shape:<self.x>")]
    async fn counted(self: Arc<Self>) -> Answer<u8> {
        Ok(self.x)
    }
    #[distributed_lock(key = "shape:<self.x>")]
    async fn pinned(self: Pin<&mut Self>) -> Answer<u8> {
        Ok(self.x)
    }
}

trait Ship {
    async fn ship(&self) -> Answer<u8>;
    #[distributed_lock(key = "shape:default")]
    async fn twice(&self) -> Answer<u8> {
        Ok(self.ship().await? * 2)
    }
}

impl Ship for Wrap {
    #[distributed_lock(key = "shape:<self.x>")]
    async fn ship(&self) -> Answer<u8> {
        Ok(self.y)
    }
}

#[async_trait::async_trait]
trait Boxed {
    async fn ship(&self, id: u64, pair: (u8, u8)) -> Answer<u8>;
    #[distributed_lock(key = "shape:boxed")]
    async fn twice(&self) -> Answer<u8>
    where
        Self: Sync,
    {
        Ok(self.ship(1, (2, 3)).await? * 2)
    }
}

#[async_trait::async_trait]
impl Boxed for Wrap {
    #[distributed_lock(key = "shape:<id>:<a>:<self.x>")]
    async fn ship(&self, id: u64, (a, _): (u8, u8)) -> Answer<u8> {
        Ok(self.y + a)
    }
}

macro_rules! made {
    ($vis:vis $name:ident($arg:ident: $ty:ty) -> $ret:ty $body:block) => {
        #[distributed_lock(key = "shape:<id>")]
        $vis async fn $name($arg: $ty) -> $ret $body
    };
}

made!(pub(crate) made(id: u64) -> Answer<u64> { Ok(id) });

#[distributed_lock(key = "shape:outer")]
#[distributed_lock(key = "shape:inner")]
async fn twice() -> Answer<()> {
    Ok(())
}

#[distributed_lock(key = "shape:<n>")]
async fn recursive(n: u8) -> Answer<u8> {
    if n == 0 {
        Ok(0)
    } else {
        Box::pin(recursive(n - 1)).await
    }
}

fn main() {}
