//! Derives each node's configuration from the manifest of a local cluster.

use crate::own_address::seen_from_outside;
use countree_common::cluster::{NodeName, Tier};
use countree_common::config::Manifest;
use countree_common::config::http::HttpRules;
use countree_common::config::manifest::Processes;
use countree_common::config::node::{NodeConfig, NodeSettings};
use countree_common::shell::access::Access;
use countree_common::shell::failure::Failure;
use countree_common::shell::identity::{Authority, Identity, fingerprints};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The manifest, folder, certificates, HTTP address and access rules that all nodes of a local cluster share.
pub(super) struct Layout {
    manifest: Manifest,
    folder: PathBuf,
    authority: Authority,
    http: SocketAddr,
    access: Access,
}

impl Layout {
    /// Opens the cluster's certificates in the folder. `http` is the address of the HTTP port that all nodes share.
    pub(super) fn new(
        manifest: Manifest,
        folder: &Path,
        http: SocketAddr,
        access: Access,
    ) -> Result<Self, Failure> {
        // Nodes in processes of their own may have another working directory one day.
        let folder = folder.canonicalize()?;
        let authority = Authority::open_or_create(&folder.join("tls"))?;
        Ok(Self { manifest, folder, authority, http, access })
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// The address at which others reach the HTTP port that all nodes of this process share.
    pub(super) fn shared_http(&self) -> SocketAddr {
        let node = SocketAddr::new(self.manifest.http.quic_host, self.http.port());
        seen_from_outside(self.http, node)
    }

    /// Fingerprints of the cluster's certificate authority.
    pub(super) fn authorities(&self) -> Result<BTreeSet<String>, Failure> {
        Ok(fingerprints(self.authority.certificate_pem())?)
    }

    pub(super) fn identity(&self, name: &NodeName, tier: Tier) -> Result<Arc<Identity>, Failure> {
        Ok(Arc::new(self.authority.identity(name, tier)?))
    }

    /// A node's data folder.
    pub(super) fn data(&self, name: &NodeName, tier: Tier) -> PathBuf {
        match tier {
            // The embedded store: the same file, whichever root holds it.
            Tier::Root => self.folder.clone(),
            Tier::Leaf | Tier::Broadcast => self.folder.join(name.as_str()),
        }
    }

    /// Whether a leaf's folder holds a log.
    pub(super) fn has_log(&self, leaf: &NodeName) -> bool {
        let streams = self.folder.join(leaf.as_str()).join("streams");
        streams.read_dir().is_ok_and(|mut entries| entries.next().is_some())
    }

    /// A node's configuration. `quic` is the address that it had before, if it has run before; `roots` are the
    /// running roots.
    pub(super) fn config(
        &self,
        name: &NodeName,
        tier: Tier,
        quic: Option<SocketAddr>,
        roots: &[SocketAddr],
    ) -> NodeConfig {
        let manifest = &self.manifest;
        let http = match manifest.cluster.processes {
            Processes::One => self.shared_http(),
            // Only this process connects there.
            Processes::PerNode => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
        };
        let node = NodeSettings {
            name: Some(name.clone()),
            quic: quic.unwrap_or_else(|| self.quic(name, tier)),
            advertise: None,
            http: Some(http),
            roots: roots.iter().map(|root| (*root).into()).collect(),
            data: self.data(name, tier),
            certificates: self.folder.join("tls"),
        };
        NodeConfig {
            cluster: manifest.cluster.clone(),
            node,
            leaf: manifest.leaf.clone(),
            broadcast: manifest.broadcast.clone(),
            http: HttpRules { admin: None, ..manifest.http.rules.clone() },
            auth: manifest.auth.clone(),
        }
    }

    /// The address on which a node listens for QUIC: the tier's first port plus its index, or a free port.
    fn quic(&self, name: &NodeName, tier: Tier) -> SocketAddr {
        let first = self.manifest.tier(tier).quic_port;
        let index = name.as_str().rsplit('-').next().and_then(|index| index.parse::<u16>().ok());
        let port = if first == 0 { 0 } else { first.saturating_add(index.unwrap_or_default()) };
        SocketAddr::new(self.manifest.http.quic_host, port)
    }
}
