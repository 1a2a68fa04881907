//! Looking at stored calls, and acting on them.

use std::time::Duration;

use tokio::time::timeout;
use uuid::Uuid;

use super::Ticket;
use super::client::{Client, Patience, Question};
use super::record::{CallEnd, CallState, Cancellation, DeathCause, QueueCounts, QueuedCall};
use crate::backend::queue::{Cancelling, Found, Standing, Sweep};
use crate::{LockError, LockManager};

/// How many dead calls one request sends back or forgets: it must not block a server.
const SWEPT: u32 = 200;
/// The longest page.
const LONGEST_PAGE: u32 = 1_000;
/// How often who waits for an end looks without having been told.
const LOOK: Duration = Duration::from_secs(2);

/// The stored calls of one manager's namespace, from [`LockManager::queue`].
///
/// On a server everything here costs the same with a thousand stored calls as with a million. A page is what stands there
/// at that moment: where calls end meanwhile, the next page may leave one out. Every method can fail with [`LockError::Unavailable`] within 5 s, and with [`LockError::NoQueue`] where the
/// backend stores no calls.
///
/// ```
/// # use lock_runtime::{CallState, LockError, LockManager};
/// # async fn look(locks: LockManager) -> Result<(), LockError> {
/// let queue = locks.queue();
/// let counts = queue.counts().await?;
/// println!("{} due, for up to {:?}", counts.due, counts.oldest_due);
/// for dead in queue.list(CallState::Dead, 0, 10).await? {
///     println!("{}: {}", dead.ticket(), dead.last_error().unwrap_or("no error"));
///     queue.send_back(dead.ticket()).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Queue {
    manager: LockManager,
}

impl Queue {
    pub(crate) fn new(manager: LockManager) -> Self {
        Self { manager }
    }

    /// How many calls are stored, by state.
    ///
    /// # Errors
    ///
    /// As for all, see [`Queue`].
    pub async fn counts(&self) -> Result<QueueCounts, LockError> {
        let census = self
            .ask(|store, within| Box::pin(async move { store.census(within).await }))
            .await?;
        Ok(QueueCounts {
            due: census.due,
            delayed: census.delayed,
            running: census.running,
            dead: census.dead,
            oldest_due: census.oldest_due,
        })
    }

    /// One page of the calls in `state`: at most `limit` (and 1,000), after the first `offset`. The earliest first; dead
    /// letters the latest first. Where the arguments are large, a page ends after about 8 MiB of them; an empty one is the
    /// end.
    ///
    /// # Errors
    ///
    /// As for all, see [`Queue`].
    pub async fn list(&self, state: CallState, offset: u64, limit: u32) -> Result<Vec<QueuedCall>, LockError> {
        let standing = match state {
            CallState::Due => Standing::Due,
            CallState::Delayed => Standing::Delayed,
            CallState::Running => Standing::Running,
            CallState::Dead => Standing::Dead,
        };
        let limit = limit.min(LONGEST_PAGE);
        let page = self
            .ask(move |store, within| Box::pin(async move { store.page(standing, offset, limit, within).await }))
            .await?;
        Ok(page.into_iter().map(QueuedCall::new).collect())
    }

    /// One page of the dead letters, as [`list`](Self::list) gives them.
    ///
    /// # Errors
    ///
    /// As for all, see [`Queue`].
    pub async fn dead_letters(&self, offset: u64, limit: u32) -> Result<Vec<QueuedCall>, LockError> {
        self.list(CallState::Dead, offset, limit).await
    }

    /// The call of this ticket; `None` when it has ended, or there was none.
    ///
    /// # Errors
    ///
    /// As for all, see [`Queue`].
    pub async fn get(&self, ticket: Ticket) -> Result<Option<QueuedCall>, LockError> {
        Ok(match self.find(ticket).await? {
            Found::Call(record) => Some(QueuedCall::new(*record)),
            Found::Done | Found::Cancelled | Found::Nothing => None,
        })
    }

