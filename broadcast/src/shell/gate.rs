//! Who may watch over HTTP: the same people as over QUIC, asked in the same words.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countree_common::cluster::NodeName;
use countree_common::shell::http::error;
use countree_common::shell::server::Admission;
use countree_common::wire::hello::{Conversation, Hello, PROTOCOL};

/// Decides about HTTP requests.
#[derive(Clone)]
pub(super) struct Gate {
    cluster: NodeName,
    admission: Admission,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl Gate {
    pub(super) fn new(cluster: NodeName, admission: Admission) -> Self {
        Self { cluster, admission }
    }

    /// Lets a request in that shows a good token, or needs none. `in_query` is the token of those who can't
    /// set a header, which is every browser's EventSource.
    ///
    /// # Errors
    /// The answer for those who are not let in.
    pub(super) fn check(&self, headers: &HeaderMap, in_query: Option<String>) -> Result<(), Refused> {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let token = bearer.and_then(|v| v.strip_prefix("Bearer ")).map(str::to_owned).or(in_query);
        let asks = |conversation| {
            let (cluster, token) = (self.cluster.clone(), token.clone());
            (self.admission)(&Hello { protocol: PROTOCOL, cluster, conversation, node: None, token })
        };
        asks(Conversation::Watch).map_err(|message| {
            // A token that is good for something is a good token.
            let forbidden = token.is_some() && asks(Conversation::Produce).is_ok();
            Refused { forbidden, message }
        })
    }
}

/// Somebody who may not watch.
#[derive(Debug)]
pub(super) struct Refused {
    forbidden: bool,
    message: String,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        if self.forbidden {
            return error(StatusCode::FORBIDDEN, "forbidden", self.message, None);
        }
        let body = error(StatusCode::UNAUTHORIZED, "unauthorized", self.message, None);
        ([(header::WWW_AUTHENTICATE, "Bearer")], body).into_response()
    }
}
