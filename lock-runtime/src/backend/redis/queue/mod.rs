//! Calls that are stored on Redis, next to the locks.
//!
//! Every operation is one script, and all keys of a namespace's queue have one hash tag: `lib.lua` says what is in them.
//! The clock is the server's.

mod answer;
mod script;
#[cfg(test)]
pub(in crate::backend) mod tests;

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use uuid::Uuid;

use self::script::{CANCEL, CENSUS, CLAIM, FIND, HASTEN, KEEP, PAGE, SEND_BACK, SETTLE, STORE, SWEEP};
use super::super::queue::{
    Ahead, CRASHES, CallRecord, CallStore, Cancelling, Census, ClaimRequest, Claims, Found, LONGEST_DELAY, NewCall,
    REMEMBERED, Settled, Standing, Storing, Sweep, Verdict,
};
use super::super::{BoxFuture, Failure};
use super::script::{LuaScript, ScriptCall};
use super::servers::Servers;

/// What the scripts' KEYS are, in their order.
const KEYS: [&str; 10] = [
    "calls", "payloads", "lanes", "nexts", "pending", "heads", "running", "claims", "dead", "ended",
];
/// The largest number that the server's scripts count exactly.
const MOST: u64 = 1 << 53;
/// A hundred years, in milliseconds: with today's date, still a time that the scripts write down exactly.
const LONGEST: u64 = 100 * 365 * 24 * 60 * 60 * 1_000;
/// A server does nothing else while it lists calls.
const LONGEST_PAGE: u32 = 1_000;
/// Or while it moves them, which takes longer.
const LONGEST_SWEEP: u32 = 200;
/// Or while it claims some.
const MOST_TOKENS: usize = 100;

/// The queue of one namespace.
pub(super) struct RedisCalls {
    servers: Arc<Servers>,
    keys: [String; KEYS.len()],
    bell: String,
    /// What the bell's wake-ups listen to.
    channel: String,
}

impl RedisCalls {
    pub(super) fn new(servers: Arc<Servers>, namespace: &str) -> Self {
        // Braces would end, or begin, the hash tag.
        let namespace = namespace.replace('%', "%25").replace('{', "%7B").replace('}', "%7D");
        let bell = format!("distributed-lock:{{queue:{namespace}}}");
        Self {
            servers,
            keys: KEYS.map(|key| format!("{bell}:{key}")),
            channel: super::channel(&bell),
            bell,
        }
    }

    /// Begins a call of a script with what all of them get.
    fn call(&self, script: &'static LuaScript) -> ScriptCall {
        let call = script.keys(self.keys.len());
        let call = self.keys.iter().fold(call, |call, key| call.arg(key));
        call.arg(&self.channel).arg(millis(REMEMBERED))
    }

    /// Any key tells where they all are.
    async fn run(&self, call: &ScriptCall, within: Duration) -> Result<Value, Failure> {
        self.servers.run(&self.keys[0], call, None, within).await
    }

    /// `read`: what the answer of the script `name` means.
    async fn ask<T>(
        &self,
        name: &str,
        call: ScriptCall,
        within: Duration,
        read: impl FnOnce(&Value) -> Option<T> + Send,
    ) -> Result<T, Failure> {
        let reply = self.run(&call, within).await?;
        read(&reply).ok_or_else(|| answer::unexpected(name))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(LONGEST).min(LONGEST)
}

/// Never one that is over before it begins.
fn lease_millis(lease: Duration) -> u64 {
    millis(lease).max(1)
}

fn flag(is_so: bool) -> u8 {
    u8::from(is_so)
}

impl CallStore for RedisCalls {
    fn bell(&self) -> &str {
        &self.bell
    }

    fn end_bell(&self, id: Uuid) -> String {
        format!("{}:{id}", self.bell)
    }

    fn store<'a>(&'a self, call: &'a NewCall, within: Duration) -> BoxFuture<'a, Result<Storing, Failure>> {
        let script = self
            .call(&STORE)
            .arg(call.id.to_string())
            .arg(&call.lane)
            .arg(&call.payload)
            .arg(millis(call.delay))
            .arg(call.attempts)
            .arg(call.limit.min(MOST));
        Box::pin(self.ask("store", script, within, answer::storing))
    }

