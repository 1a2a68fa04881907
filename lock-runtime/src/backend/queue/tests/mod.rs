//! What every place for stored calls does, one test a sentence. A store is put to it by one line in its own tests:
//! `conformance!(place);`, where `place` is an async function that gives a [`Place`] of its own to each test.

pub(in crate::backend) mod bells;
pub(in crate::backend) mod claiming;
pub(in crate::backend) mod hastening;
pub(in crate::backend) mod listing;
pub(in crate::backend) mod operating;
pub(in crate::backend) mod order;
pub(in crate::backend) mod settling;
pub(in crate::backend) mod storing;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::super::Backend;
use super::{
    Ahead, CRASHES, CallRecord, CallStore, Census, ClaimRequest, Claimed, Claims, Found, NewCall, Settled, Standing,
    Storing, Verdict,
};

/// Each operation's deadline, and the longest that a test waits for anything.
const WITHIN: Duration = Duration::from_secs(10);
/// A lease, or a pause, that does not end while a test runs.
const LONG: Duration = Duration::from_secs(3_600);
/// One whose end a test waits for.
const SHORT: Duration = Duration::from_millis(30);

/// An empty store, and the backend that tells its bells.
pub(in crate::backend) struct Place {
    backend: Arc<dyn Backend>,
    store: Arc<dyn CallStore>,
    /// What has to live as long.
    _alive: Box<dyn Any>,
}

impl Place {
    pub(in crate::backend) fn new(backend: Arc<dyn Backend>, alive: impl Any) -> Self {
        Self {
            store: backend.calls("shop:").expect("calls can be stored here"),
            backend,
            _alive: Box::new(alive),
        }
    }

    /// Another namespace's store at the same place.
    fn other(&self, namespace: &str) -> Arc<dyn CallStore> {
        self.backend.calls(namespace).unwrap()
    }

    async fn store(&self, call: &NewCall) -> Storing {
        self.store.store(call, WITHIN).await.unwrap()
    }

    /// Stores a call that is due at once.
    async fn due(&self, lane: &str) -> Uuid {
        self.stored(call(lane)).await
    }

    /// Stores a call that is due after a long time, or when its lock is released.
    async fn delayed(&self, lane: &str) -> Uuid {
        self.stored(NewCall {
            delay: LONG,
            ..call(lane)
        })
        .await
    }

    async fn stored(&self, call: NewCall) -> Uuid {
        assert_eq!(self.store(&call).await, Storing::Stored);
        call.id
    }

    async fn claim(&self, request: &ClaimRequest) -> Claims {
        self.store.claim(request, WITHIN).await.unwrap()
    }

    /// At most so many calls, for a long time.
    async fn take(&self, count: usize) -> Vec<Claimed> {
        self.claim(&request(count, LONG)).await.claimed
    }

    async fn take_one(&self) -> Claimed {
        let mut claimed = self.take(1).await;
        claimed.pop().expect("a call can be claimed")
    }

    /// The next call, once there is one that can be claimed.
    async fn take_soon(&self) -> Claimed {
        soon("a call can be claimed", async || self.take(1).await.pop()).await
    }

    /// A worker that claims this call, which must be the next one, and stops at once. When the claim is over.
    async fn abandon(&self, id: Uuid) -> Claimed {
        let mut claimed = self.claim(&request(1, SHORT)).await.claimed;
        let claimed = claimed.pop().expect("a call can be claimed");
        assert_eq!(claimed.id, id);
        self.after(SHORT).await;
        claimed
    }

    /// Workers that claim this call, the only one, and stop, until it is given up. The last one's claim.
    async fn abandon_for_good(&self, id: Uuid) -> Claimed {
        let mut last = self.abandon(id).await;
        let given_up = soon("it is given up", async || {
            let mut claims = self.claim(&request(1, SHORT)).await;
            if let Some(claimed) = claims.claimed.pop() {
                last = claimed;
            }
            (!claims.buried.is_empty()).then_some(claims.buried)
        });
        assert_eq!(given_up.await, [id]);
        last
    }

    /// Waits until so much time has passed on the store's own clock.
    async fn after(&self, pause: Duration) {
        let until = self.census().await.now + u64::try_from(pause.as_millis()).unwrap();
        soon("time passes", async || (self.census().await.now > until).then_some(())).await;
    }

    async fn settle(&self, claimed: &Claimed, verdict: Verdict) -> Settled {
        self.settle_as(claimed.id, claimed.token, verdict).await
    }

