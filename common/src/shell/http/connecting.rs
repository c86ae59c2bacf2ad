//! Targets of HTTP requests: an address, and a connection to it, with TLS where the address says `https://`.

use super::HttpError;
use crate::shell::tls::{IdentityError, root_store};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The certificate authorities that are trusted at `https://` addresses.
#[derive(Debug, Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Trusts the public certificate authorities, as browsers do.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn public() -> Result<Self, IdentityError> {
        Self::of(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    /// Trusts the authorities in this PEM text, and no others.
    ///
    /// # Errors
    /// When the text holds no certificate.
    pub fn only(ca_pem: &str) -> Result<Self, IdentityError> {
        Self::of(Arc::unwrap_or_clone(root_store(ca_pem)?))
    }

    fn of(roots: RootCertStore) -> Result<Self, IdentityError> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| IdentityError::Tls(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

/// A server's address, and the authorities that are trusted there. Made from an address alone, it trusts the public
/// ones.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a> {
    /// `host:port`, `http://host[:port]` or `https://host[:port]`.
    pub url: &'a str,
    /// The trusted authorities; `None` for the public ones.
    pub trust: Option<&'a Trust>,
}

impl<'a, T: AsRef<str> + ?Sized> From<&'a T> for Server<'a> {
    fn from(url: &'a T) -> Self {
        Self { url: url.as_ref(), trust: None }
    }
}

/// Whether requests to this address are encrypted.
pub fn is_https(url: &str) -> bool {
    url.starts_with("https://")
}

/// A URL in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address<'a> {
    /// The authority, as the `host` header gives it.
    pub(super) authority: &'a str,
    host: &'a str,
    port: u16,
    has_tls: bool,
}

impl<'a> Address<'a> {
    pub(super) fn parse(url: &'a str) -> Result<Self, HttpError> {
        Self::try_parse(url).ok_or_else(|| HttpError::Url(url.to_owned()))
    }

    fn try_parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://").map_or((None, url), |(scheme, rest)| (Some(scheme), rest));
        let (has_tls, port) = match scheme {
            Some("http") => (false, Some(80)),
            Some("https") => (true, Some(443)),
            Some(_) => return None,
            // Without a scheme a port has to say that it is an address.
            None => (false, None),
        };
        let authority = rest.trim_end_matches('/');
        let is_ipv6 = authority.ends_with(']');
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !is_ipv6 => (host, Some(port.parse().ok()?)),
            _ => (authority, port),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_host = !host.is_empty() && !host.contains(['/', '?', '#', '@', '[', ' ']);
        let is_bare_ipv6 = host.contains(':') && !authority.starts_with('[');
        if !is_host || is_bare_ipv6 {
            return None;
        }
        Some(Self { authority, host, port: port?, has_tls })
    }
}

/// A connection's bytes, both ways.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// Connects, with a TLS handshake where the address asks for one.
pub(super) async fn connect(server: Server<'_>, address: Address<'_>) -> Result<Box<dyn Bytes>, HttpError> {
    let unreachable = |reason: String| HttpError::Unreachable { url: server.url.to_owned(), reason };
    let untrusted = |reason: String| HttpError::Tls { url: server.url.to_owned(), reason };
    let stream =
        TcpStream::connect((address.host, address.port)).await.map_err(|e| unreachable(e.to_string()))?;
    if !address.has_tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(address.host.to_owned()).map_err(|e| untrusted(e.to_string()))?;
    let Trust(config) = match server.trust {
        Some(trust) => trust.clone(),
        None => Trust::public().map_err(|e| untrusted(e.to_string()))?,
    };
    match TlsConnector::from(config).connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(e) if e.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            Err(untrusted(e.to_string()))
        }
        Err(e) => Err(unreachable(e.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_scheme() {
        let parse = |url| Address::try_parse(url).map(|a| (a.host, a.port, a.has_tls));
        for (url, parts) in [
            ("localhost:8080", ("localhost", 8080, false)),
            ("http://h", ("h", 80, false)),
            ("http://h:1/", ("h", 1, false)),
            ("https://counts.example", ("counts.example", 443, true)),
            ("https://h:8443/", ("h", 8443, true)),
            ("[::1]:8080", ("::1", 8080, false)),
            ("https://[fd00::7]", ("fd00::7", 443, true)),
        ] {
            assert_eq!(parse(url), Some(parts), "{url}");
        }
        for url in [
            "",
            "h",
            "ftp://h:1",
            "http://",
            "http://h/path",
            "https://u@h",
            "h:port",
            "h:70000",
            "::1",
            "h 1:1",
        ] {
            assert_eq!(parse(url), None, "{url}");
        }
    }
}
