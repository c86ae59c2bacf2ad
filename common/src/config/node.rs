//! What one node is told: the cluster's settings, its tier's, and its own `[node]`.

use super::manifest::{AuthSettings, BroadcastSettings, ClusterSettings, LeafSettings};
use super::section::{ConfigError, Environment, Section, tables};
use crate::cluster::NodeName;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The `[node]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// The node's name, as in its certificate.
    pub name: NodeName,
    /// Where it listens for QUIC (UDP).
    pub quic: SocketAddr,
    /// Where others reach it over QUIC, when that is another address.
    pub advertise: Option<SocketAddr>,
    /// Where it listens for HTTP (TCP).
    pub http: Option<SocketAddr>,
    /// Where roots are found at first.
    pub roots: Vec<SocketAddr>,
    /// Where it keeps its data (a leaf its log, a root with the embedded store that).
    pub data: PathBuf,
    /// Where `ca.pem`, `NAME.pem` and `NAME.key` are.
    pub certificates: PathBuf,
}

/// A node's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// What all nodes agree on.
    pub cluster: ClusterSettings,
    /// This node.
    pub node: NodeSettings,
    /// For a leaf.
    pub leaf: LeafSettings,
    /// For a broadcast node.
    pub broadcast: BroadcastSettings,
    /// Who may send and watch.
    pub auth: AuthSettings,
}

impl NodeConfig {
    /// Reads a node's file; `environment` overrides its keys.
    ///
    /// # Errors
    /// When anything in it is unknown, missing or out of range.
    pub fn parse(text: &str, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let file = tables(text, &["cluster", "node", "leaf", "broadcast", "auth"])?;
        let section = |name| Section::new(name, &file, environment);
        Ok(Self {
            cluster: ClusterSettings::read(section("cluster"))?,
            node: NodeSettings::read(section("node"))?,
            leaf: LeafSettings::read(section("leaf"))?,
            broadcast: BroadcastSettings::read(section("broadcast"))?,
            auth: AuthSettings::read(section("auth"))?,
        })
    }
}

impl NodeSettings {
    fn read(mut s: Section<'_>) -> Result<Self, ConfigError> {
        let settings = Self {
            name: s.required("name", "a name of 1 to 63 of a-z, 0-9 and -, like leaf-0")?,
            quic: s.required("quic", "an address like 0.0.0.0:4433")?,
            advertise: s.optional("advertise", "an address like 10.0.0.7:4433")?,
            http: s.optional("http", "an address like 0.0.0.0:8080")?,
            roots: s.addresses("roots")?,
            data: s.or("data", "./countree-data".into(), "a path")?,
            certificates: s.or("certificates", "./certs".into(), "a path")?,
        };
        s.finish()?;
        Ok(settings)
    }
}
