//! The gate before all routes: decides which requests reach them, and which answers pages may read.

use super::exposure::is_loopback;
use super::host::{Authority, HostRule};
use super::network::Network;
use super::origin::{Origin, OriginRule};
use super::route::RouteClass;
use std::net::IpAddr;

/// The ports that a server may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// One port for all routes.
    Whole,
    /// The port for everybody, where there is another one for administration.
    Public,
    /// The port for administration: it has all routes.
    Admin,
}

/// The rules of one port.
#[derive(Debug, Clone)]
pub struct Gate {
    /// More names that the server answers to.
    pub hosts: Vec<HostRule>,
    /// Addresses of this machine that connections don't show, such as one before a translation.
    pub own: Vec<IpAddr>,
    /// Other origins whose pages may send and read.
    pub origins: Vec<OriginRule>,
    /// Proxies whose forwarding headers are believed.
    pub proxies: Vec<Network>,
    /// Whether the cluster asks for no tokens: then this machine alone may change it.
    pub is_open: bool,
    /// The routes that the port has.
    pub side: Side,
}

/// The signs that proxies leave on a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forwarding<'a> {
    /// Whether there is any sign of a proxy.
    pub is_any: bool,
    /// The host that the client asked.
    pub host: Option<&'a str>,
    /// `http` or `https`, as the client asked.
    pub scheme: Option<&'a str>,
}

/// A request, as far as the gate looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, as it was sent.
    pub path: &'a str,
    /// The one `Host` header, or the authority of the target; none where there are several, or none.
    pub host: Option<&'a str>,
    /// The `Origin` header.
    pub origin: Option<&'a str>,
    /// Whether a browser asks beforehand (`Access-Control-Request-Method`).
    pub is_preflight: bool,
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The signs of proxies.
    pub forwarding: Forwarding<'a>,
    /// The address that the connection comes from.
    pub peer: IpAddr,
    /// The address of this machine that it came to.
    pub local: IpAddr,
}

/// A request that may reach its route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passed {
    /// The value of `Access-Control-Allow-Origin`, for pages of other origins.
    pub allow_origin: Option<String>,
    /// Whether the page may also send credentials of the browser.
    pub has_credentials: bool,
}

/// The reason why a request reaches no route. Nothing was counted or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is not exactly one `Host` that names a server.
    #[error("the request takes one Host header with a name or an address")]
    NoHost,
    /// A name that isn't this server's: the way of DNS rebinding, or a setting is missing.
    #[error("this server does not answer to '{0}': add it to http.hosts if it is one of its names")]
    UnknownHost(String),
    /// The page's origin is neither the server's own nor listed.
    #[error(
        "pages of this origin may not use this server: add the origin to http.origins if they are meant to"
    )]
    Origin,
    /// Another content type, which any page could send without asking first.
    #[error("this route takes Content-Type: application/json")]
    NotJson,
    /// The cluster asks for no tokens, and the request may come from another machine.
    #[error(
        "only this machine may change a cluster without keys, and not through a proxy: ask from there, or set keys and show a token"
    )]
    NotFromHere,
    /// The route is on the other port.
    #[error("this route is on the port of http.admin")]
    OtherPort,
}

/// The gate's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The request goes on to its route.
    Pass(Passed),
    /// The answer to a browser's preflight request, which is allowed.
    Preflight(Passed),
    /// The request ends here. The page may read the reason if it may read answers.
    Refuse(Refused, Passed),
}

impl Gate {
    /// Decides on a request.
    pub fn judge(&self, asked: &Asked<'_>) -> Verdict {
        let (passed, is_foreign) = match self.admit_page(asked) {
            Ok(admitted) => admitted,
            Err(refused) => return Verdict::Refuse(refused, Passed::default()),
        };
        if asked.method == "OPTIONS" {
            let is_preflight = asked.is_preflight && passed.allow_origin.is_some();
            return if is_preflight { Verdict::Preflight(passed) } else { Verdict::Pass(passed) };
        }
        match self.admit_to_route(asked, is_foreign) {
            Ok(()) => Verdict::Pass(passed),
            Err(refused) => Verdict::Refuse(refused, passed),
        }
    }

