//! Names that a server answers to, as the `Host` header gives them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Longest host name, in bytes (RFC 1035, 2.3.4).
const HOST_BYTES: usize = 255;

/// A host, in lower case and without a last dot, and a port where one was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port, if it was given.
    pub port: Option<u16>,
}

impl Authority {
    /// The host as an address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
    }
}

impl FromStr for Authority {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or(())?;
            host.parse::<Ipv6Addr>().map_err(|_| ())?;
            (host, rest)
        } else {
            let at = text.find(':').unwrap_or(text.len());
            let (host, rest) = text.split_at(at);
            let is_good = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            if !host.bytes().all(is_good) {
                return Err(());
            }
            (host.strip_suffix('.').unwrap_or(host), rest)
        };
        let port = match port.strip_prefix(':') {
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Some(port.parse().map_err(|_| ())?),
            None if port.is_empty() => None,
            _ => return Err(()),
        };
        if host.is_empty() || host.len() > HOST_BYTES {
            return Err(());
        }
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]", self.host) } else { f.write_str(&self.host) }?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A name of `http.hosts`: `counts.example`, `*.counts.example` for all names below it, `*` for every name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostRule {
    /// Every name.
    Any,
    /// The names that end like this, dot included.
    Below(String),
    /// This name or address.
    Only(String),
}

impl HostRule {
    /// Whether it covers a host, in lower case.
    pub fn covers(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            Self::Only(name) => host == name,
        }
    }
}

impl FromStr for HostRule {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let name = |text: &str| match text.parse::<IpAddr>() {
            Ok(ip) => Ok(ip.to_canonical().to_string()),
            Err(_) => text.parse::<Authority>().and_then(|a| a.port.map_or(Ok(a.host), |_| Err(()))),
        };
        match text.strip_prefix("*.") {
            _ if text == "*" => Ok(Self::Any),
            Some(suffix) => Ok(Self::Below(format!(".{}", name(suffix)?))),
            None => Ok(Self::Only(name(text)?)),
        }
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(suffix) => write!(f, "*{suffix}"),
            Self::Only(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_header_is_read_in_its_parts() {
        let read = |text: &str| text.parse::<Authority>().map(|a| (a.host, a.port));
        for (text, host, port) in [
            ("Localhost:8080", "localhost", Some(8_080)),
            ("counts.example.", "counts.example", None),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("[::1]:80", "::1", Some(80)),
            ("[fd00::7]", "fd00::7", None),
        ] {
            assert_eq!(read(text), Ok((host.into(), port)), "{text}");
            let again = text.parse::<Authority>().unwrap();
            assert_eq!(again.to_string().parse(), Ok(again));
        }
        for text in
            ["", ":80", "a b", "a:b", "a:70000", "a:", "u@a", "a/b", "::1", "[a]", "[::1]x", "a:1:2", "é"]
        {
            assert_eq!(read(text), Err(()), "{text}");
        }
    }

    #[test]
    fn rules_cover_the_names_that_they_say() {
        let covers = |rule: &str, host: &str| rule.parse::<HostRule>().unwrap().covers(host);
        assert!(covers("Counts.example", "counts.example") && !covers("counts.example", "x.counts.example"));
        assert!(covers("*.example", "a.b.example"));
        assert!(!covers("*.example", "example") && !covers("*.example", ".example"));
        assert!(!covers("*.example", "badexample"));
        assert!(covers("*", "anything") && covers("fd00::0007", "fd00::7"));
        for bad in ["", "a:80", "*a", "http://a", "*."] {
            assert!(bad.parse::<HostRule>().is_err(), "{bad}");
        }
    }
}
