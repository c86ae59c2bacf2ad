//! The decisions of producers and viewers, without IO, clock or randomness.

pub mod producer;
pub mod viewer;
