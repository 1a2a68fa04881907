//! Parameters: patterns, names, attributes.

use crate::run;
use lock_runtime::{LockError, distributed_lock};

type Answer<T> = Result<T, LockError>;

#[test]
fn mutable_parameters() {
    #[distributed_lock(key = "parameters:mut:<n>")]
    async fn ship(mut n: u8, (mut a, b): (u8, u8)) -> Answer<u8> {
        n += 1;
        a += b;
        Ok(n + a)
    }
    assert_eq!(run(ship(1, (2, 3))).unwrap(), 7);
}

#[test]
fn patterns_of_every_kind() {
    struct Point {
        x: u8,
        y: u8,
    }
    struct Wrap(u8, Option<u8>);
    struct Unit;
    #[allow(clippy::too_many_arguments)]
    #[distributed_lock(key = "parameters:<x>/<renamed>:<inner>|<all.0>#<by_ref.len()>")]
    async fn ship(
        Point { x, y: renamed }: Point,
        Wrap(inner, ..): Wrap,
        all @ (one, _): (u8, u8),
        &[first, .., last]: &[u8; 3],
        ref by_ref: String,
        Unit: Unit,
        (): (),
        [a, (b, c)]: [(u8, u8); 2],
        (Ok(either) | Err(either)): Result<u8, u8>,
    ) -> Answer<Vec<u8>> {
        Ok(vec![
            x,
            renamed,
            inner,
            all.1,
            one,
            first,
            last,
            by_ref.len() as u8,
            a.0,
            b,
            c,
            either,
        ])
    }
    let point = Point { x: 1, y: 2 };
    let list = run(ship(
        point,
        Wrap(3, Some(0)),
        (5, 4),
        &[6, 0, 7],
        "12345678".into(),
        Unit,
        (),
        [(9, 0), (10, 11)],
        Err(12),
    ));
    assert_eq!(list.unwrap(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let _ = |wrap: Wrap| wrap.1;
}

#[test]
fn names_that_begin_with_an_underscore() {
    #[distributed_lock(key = "parameters:underscore:<_id>")]
    async fn ship(_id: u8, __call: u8, __body: u8) -> Answer<u8> {
        Ok(__call + __body)
    }
    assert_eq!(run(ship(1, 2, 3)).unwrap(), 5);
}

#[test]
fn names_like_those_of_the_expansion() {
    #[distributed_lock(key = "parameters:collide:<__call>", compensate = undo(__kept, __reason, __output))]
    async fn ship(
        __call: u8,
        __kept: u8,
        __reason: u8,
        __output: u8,
        __ended: u8,
        (__arg5, _): (u8, u8),
    ) -> Answer<u8> {
        let __ret = __call + __kept;
        Ok(__ret + __reason + __output + __ended + __arg5)
    }
    async fn undo(_: u8, _: u8, _: u8) -> Answer<u8> {
        Ok(0)
    }
    assert_eq!(run(ship(1, 2, 3, 4, 5, (6, 7))).unwrap(), 21);
}

#[test]
fn configured_parameters() {
    #[distributed_lock(key = "parameters:cfg:<id>")]
    async fn ship(
        id: u8,
        #[cfg(not(debug_assertions))] only: u8,
        #[cfg(debug_assertions)] only: u8,
        #[cfg(any())] missing: NoSuchType,
        #[cfg(any())] (a, b): NoSuchType,
        #[cfg(any())] _: NoSuchType,
        #[allow(unused_variables)] unused: u8,
        #[cfg(not(doctest))] (c, _): (u8, u8),
    ) -> Answer<u8> {
        Ok(id + only + c)
    }
    assert_eq!(run(ship(1, 2, 3, (4, 5))).unwrap(), 7);
}

#[test]
fn configured_generic_parameters() {
    #[distributed_lock(key = "parameters:cfg-generic")]
    async fn ship<#[cfg(any())] T, #[cfg(not(doctest))] U: Default>() -> Answer<U> {
        Ok(U::default())
    }
    assert_eq!(run(ship::<u8>()).unwrap(), 0);
}

#[test]
fn raw_identifiers() {
    struct Thing {
        r#type: u8,
    }
    impl Thing {
        fn r#match(&self) -> u8 {
            self.r#type
        }
    }
    #[distributed_lock(key = "parameters:raw:<type>/<r#type>:<thing.type>|<thing.r#type>#<thing.match()>")]
    async fn r#async(r#type: u8, thing: Thing) -> Answer<u8> {
        Ok(r#type + thing.r#type)
    }
    #[distributed_lock(key = "parameters:raw:<plain>", compensate = undo(r#type, r#plain))]
    async fn compensated(r#type: String, r#plain: String) -> Answer<usize> {
        Ok(r#type.len() + plain.len())
    }
    async fn undo(_: String, _: String) -> Answer<usize> {
        Ok(0)
    }
    assert_eq!(run(r#async(1, Thing { r#type: 2 })).unwrap(), 3);
    assert_eq!(run(compensated("a".into(), "b".into())).unwrap(), 2);
}

#[test]
fn arguments_are_moved_into_the_future() {
    #[distributed_lock(key = "parameters:moved")]
    async fn ship(text: String) -> Answer<String> {
        Ok(text)
    }
    let future = ship(String::from("moved"));
    assert_eq!(run(future).unwrap(), "moved");
}

#[test]
fn a_guard_as_a_parameter() {
    #[distributed_lock(key = "parameters:guard")]
    #[allow(clippy::await_holding_lock)]
    async fn ship(guard: std::sync::MutexGuard<'_, u8>) -> Answer<u8> {
        Ok(*guard)
    }
    assert_eq!(run(ship(std::sync::Mutex::new(1).lock().unwrap())).unwrap(), 1);
}
