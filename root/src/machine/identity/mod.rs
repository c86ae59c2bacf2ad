//! The store's identity: binds a store to its cluster, and judges again and again whether it is still the same.

pub mod binding;
mod claims;
pub mod standing;
