//! Runs one host with one program, and cuts or damages its network.

use crate::network::Network;
use crate::shared::command::run;
use crate::shared::{BINARY, eventually};
use std::fs::File;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const QUIC: u16 = 4433;
const HTTP: u16 = 8080;
const REDIS: u16 = 6379;
const START: Duration = Duration::from_secs(30);
/// Lines of a log that are shown when a test has failed.
const LAST_WORDS: usize = 12;

/// A disturbance of packets.
#[derive(Clone, Copy)]
pub(crate) enum Cut<'a> {
    /// None leaves for these hosts, and none is heard from them.
    From(&'a [&'a Host]),
    /// None leaves for these hosts; what they send is heard.
    Towards(&'a [&'a Host]),
    /// None leaves for anybody, and none is heard.
    FromAll,
    /// A share of those that leave is lost, in percent.
    Loss(u8),
}

/// A host and its program, which ends with it.
pub(crate) struct Host {
    name: String,
    namespace: String,
    address: Ipv4Addr,
    child: Child,
    log: PathBuf,
}

impl Host {
    /// Redis, on a host of its own.
    pub(crate) fn redis(network: &mut Network, folder: &Path) -> Self {
        let data = folder.join("redis");
        std::fs::create_dir(&data).unwrap();
        let data = data.to_str().unwrap();
        let options =
            ["redis-server", "--protected-mode", "no", "--save", "", "--appendonly", "yes", "--dir", data];
        let host = Self::start(network, folder, "redis", &options, &[]);
        eventually("Redis answers", START, || {
            TcpStream::connect((host.address, REDIS)).map(drop).map_err(|e| e.to_string())
        });
        host
    }

    /// A node that listens on every address and finds its own; `roots` are looked for at these hosts.
    pub(crate) fn node(
        network: &mut Network,
        folder: &Path,
        name: &str,
        redis: &Host,
        roots: &[Ipv4Addr],
    ) -> Self {
        let tier = name.split('-').next().unwrap();
        let roots: Vec<_> = roots.iter().map(|address| format!("{address}:{QUIC}")).collect();
        let at = folder.display();
        let settings = [
            ("COUNTREE_CLUSTER_STORE", format!("redis://{}:{REDIS}", redis.address)),
            ("COUNTREE_NODE_NAME", name.to_owned()),
            ("COUNTREE_NODE_QUIC", format!("0.0.0.0:{QUIC}")),
            ("COUNTREE_NODE_HTTP", format!("0.0.0.0:{HTTP}")),
            ("COUNTREE_NODE_ROOTS", roots.join(",")),
            ("COUNTREE_NODE_DATA", format!("{at}/{name}")),
            ("COUNTREE_NODE_CERTIFICATES", format!("{at}/certs")),
            ("COUNTREE_INSECURE", "true".into()),
            ("COUNTREE_LOG", "info".into()),
        ];
        Self::start(network, folder, name, &[BINARY, tier], &settings)
    }

    fn start(
        network: &mut Network,
        folder: &Path,
        name: &str,
        program: &[&str],
        settings: &[(&str, String)],
    ) -> Self {
        let (namespace, address) = network.host();
        let path = folder.join(format!("{name}.log"));
        let log = File::create(&path).unwrap();
        let child = Command::new("ip")
            .args(["netns", "exec", &namespace])
            .args(program)
            .envs(settings.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { name: name.to_owned(), namespace, address, child, log: path }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}:{HTTP}", self.address)
    }

    /// Cuts its wires; [`Host::heal`] mends them.
    pub(crate) fn cut(&self, cut: Cut<'_>) {
        let list = |hosts: &[&Host]| {
            let addresses: Vec<_> = hosts.iter().map(|host| host.address.to_string()).collect();
            format!("{{ {} }}", addresses.join(", "))
        };
        let rules = match cut {
            Cut::From(hosts) => {
                let hosts = list(hosts);
                format!(
                    "add rule inet cut out ip daddr {hosts} drop; add rule inet cut in ip saddr {hosts} drop"
                )
            }
            Cut::Towards(hosts) => format!("add rule inet cut out ip daddr {} drop", list(hosts)),
            Cut::FromAll => "add rule inet cut out drop; add rule inet cut in drop".into(),
            Cut::Loss(percent) => format!("add rule inet cut out numgen random mod 100 < {percent} drop"),
        };
        self.nft(&rules);
    }

    pub(crate) fn heal(&self) {
        self.nft("flush table inet cut");
    }

    fn nft(&self, rules: &str) {
        run("ip", &["netns", "exec", &self.namespace, "nft", rules]).unwrap_or_else(|why| panic!("{why}"));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let text = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
            println!("{} at {}:\n  {}", self.name, self.address, last.join("\n  "));
        }
    }
}
