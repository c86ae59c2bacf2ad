//! The deploy manifest: the cluster, its tiers, and how many nodes each has.

use super::section::{ConfigError, Environment, Section, tables};
use crate::cluster::{NodeName, Tier};
use crate::limits::REPLICAS_MAX;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Everything that a cluster is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What all nodes agree on.
    pub cluster: ClusterSettings,
    /// The leaf tier.
    pub leaf: LeafSettings,
    /// The root tier.
    pub root: TierSettings,
    /// The broadcast tier.
    pub broadcast: BroadcastSettings,
    /// The HTTP port of `countree up`.
    pub http: HttpSettings,
    /// Who may send and watch.
    pub auth: AuthSettings,
}

/// What all nodes agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The cluster's name; data folders and peers of another are refused.
    pub name: NodeName,
    /// Where totals are kept.
    pub store: StoreUrl,
    /// How long a leaf sums before it sends up. Shorter is more live, longer is fewer merges.
    pub window: Duration,
    /// How `countree up` runs the nodes.
    pub processes: Processes,
}

/// How `countree up` runs the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processes {
    /// All in its own process.
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

/// Where totals are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// One file under the data folder; for one machine.
    Embedded,
    /// One Redis server: `redis://…` or `rediss://…`.
    Redis(String),
    /// A Redis Cluster: the URLs of some of its nodes.
    RedisCluster(Vec<String>),
}

impl FromStr for StoreUrl {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        if let Some(hosts) = text.strip_prefix("redis-cluster://") {
            let urls: Vec<_> =
                hosts.split(',').filter(|h| !h.is_empty()).map(|h| format!("redis://{h}")).collect();
            return if urls.is_empty() { Err(()) } else { Ok(Self::RedisCluster(urls)) };
        }
        let rest = text.strip_prefix("redis://").or_else(|| text.strip_prefix("rediss://"));
        rest.filter(|r| !r.is_empty()).map(|_| Self::Redis(text.to_owned())).ok_or(())
    }
}

impl StoreUrl {
    /// As a configuration says it, credentials included.
    pub fn to_setting(&self) -> String {
        match self {
            Self::Embedded => "embedded".to_owned(),
            Self::Redis(url) => url.clone(),
            Self::RedisCluster(urls) => {
                let hosts: Vec<_> = urls.iter().map(|u| u.trim_start_matches("redis://")).collect();
                format!("redis-cluster://{}", hosts.join(","))
            }
        }
    }
}

impl std::fmt::Display for StoreUrl {
    /// Without credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bare = |url: &str| match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
            _ => url.to_owned(),
        };
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Redis(url) => f.write_str(&bare(url)),
            Self::RedisCluster(urls) => {
                let hosts: Vec<_> = urls.iter().map(|u| bare(u).replace("redis://", "")).collect();
                write!(f, "redis-cluster://{}", hosts.join(","))
            }
        }
    }
}

/// What every tier has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierSettings {
    /// How many nodes.
    pub replicas: u32,
    /// The UDP port of the first node, counting up from there; 0 picks free ones.
    pub quic_port: u16,
}

/// The leaf tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafSettings {
    /// How many nodes, and their ports.
    pub tier: TierSettings,
    /// How long merged records stay in the log, for a store that forgets.
    pub retention: Duration,
    /// How long an idle session, and an idempotency key, is remembered.
    pub horizon: Duration,
    /// The most bytes of log that one leaf keeps; at the limit it sheds.
    pub log_bytes: u64,
    /// Events per second that one leaf is meant to carry: an item that takes too large a share of it is split.
    pub capacity: u64,
}

/// The broadcast tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BroadcastSettings {
    /// How many nodes, and their ports.
    pub tier: TierSettings,
    /// At most one update per viewer in this time.
    pub tick: Duration,
}

/// The HTTP port of `countree up`, and where its nodes listen for QUIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// TCP; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The address that the nodes of `up` bind for QUIC.
    pub quic_host: IpAddr,
}

/// Who may send and watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthSettings {
    /// A file with the secret that signs tokens (HS256). Without one, everybody may send and watch.
    pub secret_file: Option<PathBuf>,
}

/// The cluster that `countree up` runs when it is given no manifest.
pub const BUILT_IN: &str = "[cluster]\nname = \"local\"\nstore = \"embedded\"\nwindow = \"100ms\"\n\
    [leaf]\nreplicas = 2\n[root]\nreplicas = 1\n[broadcast]\nreplicas = 1\n";

const SECTIONS: [&str; 6] = ["cluster", "leaf", "root", "broadcast", "http", "auth"];
const MINUTE: Duration = Duration::from_secs(60);
/// `leaf.capacity` unless it is set: far below what was measured on one core, so that an item is split in time.
const CAPACITY: u64 = 2_000_000;

