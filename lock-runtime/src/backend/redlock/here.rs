//! Acquire and release over the lanes of the members, on the caller's own runtime.
//!
//! There must be a majority of lanes. Who has none is asked a little later over the lock thread, where most claims are
//! over already: a member without a lane is mostly one that cannot be reached. Nothing here sets a timer. What is not
//! answered when there is a majority, or when the caller gives up, goes to the lock thread (`Background::spawn_soon`).
//!
//! Where a vote is still under way when its release is sent, the two take the same lane, so the vote comes first, and
//! nothing is left to clear up behind it. Otherwise the vote's answer says what is.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::super::redis::{Lane, Question, Vote, Wake};
use super::super::{Acquired, Applied, BoxFuture, Claim, Failure, FailureKind, Leave, Released, UnderWay};
use super::answers::{Answers, Asked};
use super::claimed::{Claimed, answer};
use super::ending::{Ending, closed};
use super::granting::{split, vote_time};
use super::majority::Majority;
use super::no_majority;
use super::tally::{Ballot, Release, Verdict};

impl Majority {
    pub(super) fn grant_here(
        self: &Arc<Self>,
        claim: &Claim,
        ttl: Duration,
        runtime: &Handle,
    ) -> Option<UnderWay<Acquired>> {
        let lanes: Vec<_> = self.members.iter().map(|member| member.lane(runtime)).collect();
        if lanes.iter().flatten().count() < self.quorum() {
            return None;
        }
        let (majority, claim, runtime) = (Arc::clone(self), claim.clone(), runtime.clone());
        Some(UnderWay {
            route: Self::route(),
            // The votes, and the fence.
            within: 2 * vote_time(ttl),
            answer: Box::pin(async move { majority.ask_here(claim, ttl, lanes, runtime).await }),
        })
    }

    async fn ask_here(
        self: Arc<Self>,
        claim: Claim,
        ttl: Duration,
        lanes: Vec<Option<Lane>>,
        runtime: Handle,
    ) -> Result<Acquired, Failure> {
        let (began, within) = (self.clock.now(), vote_time(ttl));
        let claimed = self.claimed(claim, ttl);
        self.group.ask_for(ttl);
        let proposal = self.proposals.next();
        let question = Arc::new(Question::vote(&claimed.claim, ttl, proposal));
        let mut votes = VotesHere::ask(&self, &claimed, lanes, &question, within, runtime.clone());
        let mut ballot = Ballot::new(self.members.len(), self.quorum(), proposal);
        let verdict = votes.verdict(&mut ballot).await;
        drop(votes);
        match verdict {
            Verdict::Granted(grants) => {
                let is_in_time = self.clock.now().since(began) <= within;
                let (fence, is_known) = self.fence(&grants, proposal, is_in_time);
                if is_known {
                    return Ok(Acquired::Granted(fence));
                }
                // Rare, and it has timers. It goes on where its caller gives up: it writes only where the claim holds.
                let left = (2 * within).saturating_sub(self.clock.now().since(began));
                let (majority, asking) = (Arc::clone(&self), Arc::clone(&claimed));
                let written = runtime.spawn(async move { majority.write_back(&asking.claim, fence, left).await });
                match written.await {
                    Ok(Ok(())) => Ok(Acquired::Granted(fence)),
                    Ok(Err(failure)) => self.refuse(&claimed, &runtime, Err(failure)),
                    Err(_) => self.refuse(&claimed, &runtime, Err(interrupted())),
                }
            }
            Verdict::Held(remaining) => self.refuse(&claimed, &runtime, Ok(Acquired::Busy(remaining))),
            Verdict::Split => self.refuse(&claimed, &runtime, Err(split())),
            Verdict::Undecided => {
                let failure = no_majority(ballot.failures(), "voted");
                self.refuse(&claimed, &runtime, Err(failure))
            }
        }
    }