    /// Waits until the call of this ticket has ended or is dead, for as long as that takes; a
    /// `tokio::time::timeout` limits it.
    ///
    /// # Errors
    ///
    /// As for all, see [`Queue`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with timers.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the call goes on.
    pub async fn wait(&self, ticket: Ticket) -> Result<CallEnd, LockError> {
        let client = Client::of(&self.manager, None)?;
        let bell = client.store().end_bell(ticket.0);
        let mut wakeup = client.backend().bell(&bell, client.timeline().runtime());
        // Listening before looking. Where listening cannot begin soon, the looks do.
        let _heard = timeout(LOOK / 4, wakeup.armed()).await;
        loop {
            match self.find(ticket).await? {
                Found::Call(record) if record.standing == Standing::Dead => {
                    return Ok(CallEnd::Dead {
                        cause: DeathCause::of(record.cause.as_deref().unwrap_or_default()),
                        error: record.error.unwrap_or_default(),
                    });
                }
                Found::Call(_) => {}
                Found::Done => return Ok(CallEnd::Done),
                Found::Cancelled => return Ok(CallEnd::Cancelled),
                Found::Nothing => return Ok(CallEnd::Unknown),
            }
            let _woken = timeout(LOOK, wakeup.woken()).await;
        }
    }

    /// Takes a call out that does not run: it will not. A dead letter is forgotten.
    ///
    /// # Errors
    ///
    /// As for all, see [`Queue`].
    pub async fn cancel(&self, ticket: Ticket) -> Result<Cancellation, LockError> {
        let cancelling = self
            .ask(move |store, within| Box::pin(async move { store.cancel(ticket.0, within).await }))
            .await?;
        Ok(match cancelling {
            Cancelling::Cancelled => Cancellation::Cancelled,
            Cancelling::Running => Cancellation::Running,
            Cancelling::Nothing => Cancellation::NotFound,
        })
    }

    /// Lets a dead letter run again: after all calls that are stored for its lock now, with all its attempts. Whether it
    /// was a dead letter.
    ///
    /// # Errors
    ///
    /// As for all, see [`Queue`].
    pub async fn send_back(&self, ticket: Ticket) -> Result<bool, LockError> {
        let request = Uuid::new_v4();
        self.ask(move |store, within| Box::pin(async move { store.send_back(ticket.0, request, within).await }))
            .await
    }

    /// Lets all dead letters run again that there are now, in the order in which they died. How many.
    ///
    /// # Errors
    ///
    /// As for all, see [`Queue`]; some may have been sent back then.
    pub async fn send_back_all(&self) -> Result<u64, LockError> {
        self.sweep(Sweep::SendBack, Duration::ZERO).await
    }

    /// Forgets the dead letters that died longer ago than that. How many.
    ///
    /// # Errors
    ///
    /// As for all, see [`Queue`]; some may be forgotten then.
    pub async fn purge(&self, older_than: Duration) -> Result<u64, LockError> {
        self.sweep(Sweep::Forget, older_than).await
    }

    async fn sweep(&self, sweep: Sweep, age: Duration) -> Result<u64, LockError> {
        let census = self
            .ask(|store, within| Box::pin(async move { store.census(within).await }))
            .await?;
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        // Not beyond now: what dies again meanwhile is not swept again.
        let Some(until) = census.now.checked_sub(age) else {
            return Ok(0);
        };
        let mut all = 0;
        loop {
            let swept = self
                .ask(move |store, within| Box::pin(async move { store.sweep_dead(until, SWEPT, sweep, within).await }))
                .await?;
            if swept == 0 {
                return Ok(all);
            }
            all += swept;
        }
    }

    async fn find(&self, ticket: Ticket) -> Result<Found, LockError> {
        self.ask(move |store, within| Box::pin(async move { store.find(ticket.0, within).await }))
            .await
    }

    async fn ask<T: Send + 'static>(&self, question: impl Question<T>) -> Result<T, LockError> {
        let client = Client::of(&self.manager, None)?;
        let answer = client.ask(Patience::CALLER, question, |answer| answer).await;
        answer.map_err(|failure| client.error(None, failure))
    }
}
