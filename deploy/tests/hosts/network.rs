//! Makes a switch and hosts on it, each a network namespace. The switch has one of its own, so that no firewall
//! of this machine interferes.

use crate::shared::command::{is_installed, run, skip};
use std::net::Ipv4Addr;

/// Addresses that other networks on this machine hardly use (RFC 2544).
const NET: [u8; 2] = [198, 18];
/// The machine's own address on the switch: from there load is sent.
const OUTSIDE: u8 = 1;

/// A switch and its hosts, which are removed when this is dropped.
pub(crate) struct Network {
    /// Begins the names of all namespaces and links; the kernel takes 15 bytes.
    prefix: String,
    third: u8,
    names: Vec<String>,
}

impl Network {
    /// Makes a network; `None`, noted as skipped, where the machine allows no namespaces.
    pub(crate) fn new() -> Option<Self> {
        if !["ip", "nft", "redis-server"].into_iter().all(is_installed) {
            skip("tiers on hosts of their own (needs ip, nft and redis-server)");
            return None;
        }
        let id = std::process::id();
        let mut network =
            Self { prefix: format!("ct{}", id % 100_000), third: (id % 255) as u8, names: Vec::new() };
        let switch = network.namespace("sw");
        if let Err(why) = run("ip", &["netns", "add", &switch]) {
            skip("tiers on hosts of their own (needs the right to make network namespaces)");
            println!("{why}");
            return None;
        }
        network.names.push(switch.clone());
        network.on(&switch, &["ip", "link", "add", "bridge", "type", "bridge"]);
        network.on(&switch, &["ip", "link", "set", "bridge", "up"]);
        let link = network.plug("out");
        must(&["ip", "addr", "add", &format!("{}/24", network.address(OUTSIDE)), "dev", &link]);
        must(&["ip", "link", "set", &link, "up"]);
        Some(network)
    }

    fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    fn address(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(NET[0], NET[1], self.third, last)
    }

    /// Plugs a new cable into the switch; returns the name of its other end.
    fn plug(&self, name: &str) -> String {
        let (here, there) = (format!("{}{name}", self.prefix), format!("p{name}"));
        let switch = self.namespace("sw");
        must(&["ip", "link", "add", &here, "type", "veth", "peer", "name", &there, "netns", &switch]);
        self.on(&switch, &["ip", "link", "set", &there, "master", "bridge"]);
        self.on(&switch, &["ip", "link", "set", &there, "up"]);
        here
    }

    fn on(&self, namespace: &str, command: &[&str]) {
        must(&[&["ip", "netns", "exec", namespace], command].concat());
    }

    /// Adds a host; returns its namespace and its address.
    pub(crate) fn host(&mut self) -> (String, Ipv4Addr) {
        let number = OUTSIDE + self.names.len() as u8;
        let (namespace, address) = (self.namespace(&number.to_string()), self.address(number));
        must(&["ip", "netns", "add", &namespace]);
        self.names.push(namespace.clone());
        let link = self.plug(&format!("h{number}"));
        must(&["ip", "link", "set", &link, "netns", &namespace]);
        self.on(&namespace, &["ip", "addr", "add", &format!("{address}/24"), "dev", &link]);
        for up in [&link, "lo"] {
            self.on(&namespace, &["ip", "link", "set", up, "up"]);
        }
        let table = "add table inet cut; add chain inet cut in { type filter hook input priority 0; }; \
                     add chain inet cut out { type filter hook output priority 0; }";
        self.on(&namespace, &["nft", table]);
        (namespace, address)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // A namespace takes its end of the cable along, and the cable its other end.
        for name in &self.names {
            let _ = run("ip", &["netns", "del", name]);
        }
    }
}

fn must(command: &[&str]) {
    let (program, arguments) = command.split_first().unwrap();
    run(program, arguments).unwrap_or_else(|why| panic!("{why}"));
}
