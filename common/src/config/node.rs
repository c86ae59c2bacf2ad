//! The configuration file of one node: the cluster's settings, its tier's, and its own `[node]`.

use super::host_port::HostPort;
use super::http::HttpRules;
use super::manifest::{AuthSettings, BroadcastSettings, ClusterSettings, LeafSettings};
use super::section::{ConfigError, Environment, Section, tables};
use crate::cluster::NodeName;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Table, Value};

/// The `[node]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// The node's name, as in its certificate. Without one it takes the first of `leaf-0`, `leaf-1` … that no
    /// other process on the same `data` holds, and then `data` is the folder of all of them.
    pub name: Option<NodeName>,
    /// The address that it listens on for QUIC (UDP).
    pub quic: SocketAddr,
    /// The address at which others reach it over QUIC, when that is another one. A node that listens on every
    /// address without saying this is listed with the one from which it reaches the roots, or the store.
    pub advertise: Option<SocketAddr>,
    /// The address that it listens on for HTTP (TCP).
    pub http: Option<SocketAddr>,
    /// Addresses of roots, used at first and when no known root answers.
    pub roots: Vec<HostPort>,
    /// The data folder: a leaf's log, or a root's embedded store.
    pub data: PathBuf,
    /// The folder with `ca.pem`, `NAME.pem` and `NAME.key`, or with `ca.pem` and `ca.key` to make them from.
    pub certificates: PathBuf,
}

/// A node's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// The settings that all nodes share.
    pub cluster: ClusterSettings,
    /// This node.
    pub node: NodeSettings,
    /// For a leaf.
    pub leaf: LeafSettings,
    /// For a broadcast node.
    pub broadcast: BroadcastSettings,
    /// The rules of who may use HTTP.
    pub http: HttpRules,
    /// Authorization of clients.
    pub auth: AuthSettings,
}

impl NodeConfig {
    /// Reads a node's file; `environment` overrides its keys.
    ///
    /// # Errors
    /// When anything in it is unknown, missing or out of range.
    pub fn parse(text: &str, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let file = tables(text, &["cluster", "node", "leaf", "broadcast", "http", "auth"])?;
        let section = |name| Section::new(name, &file, environment);
        let mut node = NodeSettings::read(section("node"))?;
        let mut http = section("http");
        // The name of the key in manifests; the node's own key takes precedence.
        let listen = http.optional("listen", "an address like 0.0.0.0:8080")?;
        node.http = node.http.or(listen);
        let rules = HttpRules::read(&mut http)?;
        http.finish()?;
        Ok(Self {
            cluster: ClusterSettings::read(section("cluster"))?,
            node,
            leaf: LeafSettings::read(section("leaf"))?,
            broadcast: BroadcastSettings::read(section("broadcast"))?,
            http: rules,
            auth: AuthSettings::read(section("auth"))?,
        })
    }
}

impl NodeConfig {
    /// Writes the file.
    pub fn to_text(&self) -> String {
        let Self { cluster, node, leaf, broadcast, http, auth } = self;
        let text = |value: &dyn Display| Value::String(value.to_string());
        let path = |path: &Path| text(&path.display());
        let duration = |duration: Duration| text(&format!("{}ms", duration.as_millis()));
        let number = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let some = |key: &'static str, value: Option<Value>| value.map(|value| (key, value));
        let list = |values: Vec<Value>| (!values.is_empty()).then_some(Value::Array(values));
        let tables = [
            (
                "cluster",
                vec![
                    some("name", Some(text(&cluster.name))),
                    some("store", Some(Value::String(cluster.store.to_setting()))),
                    some("window", Some(duration(cluster.window))),
                ],
            ),
            (
                "node",
                vec![
                    some("name", node.name.as_ref().map(|name| text(name))),
                    some("quic", Some(text(&node.quic))),
                    some("advertise", node.advertise.map(|address| text(&address))),
                    some("http", node.http.map(|address| text(&address))),
                    some("roots", Some(Value::Array(node.roots.iter().map(|root| text(root)).collect()))),
                    some("data", Some(path(&node.data))),
                    some("certificates", Some(path(&node.certificates))),
                ],
            ),
            (
                "leaf",
                vec![
                    some("retention", Some(duration(leaf.retention))),
                    some("horizon", Some(duration(leaf.horizon))),
                    some("log_bytes", Some(number(leaf.log_bytes))),
                    some("capacity", Some(number(leaf.capacity))),
                ],
            ),
            ("broadcast", vec![some("tick", Some(duration(broadcast.tick)))]),
            (
                "http",
                vec![
                    some("origins", list(http.origins.iter().map(|origin| text(origin)).collect())),
                    some("hosts", list(http.hosts.iter().map(|host| text(host)).collect())),
                    some("trusted_proxies", list(http.trusted_proxies.iter().map(|net| text(net)).collect())),
                    some("admin", http.admin.map(|address| text(&address))),
                ],
            ),
            ("auth", vec![some("secret_file", auth.secret_file.as_deref().map(path))]),
        ];
        let table = |entries: Vec<Option<(&str, Value)>>| {
            Value::Table(entries.into_iter().flatten().map(|(key, value)| (key.to_owned(), value)).collect())
        };
        let file: Table =
            tables.into_iter().map(|(name, entries)| (name.to_owned(), table(entries))).collect();
        file.to_string()
    }
}

impl NodeSettings {
    fn read(mut s: Section<'_>) -> Result<Self, ConfigError> {
        let settings = Self {
            name: s.optional("name", "a name of 1 to 63 of a-z, 0-9 and -, like leaf-0")?,
            quic: s.required("quic", "an address like 0.0.0.0:4433")?,
            advertise: s.optional("advertise", "an address like 10.0.0.7:4433")?,
            http: s.optional("http", "an address like 0.0.0.0:8080")?,
            roots: s.hosts("roots")?,
            data: s.or("data", "./countree-data".into(), "a path")?,
            certificates: s.or("certificates", "./certs".into(), "a path")?,
        };
        s.finish()?;
        if let Some(advertise) = settings.advertise.filter(|address| address.ip().is_unspecified()) {
            let message = format!(
                "node.advertise = {advertise} is refused: other nodes get this address; it takes one that they can reach, or leave it out"
            );
            return Err(ConfigError::Contradiction(message));
        }
        Ok(settings)
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
