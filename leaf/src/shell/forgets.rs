//! Serves `DELETE /v1/topics/{topic}?forget=true`: a topic is gone for good.

use super::core_requests::forget_here;
use super::http_state::HttpState;
use super::refusals::refusal;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use countree_common::forget::Tombstone;
use countree_common::key::Topic;
use countree_common::shell::http::error;

/// Answers the request. Any leaf does it; a repeat is harmless, and answered as the first was.
pub(super) async fn answer(state: &HttpState, topic: &str) -> Response {
    let topic = match Topic::new(topic) {
        Ok(topic) => topic,
        Err(e) => return error(StatusCode::BAD_REQUEST, "bad_name", e.to_string(), None),
    };
    match forget_here(&state.core, topic.clone()).await {
        Ok(Some(Tombstone { events, durable, .. })) => {
            Json(serde_json::json!({ "forgotten": true, "events": events, "durable": durable }))
                .into_response()
        }
        Ok(None) => {
            let message = format!("nothing was ever counted in topic '{topic}'");
            error(StatusCode::NOT_FOUND, "unknown_topic", message, None)
        }
        Err(e) => refusal(&e),
    }
}
