//! Section 8: the manager itself: the installed one, the builder, namespaces and owners.

use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use lock_runtime::{Fence, LockError, LockManager, distributed_lock};
use lock_tests::process::{Owned, command};
use lock_tests::{Fixture, each_backend, eventually_blocking};

use crate::support::{SOON, held, key_here, lease_here, ms, runtime};

/// Runs a test's body in a process of its own, because what is installed stays installed.
///
/// The process is this test binary, told to run this one test alone.
pub(crate) fn in_its_own_process(test: &str, body: impl AsyncFnOnce()) {
    const CHILD: &str = "LOCK_BEHAVIOUR_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return runtime().block_on(body());
    }
    let mut child = command(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]).env(CHILD, "1");
    child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Owned::spawn(child);
    let mut status = None;
    eventually_blocking("the child ends", SOON * 6, || {
        status = child.ended();
        status.is_some()
    });
    let mut output = String::new();
    child
        .child()
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut output)
        .unwrap();
    child
        .child()
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut output)
        .unwrap();
    assert!(status.unwrap().success() && output.contains("1 passed"), "{output}");
}

#[distributed_lock(key = "job:<id>")]
async fn on_the_installed(id: u64) -> Result<String, LockError> {
    Ok(key_here())
}

#[distributed_lock(key = "job:<id>", on_conflict = "skip")]
async fn skips_on_the_installed(id: u64) -> Result<(), LockError> {
    panic!("there is no manager")
}

#[test]
fn without_a_manager_a_call_is_an_error_of_its_own_and_the_body_does_not_run() {
    in_its_own_process(
        "manager::without_a_manager_a_call_is_an_error_of_its_own_and_the_body_does_not_run",
        async || {
            assert!(LockManager::installed().is_none());
            let error = on_the_installed(7).await.unwrap_err();
            assert!(matches!(error, LockError::NoManager { .. }), "{error:?}");
            assert!(!error.is_conflict() && !error.is_unavailable(), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("install"), "it says what to do: {text}");
            assert!(text.contains("job:7"), "it names the key: {text}");
            let error = skips_on_the_installed(7).await.unwrap_err();
            assert!(matches!(error, LockError::NoManager { .. }), "{error:?}");
        },
    );
}

#[test]
fn an_installed_manager_is_the_one_of_functions_that_name_none() {
    in_its_own_process(
        "manager::an_installed_manager_is_the_one_of_functions_that_name_none",
        async || {
            let locks = LockManager::in_memory();
            locks.install().unwrap();
            assert_eq!(on_the_installed(7).await.unwrap(), "job:7");
            let guard = locks.lock("job:7").acquire().await.unwrap();
            assert!(on_the_installed(7).await.unwrap_err().is_conflict());
            guard.release().await.unwrap();
            let installed = LockManager::installed().unwrap();
            let _guard = installed.lock("job:7").acquire().await.unwrap();
            assert!(on_the_installed(7).await.unwrap_err().is_conflict());
            assert!(held(&locks, "job:7").await);
        },
    );
}

#[test]
fn a_second_install_is_an_error_and_the_first_manager_stays() {
    in_its_own_process(
        "manager::a_second_install_is_an_error_and_the_first_manager_stays",
        async || {
            let (first, second) = (LockManager::in_memory(), LockManager::in_memory());
            first.install().unwrap();
            let error = second.install().unwrap_err();
            assert!(matches!(error, LockError::AlreadyInstalled), "{error:?}");
            assert!(error.to_string().contains("install"), "{error}");
            let _guard = first.lock("job:7").acquire().await.unwrap();
            assert!(on_the_installed(7).await.unwrap_err().is_conflict());
            assert!(!held(&second, "job:7").await);
        },
    );
}

#[test]
fn a_named_manager_goes_before_the_installed_one() {
    #[distributed_lock(key = "job:<id>", manager = locks)]
    async fn on(locks: &LockManager, id: u64) -> Result<(), LockError> {
        Ok(())
    }
    in_its_own_process("manager::a_named_manager_goes_before_the_installed_one", async || {
        let (installed, named) = (LockManager::in_memory(), LockManager::in_memory());
        installed.install().unwrap();
        let _guard = installed.lock("job:7").acquire().await.unwrap();
        on(&named, 7).await.unwrap();
        assert!(on(&installed, 7).await.unwrap_err().is_conflict());
    });
}

