//! Bodies: inference, coercions, early returns, items, recursion.

use crate::{locked, run};
use lock_runtime::{LockError, distributed_lock};
use std::fmt::Debug;

#[derive(Debug)]
enum ShopError {
    Lock { _source: LockError },
    Parse,
}

impl From<LockError> for ShopError {
    fn from(error: LockError) -> ShopError {
        ShopError::Lock { _source: error }
    }
}

impl From<std::num::ParseIntError> for ShopError {
    fn from(_: std::num::ParseIntError) -> ShopError {
        ShopError::Parse
    }
}

type Answer<T> = Result<T, ShopError>;

#[test]
fn early_returns_coerce_as_in_the_plain_function() {
    #[distributed_lock(key = "body:coerce")]
    async fn ship(early: bool) -> Result<Box<dyn Debug>, Box<dyn std::error::Error>> {
        if early {
            return Ok(Box::new(1));
        }
        Ok(Box::new("x"))
    }
    #[distributed_lock(key = "body:coerce")]
    async fn slice(early: bool) -> Answer<&'static [u8]> {
        if early {
            return Ok(&[1, 2]);
        }
        Ok(&[])
    }
    assert_eq!(format!("{:?}", run(ship(true)).unwrap()), "1");
    assert_eq!(format!("{:?}", run(ship(false)).unwrap()), "\"x\"");
    assert_eq!(run(slice(true)).unwrap(), [1, 2]);
}

#[test]
fn question_marks_convert() {
    #[distributed_lock(key = "body:question")]
    async fn ship(text: &str) -> Answer<u8> {
        let number = text.parse()?;
        Ok(number)
    }
    assert_eq!(run(ship("7")).unwrap(), 7);
    assert!(matches!(run(ship("x")), Err(ShopError::Parse)));
}

#[test]
fn inference_reaches_into_the_body() {
    #[distributed_lock(key = "body:inference")]
    async fn ship() -> Answer<Vec<u16>> {
        let mut list = Vec::new();
        if let Ok(n) = "1".parse() {
            list.push(n);
        }
        Ok(list.into_iter().collect())
    }
    assert_eq!(run(ship()).unwrap(), [1]);
}

#[test]
fn bodies_that_diverge() {
    #[distributed_lock(key = "body:loop")]
    async fn ship(mut n: u8) -> Answer<u8> {
        loop {
            n += 1;
            if n > 3 {
                return Ok(n);
            }
            tokio::task::yield_now().await;
        }
    }
    #[distributed_lock(key = "body:todo")]
    #[allow(clippy::todo)]
    async fn unfinished() -> Answer<u8> {
        todo!()
    }
    assert_eq!(run(ship(1)).unwrap(), 4);
    let _ = unfinished;
}

#[test]
fn items_constants_and_imports_in_the_body() {
    #[distributed_lock(key = "body:items")]
    async fn ship() -> Answer<usize> {
        use std::collections::BTreeMap;
        const SIZE: usize = 2;
        struct Local;
        fn helper(_: Local) -> usize {
            SIZE
        }
        let map = BTreeMap::from([(1, helper(Local))]);
        Ok(map[&1])
    }
    assert_eq!(run(ship()).unwrap(), 2);
}

#[test]
fn an_import_in_the_body_that_shadows_the_types_of_the_signature() {
    mod kinds {
        #[derive(Debug)]
        #[allow(clippy::enum_variant_names)]
        pub(super) enum Kinds {
            Answer,
        }
    }
    #[distributed_lock(key = "body:shadow")]
    async fn ship() -> Answer<String> {
        use kinds::Kinds::*;
        Ok(format!("{:?}", Answer))
    }
    assert_eq!(run(ship()).unwrap(), "Answer");
}

#[test]
fn recursion_with_other_keys() {
    #[distributed_lock(key = "body:recursion:<n>")]
    async fn count(n: u8) -> Answer<u8> {
        assert!(locked());
        if n == 0 {
            return Ok(0);
        }
        Ok(Box::pin(count(n - 1)).await? + 1)
    }
    #[distributed_lock(key = "body:even:<n>")]
    async fn even(n: u8) -> Answer<bool> {
        if n == 0 { Ok(true) } else { Box::pin(odd(n - 1)).await }
    }
    #[distributed_lock(key = "body:odd:<n>")]
    async fn odd(n: u8) -> Answer<bool> {
        if n == 0 { Ok(false) } else { Box::pin(even(n - 1)).await }
    }
    assert_eq!(run(count(5)).unwrap(), 5);
    assert!(run(even(4)).unwrap());
}

#[test]
fn closures_and_loops_with_labels() {
    #[distributed_lock(key = "body:closures")]
    async fn ship(list: Vec<u8>) -> Answer<u8> {
        let add = |a: u8, b: u8| a + b;
        let sum = 'outer: loop {
            for n in &list {
                if *n > 2 {
                    break 'outer list.iter().copied().fold(0, add);
                }
            }
            if list.is_empty() {
                break 0;
            }
        };
        let later = async move { sum * 2 };
        Ok(later.await)
    }
    assert_eq!(run(ship(vec![1, 2, 3])).unwrap(), 12);
}

#[test]
fn a_body_of_one_expression() {
    #[distributed_lock(key = "body:one")]
    async fn ship() -> Answer<u8> {
        Ok(1)
    }
    assert_eq!(run(ship()).unwrap(), 1);
}

#[test]
fn select_and_join_over_locked_functions() {
    #[distributed_lock(key = "body:join:<n>")]
    async fn ship(n: u8) -> Answer<u8> {
        tokio::task::yield_now().await;
        Ok(n)
    }
    let (a, b) = run(async { tokio::join!(ship(1), ship(2)) });
    assert_eq!(a.unwrap() + b.unwrap(), 3);
}
