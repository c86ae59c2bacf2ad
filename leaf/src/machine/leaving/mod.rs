//! Lets go of what is merged: the whole leaf, or the logs of its earlier starts.

pub(super) mod drain;
pub(super) mod retirement;
