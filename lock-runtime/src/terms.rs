//! What is asked of a lock: the options of an attribute or of a request, as written and as checked.

use std::time::Duration;

use crate::{Key, LockError};

/// The shortest lease. Below it, one slow reply is the end of it.
pub(crate) const MIN_TTL: Duration = Duration::from_millis(100);
/// The shortest period of renewals: below it they are a load and no help.
const MIN_RENEW: Duration = Duration::from_millis(1);
/// The longest duration of any kind: 100 years, so that no sum of two overflows.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 86_400);
/// A lease's life without renewal, unless the manager or the call says otherwise.
pub(crate) const DEFAULT_TTL: Duration = Duration::from_secs(30);
/// The longest wait for a holder, unless the manager or the call says otherwise.
pub(crate) const DEFAULT_WAIT: Duration = Duration::from_secs(10);
/// The bounds of the re-check between wake-ups, unless the call says otherwise.
const DEFAULT_BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// What to do when somebody else holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnConflict {
    Fail,
    Retry,
    Skip,
}

/// What to do with the body when its lease is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnLost {
    Abort,
    Continue,
}

/// How the lease is kept alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renew {
    /// Every third of the ttl.
    Third,
    Every(Duration),
    Never,
}

/// The options of one annotated function or one request, as written; what is `None` comes from the manager.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    pub(crate) on_conflict: OnConflict,
    pub(crate) on_lost: OnLost,
    pub(crate) ttl: Option<Duration>,
    pub(crate) wait: Option<Duration>,
    pub(crate) backoff: (Duration, Duration),
    pub(crate) renew: Renew,
    pub(crate) max_hold: Option<Duration>,
    pub(crate) hold_at_least: Option<Duration>,
    pub(crate) reentrant: bool,
    /// It says nothing of a lease: all leases of a manager that are asked for so are alike.
    plain: bool,
}

/// Const builders, so that an attribute's options are a constant of the program.
#[allow(
    missing_docs,
    reason = "named as the attribute's options, which are documented there"
)]
impl Spec {
    /// Without further options. References, so that whoever names one has no constant of its own to be checked.
    pub const FAIL: &'static Self = &Self::fail();
    pub const RETRY: &'static Self = &Self::retry();
    pub const SKIP: &'static Self = &Self::skip();

    const fn new(on_conflict: OnConflict) -> Self {
        Self {
            on_conflict,
            on_lost: OnLost::Abort,
            ttl: None,
            wait: None,
            backoff: DEFAULT_BACKOFF,
            renew: Renew::Third,
            max_hold: None,
            hold_at_least: None,
            reentrant: false,
            plain: true,
        }
    }

    #[must_use]
    pub const fn fail() -> Self {
        Self::new(OnConflict::Fail)
    }

    #[must_use]
    pub const fn retry() -> Self {
        Self::new(OnConflict::Retry)
    }

    #[must_use]
    pub const fn skip() -> Self {
        Self::new(OnConflict::Skip)
    }

    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self.plain = false;
        self
    }

    #[must_use]
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    #[must_use]
    pub const fn backoff(mut self, min: Duration, max: Duration) -> Self {
        self.backoff = (min, max);
        self.plain = false;
        self
    }

    #[must_use]
    pub const fn renew_every(mut self, period: Duration) -> Self {
        self.renew = Renew::Every(period);
        self.plain = false;
        self
    }

    #[must_use]
    pub const fn never_renew(mut self) -> Self {
        self.renew = Renew::Never;
        self.plain = false;
        self
    }

    #[must_use]
    pub const fn max_hold(mut self, max_hold: Duration) -> Self {
        self.max_hold = Some(max_hold);
        self.plain = false;
        self
    }

    #[must_use]
    pub const fn hold_at_least(mut self, hold_at_least: Duration) -> Self {
        self.hold_at_least = Some(hold_at_least);
        self.plain = false;
        self
    }

    #[must_use]
    pub const fn continue_when_lost(mut self) -> Self {
        self.on_lost = OnLost::Continue;
        self
    }

    #[must_use]
    pub const fn reentrant(mut self) -> Self {
        self.reentrant = true;
        self
    }
}

/// What an acquire and its hold are subject to: the options completed by the manager's defaults and checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) hold: HoldTerms,
    pub(crate) ttl: Duration,
    /// `None`: do not wait for a holder.
    pub(crate) wait: Option<Duration>,
    pub(crate) backoff: (Duration, Duration),
}

