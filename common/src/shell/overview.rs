//! The cluster as a whole over HTTP: the audit, the status, the topics. Any node can answer, by asking the others.

use super::access::{Access, Right};
use super::http::error;
use super::membership::Membership;
use super::peers::PeerError;
use crate::cluster::{ClusterView, Node, NodeName, Tier};
use crate::key::Topic;
use crate::ledger::{Ledger, StreamLedger};
use crate::wire::rpc::{NodeStats, Reply, Request};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What `GET /v1/audit` answers: the sum, and each stream by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The sum over all streams.
    #[serde(flatten)]
    pub total: Ledger,
    /// Whether each stream balances by itself, and none is missing.
    pub balanced: bool,
    /// Leaves that are not live and may hold events: their live streams are missing here.
    #[serde(default)]
    pub away: Vec<NodeName>,
    /// Each stream's own ledger.
    pub streams: Vec<StreamLedger>,
}

/// What `GET /v1/status` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The ring epoch.
    pub epoch: u64,
    /// Every live node, with what it last said of itself.
    pub nodes: Vec<NodeStatus>,
}

/// A node in [`Status`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node.
    #[serde(flatten)]
    pub node: Node,
    /// What it last said; none yet for one that has just come.
    pub stats: Option<NodeStats>,
}

/// What `GET /v1/topics` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicList {
    /// Some topics, the last merged first.
    pub topics: Vec<Topic>,
}

/// Sums the ledgers of live and retired streams.
///
/// # Errors
/// When a live leaf, or every root, can't be asked: a partial audit would be a wrong one.
pub async fn audit(membership: &Membership) -> Result<Audit, PeerError> {
    let Reply::Members { view, away } = membership.ask_a_root(&Request::Members).await? else {
        return Err(PeerError::Mismatched);
    };
    let mut streams = BTreeMap::new();
    // Retired first: a leaf that is about to delete a retired stream still lists it, to the same effect.
    let Reply::Ledgers(retired) = membership.ask_a_root(&Request::Ledgers).await? else {
        return Err(PeerError::Mismatched);
    };
    let mut live = Vec::new();
    for leaf in view.tier(Tier::Leaf) {
        match membership.peers().call(leaf, &Request::Ledgers).await? {
            Reply::Ledgers(ledgers) => live.extend(ledgers),
            _ => return Err(PeerError::Mismatched),
        }
    }
    for ledger in retired.into_iter().chain(live) {
        streams.insert(ledger.stream.clone(), ledger);
    }
    let streams: Vec<_> = streams.into_values().collect();
    let mut total = Ledger::default();
    streams.iter().for_each(|s| total += s.ledger);
    let balanced = away.is_empty() && streams.iter().all(|s| s.ledger.balanced());
    Ok(Audit { total, balanced, away, streams })
}

/// The live nodes and what they last said of themselves.
///
/// # Errors
/// When no root can be asked.
pub async fn status(membership: &Membership) -> Result<Status, PeerError> {
    let view: ClusterView = membership.view().borrow().as_ref().clone();
    let mut stats: BTreeMap<_, _> = BTreeMap::new();
    for root in view.tier(Tier::Root) {
        if let Ok(Reply::Stats(some)) = membership.peers().call(root, &Request::Stats).await {
            // Heartbeats go to any root; the freshest is not known, so a later root's word stands.
            stats.extend(some);
        }
    }
    let status = |node: Node| NodeStatus { stats: stats.get(&node.name).cloned(), node };
    Ok(Status { epoch: view.epoch, nodes: view.nodes.into_iter().map(status).collect() })
}

async fn topics(membership: &Membership) -> Result<TopicList, PeerError> {
    match membership.ask_a_root(&Request::Topics).await? {
        Reply::Topics(topics) => Ok(TopicList { topics }),
        _ => Err(PeerError::Mismatched),
    }
}

/// Answers those who may watch.
async fn answer<T: Serialize>(
    access: &Access,
    headers: &HeaderMap,
    result: impl Future<Output = Result<T, PeerError>>,
) -> Response {
    if let Err(e) = access.check_headers(headers, Right::Watch) {
        return e.into_response();
    }
    match result.await {
        Ok(body) => Json(body).into_response(),
        Err(e) => error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", e.to_string(), None),
    }
}

/// `/v1/audit`, `/v1/status` and `/v1/topics`.
pub fn router(membership: Membership, access: Access) -> Router {
    type Asked = State<(Membership, Access)>;
    let get_audit = async |State((m, a)): Asked, h: HeaderMap| answer(&a, &h, audit(&m)).await;
    let get_status = async |State((m, a)): Asked, h: HeaderMap| answer(&a, &h, status(&m)).await;
    let get_topics = async |State((m, a)): Asked, h: HeaderMap| answer(&a, &h, topics(&m)).await;
    Router::new()
        .route("/v1/audit", get(get_audit))
        .route("/v1/status", get(get_status))
        .route("/v1/topics", get(get_topics))
        .with_state((membership, access))
}