    /// Takes back what was granted.
    fn refuse(
        self: &Arc<Self>,
        claimed: &Arc<Claimed>,
        runtime: &Handle,
        answer: Result<Acquired, Failure>,
    ) -> Result<Acquired, Failure> {
        let (majority, claimed) = (Arc::clone(self), Arc::clone(claimed));
        let taken_back = async move {
            // Those who wait for another holder are not woken: this one held nothing.
            drop(majority.end_everywhere(&claimed.claim, Leave::Nothing, Wake::Nobody));
        };
        self.background.spawn_on(taken_back, runtime);
        answer
    }

    pub(super) fn end_here(self: &Arc<Self>, claim: &Claim, runtime: &Handle) -> Option<UnderWay<Released>> {
        let lanes: Vec<_> = self.members.iter().map(|member| member.open_lane()).collect();
        if lanes.iter().flatten().count() < self.quorum() {
            return None;
        }
        let (majority, claim, runtime) = (Arc::clone(self), claim.clone(), runtime.clone());
        Some(UnderWay {
            route: Self::route(),
            within: Duration::MAX,
            answer: Box::pin(async move {
                let mut release = Release::new(majority.members.len(), majority.quorum());
                EndsHere::ask(&majority, &claim, lanes, runtime)
                    .count(&mut release)
                    .await;
                closed(release)
            }),
        })
    }
}

/// A claim's question for votes.
struct VotesHere {
    majority: Arc<Majority>,
    claimed: Arc<Claimed>,
    answers: Answers<Vote>,
    runtime: Handle,
}

impl VotesHere {
    fn ask(
        majority: &Arc<Majority>,
        claimed: &Arc<Claimed>,
        lanes: Vec<Option<Lane>>,
        question: &Arc<Question>,
        within: Duration,
        runtime: Handle,
    ) -> Self {
        let (mut asked, mut put_off) = (Vec::with_capacity(lanes.len()), Vec::new());
        for (server, lane) in lanes.into_iter().enumerate() {
            if let Some(lane) = lane {
                asked.push(over(lane, server, |lane| lane.vote(Arc::clone(question))));
                continue;
            }
            claimed.put_off(server);
            let member = Arc::clone(&majority.members[server]);
            let vote = Arc::clone(claimed).ask(server, member, Arc::clone(question), within);
            let (later, vote) = put_off_one(server, vote);
            asked.push(vote);
            put_off.push(later);
        }
        if !put_off.is_empty() {
            majority.background.spawn_soon(put_off, &runtime);
        }
        Self {
            majority: Arc::clone(majority),
            claimed: Arc::clone(claimed),
            answers: Answers::new(asked),
            runtime,
        }
    }

