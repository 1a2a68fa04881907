//! What one claim remembers of each server. No server is asked: what is cleared up finds nobody, and goes on.

use std::future::{pending, ready};
use std::sync::atomic::AtomicBool;

use uuid::Uuid;

use super::super::super::{BoxFuture, Value};
use super::*;
use crate::Key;
use crate::url::Settings;

const LANE: u64 = 7;

fn claimed() -> (Arc<Claimed>, Arc<RedisBackend>) {
    let token = Uuid::new_v4();
    let claim = Claim {
        key: Key::from("lock:job"),
        value: Value { token, owner: None },
    };
    let nobody = "redis://127.0.0.1:1".parse().unwrap();
    let member = RedisBackend::single(&nobody, &Settings::default()).unwrap();
    let claimed = Claimed::new(claim, Duration::from_secs(60), Background::default());
    (Arc::new(claimed), Arc::new(member))
}

fn vote(server: usize, answer: BoxFuture<'static, Result<Vote, Failure>>) -> Asked<Vote> {
    let lane = Some(LANE);
    Asked { server, lane, answer }
}

fn granted() -> BoxFuture<'static, Result<Vote, Failure>> {
    Box::pin(ready(Ok(Vote::Counted { time: 1 })))
}

/// How many servers are cleared up.
fn cleared_up(claimed: &Claimed) -> usize {
    claimed.background.len()
}

#[tokio::test]
async fn a_server_that_was_not_asked_before_the_release_is_never_asked() {
    let (claimed, _) = claimed();
    claimed.put_off(1);
    claimed.put_off(2);
    assert!(claimed.begins(1));
    claimed.release();
    assert!(!claimed.begins(2));
    assert_eq!([0, 1, 2].map(|server| claimed.was_spared(server)), [false, false, true]);
}

#[tokio::test]
async fn a_release_on_the_lane_of_its_vote_leaves_nothing_to_clear_up() {
    let (claimed, member) = claimed();
    claimed.leave(vote(0, Box::pin(pending())));
    claimed.leave(vote(1, granted()));
    claimed.release();
    let here = Handle::current();
    assert!(claimed.is_behind(0, &member, LANE, &here));
    // Its answer is there, though nobody has looked before the release.
    assert!(!claimed.is_behind(2, &member, LANE, &here));
    assert_eq!(cleared_up(&claimed), 0);
    // Nothing is left of it that could be sent later.
    Arc::clone(&claimed).hear_late(0, Arc::clone(&member)).await;
    assert_eq!(cleared_up(&claimed), 0);
}

#[tokio::test]
async fn a_vote_on_another_lane_is_cleared_up_by_its_answer() {
    let (claimed, member) = claimed();
    claimed.leave(vote(0, granted()));
    claimed.release();
    assert!(!claimed.is_behind(0, &member, LANE + 1, &Handle::current()));
    Arc::clone(&claimed).hear_late(0, member).await;
    assert_eq!(cleared_up(&claimed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_vote_that_never_comes_is_doubtful_once() {
    let (claimed, member) = claimed();
    for _ in 0..2 {
        claimed.leave(vote(0, Box::pin(pending())));
        Arc::clone(&claimed).hear_late(0, Arc::clone(&member)).await;
    }
    assert_eq!(cleared_up(&claimed), 1);
}

#[tokio::test]
async fn a_vote_that_is_dropped_is_dropped_before_the_release_is_sent() {
    let (claimed, member) = claimed();
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Dropped(Arc::clone(&dropped));
    let answer = async move {
        let _flag = flag;
        pending().await
    };
    claimed.leave(vote(0, Box::pin(answer)));
    claimed.release();
    assert!(claimed.is_behind(0, &member, LANE, &Handle::current()));
    assert!(dropped.load(Ordering::SeqCst));
}

struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
