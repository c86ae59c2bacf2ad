//! The increment of one event.

use crate::limits::DELTA_MAX;
use serde::{Deserialize, Serialize};

/// The error of a delta that was refused. Nothing was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// An event that changes nothing is a mistake of its sender.
    #[error("delta is 0; it takes a whole number from -{DELTA_MAX} to {DELTA_MAX} other than 0")]
    Zero,
    /// Outside the range.
    #[error(
        "delta {0} is out of range; it takes a whole number from -{DELTA_MAX} to {DELTA_MAX} other than 0"
    )]
    OutOfRange(i64),
}

/// The increment of one event: not 0, at most [`DELTA_MAX`] either way. An unlike is −1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Delta(i64);

impl Delta {
    /// One more of a kind.
    pub const ONE: Self = Self(1);

    /// Checks the range.
    pub fn new(delta: i64) -> Result<Self, DeltaError> {
        match delta {
            0 => Err(DeltaError::Zero),
            d if !(-DELTA_MAX..=DELTA_MAX).contains(&d) => Err(DeltaError::OutOfRange(d)),
            d => Ok(Self(d)),
        }
    }

    /// The plain number.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Delta {
    type Error = DeltaError;
    fn try_from(delta: i64) -> Result<Self, DeltaError> {
        Self::new(delta)
    }
}

impl From<Delta> for i64 {
    fn from(delta: Delta) -> i64 {
        delta.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_the_far_ends_are_refused() {
        assert_eq!(Delta::new(0), Err(DeltaError::Zero));
        assert!(Delta::new(DELTA_MAX).is_ok());
        assert!(Delta::new(-DELTA_MAX).is_ok());
        assert!(Delta::new(DELTA_MAX + 1).is_err());
        assert!(Delta::new(i64::MIN).is_err());
    }
}
