//! Where each node is, and the file that tells it so.

use super::storm::Place;
use countree_common::shell::failure::Failure;
use std::path::Path;

/// One node before it runs.
#[derive(Debug)]
pub(super) struct NodePlan {
    pub(super) place: Place,
    pub(super) number: u16,
    pub(super) quic: u16,
    pub(super) http: u16,
}

impl NodePlan {
    pub(super) fn tier(&self) -> &'static str {
        match self.place {
            Place::Leaf => "leaf",
            Place::Root => "root",
            Place::Broadcast => "broadcast",
            Place::Redis => "redis",
        }
    }

    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.tier(), self.number)
    }

    /// Its file.
    pub(super) fn settings(&self, folder: &Path, redis: u16, roots: &[u16]) -> String {
        let (at, name, Self { quic, http, .. }) = (folder.display(), self.name(), self);
        let roots: Vec<_> = roots.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let roots = match self.place {
            Place::Root => String::new(),
            _ => format!("roots = [{}]\n", roots.join(", ")),
        };
        format!(
            "[cluster]\nname = \"exact\"\nstore = \"redis://127.0.0.1:{redis}\"\n\
             [node]\nname = \"{name}\"\nquic = \"127.0.0.1:{quic}\"\nhttp = \"127.0.0.1:{http}\"\n\
             certificates = \"{at}/certs\"\ndata = \"{at}/{name}\"\n{roots}"
        )
    }
}

/// Ports that are free, and stay so while their process is down: outside the range that the system gives
/// to whoever asks for any.
#[derive(Debug, Default)]
pub(super) struct Ports {
    given: Vec<u16>,
}

impl Ports {
    const RANGE: std::ops::Range<u16> = 15_000..32_000;
    const TRIES: u32 = 1_000;

    /// Another one.
    pub(super) fn next(&mut self) -> Result<u16, Failure> {
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