    /// Whether host and origin may use the server at all; also says whether the page is of another origin.
    fn admit_page(&self, asked: &Asked<'_>) -> Result<(Passed, bool), Refused> {
        let host: Authority = asked.host.and_then(|host| host.parse().ok()).ok_or(Refused::NoHost)?;
        if !self.is_ours(&host, asked.local) {
            return Err(Refused::UnknownHost(host.to_string()));
        }
        let (server, scheme) = self.as_client_asked(host, asked)?;
        let is_foreign = asked.origin.is_some_and(|origin| {
            origin.parse::<Origin>().map_or(true, |origin| !origin.is_server(&server, scheme))
        });
        let passed = match asked.origin {
            Some(origin) if is_foreign => self.allow(origin)?,
            _ => Passed::default(),
        };
        Ok((passed, is_foreign))
    }

    fn admit_to_route(&self, asked: &Asked<'_>, is_foreign: bool) -> Result<(), Refused> {
        let class = RouteClass::of(asked.method, asked.path);
        let is_inside = matches!(class, RouteClass::Admin | RouteClass::Insight);
        if is_inside && self.side == Side::Public {
            return Err(Refused::OtherPort);
        }
        let changes = matches!(class, RouteClass::Admin | RouteClass::Reset);
        if changes && self.is_open && (is_foreign || !is_from_here(asked)) {
            return Err(Refused::NotFromHere);
        }
        // Browsers ask before they send this type, or DELETE, to another origin.
        if class == RouteClass::Admin && asked.method == "POST" && !is_json(asked.content_type) {
            return Err(Refused::NotJson);
        }
        Ok(())
    }

    fn is_ours(&self, host: &Authority, local: IpAddr) -> bool {
        let is_own = |ip: IpAddr| {
            is_loopback(ip)
                || ip == local.to_canonical()
                || self.own.iter().any(|own| own.to_canonical() == ip)
        };
        host.host == "localhost"
            || host.ip().is_some_and(is_own)
            || self.hosts.iter().any(|rule| rule.covers(&host.host))
    }

    /// The server and scheme that the client asked: a trusted proxy's word, else the connection's.
    fn as_client_asked<'a>(
        &self,
        host: Authority,
        asked: &Asked<'a>,
    ) -> Result<(Authority, Option<&'a str>), Refused> {
        if !self.proxies.iter().any(|proxy| proxy.holds(asked.peer)) {
            return Ok((host, None));
        }
        let Forwarding { host: forwarded, scheme, .. } = asked.forwarding;
        let Some(forwarded) = forwarded else { return Ok((host, scheme)) };
        let server: Authority = forwarded.parse().map_err(|()| Refused::NoHost)?;
        if self.is_ours(&server, asked.local) {
            Ok((server, scheme))
        } else {
            Err(Refused::UnknownHost(server.to_string()))
        }
    }

    fn allow(&self, origin: &str) -> Result<Passed, Refused> {
        let parsed = origin.parse::<Origin>().ok();
        let is_listed = |rule: &OriginRule| match rule {
            OriginRule::Any => false,
            OriginRule::Only(listed) => parsed.as_ref() == Some(listed),
        };
        if self.origins.iter().any(is_listed) {
            return Ok(Passed { allow_origin: Some(origin.to_owned()), has_credentials: true });
        }
        if self.origins.contains(&OriginRule::Any) {
            return Ok(Passed { allow_origin: Some("*".into()), has_credentials: false });
        }
        Err(Refused::Origin)
    }
}

/// Whether the request comes from this machine, and not through a proxy on it.
fn is_from_here(asked: &Asked<'_>) -> bool {
    is_loopback(asked.peer) && !asked.forwarding.is_any
}

fn is_json(content_type: Option<&str>) -> bool {
    let essence = content_type.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
