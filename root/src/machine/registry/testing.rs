//! Nodes and registries for tests.

use super::Registry;
use countree_common::cluster::{Node, NodeName, PastOwners, Tier};
use countree_common::ledger::{Ledger, StreamLedger};
use countree_common::stream::StreamId;
use countree_common::time::WallMs;
use countree_common::wire::rpc::{KeyHandover, LogEnd};
use std::time::Duration;

pub(super) const LEASE: Duration = Duration::from_secs(5);

pub(super) fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

pub(super) fn node(called: &str, port: u16) -> Node {
    let quic = ([127, 0, 0, 1], port).into();
    Node { name: name(called), tier: Tier::Leaf, quic, http: None, incarnation: 1 }
}

pub(super) fn start(incarnation: u64, called: &str) -> Node {
    Node { incarnation, ..node(called, 1) }
}

pub(super) fn stream(leaf: &str, incarnation: u64) -> StreamId {
    StreamId { leaf: name(leaf), incarnation }
}

pub(super) fn retired(leaf: &str, incarnation: u64, accepted: u64) -> StreamLedger {
    let ledger = Ledger { accepted, merged: accepted, ..Ledger::default() };
    StreamLedger { stream: StreamId { leaf: name(leaf), incarnation }, sealed: true, ledger }
}

/// A registry with these leaves in it since 0.
pub(super) fn leaves(names: &[&str]) -> Registry {
    let mut registry = Registry::default();
    for called in names {
        registry.heartbeat(&node(called, 1), WallMs(0), LEASE).unwrap();
    }
    registry
}

pub(super) fn names(names: &[&str]) -> Vec<NodeName> {
    names.iter().map(|called| name(called)).collect()
}

/// The handover of a leaf that had keys.
pub(super) fn handover(successors: &[&str], epoch: u64) -> KeyHandover {
    KeyHandover { successors: names(successors), epoch, is_empty: false }
}

pub(super) fn past(until: u64, owners: &[&str]) -> PastOwners {
    PastOwners { until: WallMs(until), owners: names(owners) }
}

pub(super) fn end(incarnation: u64, last: u64, accepted: u64) -> LogEnd {
    LogEnd { incarnation, last, accepted }
}
