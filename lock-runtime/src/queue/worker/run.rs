//! The worker's loop: claims as many calls as it has room for, and sleeps until there may be more.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use super::super::claim::{ClaimGuard, Claims};
use super::super::client::{Client, Patience};
use super::super::function::Functions;
use super::super::telemetry;
use super::Worker;
use super::execute::{Bench, execute};
use super::watch::Watches;
use crate::backend::Failure;
use crate::backend::queue::{Ahead, ClaimRequest, Claimed, Claims as Answer};
use crate::pauses::pauses;

/// How many calls are claimed at a time.
const BATCH: usize = 32;
/// How many locks are watched at most, so that calls are run as soon as they are free; the others wait for their time.
const WATCHED: usize = 1_000;
/// How many of the newest are looked for when there may be new ones. All that may be watched are looked for now and then.
const NEWEST: usize = 32;
/// A look without need at least so often: a wake-up may be lost.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
/// The shortest pause after a look that brought nothing: bells may ring all the time for what is not due yet.
const QUIET: Duration = Duration::from_millis(10);
/// How long the last verdicts may take to be told, and bodies that are stopped to be dropped.
const LAST: Duration = Duration::from_secs(2);

pub(super) async fn until<F: Future>(worker: Worker, functions: Functions, client: Client, stop: F) {
    let shared = Arc::clone(client.shared());
    let mut bell = client
        .backend()
        .bell(client.store().bell(), client.timeline().runtime());
    let (claims, _heartbeat) = Claims::new(client.clone(), worker.lease);
    let watches = Watches::new(client, WATCHED);
    let watching = watches.end_with();
    let bench = Arc::new(Bench {
        manager: worker.manager,
        functions,
        states: worker.states,
        watches: watches.clone(),
    });
    // Declared after what they use: dropped first.
    let mut running = JoinSet::new();
    let mut stop = pin!(stop);
    let mut looks = Looks::new(&claims);
    // Calls that are stored from here on are heard of. Without it, the first look and the timers do.
    if timeout(Duration::from_millis(500), bell.armed()).await.is_err() {
        tracing::debug!("no subscription yet; the worker goes by its timers");
    }
    loop {
        let has_room = running.len() < worker.concurrency;
        // A claim is never under way here. Each branch only leads to another round.
        tokio::select! {
            biased;
            _ = stop.as_mut() => break,
            () = shared.closing.cancelled() => break,
            Some(ended) = running.join_next() => {
                telemetry::run_ended(&ended);
                // The end of a call lets the next one of its lane go, mostly at once.
                looks.soon(Ahead::Nothing);
            }
            _ = bell.woken(), if has_room => looks.soon(Ahead::Latest(NEWEST)),
            () = sleep_until(looks.next), if has_room => {}
        }
        let room = worker.concurrency.saturating_sub(running.len());
        if room == 0 || Instant::now() < looks.next {
            continue;
        }
        let answer = looks.look(room.min(BATCH), &shared.owner).await;
        for (guard, claimed) in answer.claimed {
            running.spawn(execute(Arc::clone(&bench), guard, claimed));
        }
        for upcoming in answer.upcoming {
            watches.watch(upcoming.id, &upcoming.lane, Duration::ZERO);
        }
    }
    claims.stop();
    drop(watching);
    let grace = async {
        while let Some(ended) = running.join_next().await {
            telemetry::run_ended(&ended);
        }
    };
    if timeout(worker.grace, grace).await.is_err() {
        tracing::warn!(
            calls = running.len(),
            "the worker's grace is over; what still runs is stopped and handed back"
        );
        if timeout(LAST, running.shutdown()).await.is_err() {
            tracing::warn!("a body does not give its thread back; its call comes back when its claim has run out");
        }
    }
    if timeout(LAST, claims.settled()).await.is_err() {
        tracing::warn!(
            "verdicts on calls could not be told in time; the calls come back when their claims have run out"
        );
    }
}

