//! Networks of addresses: `10.0.0.0/8`, `fd00::/8`, `127.0.0.1`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network in CIDR notation; an address alone is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

fn bits(ip: IpAddr) -> (u128, u8) {
    match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    }
}

impl Network {
    /// Whether it holds this address.
    pub fn holds(&self, ip: IpAddr) -> bool {
        let ((own, width), (other, other_width)) = (bits(self.address), bits(ip.to_canonical()));
        // A shift by the whole width would not fit.
        let host_bits = u32::from(width.saturating_sub(self.prefix));
        width == other_width && (own ^ other).checked_shr(host_bits).unwrap_or_default() == 0
    }
}

impl FromStr for Network {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let width = bits(address).1;
        let prefix = prefix.map_or(Ok(width), |p| p.parse().map_err(|_| ()))?;
        if prefix > width { Err(()) } else { Ok(Self { address, prefix }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        let holds = |network: &str, ip: &str| network.parse::<Network>().unwrap().holds(ip.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.0.0.7", "10.0.0.7") && !holds("10.0.0.7", "10.0.0.6"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.1.1"), "the same address in another notation");
        assert!(
            holds("fd00::/8", "fdff::1") && !holds("fd00::/8", "fe00::1") && !holds("fd00::/8", "10.0.0.1")
        );
        assert!(holds("::/0", "fe00::1") && holds("0.0.0.0/0", "1.2.3.4"));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "::/129", "proxy"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
