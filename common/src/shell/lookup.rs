//! Address lookups: the addresses behind a name, and the own address towards a peer.

use crate::config::host_port::HostPort;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Time limit for the lookup of a name.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// Looks up the addresses of these names. Names without an address are left out.
pub async fn addresses(names: &[HostPort]) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for name in names {
        match tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host(name.as_str())).await {
            Ok(Ok(addresses)) => found.extend(addresses),
            Ok(Err(e)) => tracing::debug!("{name} leads nowhere: {e}"),
            Err(_) => tracing::debug!("the name {name} has no address"),
        }
    }
    found
}

/// Returns this machine's address from which packets to `peer` go, without sending any; `None` where there is
/// no route.
pub fn own_address_towards(peer: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(peer).ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_unspecified()).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_looked_up_and_those_that_lead_nowhere_left_out() {
        let names = ["127.0.0.1:7", "localhost:8", "no-such-host.invalid:9"].map(|n| n.parse().unwrap());
        let found = addresses(&names).await;
        assert!(found.contains(&"127.0.0.1:7".parse().unwrap()), "{found:?}");
        assert!(found.iter().any(|a| a.port() == 8 && a.ip().is_loopback()), "{found:?}");
        assert!(found.iter().all(|a| a.port() != 9), "{found:?}");
    }

    #[test]
    fn loopback_is_reached_from_loopback() {
        let own = own_address_towards("127.0.0.1:9".parse().unwrap());
        assert_eq!(own, Some(Ipv4Addr::LOCALHOST.into()));
    }
}