/// The worker's looks for calls that it may claim.
struct Looks<'a> {
    claims: &'a Arc<Claims>,
    next: Instant,
    /// Not before, whatever rings.
    quiet_until: Instant,
    /// What the next look asks for besides.
    ahead: Ahead,
    /// When it asks for all that may be watched: some may have found no room, or were not heard of.
    survey: Instant,
    /// A request without an answer: it is sent again as it is, so that it gets what it may have got already.
    unanswered: Option<ClaimRequest>,
    failures: Box<dyn Iterator<Item = Duration> + Send>,
}

/// What a look has brought.
#[derive(Default)]
struct Seen {
    claimed: Vec<(ClaimGuard, Claimed)>,
    upcoming: Vec<crate::backend::queue::Upcoming>,
}

impl<'a> Looks<'a> {
    fn new(claims: &'a Arc<Claims>) -> Self {
        let now = Instant::now();
        Self {
            claims,
            next: now,
            quiet_until: now,
            ahead: Ahead::Nothing,
            survey: now,
            unanswered: None,
            failures: Box::new(pauses()),
        }
    }

    /// There may be something to claim.
    fn soon(&mut self, ahead: Ahead) {
        self.next = self.next.min(self.quiet_until.max(Instant::now()));
        if self.ahead == Ahead::Nothing {
            self.ahead = ahead;
        }
    }

    /// Claims at most so many calls.
    async fn look(&mut self, wanted: usize, worker: &str) -> Seen {
        let request = match self.unanswered.take() {
            Some(request) => {
                // It was away: what it still has for us must not be taken back before this.
                self.claims.keep_all().await;
                request
            }
            None => ClaimRequest {
                tokens: (0..wanted).map(|_| Uuid::new_v4()).collect(),
                lease: self.claims.lease(),
                worker: worker.to_owned(),
                upcoming: if Instant::now() >= self.survey {
                    Ahead::Soonest(WATCHED)
                } else {
                    self.ahead
                },
            },
        };
        let now = Instant::now;
        match claim(self.claims, request.clone()).await {
            Ok((answer, claimed)) => {
                self.failures = Box::new(pauses());
                // Where everything that was asked for is there, what is ahead was not told.
                let was_told = claimed.len() < request.tokens.len();
                if was_told {
                    self.ahead = Ahead::Nothing;
                }
                if was_told && matches!(request.upcoming, Ahead::Soonest(_)) {
                    self.survey = now() + LONGEST_SLEEP;
                }
                self.quiet_until = now() + if claimed.is_empty() { QUIET } else { Duration::ZERO };
                self.next = match answer.next {
                    // There may be more.
                    _ if claimed.len() == request.tokens.len() => now(),
                    Some(next) => now() + next.min(LONGEST_SLEEP),
                    None => now() + LONGEST_SLEEP,
                };
                telemetry::buried(&answer.buried);
                Seen {
                    claimed,
                    upcoming: answer.upcoming,
                }
            }
            Err(failure) => {
                telemetry::claim_failed(&failure.reason);
                self.next = now() + self.failures.next().unwrap_or(LONGEST_SLEEP);
                self.quiet_until = self.next;
                self.unanswered = Some(request);
                Seen::default()
            }
        }
    }
}

/// The answer, and a guard for each call. The guards are made where the answer arrives: if this is dropped meanwhile, so
/// are they, and the calls are handed back.
async fn claim(claims: &Arc<Claims>, request: ClaimRequest) -> Result<(Answer, Vec<(ClaimGuard, Claimed)>), Failure> {
    let since = claims.client().timeline().clock.now();
    let theirs = Arc::clone(claims);
    claims
        .client()
        .ask(
            Patience::CALLER,
            move |store, within| {
                let request = request.clone();
                Box::pin(async move { store.claim(&request, within).await })
            },
            move |mut answer: Answer| {
                let claimed = std::mem::take(&mut answer.claimed);
                let guarded = claimed
                    .into_iter()
                    .map(|claimed| (ClaimGuard::new(&theirs, &claimed, since), claimed))
                    .collect();
                (answer, guarded)
            },
        )
        .await
}
