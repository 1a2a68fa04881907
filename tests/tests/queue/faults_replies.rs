//! The server acted and its reply never came, at each request of a call's life and of each thing an operator does:
//! stored once, run once, ended as it was.

use std::time::{Duration, Instant};

use lock_runtime::{CallEnd, CallState, Cancellation, LockManager, Ticket};
use lock_tests::{Proxy, RedisServer};

use crate::functions::{ship, ship_stubbornly};
use crate::support::{ANSWER, Act, SOON, Shop, Working, counts, dead, end, hold, ms, no_violation, soon, waiting};

/// How many lives are lived side by side.
const LIVES: usize = 8;

/// A way to a namespace that loses replies, and one that does not.
struct Ways {
    proxy: Proxy,
    watched: LockManager,
    direct: LockManager,
}

impl Ways {
    async fn to(server: &RedisServer, namespace: &str) -> Ways {
        let proxy = Proxy::to(server);
        let connect = async |url: String| {
            let builder = LockManager::builder().url(url).namespace(namespace);
            builder.connect().await.unwrap()
        };
        Ways {
            watched: connect(proxy.url()).await,
            direct: connect(server.url()).await,
            proxy,
        }
    }

    /// Everything that an operator does, once: from now on the server knows all scripts, and a reply that is lost is one
    /// to something that was done.
    async fn warm_up(&self) {
        let (queue, nobody) = (
            self.direct.queue(),
            "3f0e3c4e-8f6b-4d0e-9d4e-5a4c1c1d2b3a".parse().unwrap(),
        );
        assert!(queue.get(nobody).await.unwrap().is_none());
        assert_eq!(queue.cancel(nobody).await.unwrap(), Cancellation::NotFound);
        assert!(!queue.send_back(nobody).await.unwrap());
        assert_eq!(queue.purge(Duration::from_secs(3600)).await.unwrap(), 0);
        queue.list(CallState::Dead, 0, 1).await.unwrap();
    }
}

/// A call is stored, waits, runs to this end; all of it by a way on which the reply to the request of this number is
/// lost. Gives how many requests there were.
async fn life(server: &RedisServer, number: usize, act: Act, good: bool) -> usize {
    let namespace = format!("life-{number}-{good}:");
    let ways = Ways::to(server, &namespace).await;
    let shop = Shop::on(&ways.watched);
    let guard = hold(&ways.direct, 7).await;
    if number > 0 {
        ways.proxy.lose_reply_to_the(number, &namespace);
    }
    let begun = Instant::now();
    let outcome = ship_stubbornly(&shop, 7, "call".into(), act).await;
    assert!(
        begun.elapsed() <= ANSWER,
        "{namespace}: storing took {:?}",
        begun.elapsed()
    );
    let ticket = outcome
        .unwrap_or_else(|error| panic!("{namespace}: {error}"))
        .ticket()
        .unwrap();
    assert_eq!(waiting(&ways.direct).await, 1, "{namespace}");
    // Its claims last for longer than this test waits: a lost reply must not cost one.
    let worker = shop.work(&ways.watched);
    guard.release().await.unwrap();
    let end = end(&ways.direct, ticket).await;
    if good {
        assert_eq!(end, CallEnd::Done, "{namespace}");
    } else {
        assert!(matches!(end, CallEnd::Dead { .. }), "{namespace}: {end:?}");
    }
    // Nobody was killed.
    assert_eq!(shop.runs("call"), 1, "{namespace}");
    worker.stop().await;
    assert_eq!(counts(&ways.direct).await, [0, 0, 0, u64::from(!good)], "{namespace}");
    no_violation(&shop);
    ways.proxy.requests_with(&namespace)
}

async fn lives(act: Act, good: bool) {
    let server = RedisServer::start();
    let requests = life(&server, 0, act.clone(), good).await;
    assert!((4..40).contains(&requests), "{requests} requests in the life of a call");
    let numbers: Vec<usize> = (1..=requests).collect();
    for some in numbers.chunks(LIVES) {
        let lives = some.iter().map(|number| life(&server, *number, act.clone(), good));
        futures_util::future::join_all(lives).await;
    }
}

