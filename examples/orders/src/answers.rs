//! What each error of the service is in HTTP.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lock_runtime::LockError;
use orders_service::ShopError;

use crate::routes::ShopFailure;

impl IntoResponse for ShopFailure {
    fn into_response(self) -> Response {
        let (status, retry_after) = answer(&self.0);
        let mut response = (status, format!("{}\n", self.0)).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// The status, and after how many seconds it is worth trying again.
fn answer(error: &ShopError) -> (StatusCode, Option<u32>) {
    match error {
        ShopError::Lock(error) => answer_of_lock(error),
        // Undone, so that the client may simply try again.
        ShopError::Stopped { .. } => (StatusCode::SERVICE_UNAVAILABLE, Some(1)),
        ShopError::Shipped { .. } | ShopError::Stale { .. } => (StatusCode::CONFLICT, None),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, None),
    }
}

fn answer_of_lock(error: &LockError) -> (StatusCode, Option<u32>) {
    if error.is_conflict() {
        // Somebody works on it now; nobody knows for how long, because the lease is renewed.
        (StatusCode::CONFLICT, Some(1))
    } else if matches!(error, LockError::ShutDown { .. }) {
        // This replica stops; another one answers.
        (StatusCode::SERVICE_UNAVAILABLE, Some(1))
    } else if error.is_unavailable() {
        // The lock server is down or does not answer. The body did not run.
        (StatusCode::SERVICE_UNAVAILABLE, Some(5))
    } else {
        // Lost in the middle, with nothing to undo it: how much was done is not known, so this is
        // no invitation to try again. And what only a mistake in the program can bring about.
        (StatusCode::INTERNAL_SERVER_ERROR, None)
    }
}