    async fn settle_as(&self, id: Uuid, token: Uuid, verdict: Verdict) -> Settled {
        self.store.settle(id, token, &verdict, true, WITHIN).await.unwrap()
    }

    /// A dead call.
    async fn dead(&self, lane: &str) -> Uuid {
        let id = self.due(lane).await;
        let claimed = self.take_one().await;
        assert_eq!(claimed.id, id, "nothing else may be due");
        assert_eq!(self.settle(&claimed, dead("failed", "no luck")).await, Settled::AsAsked);
        id
    }

    async fn keep(&self, claimed: &Claimed, lease: Duration) -> bool {
        let claims = [(claimed.id, claimed.token)];
        self.store.keep(&claims, lease, WITHIN).await.unwrap()[0]
    }

    async fn hasten(&self, id: Uuid) {
        self.store.hasten(id, WITHIN).await.unwrap();
    }

    async fn census(&self) -> Census {
        self.store.census(WITHIN).await.unwrap()
    }

    /// Due, delayed, running and dead ones.
    async fn counts(&self) -> [u64; 4] {
        let census = self.census().await;
        [census.due, census.delayed, census.running, census.dead]
    }

    async fn find(&self, id: Uuid) -> Found {
        self.store.find(id, WITHIN).await.unwrap()
    }

    async fn record(&self, id: Uuid) -> CallRecord {
        match self.find(id).await {
            Found::Call(record) => *record,
            other => panic!("the call is not stored: {other:?}"),
        }
    }

    async fn page(&self, standing: Standing, offset: u64, limit: u32) -> Vec<CallRecord> {
        self.store.page(standing, offset, limit, WITHIN).await.unwrap()
    }

    async fn ids(&self, standing: Standing) -> Vec<Uuid> {
        ids(&self.page(standing, 0, 1_000).await)
    }
}

pub(in crate::backend) fn call(lane: &str) -> NewCall {
    NewCall {
        id: Uuid::new_v4(),
        lane: lane.to_owned(),
        payload: format!("a call for {lane}"),
        delay: Duration::ZERO,
        attempts: 5,
        limit: 1_000,
    }
}

fn request(count: usize, lease: Duration) -> ClaimRequest {
    ClaimRequest {
        tokens: (0..count).map(|_| Uuid::new_v4()).collect(),
        lease,
        worker: "worker-1".to_owned(),
        upcoming: Ahead::Soonest(10),
    }
}

fn dead(cause: &str, error: &str) -> Verdict {
    Verdict::Dead {
        cause: cause.to_owned(),
        error: error.to_owned(),
    }
}

fn again(pause: Duration, for_lock: bool) -> Verdict {
    Verdict::Again {
        pause,
        for_lock,
        error: "not yet".to_owned(),
    }
}

fn ids(page: &[CallRecord]) -> Vec<Uuid> {
    page.iter().map(|record| record.id).collect()
}

fn claimed_ids(claimed: &[Claimed]) -> Vec<Uuid> {
    claimed.iter().map(|claimed| claimed.id).collect()
}

/// Looks until there is what the test waits for.
async fn soon<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < WITHIN, "not in time: {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

