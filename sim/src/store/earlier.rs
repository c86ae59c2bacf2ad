//! Earlier states of a store: those that it may go back to.

use countree_common::cluster::NodeName;
use countree_common::key::Topic;
use countree_common::session::{Seq, SessionId};
use countree_root::machine::documents::Document;
use std::collections::BTreeMap;

/// Topic documents by topic. Each is one unit: it goes back in time as a whole.
pub(crate) type Documents = BTreeMap<Topic, Document>;
/// The last counted batch of each session.
pub(super) type SessionEnds = BTreeMap<(NodeName, SessionId), Seq>;
/// The registry's revision and text.
pub(super) type Registry = Option<(u64, String)>;

/// The states since the last durable one, which is the first: one for each change. `documents`, `session_ends` and
/// `era_records` are of the same moments; the registry has its own.
#[derive(Debug)]
pub(super) struct Earlier {
    pub(super) documents: Vec<Documents>,
    pub(super) session_ends: Vec<SessionEnds>,
    pub(super) era_records: Vec<u64>,
    pub(super) registries: Vec<Registry>,
}

impl Earlier {
    /// The state of an empty store.
    pub(super) fn new() -> Self {
        Self {
            documents: vec![Documents::new()],
            session_ends: vec![SessionEnds::new()],
            era_records: vec![1],
            registries: vec![None],
        }
    }
}
