//! Addresses by name: `root:4433`, `10.0.0.7:4433`.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// Longest host name, in bytes (RFC 1035, 2.3.4).
const HOST_BYTES: usize = 255;

/// A host name or an IP address, and a port. A name is looked up each time that it is used, since its
/// addresses may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort(String);

impl HostPort {
    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostPort {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let is_name = |host: &str| {
            let is_good = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            !host.is_empty() && host.len() <= HOST_BYTES && host.bytes().all(is_good)
        };
        let named =
            text.rsplit_once(':').is_some_and(|(host, port)| is_name(host) && port.parse::<u16>().is_ok());
        // An IPv6 address has colons of its own.
        if named || text.parse::<SocketAddr>().is_ok() { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self(address.to_string())
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_have_a_port() {
        for good in ["root:4433", "root.countree.svc.cluster.local:1", "10.0.0.7:4433", "[fd00::7]:4433"] {
            assert_eq!(good.parse::<HostPort>().unwrap().as_str(), good);
        }
        for bad in ["root", "root:", ":4433", "root:70000", "fd00::7", "a b:1", "http://root:1", ""] {
            assert!(bad.parse::<HostPort>().is_err(), "{bad}");
        }
    }
}
