//! Where a node has its place: its name and data folder on this machine, and where others find it.

use crate::node::seen_from_outside;
use countree_common::cluster::{NodeName, Tier};
use countree_common::config::host_port::HostPort;
use countree_common::config::manifest::StoreUrl;
use countree_common::config::node::NodeConfig;
use countree_common::limits::REPLICAS_MAX;
use countree_common::shell::failure::Failure;
use countree_common::shell::lookup;
use std::fs::{File, TryLockError};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks at whether the machine has another address.
const LOOK: Duration = Duration::from_secs(2);

/// A node's place, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    /// The node's name.
    pub(crate) name: NodeName,
    /// Its data folder.
    pub(crate) data: PathBuf,
    /// Where others reach it over QUIC, when that is not where it listens.
    pub(crate) advertise: Option<SocketAddr>,
    /// The address that was found, and the peers that it was found by.
    found: Option<(IpAddr, Vec<SocketAddr>)>,
    /// Nobody else takes the name while this is held; the kernel lets go of it when the process dies.
    _name: Option<File>,
}

impl Place {
    /// The place that the configuration gives, or leaves to be found.
    pub(crate) async fn find(tier: Tier, config: &NodeConfig) -> Result<Self, Failure> {
        let node = &config.node;
        let found = match node.advertise {
            None if node.quic.ip().is_unspecified() => Some(own_address(config).await?),
            _ => None,
        };
        let advertise =
            found.as_ref().map(|(ip, _)| SocketAddr::new(*ip, node.quic.port())).or(node.advertise);
        if let Some(name) = node.name.clone() {
            return Ok(Self { name, data: node.data.clone(), advertise, found, _name: None });
        }
        let (name, held) = free_name(tier, &node.data)?;
        let data = node.data.join(name.as_str());
        tracing::info!(%name, "took the first free name");
        Ok(Self { name, data, advertise, found, _name: Some(held) })
    }

    /// Where others reach what listens at this address of the node.
    pub(crate) fn seen_from_outside(&self, listening: SocketAddr) -> SocketAddr {
        match self.advertise {
            Some(advertise) => seen_from_outside(listening, advertise),
            None => listening,
        }
    }

    /// Returns once the machine has another address than the one that was found: nobody finds the node where it
    /// is listed. Networks that a container leaves and joins again do that.
    pub(crate) async fn moved(&self) -> IpAddr {
        let Some((found, peers)) = &self.found else { return std::future::pending().await };
        loop {
            tokio::time::sleep(LOOK).await;
            let now = peers.iter().copied().find_map(lookup::own_address_towards);
            // No address at all is no move: the network may come back as it was.
            if let Some(now) = now.filter(|now| now != found) {
                return now;
            }
        }
    }
}

/// Replicas of a tier that share a folder are told apart by who came first. What one leaves behind goes to the
/// next that takes its name: so no log is without an owner for longer than it takes to start a replica.
fn free_name(tier: Tier, folder: &Path) -> Result<(NodeName, File), Failure> {
    let failed = |path: &Path, e: std::io::Error| Failure::failed(format!("{}: {e}", path.display()));
    std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    for index in 0..REPLICAS_MAX {
        let name = NodeName::new(&format!("{tier}-{index}"))?;
        let path = folder.join(format!("{name}.held"));
        let file = File::options().create(true).append(true).open(&path).map_err(|e| failed(&path, e))?;
        match file.try_lock() {
            Ok(()) => return Ok((name, file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => return Err(failed(&path, e)),
        }
    }
    let folder = folder.display();
    Err(Failure::failed(format!(
        "{REPLICAS_MAX} {tier} nodes run on {folder}: give the others another folder"
    )))
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

/// The servers that a store's URL names.
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
#[path = "place_tests.rs"]
mod tests;
