//! The `[http]` settings of manifests and nodes alike: who may use HTTP, and where administration is.

use super::section::{ConfigError, Section};
use crate::access::{Gate, HostRule, Network, OriginRule, Side};
use std::net::{IpAddr, SocketAddr};

/// The rules of who may use HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpRules {
    /// Other origins whose pages may send and read.
    pub origins: Vec<OriginRule>,
    /// More names that the server answers to.
    pub hosts: Vec<HostRule>,
    /// Proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// The address of a port for administration, metrics and status, which the other port then lacks.
    pub admin: Option<SocketAddr>,
}

impl HttpRules {
    pub(super) fn read(s: &mut Section<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            origins: s.list("origins", "origins like https://app.example, or * for all")?,
            hosts: s.list("hosts", "names like counts.example or *.example, without a port, or * for all")?,
            trusted_proxies: s
                .list("trusted_proxies", "addresses and networks like 10.0.0.7 or 10.0.0.0/8")?,
            admin: s.optional("admin", "an address like 127.0.0.1:8081")?,
        })
    }

    /// The rules of a port. `own` are addresses of this machine that connections don't show; `is_open` says that no
    /// tokens are asked for.
    pub fn gate(&self, own: Vec<IpAddr>, is_open: bool, is_admin: bool) -> Gate {
        let side = match (is_admin, self.admin) {
            (true, _) => Side::Admin,
            (false, Some(_)) => Side::Public,
            (false, None) => Side::Whole,
        };
        Gate {
            hosts: self.hosts.clone(),
            own,
            origins: self.origins.clone(),
            proxies: self.trusted_proxies.clone(),
            is_open,
            side,
        }
    }
}
