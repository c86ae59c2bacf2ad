//! Finds the address at which other nodes reach this machine, and notices when it changes.

use countree_common::config::host_port::HostPort;
use countree_common::config::manifest::StoreUrl;
use countree_common::config::node::NodeConfig;
use countree_common::shell::failure::Failure;
use countree_common::shell::lookup;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The wait between two checks whether the machine has another address.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// The address at which others reach a node.
#[derive(Debug)]
pub(crate) struct OwnAddress {
    /// The address at which others reach it over QUIC; `None` when that is where it listens.
    pub(crate) advertise: Option<SocketAddr>,
    /// The address that was found, and the peers that it was found by.
    found: Option<(IpAddr, Vec<SocketAddr>)>,
}

impl OwnAddress {
    /// Takes the configured address, or finds it where the node listens on every address.
    pub(crate) async fn find(config: &NodeConfig) -> Result<Self, Failure> {
        let node = &config.node;
        let found = match node.advertise {
            None if node.quic.ip().is_unspecified() => Some(own_address(config).await?),
            _ => None,
        };
        let advertise =
            found.as_ref().map(|(ip, _)| SocketAddr::new(*ip, node.quic.port())).or(node.advertise);
        Ok(Self { advertise, found })
    }

    /// The address at which others reach what listens at this address of the node.
    pub(crate) fn seen_from_outside(&self, listening: SocketAddr) -> SocketAddr {
        match self.advertise {
            Some(advertise) => seen_from_outside(listening, advertise),
            None => listening,
        }
    }

    /// Returns once the machine has another address than the one that was found, as after a container has left a
    /// network and joined it again: other nodes don't reach this one at its listed address any more.
    pub(crate) async fn changed(&self) -> IpAddr {
        let Some((found, peers)) = &self.found else { return std::future::pending().await };
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let now = peers.iter().copied().find_map(lookup::own_address_towards);
            // No address at all is no change: the network may come back as it was.
            if let Some(now) = now.filter(|now| now != found) {
                return now;
            }
        }
    }
}

/// The address at which others reach what listens at `listening` on a node that they reach at `node`.
pub(crate) fn seen_from_outside(listening: SocketAddr, node: SocketAddr) -> SocketAddr {
    if listening.ip().is_unspecified() { SocketAddr::new(node.ip(), listening.port()) } else { listening }
}

/// The address from which this machine reaches the roots, or the store where it knows of no roots.
async fn own_address(config: &NodeConfig) -> Result<(IpAddr, Vec<SocketAddr>), Failure> {
    let quic = config.node.quic;
    if quic.port() == 0 {
        return Err(Failure::usage(format!(
            "node.quic = {quic} is refused: on every address it takes a port"
        )));
    }
    let names = [config.node.roots.clone(), servers(&config.cluster.store)].concat();
    let peers = lookup::addresses(&names).await;
    let own = peers.iter().copied().find_map(lookup::own_address_towards);
    let ip = own.ok_or_else(|| {
        Failure::failed(format!(
            "node.quic = {quic} is every address, and no root or store tells which of them is reached by others: set node.advertise"
        ))
    })?;
    Ok((ip, peers))
}

/// Lists the servers that a store's URL names.
fn servers(store: &StoreUrl) -> Vec<HostPort> {
    const REDIS_PORT: u16 = 6379;
    let urls = match store {
        StoreUrl::Embedded => &[][..],
        StoreUrl::Redis(url) => std::slice::from_ref(url),
        StoreUrl::RedisCluster(urls) => urls,
    };
    let server = |url: &String| {
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let host = rest.split(['/', '?']).next()?;
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        host.parse().or_else(|()| format!("{host}:{REDIS_PORT}").parse()).ok()
    };
    urls.iter().filter_map(server).collect()
}

#[cfg(test)]
#[path = "own_address_tests.rs"]
mod tests;