#[tokio::test]
async fn a_call_is_stored_once_and_runs_once_whichever_reply_of_its_life_is_lost() {
    lives(Act::Linger { ms: 5 }, true).await;
}

#[tokio::test]
async fn a_call_is_one_dead_letter_whichever_reply_of_its_life_is_lost() {
    lives(Act::Fail("no stock".into()), false).await;
}

#[tokio::test]
async fn a_call_is_handed_back_when_the_reply_to_that_is_lost() {
    let server = RedisServer::start();
    let ways = Ways::to(&server, "back:").await;
    let shop = Shop::on(&ways.watched);
    let ticket = shop.store_free(7, "call", Act::HangOnce).await;
    let worker = Working::start(shop.worker(&ways.watched).grace(ms(10)));
    shop.until_inside(1).await;
    ways.proxy.lose_reply_to("{queue:");
    worker.stop().await;
    assert_eq!(ways.proxy.lost_replies(), 1);
    let worker = shop.work(&ways.direct);
    assert_eq!(end(&ways.direct, ticket).await, CallEnd::Done);
    worker.stop().await;
}

/// The shop of a namespace with three dead letters, on the way that loses replies.
async fn with_dead_letters(server: &RedisServer) -> (Ways, Shop, Vec<Ticket>) {
    let ways = Ways::to(server, "lock:").await;
    let shop = Shop::on(&ways.watched);
    let worker = shop.work(&ways.direct);
    let mut tickets = Vec::new();
    for order in 0..3 {
        let ticket = shop.store_free(order, "bad", Act::Fail("no stock".into())).await;
        dead(&ways.direct, ticket).await;
        tickets.push(ticket);
    }
    worker.stop().await;
    ways.warm_up().await;
    (ways, shop, tickets)
}

#[tokio::test]
async fn cancelling_says_what_it_did_when_its_reply_is_lost() {
    let server = RedisServer::start();
    let ways = Ways::to(&server, "lock:").await;
    let shop = Shop::on(&ways.watched);
    let _held = hold(&ways.direct, 7).await;
    let ticket = shop.store(7, "call", Act::Note).await;
    ways.warm_up().await;
    ways.proxy.lose_reply_to("{queue:");
    let cancelled = ways.watched.queue().cancel(ticket).await.unwrap();
    assert_eq!((cancelled, ways.proxy.lost_replies()), (Cancellation::Cancelled, 1));
    assert_eq!(counts(&ways.direct).await, [0; 4]);
}

#[tokio::test]
async fn sending_back_says_what_it_did_when_its_reply_is_lost() {
    let server = RedisServer::start();
    let (ways, shop, tickets) = with_dead_letters(&server).await;
    ways.proxy.lose_reply_to("{queue:");
    let sent = ways.watched.queue().send_back(tickets[0]).await;
    assert_eq!(ways.proxy.lost_replies(), 1);
    assert!(sent.unwrap(), "it was sent back, and says that it was not");
    assert_eq!(counts(&ways.direct).await[3], 2);
    let worker = shop.work(&ways.direct);
    dead(&ways.direct, tickets[0]).await;
    soon("it ran again", shop.until_begun(4)).await;
    worker.stop().await;
    assert_eq!(shop.begun().len(), 4);
}

#[tokio::test]
async fn a_call_that_has_died_once_more_is_not_sent_back_by_the_same_request() {
    let server = RedisServer::start();
    let (ways, shop, tickets) = with_dead_letters(&server).await;
    let worker = shop.work(&ways.direct);
    ways.proxy.lose_reply_to("{queue:");
    // What is sent again cannot arrive yet.
    ways.proxy.refuse(true);
    let (queue, ticket) = (ways.watched.queue(), tickets[0]);
    let sending = tokio::spawn(async move { queue.send_back(ticket).await });
    let again = async || shop.begun().len() == 4 && counts(&ways.direct).await == [0, 0, 0, 3];
    lock_tests::eventually("it has run and died again", SOON, again).await;
    ways.proxy.refuse(false);
    assert!(
        sending.await.unwrap().unwrap(),
        "it was sent back, and says that it was not"
    );
    assert_eq!(counts(&ways.direct).await, [0, 0, 0, 3]);
    worker.stop().await;
    assert_eq!(shop.begun().len(), 4);
}