/// All tests, for the store that the async function `$place` makes.
macro_rules! conformance {
    ($place:path) => {
        $crate::backend::queue::tests::conformance! { @ $place;
            storing: a_call_comes_back_as_it_was_stored
                a_call_is_stored_once_however_often_that_is_asked_for
                a_call_that_was_claimed_is_not_stored_again
                a_call_that_has_ended_is_not_stored_again
                a_full_queue_says_how_many_calls_it_has
                dead_calls_leave_room_and_running_ones_do_not
                a_call_of_a_full_queue_is_stored_already
                namespaces_are_strangers
                a_payload_of_a_megabyte_is_stored
                a_call_that_is_withdrawn_is_not_stored_when_it_comes_later
                a_call_that_is_stored_is_withdrawn_unless_it_runs;
            order: calls_of_one_lane_run_in_the_order_in_which_they_were_stored
                only_the_first_call_of_a_lane_can_be_claimed
                different_lanes_run_side_by_side
                the_call_that_is_due_for_the_longest_comes_first
                a_lane_waits_for_its_first_call_which_waits_for_its_next_attempt
                a_call_keeps_its_place_until_it_has_ended
                lanes_differ_by_any_byte
                the_next_call_can_be_claimed_when_the_one_before_is_done
                the_next_call_can_be_claimed_when_the_one_before_is_dead
                the_next_call_can_be_claimed_when_the_one_before_is_cancelled
                the_next_call_can_be_claimed_when_the_one_before_ran_out_of_attempts
                the_first_try_after_another_call_is_early_and_costs_no_attempt
                a_call_that_leaves_from_the_middle_lets_nobody_overtake
                a_lane_keeps_its_order_whoever_leaves_it;
            claiming: nothing_comes_from_an_empty_store
                as_many_calls_are_claimed_as_there_are_tokens
                the_same_tokens_get_the_same_calls
                a_call_is_not_claimed_before_its_time
                a_claim_whose_lease_is_over_comes_back_and_counts
                a_claim_that_is_kept_does_not_end
                what_is_no_claim_any_more_is_not_kept
                a_call_whose_workers_stop_each_time_is_dead_in_the_end
                the_next_look_is_when_a_lease_is_over_or_a_call_is_due
                a_call_that_comes_back_does_not_wait_for_its_lock
                many_claims_that_are_over_all_come_back;
            settling: done_is_the_end
                done_by_a_former_worker_stands_while_the_call_waits
                done_by_a_former_worker_stands_while_another_one_has_it
                done_by_a_former_worker_stands_when_the_call_is_dead
                a_former_worker_s_other_verdicts_change_nothing
                a_verdict_on_a_call_that_has_ended_changes_nothing
                a_verdict_with_a_made_up_token_changes_nothing
                another_attempt_comes_after_its_pause
                the_last_attempt_ends_in_the_dead_letters
                a_call_that_is_handed_back_waits_for_its_planned_time_and_was_not_tried
                a_dead_call_says_why
                a_settlement_that_is_sent_twice_counts_once;
            hastening: a_call_whose_lock_may_be_free_can_be_claimed_before_its_time
                an_early_call_that_is_handed_back_waits_for_its_time_again
                only_a_call_that_waits_for_its_lock_is_hastened
                only_the_first_call_of_a_lane_is_hastened
                a_call_that_does_not_wait_is_not_hastened
                upcoming_calls_are_the_next_ones_that_wait_for_their_locks
                upcoming_calls_are_not_told_when_enough_are_due
                no_more_upcoming_calls_are_told_than_were_asked_for
                the_newest_that_wait_are_told_where_those_are_asked_for;
            operating: a_waiting_call_is_cancelled
                a_running_call_is_not_cancelled
                a_dead_call_is_forgotten_when_it_is_cancelled
                there_is_nothing_to_cancel_where_there_is_no_call
                a_cancellation_that_is_sent_twice_is_the_same
                a_call_that_came_back_is_cancelled
                a_dead_call_that_is_sent_back_stands_at_the_end_of_its_lane
                a_dead_call_that_is_sent_back_has_all_its_attempts
                only_a_dead_call_is_sent_back
                dead_calls_are_sent_back_in_the_order_in_which_they_died
                dead_calls_are_forgotten
                no_more_dead_calls_are_swept_than_were_asked_for
                calls_that_died_later_are_not_swept;
            listing: a_call_is_found_wherever_it_stands
                an_end_is_remembered
                calls_are_counted_where_they_stand
                the_age_of_the_oldest_due_call_is_told
                waiting_calls_are_listed_by_their_time
                running_calls_are_listed_with_their_workers
                dead_calls_are_listed_the_last_one_first
                pages_are_as_long_as_was_asked_for
                pages_far_behind_are_as_complete_as_the_first
                there_is_nothing_behind_the_last_page;
            bells: a_store_rings
                a_call_that_is_hastened_rings
                a_settlement_rings_when_it_is_to
                a_cancellation_rings_for_the_next_call
                a_call_that_is_sent_back_rings
                the_end_of_a_call_is_told_to_who_waits_for_it
                the_death_of_a_call_is_told_to_who_waits_for_it
                a_cancellation_is_told_to_who_waits_for_the_call
                the_end_by_a_worker_that_stopped_is_told;
        }
    };
    (@ $place:path; $($group:ident: $($name:ident)+;)+) => {
        mod conformance {
            use super::*;

            $(mod $group {
                use super::*;

                $(#[tokio::test]
                async fn $name() {
                    $crate::backend::queue::tests::$group::$name($place().await).await;
                })+
            })+
        }
    };
}
pub(in crate::backend) use conformance;
