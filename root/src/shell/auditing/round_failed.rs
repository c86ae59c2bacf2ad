//! Reasons why a round of the audit fails.

use crate::store::StoreError;

/// The reason why a round did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoundFailed {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the registry does not answer: {0}")]
    Registry(String),
    /// Another root audits now, or a full round is wanted, or the root stops.
    #[error("the round was given up for another")]
    GivenUp,
}
