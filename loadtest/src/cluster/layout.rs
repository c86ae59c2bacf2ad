//! The addresses of nodes, and their configuration files.

use super::process::ProcessKind;
use countree_common::shell::failure::Failure;
use std::path::Path;
use std::time::Duration;

/// One node before it runs.
#[derive(Debug)]
pub(crate) struct NodePlan {
    pub(crate) kind: ProcessKind,
    pub(crate) number: u16,
    pub(crate) quic: u16,
    pub(crate) http: u16,
}

impl NodePlan {
    pub(crate) fn tier(&self) -> &'static str {
        match self.kind {
            ProcessKind::Leaf => "leaf",
            ProcessKind::Root => "root",
            ProcessKind::Broadcast => "broadcast",
            ProcessKind::Redis => "redis",
            ProcessKind::Rival => "rival",
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.tier(), self.number)
    }

    /// The text of its configuration file.
    pub(crate) fn settings(&self, common: &Common<'_>) -> String {
        let (at, name, Self { quic, http, .. }) = (common.folder.display(), self.name(), self);
        let store = common.redis.map_or("embedded".into(), |port| format!("redis://127.0.0.1:{port}"));
        let duration = |name: &str, length: Option<Duration>| {
            length.map_or(String::new(), |length| format!("{name} = \"{}ms\"\n", length.as_millis()))
        };
        let roots: Vec<_> = common.roots.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let roots = match self.kind {
            ProcessKind::Root => String::new(),
            _ => format!("roots = [{}]\n", roots.join(", ")),
        };
        format!(
            "[cluster]\nname = \"loadtest\"\nstore = \"{store}\"\n{}\
             [node]\nname = \"{name}\"\nquic = \"127.0.0.1:{quic}\"\nhttp = \"127.0.0.1:{http}\"\n\
             certificates = \"{at}/certs\"\ndata = \"{at}/{name}\"\n{roots}\
             [leaf]\n{}[broadcast]\n{}",
            duration("window", common.window),
            duration("retention", common.retention),
            duration("tick", common.tick),
        )
    }
}

/// Settings that all nodes of a fleet share.
#[derive(Debug)]
pub(crate) struct Common<'a> {
    pub(crate) folder: &'a Path,
    /// The port of the Redis server, where that is the store.
    pub(crate) redis: Option<u16>,
    /// The QUIC ports of the roots.
    pub(crate) roots: Vec<u16>,
    pub(crate) window: Option<Duration>,
    pub(crate) tick: Option<Duration>,
    pub(crate) retention: Option<Duration>,
}

/// Ports that are free, and stay so while their process is down: outside the range that the system gives
/// to programs that ask for any.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    given: Vec<u16>,
}

impl Ports {
    const RANGE: std::ops::Range<u16> = 15_000..32_000;
    const TRIES: u32 = 1_000;

    /// Another one.
    pub(crate) fn next(&mut self) -> Result<u16, Failure> {
        for _ in 0..Self::TRIES {
            let port = rand::random_range(Self::RANGE);
            let is_free = || {
                std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
                    && std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok()
            };
            if !self.given.contains(&port) && is_free() {
                self.given.push(port);
                return Ok(port);
            }
        }
        Err(Failure::failed("no free port between 15000 and 32000 was found"))
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
