//! Watching the locks that stored calls wait for: the release, or the expiry, makes a call due at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::super::client::{Client, Patience};
use crate::backend::queue::{Found, Standing};
use crate::backend::{Applied, Failure, FailureKind, Stored};
use crate::pauses::pauses;

/// How long the subscription may take to begin.
const ARMED: Duration = Duration::from_millis(500);
/// How long the answer who holds the lock may take.
const ANSWER: Duration = Duration::from_secs(1);
/// How long a watch goes on before it is asked whether anybody still waits.
const LONGEST: Duration = Duration::from_secs(60);

/// One watch for each call, and so for each lock that calls wait for. They end with their worker.
#[derive(Clone)]
pub(super) struct Watches(Arc<Inner>);

struct Inner {
    client: Client,
    most: usize,
    /// The worker stops, and hastens nothing any more.
    closed: AtomicBool,
    /// The watch of each call. A std mutex, held for a map operation.
    tasks: Mutex<HashMap<Uuid, Option<AbortHandle>>>,
}

impl Watches {
    pub(super) fn new(client: Client, most: usize) -> Self {
        Self(Arc::new(Inner {
            client,
            most,
            closed: AtomicBool::new(false),
            tasks: Mutex::default(),
        }))
    }

    /// Watches the lock of the call `id`, beginning after `pause`, if there is room. Must be called in the worker's
    /// runtime.
    pub(super) fn watch(&self, id: Uuid, lane: &str, pause: Duration) {
        {
            let mut tasks = self.0.tasks();
            let closed = self.0.closed.load(Ordering::Acquire);
            if closed || tasks.len() >= self.0.most || tasks.contains_key(&id) {
                return;
            }
            tasks.insert(id, None);
        }
        let name = format!("{}{lane}", self.0.client.shared().namespace);
        let watched = Watched {
            inner: Arc::clone(&self.0),
            id,
        };
        // Not under the mutex: on a runtime that has ended, the task is dropped at once, and takes itself out.
        let watching = tokio::spawn(async move {
            sleep(pause).await;
            let mut pauses = pauses();
            while let Err(failure) = until_free(&watched, &name).await {
                tracing::debug!(reason = failure.reason, "a lock cannot be watched; it is tried again");
                if failure.kind != FailureKind::Transient {
                    return;
                }
                sleep(pauses.next().unwrap_or(ANSWER)).await;
            }
        });
        match self.0.tasks().get_mut(&id) {
            Some(task) => *task = Some(watching.abort_handle()),
            // It is over already, or all of them were ended.
            None => watching.abort(),
        }
    }

    /// Ends all of them when it is dropped, also with a worker that is.
    pub(super) fn end_with(&self) -> EndAll {
        EndAll(self.clone())
    }
}

/// Ends all watches when it is dropped.
pub(super) struct EndAll(Watches);

impl Drop for EndAll {
    fn drop(&mut self) {
        let watches = &self.0.0;
        watches.closed.store(true, Ordering::Release);
        let tasks: Vec<_> = watches.tasks().drain().collect();
        for (_, task) in tasks {
            if let Some(task) = task {
                task.abort();
            }
        }
    }
}

impl Inner {
    fn tasks(&self) -> MutexGuard<'_, HashMap<Uuid, Option<AbortHandle>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room when a watch is over, however it ends.
struct Watched {
    inner: Arc<Inner>,
    id: Uuid,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.inner.tasks().remove(&self.id);
    }
}

/// Until the lock is free, and then makes the call due; or until the call does not wait any more.
async fn until_free(watched: &Watched, name: &str) -> Result<(), Failure> {
    let (client, id) = (&watched.inner.client, watched.id);
    let mut wakeup = client.backend().wakeup(name, client.timeline().runtime());
    // Listening before looking: a release between the two is heard.
    let _heard = timeout(ARMED, wakeup.armed()).await;
    while let Some(holder) = holder(client, name).await? {
        // One more millisecond, because servers count whole ones. Renewed in the meantime: then it is looked at again.
        let expiry = holder.remaining.map(|remaining| remaining + Duration::from_millis(1));
        let expired = expiry.unwrap_or(LONGEST).min(LONGEST);
        let woken = timeout(expired, wakeup.woken()).await;
        if woken.is_ok() {
            break;
        }
        if expired == LONGEST && !waits(client, id).await? {
            return Ok(());
        }
    }
    drop(wakeup);
    client
        .ask(
            Patience::CALLER,
            move |store, within| Box::pin(async move { store.hasten(id, within).await }),
            |()| (),
        )
        .await
}

/// Whether the call still waits: it may have been cancelled, or be run by somebody else.
async fn waits(client: &Client, id: Uuid) -> Result<bool, Failure> {
    let found = client
        .ask(
            Patience::CALLER,
            move |store, within| Box::pin(async move { store.find(id, within).await }),
            |found| found,
        )
        .await?;
    Ok(match found {
        Found::Call(record) => matches!(record.standing, Standing::Due | Standing::Delayed),
        Found::Done | Found::Cancelled | Found::Nothing => false,
    })
}

async fn holder(client: &Client, name: &str) -> Result<Option<Stored>, Failure> {
    let (backend, name) = (Arc::clone(client.backend()), name.to_owned());
    let asked = async move { backend.inspect(&name, ANSWER).await };
    if client.backend().is_local() {
        return asked.await;
    }
    match client.timeline().spawn(asked).await {
        Ok(holder) => holder,
        Err(error) => Err(Failure {
            kind: FailureKind::Permanent,
            applied: Applied::No,
            reason: "the lock thread has ended".to_owned(),
            source: Some(error.into()),
        }),
    }
}
