//! A body that keeps its thread busy, or takes longer than a claim lasts: nobody else gets its call meanwhile.

use std::time::Duration;

use lock_runtime::CallState;
use lock_tests::{Fixture, each_backend};

use crate::support::{Act, Shop, Working, done, ms, no_violation};

/// The shortest that there is.
const LEASE: Duration = ms(500);
/// One that is kept also on a machine that stands still for a second.
const LONGER: Duration = ms(1_500);

#[tokio::test]
async fn a_body_that_takes_longer_than_the_claim_lease_runs_once() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let ticket = shop.store_free(7, "slow", Act::Linger { ms: 4_000 }).await;
        let one = Working::start(shop.worker(fixture.manager()).claim_lease(LONGER));
        shop.until_inside(1).await;
        let two = Working::start(shop.worker(fixture.another_manager()).claim_lease(LONGER));
        let queue = fixture.manager().queue();
        while let Some(call) = queue.get(ticket).await.unwrap() {
            let stands = (call.state(), call.worker(), call.tried());
            assert_eq!(stands, (CallState::Running, Some("one"), 0));
            tokio::time::sleep(ms(20)).await;
        }
        done(fixture.manager(), ticket).await;
        assert_eq!(shop.runs("slow"), 1);
        no_violation(&shop);
        one.stop().await;
        two.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_keeps_one_of_two_threads_busy_keeps_its_claim() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let ticket = shop.store_free(7, "busy", Act::Block { ms: 1_800 }).await;
        let one = Working::start(shop.worker(fixture.manager()).claim_lease(LEASE));
        let two = Working::start(shop.worker(fixture.another_manager()).claim_lease(LEASE));
        done(fixture.manager(), ticket).await;
        assert_eq!(shop.runs("busy"), 1);
        no_violation(&shop);
        one.stop().await;
        two.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_keeps_the_only_thread_busy_keeps_its_claim_on_redis() {
    let fixture = Fixture::redis().await;
    let shop = Shop::on(fixture.manager());
    let ticket = shop.store_free(7, "busy", Act::Block { ms: 1_800 }).await;
    let busy = shop.worker(fixture.another_manager()).claim_lease(LEASE);
    // On a runtime of its own, of one thread.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(busy.run_until(stopped))
    });
    shop.until_begun(1).await;
    let other = Working::start(shop.worker(fixture.manager()).claim_lease(LEASE));
    done(fixture.manager(), ticket).await;
    assert_eq!(shop.runs("busy"), 1);
    no_violation(&shop);
    let _ = stop.send(());
    tokio::task::spawn_blocking(|| thread.join())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    other.stop().await;
}
