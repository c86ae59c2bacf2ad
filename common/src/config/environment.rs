//! The list of environment variables that override settings.

pub use super::variable::{PREFIX, variable};

use super::Manifest;
use super::node::NodeConfig;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Values that complete a node's file, so that all of it is read.
const NODE_FILE: &str = "[node]\nquic = \"127.0.0.1:1\"\n";

/// Every variable that sets a key of a manifest or of a node's file: those that are asked for when an empty
/// one is read.
pub fn settings() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    let record = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        None
    };
    // Both are valid, so that every key is read.
    let _ = (Manifest::parse("", &record), NodeConfig::parse(NODE_FILE, &record));
    asked.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_those_of_manifests_and_of_nodes() {
        let settings = settings();
        for name in ["COUNTREE_CLUSTER_STORE", "COUNTREE_HTTP_LISTEN", "COUNTREE_AUTH_SECRET_FILE"] {
            assert!(settings.contains(name), "{name}");
        }
        assert!(settings.contains("COUNTREE_NODE_CERTIFICATES"), "{settings:?}");
        assert!(NodeConfig::parse(NODE_FILE, &|_| None).is_ok() && Manifest::parse("", &|_| None).is_ok());
    }
}