/// The part that lives as long as the hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HoldTerms {
    pub(crate) ttl: Duration,
    /// `None`: never renewed.
    pub(crate) renew_every: Option<Duration>,
    pub(crate) max_hold: Option<Duration>,
    pub(crate) hold_at_least: Option<Duration>,
}

impl Spec {
    /// How long to wait for a holder; `None`: not at all.
    fn wait_for(&self, default_wait: Duration) -> Option<Duration> {
        match self.on_conflict {
            OnConflict::Fail | OnConflict::Skip => None,
            OnConflict::Retry => Some(self.wait.unwrap_or(default_wait)).filter(|wait| !wait.is_zero()),
        }
    }
}

impl Terms {
    /// As [`new`](Self::new), of a manager whose plain terms are these, for most calls without looking at each of them.
    pub(crate) fn like(
        plain: Option<&Self>,
        spec: &Spec,
        default_ttl: Duration,
        default_wait: Duration,
        key: &Key,
    ) -> Result<Self, LockError> {
        match plain {
            Some(plain) if spec.plain && spec.wait.is_none_or(|wait| wait <= MAX_DURATION) => {
                let mut terms = *plain;
                terms.wait = spec.wait_for(default_wait);
                Ok(terms)
            }
            Some(_) | None => Self::new(spec, default_ttl, default_wait, key),
        }
    }

    /// # Errors
    ///
    /// [`LockError::InvalidOption`], naming the option and what to write.
    pub(crate) fn new(
        spec: &Spec,
        default_ttl: Duration,
        default_wait: Duration,
        key: &Key,
    ) -> Result<Self, LockError> {
        let invalid = |option, reason| {
            Err(LockError::InvalidOption {
                key: Some(key.clone()),
                option,
                reason,
            })
        };
        let ttl = whole_millis(spec.ttl.unwrap_or(default_ttl));
        if let Err(reason) = check_ttl(ttl) {
            return invalid("ttl", reason);
        }
        let renew_every = match spec.renew {
            Renew::Never => None,
            Renew::Third => Some(ttl / 3),
            Renew::Every(period) if period < MIN_RENEW => {
                return invalid(
                    "renew",
                    format!("{period:?} is too short; give at least {MIN_RENEW:?}, or turn renewal off"),
                );
            }
            Renew::Every(period) if period > ttl / 2 => {
                return invalid(
                    "renew",
                    format!(
                        "{period:?} is over half of the ttl ({ttl:?}), so that one lost reply ends the lease; at most {:?}",
                        ttl / 2
                    ),
                );
            }
            Renew::Every(period) => Some(period),
        };
        if let Some(max_hold) = spec.max_hold.filter(|max_hold| *max_hold < ttl) {
            return invalid(
                "max_hold",
                format!("{max_hold:?} is under the ttl ({ttl:?}); give at least the ttl"),
            );
        }
        let (min, max) = spec.backoff;
        if min.is_zero() || min > max {
            return invalid(
                "backoff",
                format!("{min:?}..{max:?}: the lower bound must be above zero and at most the upper one"),
            );
        }
        let wait = spec.wait_for(default_wait);
        let longest = [
            ("wait", wait),
            ("max_hold", spec.max_hold),
            ("hold_at_least", spec.hold_at_least),
            ("backoff", Some(max)),
        ];
        if let Some((option, _)) = longest.iter().find(|(_, duration)| *duration > Some(MAX_DURATION)) {
            return invalid(option, "it is over 100 years".to_owned());
        }
        Ok(Self {
            hold: HoldTerms {
                ttl,
                renew_every,
                max_hold: spec.max_hold,
                hold_at_least: spec.hold_at_least,
            },
            ttl,
            wait,
            backoff: spec.backoff,
        })
    }
}

/// Servers count in milliseconds. Rounded down here, so that the local deadline is never the later one.
fn whole_millis(duration: Duration) -> Duration {
    Duration::new(duration.as_secs(), duration.subsec_millis() * 1_000_000)
}

/// What is wrong with a ttl, if anything.
pub(crate) fn check_ttl(ttl: Duration) -> Result<(), String> {
    if ttl < MIN_TTL {
        Err(format!(
            "{ttl:?} is too short: one slow reply would end the lease; give at least {MIN_TTL:?}"
        ))
    } else if ttl > MAX_DURATION {
        Err("it is over 100 years; a holder that dies would keep the lock".to_owned())
    } else {
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests/terms.rs"]
mod tests;