#[tokio::test]
async fn sending_all_back_and_forgetting_them_is_complete_when_a_reply_is_lost() {
    let server = RedisServer::start();
    for number in 1..=3 {
        let (ways, shop, _) = with_dead_letters(&server).await;
        ways.proxy.lose_reply_to_the(number, "{queue:");
        ways.watched.queue().send_back_all().await.unwrap();
        let [due, delayed, running, dead] = counts(&ways.direct).await;
        assert_eq!((due + delayed, running, dead), (3, 0, 0));
        let worker = shop.work(&ways.direct);
        shop.until_begun(6).await;
        lock_tests::eventually("they are dead again", SOON, async || {
            counts(&ways.direct).await == [0, 0, 0, 3]
        })
        .await;
        worker.stop().await;
        ways.proxy.lose_reply_to_the(number, "{queue:");
        ways.watched.queue().purge(ms(0)).await.unwrap();
        assert_eq!(counts(&ways.direct).await, [0; 4]);
    }
}

#[tokio::test]
async fn looking_answers_when_a_reply_is_lost() {
    let server = RedisServer::start();
    let (ways, _, tickets) = with_dead_letters(&server).await;
    let queue = ways.watched.queue();
    ways.proxy.lose_reply_to("{queue:");
    assert_eq!(queue.counts().await.unwrap().dead, 3);
    ways.proxy.lose_reply_to("{queue:");
    assert_eq!(queue.list(CallState::Dead, 0, 10).await.unwrap().len(), 3);
    ways.proxy.lose_reply_to("{queue:");
    assert!(queue.get(tickets[0]).await.unwrap().is_some());
    ways.proxy.lose_reply_to("{queue:");
    assert!(matches!(queue.wait(tickets[0]).await.unwrap(), CallEnd::Dead { .. }));
    assert_eq!(ways.proxy.lost_replies(), 4);
}

#[tokio::test]
async fn storing_that_is_never_answered_is_unavailable_within_5_s() {
    let server = RedisServer::start();
    let ways = Ways::to(&server, "lock:").await;
    let shop = Shop::on(&ways.watched);
    let _held = hold(&ways.direct, 7).await;
    // The refusal is answered, the storing is not.
    ways.proxy.freeze_after_the(1, "{queue:");
    let begun = Instant::now();
    let error = ship(&shop, 7, "call".into(), Act::Note).await.unwrap_err();
    assert!(begun.elapsed() <= ANSWER, "it took {:?}", begun.elapsed());
    assert!(
        matches!(&error, crate::support::ShopError::Lock(error) if error.is_unavailable()),
        "{error:?}"
    );
    ways.proxy.thaw();
    ways.proxy.cut();
    // Whether it is stored is not known to the caller; if it is, it is so once.
    let [due, delayed, running, dead] = counts(&ways.direct).await;
    assert!(due + delayed <= 1 && running + dead == 0);
}

#[tokio::test]
async fn a_settlement_that_cannot_be_sent_for_a_while_is_made_up_for_and_the_call_runs_once() {
    let server = RedisServer::start();
    let ways = Ways::to(&server, "lock:").await;
    let shop = Shop::on(&ways.watched);
    let ticket = shop.store_free(7, "call", Act::Gate).await;
    let worker = shop.work(&ways.watched);
    shop.until_inside(1).await;
    ways.proxy.refuse(true);
    ways.proxy.cut();
    shop.open(1);
    lock_tests::eventually("the body has ended", SOON, async || shop.ended().len() == 1).await;
    let refused = ways.proxy.refused();
    lock_tests::eventually("it could not be told", SOON, async || ways.proxy.refused() > refused).await;
    assert_eq!(counts(&ways.direct).await, [0, 0, 1, 0]);
    ways.proxy.refuse(false);
    assert_eq!(end(&ways.direct, ticket).await, CallEnd::Done);
    assert_eq!(shop.runs("call"), 1);
    worker.stop().await;
}