impl Manifest {
    /// Reads a manifest; `environment` overrides its keys.
    ///
    /// # Errors
    /// When anything in it is unknown, out of range or contradictory.
    pub fn parse(text: &str, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let file = tables(text, &SECTIONS)?;
        let section = |name| Section::new(name, &file, environment);
        let manifest = Self {
            cluster: ClusterSettings::read(section("cluster"))?,
            leaf: LeafSettings::read(section("leaf"))?,
            root: TierSettings::read_all(section("root"))?,
            broadcast: BroadcastSettings::read(section("broadcast"))?,
            http: HttpSettings::read(section("http"))?,
            auth: AuthSettings::read(section("auth"))?,
        };
        manifest.check_ports()?;
        manifest.check_processes()?;
        Ok(manifest)
    }

    /// How many nodes a tier has.
    pub fn replicas(&self, tier: Tier) -> u32 {
        self.tier(tier).replicas
    }

    /// A tier's size and ports.
    pub fn tier(&self, tier: Tier) -> &TierSettings {
        match tier {
            Tier::Leaf => &self.leaf.tier,
            Tier::Root => &self.root,
            Tier::Broadcast => &self.broadcast.tier,
        }
    }

    /// This manifest with as many nodes in each tier as the other has: the only difference that a running cluster
    /// can follow.
    pub fn resized_like(&self, other: &Self) -> Self {
        let mut resized = self.clone();
        resized.leaf.tier.replicas = other.leaf.tier.replicas;
        resized.root.replicas = other.root.replicas;
        resized.broadcast.tier.replicas = other.broadcast.tier.replicas;
        resized
    }

    /// Refuses several root processes on an embedded store, which is one process's.
    fn check_processes(&self) -> Result<(), ConfigError> {
        let is_shared = self.cluster.processes == Processes::PerNode && self.root.replicas > 1;
        if is_shared && self.cluster.store == StoreUrl::Embedded {
            let message = format!(
                "root.replicas = {} takes a Redis store when cluster.processes = \"per-node\": an embedded store is one process's",
                self.root.replicas
            );
            return Err(ConfigError::Contradiction(message));
        }
        Ok(())
    }

    /// Refuses tiers whose UDP ports overlap or run past 65535.
    fn check_ports(&self) -> Result<(), ConfigError> {
        let tiers = [("leaf", &self.leaf.tier), ("root", &self.root), ("broadcast", &self.broadcast.tier)];
        let range = |t: &TierSettings| u32::from(t.quic_port)..u32::from(t.quic_port) + t.replicas;
        let named = || tiers.iter().filter(|(_, t)| t.quic_port != 0);
        for (name, tier) in named() {
            if range(tier).end > 65_536 {
                let message = format!(
                    "{name}.quic_port = {} leaves no room for {} replicas",
                    tier.quic_port, tier.replicas
                );
                return Err(ConfigError::Contradiction(message));
            }
            for (other, second) in named().filter(|(other, _)| other > name) {
                if range(tier).start < range(second).end && range(second).start < range(tier).end {
                    let message = format!(
                        "{name}.quic_port and {other}.quic_port overlap: each replica takes one port"
                    );
                    return Err(ConfigError::Contradiction(message));
                }
            }
        }
        Ok(())
    }
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
    fn read(s: &mut Section<'_>) -> Result<Self, ConfigError> {
        let replicas = s.number("replicas", 1, 1..=u64::from(REPLICAS_MAX))?;
        let quic_port = s.number("quic_port", 0, 0..=65_535)?;
        // Both fit: the ranges say so.
        Ok(Self { replicas: replicas as u32, quic_port: quic_port as u16 })
    }

    fn read_all(mut s: Section<'_>) -> Result<Self, ConfigError> {
        let tier = Self::read(&mut s)?;
        s.finish()?;
        Ok(tier)
    }
}

impl LeafSettings {
    pub(super) fn read(mut s: Section<'_>) -> Result<Self, ConfigError> {
        let settings = Self {
            tier: TierSettings::read(&mut s)?,
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
        let tier = TierSettings::read(&mut s)?;
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
    fn read(mut s: Section<'_>) -> Result<Self, ConfigError> {
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listen = s.or("listen", SocketAddr::new(localhost, 8080), "an address like 127.0.0.1:8080")?;
        let quic_host: IpAddr = s.or("quic_host", localhost, "an IP address of this machine")?;
        if quic_host.is_unspecified() {
            let message = format!(
                "http.quic_host = {quic_host} is refused: clients and nodes are told this address; it takes one of this machine's that they reach"
            );
            return Err(ConfigError::Contradiction(message));
        }
        s.finish()?;
        Ok(Self { listen, quic_host })
    }
}

impl AuthSettings {
    pub(super) fn read(mut s: Section<'_>) -> Result<Self, ConfigError> {
        let secret_file = s.optional("secret_file", "a path")?;
        s.finish()?;
        Ok(Self { secret_file })
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
