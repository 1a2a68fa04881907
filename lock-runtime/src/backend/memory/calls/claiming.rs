//! The steps of a call that is claimed, and what becomes of it.

use std::time::Duration;

use uuid::Uuid;

use super::super::super::queue::{
    Ahead, CRASHES, ClaimRequest, Claimed, Claims, Found, Settled, Upcoming, Verdict, growing,
};
use super::millis;
use super::table::{Call, Place, Rings, Table};

/// The cause of a call's death when no attempt is left.
const EXHAUSTED: &str = "exhausted";
const WORKER_STOPPED: &str =
    "its worker stopped without an answer: it was killed, or cut off for longer than its claim";

impl Table {
    pub(super) fn claim(&mut self, request: &ClaimRequest, now: u64, rings: &mut Rings) -> Claims {
        let mut answer = Claims::default();
        self.take_back(now, &mut answer.buried, rings);
        for &token in &request.tokens {
            if let Some(&id) = self.claims.get(&token) {
                answer.claimed.extend(self.claimed(id, token, now));
            } else if let Some(&(_, id)) = self.heads.first().filter(|(from, _)| *from <= now) {
                let until = now.saturating_add(millis(request.lease));
                self.start(id, token, until, &request.worker);
                answer.claimed.extend(self.claimed(id, token, now));
            }
        }
        if answer.claimed.len() < request.tokens.len() {
            answer.upcoming = self.ahead(request.upcoming, now);
        }
        let next = [&self.heads, &self.running]
            .into_iter()
            .filter_map(|order| order.first());
        answer.next = next.map(|(at, _)| Duration::from_millis(at.saturating_sub(now))).min();
        answer
    }

    fn ahead(&self, asked: Ahead, now: u64) -> Vec<Upcoming> {
        let later = self.heads.range((now + 1, Uuid::nil())..).map(|(_, id)| *id);
        let ids: Vec<Uuid> = match asked {
            Ahead::Nothing => Vec::new(),
            Ahead::Soonest(most) => later.take(most).collect(),
            Ahead::Latest(most) => later.rev().take(most).collect(),
        };
        let waiting = ids.into_iter().filter_map(|id| {
            let call = self.calls.get(&id).filter(|call| call.for_lock)?;
            let lane = call.lane.clone();
            Some(Upcoming { id, lane })
        });
        waiting.collect()
    }

    /// The calls of workers that died.
    fn take_back(&mut self, now: u64, buried: &mut Vec<Uuid>, rings: &mut Rings) {
        while let Some(&(_, id)) = self.running.first().filter(|(until, _)| *until <= now) {
            let Some(call) = self.calls.get(&id) else {
                return;
            };
            let pause = growing(call.delay, call.tried);
            let again = Verdict::Again {
                pause,
                for_lock: false,
                error: WORKER_STOPPED.to_owned(),
            };
            if self.end_claim(id, &again, CRASHES, now, rings) == Settled::Exhausted {
                buried.push(id);
            }
        }
    }

    /// A waiting call is claimed.
    fn start(&mut self, id: Uuid, token: Uuid, until: u64, worker: &str) {
        self.stop_waiting(id);
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let worker = worker.to_owned();
        call.place = Place::Running { token, until, worker };
        self.running.insert((until, id));
        self.claims.insert(token, id);
    }

    fn claimed(&self, id: Uuid, token: Uuid, now: u64) -> Option<Claimed> {
        let call = self.calls.get(&id)?;
        Some(Claimed {
            id,
            token,
            lane: call.lane.clone(),
            payload: call.payload.clone(),
            tried: call.tried,
            attempts: call.attempts,
            delay: call.delay,
            early: Duration::from_millis(call.due.saturating_sub(now)),
            age: Duration::from_millis(now.saturating_sub(call.stored)),
        })
    }

    pub(super) fn keep(&mut self, id: Uuid, asked: Uuid, lease: u64) -> bool {
        let Some(Call {
            place: Place::Running { token, until, .. },
            ..
        }) = self.calls.get_mut(&id)
        else {
            return false;
        };
        if *token != asked {
            return false;
        }
        self.running.remove(&(*until, id));
        *until = lease;
        self.running.insert((lease, id));
        true
    }

    pub(super) fn settle(&mut self, id: Uuid, asked: Uuid, verdict: &Verdict, now: u64, rings: &mut Rings) -> Settled {
        let Some(call) = self.calls.get(&id) else {
            return Settled::NotOurs;
        };
        if *verdict == Verdict::Done {
            self.remove(id, Found::Done, now, rings);
            return Settled::AsAsked;
        }
        match call.place {
            Place::Running { token, .. } if token == asked => self.end_claim(id, verdict, 1, now, rings),
            _ => Settled::NotOurs,
        }
    }

    /// A running call waits again, or dies; not of exhaustion before `least` attempts.
    fn end_claim(&mut self, id: Uuid, verdict: &Verdict, least: u32, now: u64, rings: &mut Rings) -> Settled {
        self.stop_running(id);
        let Some(call) = self.calls.get_mut(&id) else {
            return Settled::NotOurs;
        };
        let (death, settled) = match verdict {
            Verdict::Again { pause, for_lock, error } => {
                call.tried += 1;
                call.error = Some(error.clone());
                call.for_lock = *for_lock;
                call.due = now.saturating_add(millis(*pause));
                if call.tried >= call.attempts.max(least) {
                    (Some(EXHAUSTED), Settled::Exhausted)
                } else {
                    (None, Settled::AsAsked)
                }
            }
            Verdict::Dead { cause, error } => {
                call.tried += 1;
                call.error = Some(error.clone());
                (Some(cause.as_str()), Settled::AsAsked)
            }
            Verdict::Done | Verdict::HandedBack => (None, Settled::AsAsked),
        };
        if let Some(cause) = death {
            call.cause = Some(cause.to_owned());
            self.sequence += 1;
            let since = (now, self.sequence);
            call.place = Place::Dead { since };
            self.dead.insert(since, id);
            self.leave_lane(id, now, rings);
            rings.ended.push(id);
        } else {
            let due = call.due;
            call.place = Place::Waiting { head: None };
            self.delayed.insert((due, id));
            self.make_head(id, due);
            rings.bell = true;
        }
        settled
    }
}