    fn claim<'a>(&'a self, request: &'a ClaimRequest, within: Duration) -> BoxFuture<'a, Result<Claims, Failure>> {
        let (upcoming, which) = match request.upcoming {
            Ahead::Nothing => (0, "soonest"),
            Ahead::Soonest(most) => (most, "soonest"),
            Ahead::Latest(most) => (most, "latest"),
        };
        let script = self
            .call(&CLAIM)
            .arg(lease_millis(request.lease))
            .arg(millis(LONGEST_DELAY))
            .arg(&request.worker)
            .arg(upcoming.min(LONGEST_PAGE as usize))
            .arg(which)
            .arg(CRASHES);
        let tokens = request.tokens.iter().take(MOST_TOKENS);
        let script = tokens.fold(script, |script, token| script.arg(token.to_string()));
        Box::pin(self.ask("claim", script, within, answer::claims))
    }

    fn keep<'a>(
        &'a self,
        claims: &'a [(Uuid, Uuid)],
        lease: Duration,
        within: Duration,
    ) -> BoxFuture<'a, Result<Vec<bool>, Failure>> {
        let script = claims
            .iter()
            .fold(self.call(&KEEP).arg(lease_millis(lease)), |script, (id, token)| {
                script.arg(id.to_string()).arg(token.to_string())
            });
        Box::pin(self.ask("keep", script, within, |reply| answer::kept(reply, claims.len())))
    }

    fn settle<'a>(
        &'a self,
        id: Uuid,
        token: Uuid,
        verdict: &'a Verdict,
        ring: bool,
        within: Duration,
    ) -> BoxFuture<'a, Result<Settled, Failure>> {
        let script = self
            .call(&SETTLE)
            .arg(id.to_string())
            .arg(token.to_string())
            .arg(flag(ring));
        let script = match verdict {
            Verdict::Done => script.arg("done"),
            Verdict::Dead { cause, error } => script.arg("dead").arg(cause).arg(error),
            Verdict::Again { pause, for_lock, error } => {
                script.arg("again").arg(millis(*pause)).arg(flag(*for_lock)).arg(error)
            }
            Verdict::HandedBack => script.arg("back"),
        };
        Box::pin(self.ask("settle", script, within, answer::settled))
    }

    fn hasten(&self, id: Uuid, within: Duration) -> BoxFuture<'_, Result<(), Failure>> {
        let script = self.call(&HASTEN).arg(id.to_string());
        Box::pin(self.ask("hasten", script, within, |reply| answer::is_so(reply).map(drop)))
    }

    fn census(&self, within: Duration) -> BoxFuture<'_, Result<Census, Failure>> {
        Box::pin(self.ask("census", self.call(&CENSUS), within, answer::census))
    }

    fn page(
        &self,
        standing: Standing,
        offset: u64,
        limit: u32,
        within: Duration,
    ) -> BoxFuture<'_, Result<Vec<CallRecord>, Failure>> {
        let script = self
            .call(&PAGE)
            .arg(answer::name(standing))
            .arg(offset.min(MOST))
            .arg(limit.min(LONGEST_PAGE));
        Box::pin(self.ask("page", script, within, move |reply| answer::page(reply, standing)))
    }

    fn find(&self, id: Uuid, within: Duration) -> BoxFuture<'_, Result<Found, Failure>> {
        let script = self.call(&FIND).arg(id.to_string());
        Box::pin(self.ask("find", script, within, move |reply| answer::found(reply, id)))
    }

    fn cancel(&self, id: Uuid, within: Duration) -> BoxFuture<'_, Result<Cancelling, Failure>> {
        let script = self.call(&CANCEL).arg(id.to_string()).arg(flag(false));
        Box::pin(self.ask("cancel", script, within, answer::cancelling))
    }

    fn withdraw(&self, id: Uuid, within: Duration) -> BoxFuture<'_, Result<(), Failure>> {
        let script = self.call(&CANCEL).arg(id.to_string()).arg(flag(true));
        Box::pin(self.ask("cancel", script, within, |reply| answer::cancelling(reply).map(drop)))
    }

    fn send_back(&self, id: Uuid, request: Uuid, within: Duration) -> BoxFuture<'_, Result<bool, Failure>> {
        let script = self.call(&SEND_BACK).arg(id.to_string()).arg(request.to_string());
        Box::pin(self.ask("send_back", script, within, answer::is_so))
    }

    fn sweep_dead(
        &self,
        until: u64,
        limit: u32,
        sweep: Sweep,
        within: Duration,
    ) -> BoxFuture<'_, Result<u64, Failure>> {
        let script = self
            .call(&SWEEP)
            .arg(until.min(MOST))
            .arg(limit.min(LONGEST_SWEEP))
            .arg(flag(sweep == Sweep::SendBack));
        Box::pin(self.ask("sweep_dead", script, within, answer::number))
    }
}
