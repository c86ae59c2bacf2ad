//! Leaf streams: one leaf's append-only log for one incarnation.

use crate::cluster::NodeName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A record's position in its leaf stream: 1, 2, 3 … 0 means "before the first".
pub type Lsn = u64;

/// One leaf's log for one incarnation. Every start of a leaf opens a new one. Shown as `leaf-0/3`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamId {
    /// The leaf's name.
    pub leaf: NodeName,
    /// 1 for its first start, and higher for each one after.
    pub incarnation: u64,
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.leaf, self.incarnation)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not of the form `leaf-0/3`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a leaf stream; one looks like leaf-0/3")]
pub struct StreamIdError(String);

impl std::str::FromStr for StreamId {
    type Err = StreamIdError;
    fn from_str(text: &str) -> Result<Self, StreamIdError> {
        let error = || StreamIdError(text.to_owned());
        let (leaf, incarnation) = text.rsplit_once('/').ok_or_else(error)?;
        let leaf = NodeName::new(leaf).map_err(|_| error())?;
        let incarnation = incarnation.parse().map_err(|_| error())?;
        Ok(Self { leaf, incarnation })
    }
}
