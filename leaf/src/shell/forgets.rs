//! `DELETE /v1/topics/{topic}?forget=true`: a topic is gone for good.

use super::http::{Front, refusal};
use super::inputs::{CoreHandle, Input};
use super::resets::RESET_TIMEOUT;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use countree_common::forget::Tombstone;
use countree_common::key::Topic;
use countree_common::shell::http::error;
use countree_common::wire::rpc::{Reply, SubmitError};

/// Answers the request. Any leaf does it; a repeat is harmless, and answered as the first was.
pub(super) async fn answer(front: &Front, topic: &str) -> Response {
    let topic = match Topic::new(topic) {
        Ok(topic) => topic,
        Err(e) => return error(StatusCode::BAD_REQUEST, "bad_name", e.to_string(), None),
    };
    match forget_here(&front.core, topic.clone()).await {
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

/// Has the topic forgotten, and waits until it is.
pub(super) async fn forget_here(core: &CoreHandle, topic: Topic) -> Result<Option<Tombstone>, SubmitError> {
    let answer = core.ask(|reply| Input::Forget { topic, reply });
    match tokio::time::timeout(RESET_TIMEOUT, answer).await {
        Ok(Some(Reply::TopicForgotten(result))) => result,
        // It may be forgotten yet.
        Ok(_) | Err(_) => Err(SubmitError::InDoubt),
    }
}
