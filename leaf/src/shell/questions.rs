//! Asks the cluster over QUIC, on behalf of a reset.

use super::inputs::{CoreHandle, Input};
use crate::machine::resets::{Answer, Question};
use countree_common::cluster::{Node, NodeName, Tier};
use countree_common::document::{Snapshot, Version};
use countree_common::key::Topic;
use countree_common::ring::Ring;
use countree_common::shell::membership::Membership;
use countree_common::shell::peers::PeerError;
use countree_common::wire::rpc::{Reply, Request};
use std::time::Duration;

/// A leaf that has not merged everything by then says so, before its asker gives up.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(4);

/// Asks; what can't be answered is [`Answer::Silence`].
pub(super) async fn ask(membership: &Membership, core: &CoreHandle, question: Question) -> Answer {
    let answer = match question {
        Question::Members => members(membership).await,
        Question::Flush { topic, leaf, read } => flush(membership, core, topic, &leaf, read).await,
        Question::Totals(topic) => totals(membership, &topic).await,
        Question::Forget { topic, at } => forget(membership, topic, at).await,
    };
    answer.unwrap_or_else(|e| {
        tracing::info!("a reset can't go on: {e}");
        Answer::Silence
    })
}

async fn members(membership: &Membership) -> Result<Answer, PeerError> {
    match membership.ask_a_root(&Request::Members).await? {
        Reply::Members { view, away } => Ok(Answer::Members { view, away }),
        _ => Err(PeerError::Mismatched),
    }
}

async fn flush(
    membership: &Membership,
    core: &CoreHandle,
    topic: Topic,
    leaf: &Node,
    read: Version,
) -> Result<Answer, PeerError> {
    let Some(by) = membership.peers().me().cloned() else { return Err(PeerError::Mismatched) };
    let reply = if by == leaf.name {
        flush_here(core, topic, by, read).await
    } else {
        membership.peers().call(leaf, &Request::Flush { topic, by, read }).await?
    };
    match reply {
        Reply::FlushedTopic(version) => Ok(Answer::Flushed(leaf.name.clone(), version)),
        Reply::Failed(why) => Err(PeerError::Failed(why)),
        _ => Err(PeerError::Mismatched),
    }
}

/// Waits until this leaf has merged all that it has accepted by now.
pub(super) async fn flush_here(core: &CoreHandle, topic: Topic, by: NodeName, read: Version) -> Reply {
    let flush = core.ask(|reply| Input::Flush { topic, by, read, reply });
    match tokio::time::timeout(FLUSH_TIMEOUT, flush).await {
        Ok(Some(version)) => Reply::FlushedTopic(version),
        Ok(None) => {
            Reply::Failed("the leaf is stopping, or it resets the topic itself, or too many ask".into())
        }
        Err(_) => Reply::Failed("the leaf can't merge what it has accepted right now".into()),
    }
}

/// Waits until this leaf has merged all that it has accepted of a topic by now. Who asks gives up by itself.
pub(super) async fn flush_topic(core: &CoreHandle, topic: Topic, read: Version) -> Reply {
    match core.ask(|reply| Input::FlushTopic { topic, read, reply }).await {
        Some(version) => Reply::FlushedTopic(version),
        None => Reply::Failed("the leaf is stopping, or too many ask".into()),
    }
}

async fn totals(membership: &Membership, topic: &Topic) -> Result<Answer, PeerError> {
    let view = membership.view().borrow().clone();
    let mut error = PeerError::Failed("no root is known".into());
    for root in view.tier(Tier::Root) {
        match membership.peers().read(root, topic).await {
            Ok(Snapshot { version, totals, .. }) => return Ok(Answer::Totals { version, totals }),
            Err(e) => error = e,
        }
    }
    Err(error)
}

/// Asks the topic's root to forget it, since that root tells those who watch; after a failure any other root. An answer
/// of another root settles what the first was asked, too.
async fn forget(membership: &Membership, topic: Topic, at: Version) -> Result<Answer, PeerError> {
    let view = membership.view().borrow().clone();
    let ring = Ring::of(&view, Tier::Root);
    let owner = ring.topic_owner(&topic).cloned();
    let mut roots: Vec<_> = view.tier(Tier::Root).collect();
    roots.sort_by_key(|root| Some(&root.name) != owner.as_ref());
    let mut error = PeerError::Failed("no root is known".into());
    for root in roots {
        match membership.peers().call(root, &Request::ForgetAt { topic: topic.clone(), at }).await {
            Ok(Reply::ForgetOutcome(forgetting)) => return Ok(Answer::ForgetOutcome(forgetting)),
            Ok(Reply::Failed(why)) => error = PeerError::Failed(why),
            Ok(_) => error = PeerError::Mismatched,
            Err(e) => error = e,
        }
    }
    Err(error)
}
