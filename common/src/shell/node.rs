//! The options that nodes of every tier share.

use super::identity::Identity;
use super::shutdown::Shutdown;
use crate::cluster::NodeName;
use crate::config::host_port::HostPort;
use std::net::SocketAddr;
use std::sync::Arc;

/// The options that nodes of every tier share.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The cluster's name.
    pub cluster: NodeName,
    /// The node's name, as in its certificate.
    pub name: NodeName,
    /// The address that it listens on for QUIC (UDP); port 0 picks a free one.
    pub quic: SocketAddr,
    /// The address at which others reach it over QUIC, when that is another one; port 0 stands for the port
    /// that it listens on.
    pub advertise: Option<SocketAddr>,
    /// The address of its HTTP, for the view; the starter of the node serves it.
    pub http: Option<SocketAddr>,
    /// Its certificate and key, and the cluster's CA.
    pub identity: Arc<Identity>,
    /// Addresses of roots to ask first. A root needs none.
    pub roots: Vec<HostPort>,
    /// Set by the node when another asks it to leave the cluster (`Request::Drain`): its runner then stops
    /// it.
    pub leave: Shutdown,
}

impl NodeOptions {
    /// Returns the address at which others reach the node, after it has bound `bound`.
    pub fn reached_at(&self, bound: SocketAddr) -> SocketAddr {
        match self.advertise {
            None => bound,
            Some(address) if address.port() == 0 => SocketAddr::new(address.ip(), bound.port()),
            Some(address) => address,
        }
    }
}
