//! One question to every server. No task for each: whoever asked waits for the answers, and what is not answered when it
//! has enough, or gives up, goes on in the background.

use std::future::Future;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::Handle;

use super::background::Background;

pub(super) struct Questions<F: Future + Send + 'static>
where
    F::Output: Send,
{
    under_way: FuturesUnordered<F>,
    background: Background,
}

impl<F: Future + Send + 'static> Questions<F>
where
    F::Output: Send,
{
    pub(super) fn new(questions: impl Iterator<Item = F>, background: &Background) -> Self {
        Self {
            under_way: questions.collect(),
            background: background.clone(),
        }
    }

    /// `None`: all have answered. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<F::Output> {
        self.under_way.next().await
    }
}

impl<F: Future + Send + 'static> Drop for Questions<F>
where
    F::Output: Send,
{
    fn drop(&mut self) {
        // Without a runtime this is the end of the manager's thread, and nothing can go on.
        if self.under_way.is_empty() || Handle::try_current().is_err() {
            return;
        }
        let mut rest = std::mem::take(&mut self.under_way);
        self.background
            .spawn(async move { while rest.next().await.is_some() {} });
    }
}
