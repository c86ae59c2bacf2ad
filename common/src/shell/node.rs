//! What a node of any tier is told when it starts.

use super::identity::Identity;
use super::shutdown::Shutdown;
use crate::cluster::NodeName;
use crate::config::host_port::HostPort;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a node of any tier is told.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The cluster's name.
    pub cluster: NodeName,
    /// The node's name, as in its certificate.
    pub name: NodeName,
    /// Where it listens for QUIC (UDP); port 0 picks a free one.
    pub quic: SocketAddr,
    /// Where others reach it over QUIC, when that is another address; port 0 stands for the port that it
    /// listens on.
    pub advertise: Option<SocketAddr>,
    /// Where its HTTP is served, to be listed; whoever starts the node serves it.
    pub http: Option<SocketAddr>,
    /// Its certificate and key, and the cluster's CA.
    pub identity: Arc<Identity>,
    /// Where roots are found at first. A root looks for none.
    pub roots: Vec<HostPort>,
    /// Thrown by the node when it is asked to leave the cluster (`Request::Drain`): whoever runs it then stops it.
    pub leave: Shutdown,
}

impl NodeOptions {
    /// Where others reach the node that has bound this address.
    pub fn reached_at(&self, bound: SocketAddr) -> SocketAddr {
        match self.advertise {
            None => bound,
            Some(address) if address.port() == 0 => SocketAddr::new(address.ip(), bound.port()),
            Some(address) => address,
        }
    }
}
