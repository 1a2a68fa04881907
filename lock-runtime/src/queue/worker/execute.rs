//! One claimed call: from the stored text to the body's end and the verdict on it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tracing::Instrument;

use super::super::claim::ClaimGuard;
use super::super::execution::{Execution, Report};
use super::super::function::Functions;
use super::super::payload::Payload;
use super::super::record::DeathCause;
use super::super::telemetry::{self, Run};
use super::States;
use super::watch::Watches;
use crate::backend::queue::{Claimed, Settled, Verdict, growing};
use crate::{LockError, LockManager, LostReason};

/// The bounds of the pause before a lock is watched again that was not free although its release was heard.
const AGAIN: (u64, u64) = (20, 100);

/// What all runs of a worker share.
pub(super) struct Bench {
    pub(super) manager: LockManager,
    pub(super) functions: Functions,
    pub(super) states: States,
    pub(super) watches: Watches,
}

/// Runs a call and settles it. Dropped half-way, the body goes first, then the lock, then the claim.
pub(super) async fn execute(bench: Arc<Bench>, guard: ClaimGuard, claimed: Claimed) {
    let payload = match Payload::decode(&claimed.payload) {
        Ok(payload) => payload,
        Err(reason) => {
            let ended = Ended::dead(DeathCause::Unreadable, &reason);
            return conclude(&bench, &guard, &claimed, None, ended).await;
        }
    };
    let run = Run::begin(&bench.manager, &payload, &claimed);
    let span = run.span().clone();
    let work = async {
        let Some(function) = bench.functions.get(&payload.function) else {
            let reason = format!(
                "this worker has no function `{}` with `on_conflict = \"queue\"`; run one that has, and send the call back",
                payload.function
            );
            let ended = Ended::dead(DeathCause::UnknownFunction, &reason);
            return conclude(&bench, &guard, &claimed, Some(&run), ended).await;
        };
        let execution = Execution::new(
            bench.manager.clone(),
            function,
            payload.arguments,
            bench.states.clone(),
            guard,
        );
        let running = AssertUnwindSafe((function.run)(execution.clone())).catch_unwind();
        let ended = match running.await {
            Ok(()) => Ended::of(execution.take_report(), &claimed),
            Err(panic) => Ended::dead(DeathCause::Panicked, &telemetry::panic_text(&*panic)),
        };
        conclude(&bench, execution.claim(), &claimed, Some(&run), ended).await;
    };
    work.instrument(span).await;
}

/// What is to become of a call after a run.
struct Ended {
    verdict: Option<Verdict>,
    /// The lock was taken: it is watched, after this pause.
    watch: Option<Duration>,
}

impl Ended {
    fn dead(cause: DeathCause, error: &str) -> Self {
        Self::settled(Verdict::Dead {
            cause: cause.name().to_owned(),
            error: cut(error),
        })
    }

    fn settled(verdict: Verdict) -> Self {
        Self {
            verdict: Some(verdict),
            watch: None,
        }
    }

    fn again(claimed: &Claimed, for_lock: bool, error: &str) -> Self {
        // Up to as much again at random, so that calls which failed together do not come back together.
        let pause = growing(claimed.delay, claimed.tried).mul_f64(1.0 + fastrand::f64());
        Self::settled(Verdict::Again {
            pause,
            for_lock,
            error: cut(error),
        })
    }

    fn of(report: Option<Report>, claimed: &Claimed) -> Self {
        match report {
            Some(Report::Ended(Ok(()))) => Self::settled(Verdict::Done),
            Some(Report::Ended(Err(error))) => Self::dead(DeathCause::Failed, &error),
            Some(Report::Unreadable(reason)) => Self::dead(DeathCause::Unreadable, &reason),
            // Another worker may have it.
            Some(Report::LacksState(reason)) => Self::again(claimed, false, &reason),
            // Somebody else has the call now, or has ended it.
            Some(Report::Superseded) => Self {
                verdict: None,
                watch: None,
            },
            Some(Report::Refused(error)) => Self::refused(&error, claimed),
            // The manager is shut down, which is not the call's fault.
            Some(Report::Lost(LostReason::Shutdown)) => Self::settled(Verdict::HandedBack),
            Some(Report::Lost(reason)) => Self::again(claimed, false, &format!("the lease was lost: {reason}")),
            None => Self::dead(DeathCause::Failed, "the function did not return"),
        }
    }

    /// The body did not run.
    fn refused(error: &LockError, claimed: &Claimed) -> Self {
        match error {
            LockError::ShutDown { .. }
            | LockError::Lost {
                reason: LostReason::Shutdown,
                ..
            } => Self::settled(Verdict::HandedBack),
            // The function takes another lock than the one that the call was stored for: another version of the program
            // has stored it. The releases of that one are not heard.
            LockError::Conflict { key, .. } if key.as_str() != claimed.lane => {
                Self::again(claimed, false, &error.to_string())
            }
            LockError::Conflict { .. } if claimed.early.is_zero() => Self {
                watch: Some(Duration::ZERO),
                ..Self::again(claimed, true, &error.to_string())
            },
            // An early try was none: it cost no attempt, and the time that was planned stays.
            LockError::Conflict { .. } => Self {
                verdict: Some(Verdict::HandedBack),
                watch: Some(Duration::from_millis(fastrand::u64(AGAIN.0..AGAIN.1))),
            },
            error if error.is_unavailable() || error.is_lost() => Self::again(claimed, false, &error.to_string()),
            error => Self::dead(DeathCause::Refused, &error.to_string()),
        }
    }
}

/// Texts of errors are stored; nobody reads megabytes of them.
fn cut(text: &str) -> String {
    const MOST: usize = 4 * 1024;
    if text.len() <= MOST {
        return text.to_owned();
    }
    let end = (0..=MOST)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or_default();
    format!("{}…", &text[..end])
}

async fn conclude(bench: &Bench, guard: &ClaimGuard, claimed: &Claimed, run: Option<&Run>, ended: Ended) {
    let Some(verdict) = ended.verdict else {
        return;
    };
    match guard.settle(verdict.clone()).await {
        Ok(settled) => {
            telemetry::settled(run, claimed, &verdict, settled, bench.manager.0.redact_keys);
            let waits = matches!(settled, Settled::AsAsked);
            if let (true, Some(pause)) = (waits, ended.watch) {
                bench.watches.watch(claimed.id, &claimed.lane, pause);
            }
        }
        // Its claim runs out, and then it is run again.
        Err(failure) => telemetry::not_settled(claimed, &failure.reason),
    }
}