    async fn verdict(&mut self, ballot: &mut Ballot) -> Verdict {
        poll_fn(|context| {
            let (majority, claimed, runtime) = (&self.majority, &self.claimed, &self.runtime);
            self.answers.poll(context, ballot.missing(), |server, vote| {
                claimed.hear(server, &majority.members[server], &vote, runtime);
                ballot.count(vote);
                ballot.missing()
            });
            match ballot.verdict() {
                Some(verdict) => Poll::Ready(verdict),
                None => {
                    hurry(majority, &self.answers);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Drop for VotesHere {
    fn drop(&mut self) {
        let late = self.answers.take().into_iter().filter(|vote| vote.lane.is_some());
        let hearing: Vec<BoxFuture<'static, ()>> = late
            .map(|vote| {
                let server = vote.server;
                self.claimed.leave(vote);
                let member = Arc::clone(&self.majority.members[server]);
                Box::pin(Arc::clone(&self.claimed).hear_late(server, member)) as BoxFuture<'static, ()>
            })
            .collect();
        self.majority.background.spawn_soon(hearing, &self.runtime);
    }
}

/// A release.
struct EndsHere {
    majority: Arc<Majority>,
    ending: Arc<Ending>,
    answers: Answers<Released>,
    /// The servers where it comes behind a vote whose answer nobody knows.
    behind: Vec<usize>,
    runtime: Handle,
}

impl EndsHere {
    fn ask(majority: &Arc<Majority>, claim: &Claim, lanes: Vec<Option<Lane>>, runtime: Handle) -> Self {
        let ending = Arc::new(majority.ending(claim, Leave::Nothing, Wake::Waiters));
        let claimed = &ending.claimed;
        let (mut asked, mut put_off, mut behind) = (Vec::with_capacity(lanes.len()), Vec::new(), Vec::new());
        for (server, lane) in lanes.into_iter().enumerate() {
            let member = &majority.members[server];
            if let Some(lane) = lane {
                if claimed.is_behind(server, member, lane.number, &runtime) {
                    behind.push(server);
                }
                asked.push(over(lane, server, |lane| lane.end(Arc::clone(&ending.question))));
            } else if !claimed.was_spared(server) {
                let (later, end) = put_off_one(server, Arc::clone(&ending).on(Arc::clone(member)));
                asked.push(end);
                put_off.push(later);
            }
        }
        if !put_off.is_empty() {
            majority.background.spawn_soon(put_off, &runtime);
        }
        Self {
            majority: Arc::clone(majority),
            answers: Answers::new(asked),
            ending,
            behind,
            runtime,
        }
    }

    /// Until it is certain.
    async fn count(&mut self, release: &mut Release) {
        poll_fn(|context| {
            let (majority, ending, runtime) = (&self.majority, &self.ending, &self.runtime);
            self.answers.poll(context, release.missing(), |server, answer| {
                if answer.is_err() {
                    let member = Arc::clone(&majority.members[server]);
                    let failed = Arc::clone(ending).failed(server, member, self.behind.contains(&server));
                    majority.background.spawn_on(failed, runtime);
                }
                release.count(answer);
                release.missing()
            });
            if release.verdict().is_some() || self.answers.under_way().is_empty() {
                return Poll::Ready(());
            }
            hurry(majority, &self.answers);
            Poll::Pending
        })
        .await;
    }
}

impl Drop for EndsHere {
    fn drop(&mut self) {
        let late = self.answers.take().into_iter().filter(|end| end.lane.is_some());
        let hearing: Vec<BoxFuture<'static, ()>> = late
            .map(|end| {
                let (ending, server) = (Arc::clone(&self.ending), end.server);
                let member = Arc::clone(&self.majority.members[server]);
                let is_behind = self.behind.contains(&server);
                Box::pin(async move {
                    if answer(end, &member).await.is_err() {
                        ending.failed(server, member, is_behind).await;
                    }
                }) as BoxFuture<'static, ()>
            })
            .collect();
        self.majority.background.spawn_soon(hearing, &self.runtime);
    }
}

fn over<T>(lane: Lane, server: usize, ask: impl FnOnce(Lane) -> BoxFuture<'static, Result<T, Failure>>) -> Asked<T> {
    Asked {
        server,
        lane: Some(lane.number),
        answer: ask(lane),
    }
}

/// A question that is asked later, and its answer for whoever waits for it.
fn put_off_one<T: Send + 'static>(
    server: usize,
    question: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> (BoxFuture<'static, ()>, Asked<T>) {
    let (sender, receiver) = oneshot::channel();
    let later = Box::pin(async move { drop(sender.send(question.await)) });
    let answer = Box::pin(async move { receiver.await.unwrap_or_else(|_| Err(interrupted())) });
    let lane = None;
    (later, Asked { server, lane, answer })
}

/// Where only those are left that are asked later, it is time.
fn hurry<T>(majority: &Majority, answers: &Answers<T>) {
    if answers.under_way().iter().all(|asked| asked.lane.is_none()) {
        majority.background.hurry();
    }
}

/// The lock thread has ended.
fn interrupted() -> Failure {
    Failure {
        kind: FailureKind::Transient,
        applied: Applied::Unknown,
        reason: "the manager's thread has ended".to_owned(),
        source: None,
    }
}
