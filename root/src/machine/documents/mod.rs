//! Topic documents: the rule by which they change, a cache of them, and the eras that they are served in.

pub mod cache;
mod document;
pub mod eras;
pub(crate) mod generations;
pub mod import;

pub use document::*;
