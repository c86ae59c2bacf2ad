//! The audit over HTTP: the ledger of all streams together, and the progress of one.

use super::checks::{check_all, last_check};
use super::{Office, Unanswered, members, standing};
use crate::audit::{AuditRecords, GivenUp, StoreCheck};
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
use tokio::task::JoinSet;

/// The answer to `GET /v1/audit`: the sum, and each stream by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The sum over all streams.
    #[serde(flatten)]
    pub total: Ledger,
    /// Number of merged events of topics that are forgotten, when documents were last read; `None` while that
    /// is unknown.
    #[serde(default)]
    pub forgotten: Option<u64>,
    /// Whether each stream balances by itself, none is missing, and the store is what it was and holds what
    /// was merged.
    pub balanced: bool,
    /// Leaves that are not live and may hold events: their live streams are missing here.
    #[serde(default)]
    pub away: Vec<NodeName>,
    /// The problem with the store as a whole, and its remedy; `None` if it is what it was.
    #[serde(default)]
    pub trouble: Option<String>,
    /// The last comparison of the documents with the ledgers; `None` while that is unknown.
    #[serde(default)]
    pub store: Option<StoreCheck>,
    /// Streams whose logs were given up: events that their leaf acked after its last heartbeat, and had not
    /// merged, are lost beyond the declared ones.
    #[serde(default)]
    pub given_up: Vec<GivenUp>,
    /// Each stream's own ledger.
    pub streams: Vec<StreamLedger>,
}

/// The answer to `GET /v1/audit?stream=leaf-0/3`: the progress of one stream's events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamAudit {
    /// The stream.
    pub stream: StreamId,
    /// The state of its log.
    pub state: StreamState,
    /// Its events.
    #[serde(flatten)]
    pub ledger: Ledger,
    /// Whether its ledger balances.
    pub balanced: bool,
    /// The positions in its log, as long as a leaf has that.
    pub positions: Option<StreamPositions>,
}

/// The state of a stream's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamState {
    /// Its leaf writes to it.
    Live,
    /// Its leaf has it and writes to another: it is being merged, or kept for a store that may forget.
    Sealed,
    /// Its leaf has deleted it, and all of it is merged for good; only its ledger is kept.
    Retired,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    stream: Option<String>,
    #[serde(default)]
    full: bool,
}

/// `GET /v1/audit`
pub(super) async fn answer(
    State(office): State<Office>,
    Parameters(AuditQuery { stream, full }): Parameters<AuditQuery>,
    headers: HeaderMap,
) -> Response {
    let bad =
        |message: String| Unanswered::Refused { status: StatusCode::BAD_REQUEST, code: "bad_query", message };
    let asked = match stream.map(|s| s.parse().map_err(|e| bad(format!("{e}")))).transpose() {
        Ok(Some(_)) if full => Err(bad("full=true is about all streams: leave one of both out".into())),
        asked => asked,
    };
    match asked {
        Err(refused) => office.answer(&headers, async { Err::<(), _>(refused) }).await,
        Ok(None) => office.answer(&headers, read(&office.membership, full)).await,
        Ok(Some(stream)) => office.answer(&headers, follow(&office.membership, stream)).await,
    }
}

async fn books(membership: &Membership) -> Result<AuditRecords, PeerError> {
    match membership.ask_a_root(&Request::AuditRecords).await? {
        Reply::AuditRecords(books) => Ok(*books),
        _ => Err(PeerError::Mismatched),
    }
}

/// Sums the ledgers of live and retired streams. A leaf that does not answer counts as away, even while its
/// lease runs: its live streams are missing, and nothing balances without them. Fails when no root answers.
async fn read(membership: &Membership, full: bool) -> Result<Audit, Unanswered> {
    // The check before the ledgers, so that they have every loss that it names.
    let view = membership.view().borrow().clone();
    let store =
        if full { Some(check_all(membership, &view).await?) } else { last_check(membership, &view).await };
    // Retired streams first: a leaf that is about to delete one still lists it, with the same numbers.
    let mut books = books(membership).await?;
    let mut asked = JoinSet::new();
    for leaf in books.view.tier(Tier::Leaf).cloned() {
        let peers = membership.peers().clone();
        asked.spawn(async move { (peers.call(&leaf, &Request::Ledgers).await, leaf.name) });
    }
    let mut live = Vec::new();
    for (answer, leaf) in asked.join_all().await {
        match answer {
            Ok(Reply::Ledgers(ledgers)) => live.extend(ledgers),
            Ok(_) => return Err(PeerError::Mismatched.into()),
            Err(e) if e.is_absence() => {
                tracing::warn!("the audit lacks {leaf}: {e}");
                books.away.push(leaf);
            }
            Err(e) => return Err(e.into()),
        }
    }
    books.away.sort_unstable();
    books.away.dedup();
    let mut streams: Vec<_> = books.with_leaves(live).into_values().collect();
    books.declare(&mut streams);
    let mut total = Ledger::default();
    for StreamLedger { stream, ledger, .. } in &streams {
        total += *ledger;
        alarm(stream, ledger);
    }
    let is_whole = store.as_ref().is_none_or(StoreCheck::balanced);
    let trouble = standing::read(membership).await?;
    let is_whole = is_whole && trouble.is_none();
    let balanced = books.away.is_empty() && streams.iter().all(|s| s.ledger.balanced()) && is_whole;
    let forgotten = store.as_ref().map(|check| check.forgotten);
    Ok(Audit {
        total,
        forgotten,
        balanced,
        away: books.away,
        trouble,
        store,
        given_up: books.given_up,
        streams,
    })
}

fn alarm(stream: &StreamId, ledger: &Ledger) {
    if !ledger.balanced() {
        tracing::error!(%stream, ?ledger, "this ledger is out of balance: events are lost or counted twice");
    }
}

/// Finds one stream's ledger and positions.
async fn follow(membership: &Membership, stream: StreamId) -> Result<StreamAudit, Unanswered> {
    let (view, away) = members(membership).await?;
    // The leaf before the root, so that a stream that is retired in between is found at the root.
    let (mut found, mut positions) = (None, None);
    let is_away = || Unanswered::Refused {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "leaf_away",
        message: format!("{} is away, and its log with it: start it again, and ask then", stream.leaf),
    };
    if let Some(leaf) = view.node(&stream.leaf) {
        let ask = async |request| {
            let answer = membership.peers().call(leaf, &request).await;
            answer.map_err(|e| if e.is_absence() { is_away() } else { e.into() })
        };
        match ask(Request::Positions(stream.clone())).await? {
            Reply::Positions(known) => positions = known,
            _ => return Err(PeerError::Mismatched.into()),
        }
        match ask(Request::Ledgers).await? {
            Reply::Ledgers(ledgers) => found = ledgers.into_iter().find(|of| of.stream == stream),
            _ => return Err(PeerError::Mismatched.into()),
        }
    }
    // A leaf lists streams without a log, too.
    let is_here = positions.is_some();
    let books = books(membership).await?;
    if !is_here {
        found = books.retired.iter().find(|of| of.stream == stream).cloned().or(found);
    }
    books.declare(found.as_mut_slice());
    let Some(StreamLedger { stream, sealed, ledger }) = found else {
        if away.contains(&stream.leaf) {
            return Err(is_away());
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
    Ok(StreamAudit { stream, state, ledger, balanced: ledger.balanced(), positions })
}
