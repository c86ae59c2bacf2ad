//! The ledger: of all streams together, and the road of one.

use super::{Office, Unanswered, members};
use crate::cluster::{NodeName, Tier};
use crate::ledger::{Ledger, StreamLedger};
use crate::shell::membership::Membership;
use crate::shell::peers::PeerError;
use crate::shell::routes::Parameters;
use crate::stream::StreamId;
use crate::wire::rpc::{Reply, Request, StreamPositions};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
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

/// What `GET /v1/audit?stream=leaf-0/3` answers: how far one stream's events have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Road {
    /// The stream.
    pub stream: StreamId,
    /// Where its log is.
    pub state: StreamState,
    /// Its events.
    #[serde(flatten)]
    pub ledger: Ledger,
    /// Whether its ledger balances.
    pub balanced: bool,
    /// The positions in its log, as long as a leaf has that.
    pub positions: Option<StreamPositions>,
}

/// Where a stream's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamState {
    /// Its leaf writes to it.
    Live,
    /// Its leaf has it and writes to another: it is being merged, or kept for a store that may forget.
    Sealed,
    /// All of it is merged for good; only its ledger is kept.
    Retired,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    stream: Option<String>,
}

/// `GET /v1/audit`
pub(super) async fn answer(
    State(office): State<Office>,
    Parameters(AuditQuery { stream }): Parameters<AuditQuery>,
    headers: HeaderMap,
) -> Response {
    let bad =
        |message: String| Unanswered::Refused { status: StatusCode::BAD_REQUEST, code: "bad_query", message };
    match stream.map(|s| s.parse().map_err(|e| bad(format!("{e}")))).transpose() {
        Err(refused) => office.answer(&headers, async { Err::<(), _>(refused) }).await,
        Ok(None) => office.answer(&headers, read(&office.membership)).await,
        Ok(Some(stream)) => office.answer(&headers, follow(&office.membership, stream)).await,
    }
}

async fn retired(membership: &Membership) -> Result<Vec<StreamLedger>, PeerError> {
    match membership.ask_a_root(&Request::Ledgers).await? {
        Reply::Ledgers(ledgers) => Ok(ledgers),
        _ => Err(PeerError::Mismatched),
    }
}

/// Sums the ledgers of live and retired streams. Fails when a live leaf, or every root, can't be asked: a
/// partial audit would be a wrong one.
async fn read(membership: &Membership) -> Result<Audit, Unanswered> {
    let (view, away) = members(membership).await?;
    // Retired first: a leaf that is about to delete a retired stream still lists it, to the same effect.
    let retired = retired(membership).await?;
    let mut live = Vec::new();
    for leaf in view.tier(Tier::Leaf) {
        match membership.peers().call(leaf, &Request::Ledgers).await? {
            Reply::Ledgers(ledgers) => live.extend(ledgers),
            _ => return Err(PeerError::Mismatched.into()),
        }
    }
    let streams: BTreeMap<_, _> =
        retired.into_iter().chain(live).map(|ledger| (ledger.stream.clone(), ledger)).collect();
    let streams: Vec<_> = streams.into_values().collect();
    let mut total = Ledger::default();
    for StreamLedger { stream, ledger, .. } in &streams {
        total += *ledger;
        alarm(stream, ledger);
    }
    let balanced = away.is_empty() && streams.iter().all(|s| s.ledger.balanced());
    Ok(Audit { total, balanced, away, streams })
}

fn alarm(stream: &StreamId, ledger: &Ledger) {
    if !ledger.balanced() {
        tracing::error!(%stream, ?ledger, "this ledger is out of balance: events are lost or counted twice");
    }
}

/// Where one stream's events are.
async fn follow(membership: &Membership, stream: StreamId) -> Result<Road, Unanswered> {
    let (view, away) = members(membership).await?;
    // The leaf before the root: a stream that is retired in between is found at the second.
    let (mut found, mut positions) = (None, None);
    if let Some(leaf) = view.node(&stream.leaf) {
        match membership.peers().call(leaf, &Request::Positions(stream.clone())).await? {
            Reply::Positions(known) => positions = known,
            _ => return Err(PeerError::Mismatched.into()),
        }
        match membership.peers().call(leaf, &Request::Ledgers).await? {
            Reply::Ledgers(ledgers) => found = ledgers.into_iter().find(|of| of.stream == stream),
            _ => return Err(PeerError::Mismatched.into()),
        }
    }
    let is_here = found.is_some();
    if !is_here {
        found = retired(membership).await?.into_iter().find(|of| of.stream == stream);
    }
    let Some(StreamLedger { stream, sealed, ledger }) = found else {
        if away.contains(&stream.leaf) {
            let message =
                format!("{} is away, and its log with it: start it again, and ask then", stream.leaf);
            return Err(Unanswered::Refused {
                status: StatusCode::SERVICE_UNAVAILABLE,
                code: "leaf_away",
                message,
            });
        }
        let message = format!("no stream {stream} is known: countree audit lists those that are");
        return Err(Unanswered::unknown(message));
    };
    alarm(&stream, &ledger);
    let state = match (is_here, sealed) {
        (false, _) => StreamState::Retired,
        (true, true) => StreamState::Sealed,
        (true, false) => StreamState::Live,
    };
    let positions = positions.filter(|_| is_here);
    Ok(Road { stream, state, ledger, balanced: ledger.balanced(), positions })
}
