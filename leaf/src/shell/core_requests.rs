//! Asks this leaf's own machine to count, reset or forget, and waits for its answer.

use super::inputs::{CoreHandle, Input};
use crate::machine::idempotency::verdict::TryResult;
use countree_common::forget::Tombstone;
use countree_common::key::Topic;
use countree_common::wire::rpc::{Reply, Reset, Submission, SubmitError};
use std::time::Duration;

/// A request that has no answer after this time is in doubt.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than a leaf may take to merge what it holds, so that the answer is its own.
pub(super) const RESET_TIMEOUT: Duration = Duration::from_secs(12);

/// Counts on this leaf, and waits until that is durable.
pub(super) async fn count_here(core: &CoreHandle, submission: Submission) -> TryResult {
    let answer = core.ask(|reply| Input::Submission { submission, reply });
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(Some(answer)) => TryResult::Answer(answer),
        Ok(None) | Err(_) => TryResult::Silence,
    }
}

/// Resets on this leaf's log, and waits until that is durable.
pub(super) async fn reset_here(core: &CoreHandle, reset: Reset) -> Result<(), SubmitError> {
    let answer = core.ask(|reply| Input::Reset { reset, reply });
    match tokio::time::timeout(RESET_TIMEOUT, answer).await {
        Ok(Some(result)) => result.map(|_| ()),
        Ok(None) | Err(_) => Err(SubmitError::InDoubt),
    }
}

/// Has the topic forgotten, and waits until it is.
pub(super) async fn forget_here(core: &CoreHandle, topic: Topic) -> Result<Option<Tombstone>, SubmitError> {
    let answer = core.ask(|reply| Input::Forget { topic, reply });
    match tokio::time::timeout(RESET_TIMEOUT, answer).await {
        Ok(Some(Reply::TopicForgotten(result))) => result,
        // It may still be forgotten.
        Ok(_) | Err(_) => Err(SubmitError::InDoubt),
    }
}
