//! The hosts of a simulation: nodes, producers, viewers and HTTP clients.

use countree_common::cluster::{NodeName, Tier};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

/// A process's start, counted from 1 on each host. Events meant for an earlier one are dropped.
pub(crate) type Life = u64;

/// A host: it runs one process at a time of a tier, or of a kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Host {
    /// A leaf.
    Leaf(usize),
    /// A root.
    Root(usize),
    /// A broadcast node.
    Broadcast(usize),
    /// A producer.
    Producer(usize),
    /// A viewer.
    Viewer(usize),
    /// An HTTP client.
    Client(usize),
}

impl Host {
    fn parts(self) -> (&'static str, u8, usize) {
        match self {
            Host::Leaf(i) => ("leaf", 1, i),
            Host::Root(i) => ("root", 2, i),
            Host::Broadcast(i) => ("broadcast", 3, i),
            Host::Producer(i) => ("producer", 4, i),
            Host::Viewer(i) => ("viewer", 5, i),
            Host::Client(i) => ("client", 6, i),
        }
    }

    /// The number, if a leaf runs there.
    pub(crate) fn leaf(self) -> Option<usize> {
        match self {
            Host::Leaf(number) => Some(number),
            _ => None,
        }
    }

    /// The tier, if a node runs there.
    pub(crate) fn tier(self) -> Option<Tier> {
        match self {
            Host::Leaf(_) => Some(Tier::Leaf),
            Host::Root(_) => Some(Tier::Root),
            Host::Broadcast(_) => Some(Tier::Broadcast),
            Host::Producer(_) | Host::Viewer(_) | Host::Client(_) => None,
        }
    }

    /// The name of the node that runs there.
    ///
    /// # Panics
    /// Never: such names are valid.
    #[expect(clippy::expect_used, reason = "a tier and a number make a DNS label")]
    pub(crate) fn name(self) -> NodeName {
        NodeName::new(&self.to_string()).expect("a tier and a number make a DNS label")
    }

    /// The host of the node of that name; `None` for a name that no host has.
    pub(crate) fn of(name: &NodeName) -> Option<Self> {
        let (tier, number) = name.as_str().rsplit_once('-')?;
        let number = number.parse().ok()?;
        match tier {
            "leaf" => Some(Host::Leaf(number)),
            "root" => Some(Host::Root(number)),
            "broadcast" => Some(Host::Broadcast(number)),
            _ => None,
        }
    }

    /// Its address with that port.
    pub(crate) fn address(self, port: u16) -> SocketAddr {
        let (_, tier, number) = self.parts();
        SocketAddr::from((Ipv4Addr::new(10, 0, tier, number as u8), port))
    }

    /// The lead of its wall clock before the slowest, in milliseconds.
    pub(crate) fn clock_skew_ms(self) -> u64 {
        let (_, tier, number) = self.parts();
        (u64::from(tier) * 37 + number as u64 * 101) % 300
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tier, _, number) = self.parts();
        write!(f, "{tier}-{number}")
    }
}
