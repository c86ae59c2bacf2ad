//! A producer's numbered conversation with one leaf.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The id of a session: 128 random bits, chosen by the producer, one for each leaf that it talks to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SessionId(pub u128);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A batch's number in its session: 1, 2, 3 … without gaps. 0 means "none yet".
pub type Seq = u64;
