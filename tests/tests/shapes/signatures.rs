//! Signatures: generics, lifetimes, return types, qualifiers, visibility, attributes.

use crate::{locked, run};
use lock_runtime::{LockError, distributed_lock};
use std::fmt::{Debug, Display};
use std::marker::PhantomData;

type Answer<T> = Result<T, LockError>;

#[test]
fn generic_functions() {
    #[distributed_lock(key = "signatures:generic:<id>")]
    async fn ship<T: Display, U>(id: T, list: Vec<U>) -> Result<usize, LockError>
    where
        U: Debug + Clone,
    {
        assert!(locked());
        Ok(list.clone().len() + id.to_string().len())
    }
    assert_eq!(run(ship(10, vec![1, 2])).unwrap(), 4);
    assert_eq!(run(ship("a", Vec::<String>::new())).unwrap(), 1);
}

#[test]
fn const_generics() {
    #[distributed_lock(key = "signatures:const-generics")]
    async fn ship<const N: usize, const LOUD: bool>(list: [u8; N]) -> Answer<usize> {
        Ok(if LOUD { list.len() * 2 } else { N })
    }
    assert_eq!(run(ship::<3, true>([1, 2, 3])).unwrap(), 6);
}

#[test]
fn elided_named_and_anonymous_lifetimes() {
    struct Borrowed<'a>(&'a str);
    #[distributed_lock(key = "signatures:elided:<text>")]
    async fn elided(text: &str) -> Answer<&str> {
        Ok(text)
    }
    #[distributed_lock(key = "signatures:named")]
    async fn named<'a, 'b: 'a>(one: &'a str, _other: &'b str) -> Answer<&'a str> {
        Ok(one)
    }
    #[distributed_lock(key = "signatures:anonymous:<text.0>")]
    async fn anonymous(text: Borrowed<'_>) -> Answer<Borrowed<'_>> {
        Ok(text)
    }
    let text = String::from("text");
    assert_eq!(run(elided(&text)).unwrap(), "text");
    assert_eq!(run(named(&text, "other")).unwrap(), "text");
    assert_eq!(run(anonymous(Borrowed(&text))).unwrap().0, "text");
}

#[test]
fn impl_trait_as_argument() {
    #[distributed_lock(key = "signatures:impl-argument:<id>")]
    async fn ship(id: impl Display + Send, list: &[impl Debug]) -> Answer<String> {
        Ok(format!("{id}{list:?}"))
    }
    assert_eq!(run(ship(1, &[2])).unwrap(), "1[2]");
}

#[test]
fn impl_trait_as_result() {
    #[distributed_lock(key = "signatures:impl-result")]
    async fn inside(n: u8) -> Result<impl Iterator<Item = u8>, LockError> {
        Ok((0..n).rev())
    }
    assert_eq!(run(inside(3)).unwrap().collect::<Vec<_>>(), [2, 1, 0]);
}

#[test]
fn an_alias_of_result() {
    #[distributed_lock(key = "signatures:alias")]
    async fn ship() -> Answer<()> {
        Ok(())
    }
    mod io {
        pub(super) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
    }
    #[distributed_lock(key = "signatures:alias")]
    async fn boxed() -> io::Result<u8> {
        Ok("7".parse()?)
    }
    run(ship()).unwrap();
    assert_eq!(run(boxed()).unwrap(), 7);
}

#[test]
fn a_function_that_can_only_fail() {
    #[distributed_lock(key = "signatures:infallible")]
    async fn ship() -> Result<std::convert::Infallible, Failure> {
        Err(Failure)?
    }
    #[derive(Debug)]
    struct Failure;
    impl From<LockError> for Failure {
        fn from(_: LockError) -> Failure {
            Failure
        }
    }
    assert!(run(ship()).is_err());
}

#[test]
fn extern_and_visibility() {
    mod inner {
        use super::Answer;
        use lock_runtime::distributed_lock;
        pub(super) mod deep {
            use super::Answer;
            use lock_runtime::distributed_lock;
            #[distributed_lock(key = "signatures:in-path")]
            pub(in crate::signatures) async fn in_path() -> Answer<u8> {
                Ok(1)
            }
        }
        #[distributed_lock(key = "signatures:crate")]
        pub(crate) async fn in_crate() -> Answer<u8> {
            Ok(2)
        }
        #[distributed_lock(key = "signatures:extern")]
        #[allow(improper_ctypes_definitions)] // a future has no C equivalent
        pub(super) async extern "C" fn external() -> Answer<u8> {
            Ok(3)
        }
    }
    let sum = run(async {
        let abi: extern "C" fn() -> _ = inner::external;
        inner::deep::in_path().await.unwrap() + inner::in_crate().await.unwrap() + abi().await.unwrap()
    });
    assert_eq!(sum, 6);
}

#[test]
fn inner_attributes_and_documentation_in_the_body() {
    #[distributed_lock(key = "signatures:inner")]
    #[deny(unused_variables)]
    async fn ship(n: u8) -> Answer<u8> {
        #![allow(unused_variables)]
        //! Documentation from the inside.
        let unused = 1;
        Ok(n)
    }
    assert_eq!(run(ship(2)).unwrap(), 2);
}

#[test]
fn attributes_of_the_function_still_work() {
    #[distributed_lock(key = "signatures:deprecated")]
    #[deprecated = "for the test"]
    #[inline]
    async fn old() -> Answer<u8> {
        Ok(1)
    }
    #[distributed_lock(key = "signatures:dead")]
    #[expect(dead_code)]
    async fn dead() -> Answer<u8> {
        Ok(1)
    }
    #[expect(deprecated)]
    let old = old();
    assert_eq!(run(old).unwrap(), 1);
}

#[test]
fn a_generic_type_of_the_impl_in_the_return_type() {
    struct Store<T>(PhantomData<T>);
    impl<T: Default> Store<T> {
        #[distributed_lock(key = "signatures:impl-generic")]
        async fn make(&self) -> Answer<(T, &Self)> {
            Ok((T::default(), self))
        }
    }
    assert_eq!(run(Store::<u8>(PhantomData).make()).unwrap().0, 0);
}

#[test]
fn the_future_is_send_where_the_plain_one_is() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    #[distributed_lock(key = "signatures:send:<text>")]
    async fn ship<T: Sync>(text: &str, list: &[T]) -> Answer<usize> {
        tokio::task::yield_now().await;
        Ok(text.len() + list.len())
    }
    assert_eq!(run(is_send(ship("a", &[1]))).unwrap(), 2);
}
