//! The routes. A handler calls one service function; that it is locked does not show here.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use orders_service::{Shop, ShopError};
use serde::Serialize;

/// All routes of the service.
pub(crate) fn router(shop: Shop) -> Router {
    Router::new()
        .route("/orders/{id}", get(show))
        .route("/orders/{id}/ship", post(ship))
        .route("/orders/{id}/cancel", post(cancel))
        .route("/stock", post(take_stock))
        .with_state(shop)
}

#[derive(Serialize)]
struct Order {
    order: u64,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fence: Option<u64>,
}

#[derive(Serialize)]
struct Stock {
    shipped: usize,
}

async fn show(State(shop): State<Shop>, Path(id): Path<u64>) -> Json<Order> {
    let state = shop
        .state(id)
        .map_or_else(|| "new".to_owned(), |state| format!("{state:?}").to_lowercase());
    Json(Order {
        order: id,
        state,
        fence: None,
    })
}

async fn ship(State(shop): State<Shop>, Path(id): Path<u64>) -> Result<Json<Order>, ShopFailure> {
    let shipment = shop.ship(id).await?;
    Ok(Json(Order {
        order: id,
        state: "shipped".to_owned(),
        fence: Some(shipment.fence.get()),
    }))
}

async fn cancel(State(shop): State<Shop>, Path(id): Path<u64>) -> Result<StatusCode, ShopFailure> {
    shop.cancel(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Somebody else counting already is no failure, but there is no number to answer with either.
async fn take_stock(State(shop): State<Shop>) -> Result<Result<Json<Stock>, StatusCode>, ShopFailure> {
    let shipped = shop.take_stock().await?;
    Ok(shipped
        .map(|shipped| Json(Stock { shipped }))
        .ok_or(StatusCode::ACCEPTED))
}

/// The service's error, on its way to an answer (see `answers`).
pub(crate) struct ShopFailure(pub(crate) ShopError);

impl From<ShopError> for ShopFailure {
    fn from(error: ShopError) -> ShopFailure {
        ShopFailure(error)
    }
}
