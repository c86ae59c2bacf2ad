//! `POST /v1/imports`: one step of an import, for those who may change the cluster.

use super::{Office, Unanswered};
use crate::cluster::{Node, NodeName, Tier};
use crate::import::{ImportPart, ImportRow, ImportStep};
use crate::ring::Ring;
use crate::shell::http::error;
use crate::shell::membership::Membership;
use crate::shell::peers::PeerError;
use crate::wire::rpc::{Reply, Request};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Time limit of a root for the merge of a step's rows.
const ROOT_TIMEOUT: Duration = Duration::from_secs(8);

/// The answer to `POST /v1/imports`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Number of rows of the step that are counted.
    pub rows: u64,
}

pub(super) async fn take(
    State(office): State<Office>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Bytes,
) -> Response {
    if let Err(e) = office.access.check_admin(&headers, &extensions) {
        return e.into_response();
    }
    let part: ImportPart = match serde_json::from_slice(&body) {
        Ok(part) => part,
        Err(e) => return error(StatusCode::BAD_REQUEST, "malformed", e.to_string(), None),
    };
    if let Err(e) = part.check() {
        return error(StatusCode::BAD_REQUEST, "malformed", e.to_string(), None);
    }
    match pass_on(&office.membership, part).await {
        Ok(rows) => Json(Imported { rows }).into_response(),
        Err(unanswered) => unanswered.into_response(),
    }
}

async fn pass_on(membership: &Membership, part: ImportPart) -> Result<u64, Unanswered> {
    let ImportPart { file, direction, step: ImportStep::Rows(rows) } = part else {
        return counted(membership.ask_a_root(&Request::Import(part)).await?);
    };
    let mut count = 0;
    for (root, rows) in by_root(membership, rows)? {
        let part = ImportPart { file: file.clone(), direction, step: ImportStep::Rows(rows) };
        let reply = membership.peers().call_within(&root, &Request::Import(part), ROOT_TIMEOUT).await?;
        count += counted(reply)?;
    }
    Ok(count)
}

fn counted(reply: Reply) -> Result<u64, Unanswered> {
    match reply {
        Reply::Import(Ok(rows)) => Ok(rows),
        Reply::Import(Err(refusal)) => Err(Unanswered::Refused {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: "import_refused",
            message: refusal.to_string(),
        }),
        _ => Err(PeerError::Mismatched.into()),
    }
}

/// Groups rows by topic, for the root that owns each.
fn by_root(membership: &Membership, rows: Vec<ImportRow>) -> Result<Vec<(Node, Vec<ImportRow>)>, PeerError> {
    let view = membership.view().borrow().clone();
    let roots: BTreeMap<NodeName, Node> =
        view.tier(Tier::Root).map(|root| (root.name.clone(), root.clone())).collect();
    let ring = Ring::new(roots.keys().cloned());
    let mut parts = BTreeMap::<NodeName, Vec<ImportRow>>::new();
    for row in rows {
        let owner = ring.topic_owner(&row.topic);
        let owner = owner.ok_or_else(|| PeerError::Failed("no root is known yet".into()))?;
        parts.entry(owner.clone()).or_default().push(row);
    }
    Ok(parts.into_iter().filter_map(|(root, rows)| Some((roots.get(&root)?.clone(), rows))).collect())
}
