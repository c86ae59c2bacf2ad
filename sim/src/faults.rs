//! What goes wrong, and how often it did.

use crate::place::Place;
use std::collections::BTreeMap;
use std::fmt;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A connection breaks; what was in flight is gone.
    BrokenConnection,
    /// Nothing passes between two places for a while.
    Partition,
    /// Nothing passes between a node and any other place for a while.
    Isolation,
    /// The network is slow for a while.
    SlowNetwork,
    /// A leaf's process dies and starts again.
    LeafKilled,
    /// A leaf's machine loses power and starts again; what was not fsynced may be gone.
    LeafPowerCut,
    /// A leaf leaves the cluster in good order, and joins again later.
    LeafDrained,
    /// A leaf's disk has no room for a while.
    DiskFull,
    /// An fsync fails; the operator restarts the leaf.
    FsyncFailed,
    /// A root dies and starts again.
    RootCrash,
    /// A broadcast node dies and starts again.
    BroadcastCrash,
    /// The store answers nobody for a while.
    StoreDown,
    /// Topic documents go back to an earlier state, all or one of them.
    StoreRollback,
    /// The registry goes back to an earlier state.
    RegistryRollback,
}

impl Fault {
    /// Every kind that a seed draws from.
    pub const ALL: [Fault; 14] = [
        Fault::BrokenConnection,
        Fault::Partition,
        Fault::Isolation,
        Fault::SlowNetwork,
        Fault::LeafKilled,
        Fault::LeafPowerCut,
        Fault::LeafDrained,
        Fault::DiskFull,
        Fault::FsyncFailed,
        Fault::RootCrash,
        Fault::BroadcastCrash,
        Fault::StoreDown,
        Fault::StoreRollback,
        Fault::RegistryRollback,
    ];
}

/// The end of a fault.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Heal {
    /// Two places reach each other again.
    Cut(Place, Place),
    /// The network is as it was.
    Weather,
    /// The store answers again.
    Store,
    /// The operator restarts a leaf whose disk has failed.
    Replace(usize),
}

/// What went wrong without a plan, as everyday business of disks, stores and networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mishap {
    /// The store did what it was asked, and nobody heard its answer.
    AnswerLost,
    /// The store never heard the request.
    RequestLost,
    /// The store heard the request long after its root had given up.
    RequestLate,
    /// A datagram did not arrive.
    DatagramLost,
    /// Bytes that were not fsynced were lost or torn.
    TornWrite,
    /// The log could not be read back at first.
    ScanFailed,
    /// What a viewer shows of a topic was not compared with the store; see [`crate::KNOWN`].
    ViewerSpared,
}

/// How often each thing went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<String, u64>,
}

impl Tally {
    /// It happened once more.
    pub fn note(&mut self, what: impl fmt::Debug) {
        self.add(what, 1);
    }

    /// It happened so often more.
    pub fn add(&mut self, what: impl fmt::Debug, count: u64) {
        if count > 0 {
            *self.counts.entry(format!("{what:?}")).or_default() += count;
        }
    }

    /// Takes another tally in.
    pub fn absorb(&mut self, other: &Tally) {
        for (what, count) in &other.counts {
            *self.counts.entry(what.clone()).or_default() += count;
        }
    }

    /// How often it happened.
    pub fn of(&self, what: impl fmt::Debug) -> u64 {
        self.counts.get(&format!("{what:?}")).copied().unwrap_or_default()
    }

    /// Everything that happened, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(what, count)| (what.as_str(), *count))
    }
}
