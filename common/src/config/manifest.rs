//! The deploy manifest: the cluster, its tiers, and how many nodes each has.

pub use super::settings::{
    AuthSettings, BroadcastSettings, ClusterSettings, HttpSettings, LeafSettings, Processes, TierSettings,
};
pub use super::store_url::StoreUrl;

use super::section::{ConfigError, Environment, Section, tables};
use crate::cluster::Tier;

/// All settings of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The settings that all nodes share.
    pub cluster: ClusterSettings,
    /// The leaf tier.
    pub leaf: LeafSettings,
    /// The root tier.
    pub root: TierSettings,
    /// The broadcast tier.
    pub broadcast: BroadcastSettings,
    /// The HTTP port of `countree up`.
    pub http: HttpSettings,
    /// Authorization of clients.
    pub auth: AuthSettings,
}

/// The cluster that `countree up` runs when it is given no manifest.
pub const BUILT_IN: &str = "[cluster]\nname = \"local\"\nstore = \"embedded\"\nwindow = \"100ms\"\n\
    [leaf]\nreplicas = 2\n[root]\nreplicas = 1\n[broadcast]\nreplicas = 1\n";

const SECTIONS: [&str; 6] = ["cluster", "leaf", "root", "broadcast", "http", "auth"];

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

    /// Returns the number of nodes of a tier.
    pub fn replicas(&self, tier: Tier) -> u32 {
        self.tier(tier).replicas
    }

    /// Returns a tier's size and ports.
    pub fn tier(&self, tier: Tier) -> &TierSettings {
        match tier {
            Tier::Leaf => &self.leaf.tier,
            Tier::Root => &self.root,
            Tier::Broadcast => &self.broadcast.tier,
        }
    }

    /// Returns this manifest with the tier sizes of the other. Nothing else of a running cluster can be
    /// changed by `apply`.
    pub fn resized_like(&self, other: &Self) -> Self {
        let mut resized = self.clone();
        resized.leaf.tier.replicas = other.leaf.tier.replicas;
        resized.root.replicas = other.root.replicas;
        resized.broadcast.tier.replicas = other.broadcast.tier.replicas;
        resized
    }

    /// Refuses more than one root process on an embedded store, which a single process opens.
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

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