#[tokio::test]
async fn the_manager_of_a_function_is_anything_that_has_one() {
    struct Shop {
        locks: LockManager,
    }
    impl AsRef<LockManager> for Shop {
        fn as_ref(&self) -> &LockManager {
            &self.locks
        }
    }
    impl Shop {
        fn locks(&self) -> &LockManager {
            &self.locks
        }
        #[distributed_lock(key = "job", manager = self.locks)]
        async fn by_field(&self) -> Result<Fence, LockError> {
            Ok(lease_here().fence())
        }
        #[distributed_lock(key = "job", manager = self.locks())]
        async fn by_method(&self) -> Result<Fence, LockError> {
            Ok(lease_here().fence())
        }
        #[distributed_lock(key = "job", manager = &self.locks)]
        async fn by_reference(&self) -> Result<Fence, LockError> {
            Ok(lease_here().fence())
        }
        #[distributed_lock(key = "job", manager = self)]
        async fn by_as_ref(&self) -> Result<Fence, LockError> {
            Ok(lease_here().fence())
        }
    }
    #[distributed_lock(key = "job", manager = shop.clone())]
    async fn by_arc(shop: std::sync::Arc<LockManager>) -> Result<Fence, LockError> {
        Ok(lease_here().fence())
    }
    each_backend(async |fixture: Fixture| {
        let shop = Shop {
            locks: fixture.manager().clone(),
        };
        shop.by_field().await.unwrap();
        shop.by_method().await.unwrap();
        shop.by_reference().await.unwrap();
        shop.by_as_ref().await.unwrap();
        by_arc(std::sync::Arc::new(fixture.manager().clone())).await.unwrap();
        let _held = fixture.manager().lock("job").acquire().await.unwrap();
        assert!(shop.by_as_ref().await.unwrap_err().is_conflict());
    })
    .await;
}

#[test]
fn a_manager_is_cheap_to_clone_and_crosses_threads() {
    fn crosses<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    crosses::<LockManager>();
    assert!(std::mem::size_of::<LockManager>() <= 2 * std::mem::size_of::<usize>());
}

#[tokio::test]
async fn a_clone_is_the_same_manager() {
    each_backend(async |fixture: Fixture| {
        let clone = fixture.manager().clone();
        let _held = clone.lock("job").acquire().await.unwrap();
        assert!(held(fixture.manager(), "job").await);
        assert!(fixture.manager().lock("job").try_acquire().await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn every_manager_in_memory_has_locks_of_its_own() {
    let (one, two) = (LockManager::in_memory(), LockManager::in_memory());
    let _held = one.lock("job").acquire().await.unwrap();
    assert!(two.lock("job").try_acquire().await.unwrap().is_some());
}

#[tokio::test]
async fn namespaces_keep_locks_apart() {
    each_backend(async |fixture: Fixture| {
        let builder = || fixture.builder();
        let shop = builder().namespace("shop:").connect().await.unwrap();
        let same = builder().namespace("shop:").connect().await.unwrap();
        let none = builder().namespace("").connect().await.unwrap();
        let _held = shop.lock("job").acquire().await.unwrap();
        assert!(held(&same, "job").await);
        assert!(!held(fixture.manager(), "job").await);
        assert!(!held(&none, "job").await);
        assert!(
            held(&none, "shop:job").await,
            "the namespace is put in front, and that is all"
        );
    })
    .await;
}

#[tokio::test]
async fn without_a_namespace_it_is_lock() {
    each_backend(async |fixture: Fixture| {
        let none = fixture.builder().namespace("").connect().await.unwrap();
        let _held = fixture.manager().lock("job").acquire().await.unwrap();
        assert!(held(&none, "lock:job").await);
    })
    .await;
}

#[tokio::test]
async fn without_a_label_the_owner_is_the_host_and_the_process() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.builder().connect().await.unwrap();
        let _held = locks.lock("job").acquire().await.unwrap();
        let holder = locks.inspect("job").await.unwrap().unwrap();
        let (host, process) = holder.owner().rsplit_once(':').unwrap();
        assert!(!host.is_empty(), "{holder:?}");
        assert_eq!(process, std::process::id().to_string());
    })
    .await;
}

#[tokio::test]
async fn the_builder_refuses_defaults_that_make_no_sense() {
    each_backend(async |fixture: Fixture| {
        for ttl in [Duration::ZERO, ms(99), Duration::MAX] {
            let error = fixture.builder().default_ttl(ttl).connect().await.unwrap_err();
            assert!(matches!(error, LockError::InvalidOption { .. }), "{ttl:?}: {error:?}");
            assert!(error.to_string().contains("ttl"), "it names the option: {error}");
        }
    })
    .await;
}
