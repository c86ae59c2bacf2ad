//! Errors of the client, with advice.

use countree_common::delta::DeltaError;
use countree_common::key::NameError;
use countree_common::limits;
use countree_common::shell::http::HttpError;
use countree_common::shell::tls::IdentityError;
use countree_common::wire::hello::{Refusal, RefusalCode};

/// An error of the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is not a URL that this client can use.
    #[error("'{0}' is not an address of the form host:port, http://host:port or https://host:port")]
    Url(String),
    /// The certificate of the `https://` address is not signed by an authority that is trusted.
    #[error("the certificate at {url} can't be trusted: {reason}")]
    Untrusted {
        /// The address that was asked.
        url: String,
        /// The reason.
        reason: String,
    },
    /// No server answers there.
    #[error("no cluster answers at {url}: {reason}")]
    NoCluster {
        /// The address that was asked.
        url: String,
        /// The reason.
        reason: String,
    },
    /// A server answers, but not as a cluster does.
    #[error(
        "what answers at {url} is not a Countree cluster ({reason}): give the HTTP address of one of its nodes"
    )]
    NotACluster {
        /// The address that was asked.
        url: String,
        /// The answer.
        reason: String,
    },
    /// The cluster asks for a token, and this client has none, or one without the right.
    #[error("the cluster does not allow this ({0}): show a token, as `countree token` mints them")]
    Unauthorized(String),
    /// The cluster can't do it for now; nothing changed.
    #[error("not now, and nothing changed: {0}")]
    Unavailable(String),
    /// It may have been done or not. Repeat under the same key: that is safe. Under another it is not.
    #[error("it may be done or not: {0}")]
    InDoubt(String),
    /// The cluster will never accept this client's messages.
    #[error("the cluster refuses this client: {0}")]
    Refused(String),
    /// The cluster's CA certificate can't be used.
    #[error("the cluster's certificate can't be used: {0}")]
    Tls(String),
    /// No UDP socket could be opened.
    #[error("no UDP socket can be opened: {0}")]
    Socket(String),
    /// A bad topic, item or kind.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A bad delta.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// More topics than one viewer watches.
    #[error("{0} topics are too many for one viewer: it watches 1 to {max}", max = limits::TOPICS_PER_VIEWER)]
    TopicCount(usize),
    /// The producer was closed, here or through another copy of it.
    #[error("the producer is closed")]
    Closed,
    /// The producer's task has ended: its runtime is shutting down.
    #[error("the producer's task has ended; its unresolved events are in doubt")]
    Stopped,
}

impl ClientError {
    pub(super) fn http(error: HttpError) -> Self {
        match error {
            HttpError::Url(url) => Self::Url(url),
            HttpError::Tls { url, reason } => Self::Untrusted { url, reason },
            HttpError::Unreachable { url, reason } => Self::NoCluster { url, reason },
        }
    }

    /// Returns the error that a refusal means; `None` when another node or a later try may succeed.
    pub(super) fn refusal(refusal: Refusal) -> Option<Self> {
        match refusal.code {
            RefusalCode::Unauthorized => Some(Self::Unauthorized(refusal.message)),
            RefusalCode::Protocol | RefusalCode::WrongCluster => Some(Self::Refused(refusal.message)),
            RefusalCode::Malformed | RefusalCode::WrongTier | RefusalCode::Unavailable => None,
        }
    }
}

impl From<IdentityError> for ClientError {
    fn from(e: IdentityError) -> Self {
        Self::Tls(e.to_string())
    }
}
