//! The kinds of faults, and counts of them.

use crate::host::Host;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A connection breaks; what was in flight is gone.
    BrokenConnection,
    /// Nothing passes between two hosts for a while.
    Partition,
    /// Nothing passes from one host to another for a while; the other way all is well.
    OneWayPartition,
    /// Nothing passes between a node and any other host for a while.
    Isolation,
    /// The network is slow for a while.
    SlowNetwork,
    /// A leaf's process dies and starts again.
    LeafKilled,
    /// A leaf's machine loses power and starts again; what was not fsynced may be gone.
    LeafPowerCut,
    /// A leaf leaves the cluster at the operator's request, and joins again later, maybe without its disk.
    LeafDrained,
    /// A leaf that was not there at the beginning joins.
    LeafJoined,
    /// A leaf's process dies, and its data folder is gone when it starts again.
    LeafFolderLost,
    /// A leaf's process dies, and starts again on the copy of its folder that was made before an earlier start.
    LeafFolderRestored,
    /// A leaf's process is paused for a while (SIGSTOP).
    LeafPaused,
    /// A leaf's disk has no room for a while.
    DiskFull,
    /// An fsync fails; the operator restarts the leaf.
    FsyncFailed,
    /// A root dies and starts again.
    RootCrash,
    /// A root's process is paused for a while.
    RootPaused,
    /// A broadcast node dies and starts again.
    BroadcastCrash,
    /// A broadcast node's process is paused for a while.
    BroadcastPaused,
    /// A producer dies with its unanswered events; another one sends the events to come.
    ProducerCrash,
    /// A producer's process is paused for a while.
    ProducerPaused,
    /// A viewer closes its page and opens it again.
    ViewerCrash,
    /// A viewer's process is paused for a while.
    ViewerPaused,
    /// A viewer goes to another broadcast node, or comes back to the same.
    ViewerMoved,
    /// The store answers nobody for a while; then the same server process goes on, or another.
    StoreDown,
    /// The store is paused for a while: it carries calls out long after its roots gave up.
    StorePaused,
    /// Topic documents go back to an earlier state, all or one of them.
    StoreRollback,
    /// An older copy takes the place of all topic documents, under a clock that has stepped back.
    StoreReplaced,
    /// The store loses everything, registry and identity too (FLUSHALL).
    StoreEmptied,
    /// Another store stands where the store was, for a while.
    StoreExchanged,
    /// The operator starts all roots on another store, in new folders, and on the right one after a while.
    RootsOnOtherStore,
    /// The registry goes back to an earlier state.
    RegistryRollback,
    /// The wall clock of one node, or of all, is stepped by minutes to hours, forward or back, for good or for a while.
    ClockStepped,
}

impl Fault {
    /// Every kind that a seed draws from.
    pub const ALL: [Fault; 25] = [
        Fault::BrokenConnection,
        Fault::Partition,
        Fault::OneWayPartition,
        Fault::Isolation,
        Fault::SlowNetwork,
        Fault::LeafKilled,
        Fault::LeafPowerCut,
        Fault::LeafDrained,
        Fault::LeafJoined,
        Fault::LeafPaused,
        Fault::DiskFull,
        Fault::FsyncFailed,
        Fault::RootCrash,
        Fault::RootPaused,
        Fault::BroadcastCrash,
        Fault::BroadcastPaused,
        Fault::ProducerCrash,
        Fault::ProducerPaused,
        Fault::ViewerCrash,
        Fault::ViewerPaused,
        Fault::ViewerMoved,
        Fault::StoreDown,
        Fault::StorePaused,
        Fault::StoreRollback,
        Fault::RegistryRollback,
    ];

    /// Kinds that are asked for by name. With folders that are lost, acked events may be lost, and less is promised.
    /// With clock steps readers who wait come, too, and keys live for ten minutes.
    pub const NAMED: [Fault; 7] = [
        Fault::LeafFolderLost,
        Fault::LeafFolderRestored,
        Fault::StoreReplaced,
        Fault::StoreEmptied,
        Fault::StoreExchanged,
        Fault::RootsOnOtherStore,
        Fault::ClockStepped,
    ];
}

impl FromStr for Fault {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let fault = Fault::ALL.into_iter().chain(Fault::NAMED).find(|fault| fault.to_string() == name);
        fault.ok_or_else(|| {
            format!("'{name}' is no kind of fault; there are {:?} and {:?}", Fault::ALL, Fault::NAMED)
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The end of a fault.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Heal {
    /// A clock is stepped back, or forward again, in milliseconds.
    Clock(Host, i64),
    /// Two hosts reach each other again.
    Cut(Host, Host),
    /// A process goes on.
    Pause(Host),
    /// The network is as it was.
    Conditions,
    /// The store answers again.
    Store,
    /// The store is back in its place.
    Exchange,
    /// The operator starts the roots on the right store.
    RootsReturn,
    /// The operator restarts a leaf whose disk has failed.
    Replace(usize),
}

/// A background fault: everyday errors of disks, stores and networks that no schedule plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BackgroundFault {
    /// The store did what it was asked, and nobody heard its answer.
    AnswerLost,
    /// The store never heard the request.
    RequestLost,
    /// The store heard the request long after its root had given up.
    RequestLate,
    /// A datagram did not arrive.
    DatagramLost,
    /// A datagram arrived twice.
    DatagramRepeated,
    /// A datagram arrived before one that was sent earlier.
    DatagramOvertook,
    /// A message took far longer than most.
    MessageDelayed,
    /// Bytes that were not fsynced were gone after a crash.
    WriteDropped,
    /// Bytes that were not fsynced were there in part after a crash, or with a hole in them.
    WriteTorn,
    /// A leaf left in good order: nothing on its disk is needed any more.
    LeafSettled,
    /// The disk of such a leaf was thrown away.
    DiskThrownAway,
    /// The log could not be read back at first.
    ScanFailed,
}

/// Counts of faults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts one more.
    pub fn note(&mut self, what: impl fmt::Debug) {
        self.add(what, 1);
    }

    /// Counts `count` more.
    pub fn add(&mut self, what: impl fmt::Debug, count: u64) {
        if count > 0 {
            *self.counts.entry(format!("{what:?}")).or_default() += count;
        }
    }

    /// Adds another tally.
    pub fn absorb(&mut self, other: &Tally) {
        for (what, count) in &other.counts {
            *self.counts.entry(what.clone()).or_default() += count;
        }
    }

    /// The count of one.
    pub fn of(&self, what: impl fmt::Debug) -> u64 {
        self.counts.get(&format!("{what:?}")).copied().unwrap_or_default()
    }

    /// All counts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(what, count)| (what.as_str(), *count))
    }
}
