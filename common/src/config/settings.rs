//! The settings of each section of a manifest, with their defaults and ranges.

use super::http::HttpRules;
use super::section::{ConfigError, Section};
use super::store_url::StoreUrl;
use crate::cluster::NodeName;
use crate::limits::REPLICAS_MAX;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The default of `leaf.replicas`: two, so that events are still taken when one leaf is gone.
const LEAVES: u64 = 2;
const MINUTE: Duration = Duration::from_secs(60);
/// The default of `leaf.capacity`, events per second: far below the measured rate of one core, so that an
/// item is split in time.
const CAPACITY: u64 = 2_000_000;

/// The settings that all nodes share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The cluster's name; data folders and peers of another are refused.
    pub name: NodeName,
    /// The store that keeps totals.
    pub store: StoreUrl,
    /// The time over which a leaf sums before it sends up. Shorter is more live, longer is fewer merges.
    pub window: Duration,
    /// Whether `countree up` runs the nodes in one process or in many.
    pub processes: Processes,
}

/// The processes that `countree up` runs the nodes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processes {
    /// All nodes in the process of `up` itself.
    One,
    /// Each in a process of its own, which is started again when it crashes.
    PerNode,
}

impl FromStr for Processes {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "one" => Ok(Self::One),
            "per-node" => Ok(Self::PerNode),
            _ => Err(()),
        }
    }
}

/// The settings that every tier has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierSettings {
    /// Number of nodes.
    pub replicas: u32,
    /// The UDP port of the first node, counting up from there; 0 picks free ones.
    pub quic_port: u16,
}

/// The leaf tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafSettings {
    /// Number of nodes, and their ports.
    pub tier: TierSettings,
    /// The time for which merged records stay in the log, for a store that forgets.
    pub retention: Duration,
    /// The time for which an idle session, and an idempotency key, is remembered.
    pub horizon: Duration,
    /// The most bytes of log that one leaf keeps; at the limit it sheds.
    pub log_bytes: u64,
    /// Events per second that one leaf is meant to carry: an item that takes too large a share of it is
    /// split.
    pub capacity: u64,
}

/// The broadcast tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BroadcastSettings {
    /// Number of nodes, and their ports.
    pub tier: TierSettings,
    /// The tick: a viewer gets at most one update in this time.
    pub tick: Duration,
}

/// The HTTP port of `countree up`, and the address at which its nodes listen for QUIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// TCP; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The address that the nodes of `up` bind for QUIC.
    pub quic_host: IpAddr,
    /// The rules of who may use it.
    pub rules: HttpRules,
}

/// Authorization of clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthSettings {
    /// A file with the secret that signs tokens (HS256). Without one, everybody may send and watch.
    pub secret_file: Option<PathBuf>,
}

impl ClusterSettings {
    pub(super) fn read(mut s: Section<'_>) -> Result<Self, ConfigError> {
        let default = NodeName::new("local").map_err(|e| ConfigError::Contradiction(e.to_string()))?;
        let name = s.or("name", default, "a name of 1 to 63 of a-z, 0-9 and -")?;
        let stores = "embedded, redis://host:port, rediss://host:port or redis-cluster://host:port,host:port";
        let store = s.or("store", StoreUrl::Embedded, stores)?;
        let window = s.duration(
            "window",
            Duration::from_millis(100),
            Duration::from_millis(5)..=Duration::from_secs(60),
        )?;
        let processes = s.or("processes", Processes::One, "one or per-node")?;
        s.finish()?;
        Ok(Self { name, store, window, processes })
    }
}

impl TierSettings {
    pub(super) fn read(s: &mut Section<'_>, replicas: u64) -> Result<Self, ConfigError> {
        let replicas = s.number("replicas", replicas, 1..=u64::from(REPLICAS_MAX))?;
        let quic_port = s.number("quic_port", 0, 0..=65_535)?;
        // Both fit: the ranges say so.
        Ok(Self { replicas: replicas as u32, quic_port: quic_port as u16 })
    }

    pub(super) fn read_all(mut s: Section<'_>) -> Result<Self, ConfigError> {
        let tier = Self::read(&mut s, 1)?;
        s.finish()?;
        Ok(tier)
    }
}

impl LeafSettings {
    pub(super) fn read(mut s: Section<'_>) -> Result<Self, ConfigError> {
        let settings = Self {
            tier: TierSettings::read(&mut s, LEAVES)?,
            retention: s.duration("retention", 10 * MINUTE, Duration::from_secs(1)..=24 * 60 * MINUTE)?,
            horizon: s.duration("horizon", 15 * MINUTE, 10 * MINUTE..=24 * 60 * MINUTE)?,
            log_bytes: s.number("log_bytes", 64 << 30, 256 << 20..=1 << 50)?,
            capacity: s.number("capacity", CAPACITY, 1..=1_000_000_000)?,
        };
        s.finish()?;
        Ok(settings)
    }
}

impl BroadcastSettings {
    pub(super) fn read(mut s: Section<'_>) -> Result<Self, ConfigError> {
        let tier = TierSettings::read(&mut s, 1)?;
        let tick = s.duration(
            "tick",
            Duration::from_millis(100),
            Duration::from_millis(5)..=Duration::from_secs(10),
        )?;
        s.finish()?;
        Ok(Self { tier, tick })
    }
}

impl HttpSettings {
    pub(super) fn read(mut s: Section<'_>) -> Result<Self, ConfigError> {
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listen = s.or("listen", SocketAddr::new(localhost, 8080), "an address like 127.0.0.1:8080")?;
        let quic_host: IpAddr = s.or("quic_host", localhost, "an IP address of this machine")?;
        if quic_host.is_unspecified() {
            let message = format!(
                "http.quic_host = {quic_host} is refused: clients and nodes get this address; it takes one of this machine's that they can reach"
            );
            return Err(ConfigError::Contradiction(message));
        }
        let rules = HttpRules::read(&mut s)?;
        s.finish()?;
        Ok(Self { listen, quic_host, rules })
    }
}

impl AuthSettings {
    pub(super) fn read(mut s: Section<'_>) -> Result<Self, ConfigError> {
        let secret_file = s.optional("secret_file", "a path")?;
        s.finish()?;
        Ok(Self { secret_file })
    }
}
