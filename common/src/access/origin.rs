//! Origins of web pages (RFC 6454), as browsers send them.

use super::host::Authority;
use std::fmt;
use std::str::FromStr;

/// The origin of a page: a scheme, a host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// Whether a page of this origin came from the server that a request names. `scheme` is that of the request, where a
    /// proxy said it; else either may be, since who ends TLS isn't seen here.
    pub fn is_server(&self, server: &Authority, scheme: Option<&str>) -> bool {
        let is_scheme = scheme.is_none_or(|scheme| scheme.eq_ignore_ascii_case(&self.scheme));
        is_scheme && self.host == server.host && Some(self.port) == server.port.or(default_port(&self.scheme))
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

impl FromStr for Origin {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (scheme, authority) = text.split_once("://").ok_or(())?;
        let scheme = scheme.to_ascii_lowercase();
        let Authority { host, port } = authority.parse()?;
        let port = port.or(default_port(&scheme)).ok_or(())?;
        if default_port(&scheme).is_none() {
            return Err(());
        }
        Ok(Self { scheme, host, port })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = Some(self.port).filter(|port| Some(*port) != default_port(&self.scheme));
        write!(f, "{}://{}", self.scheme, Authority { host: self.host.clone(), port })
    }
}

/// An entry of `http.origins`: an origin, or `*` for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginRule {
    /// Every origin, also the `null` of sandboxed pages and files. Browsers then send no credentials of their own.
    Any,
    /// This one, with credentials.
    Only(Origin),
}

impl FromStr for OriginRule {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "*" { Ok(Self::Any) } else { Ok(Self::Only(text.parse()?)) }
    }
}

impl fmt::Display for OriginRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Only(origin) => origin.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_the_server_itself_is_told_from_others() {
        let is_own = |origin: &str, host: &str, scheme| {
            origin.parse::<Origin>().unwrap().is_server(&host.parse().unwrap(), scheme)
        };
        assert!(is_own("http://127.0.0.1:8080", "127.0.0.1:8080", None));
        assert!(is_own("https://counts.example", "counts.example", None));
        assert!(is_own("https://counts.example", "counts.example:443", Some("https")));
        assert!(!is_own("http://counts.example", "counts.example", Some("https")), "a page without TLS");
        assert!(!is_own("http://localhost:8081", "localhost:8080", None), "another port");
        assert!(!is_own("http://localhost:8080", "127.0.0.1:8080", None), "another name");
        assert!(!is_own("http://counts.example", "counts.example:443", None));
    }

    #[test]
    fn what_is_no_origin_of_a_web_page_is_refused() {
        for bad in
            ["null", "", "file://", "chrome-extension://abc", "http://", "http://a/b", "http://a b", "a"]
        {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
        for good in ["https://a.example", "http://[::1]:3000"] {
            assert_eq!(good.parse::<Origin>().unwrap().to_string(), good);
        }
        assert_eq!("HTTPS://A.example:443".parse::<Origin>().unwrap().to_string(), "https://a.example");
    }
}
