//! Gets a request counted: one leaf takes all of it, the owner of its first key where it has any.

use super::core_requests::count_here;
use super::http_state::HttpState;
use super::owners;
use super::request::Parsed;
use crate::machine::idempotency::verdict::{TryResult, Verdict};
use countree_common::cluster::NodeName;
use countree_common::shell::peers::PeerError;
use countree_common::wire::rpc::{Counted, Idempotency, Reply, Request, Submission, SubmitError};

/// Counts a request's events under its `Idempotency-Key`, if it has one, and their ids.
pub(super) async fn count(
    state: &HttpState,
    parsed: Parsed,
    key: Option<u128>,
) -> Result<Counted, SubmitError> {
    let first = key.or_else(|| parsed.ids.iter().copied().find(|id| *id != 0));
    let request = key.map(|key| (key, parsed.content_hash()));
    let idempotency = match first {
        None => Idempotency::None,
        Some(_) => Idempotency::Keyed { request, ids: parsed.ids },
    };
    let submission = Submission { events: parsed.events, idempotency };
    match first {
        None => Verdict::default().note(count_here(&state.core, submission).await),
        Some(first) => count_at_owner(state, first, submission).await,
    }
}

/// Has the key's owner count the request; when the ring changes on the way, the next owner.
async fn count_at_owner(
    state: &HttpState,
    key: u128,
    submission: Submission,
) -> Result<Counted, SubmitError> {
    let mut verdict = Verdict::default();
    let mut tried = 0;
    loop {
        let view = state.membership.view().borrow().clone();
        let owner = match state.owners.owner(&view, key) {
            Ok(owner) => owner,
            Err(e) => return verdict.note(TryResult::Answer(Err(e))),
        };
        tried += 1;
        match try_at(state, &owner, &submission, &mut verdict).await {
            Err(SubmitError::NotOwner { epoch }) if tried < owners::TRIES => {
                owners::agree(&state.membership, epoch).await;
            }
            told => return told,
        }
    }
}

/// Tries at one leaf, and once more if that does not answer and a repeat is harmless.
async fn try_at(
    state: &HttpState,
    leaf: &NodeName,
    submission: &Submission,
    verdict: &mut Verdict,
) -> Result<Counted, SubmitError> {
    if *leaf == state.me {
        return verdict.note(count_here(&state.core, submission.clone()).await);
    }
    match verdict.note(count_there(state, leaf, submission.clone()).await) {
        Err(SubmitError::InDoubt) if is_repeatable(submission) => {
            verdict.note(count_there(state, leaf, submission.clone()).await)
        }
        told => told,
    }
}

/// Whether each event is counted once, however often it is sent.
fn is_repeatable(submission: &Submission) -> bool {
    match &submission.idempotency {
        Idempotency::None => false,
        Idempotency::Request { .. } | Idempotency::Keyed { request: Some(_), .. } => true,
        Idempotency::Events(ids) | Idempotency::Keyed { request: None, ids } => ids.iter().all(|id| *id != 0),
    }
}

async fn count_there(state: &HttpState, leaf: &NodeName, submission: Submission) -> TryResult {
    let node = state.membership.view().borrow().node(leaf).cloned();
    let Some(node) = node else { return TryResult::Answer(Err(SubmitError::Away(vec![leaf.clone()]))) };
    match state.membership.peers().call(&node, &Request::Count(submission)).await {
        Ok(Reply::Counted(answer)) => TryResult::Answer(answer),
        Err(PeerError::Unreachable { .. }) => TryResult::Unreached,
        Ok(_) | Err(_) => TryResult::Silence,
    }
}
