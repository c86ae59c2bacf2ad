//! Tests each tier as a process of its own over Redis, as containers run them.

use crate::process::{TestProcess, countree, launch, serve};
use crate::redis::redis;
use crate::waiting::eventually;
use serde_json::Value;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn free_tcp_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

struct Node {
    config: std::path::PathBuf,
    tier: &'static str,
}

impl Node {
    fn new(folder: &Path, tier: &'static str, redis: u16, root: u16, quic: u16, http: u16) -> Self {
        let (at, name) = (folder.display(), format!("{tier}-0"));
        let roots = if tier == "root" { String::new() } else { format!("roots = [\"127.0.0.1:{root}\"]\n") };
        let text = format!(
            "[cluster]\nname = \"apart\"\nstore = \"redis://127.0.0.1:{redis}\"\n\
             [node]\nname = \"{name}\"\nquic = \"127.0.0.1:{quic}\"\nhttp = \"127.0.0.1:{http}\"\n\
             certificates = \"{at}/certs\"\ndata = \"{at}/{name}\"\n{roots}"
        );
        let config = folder.join(format!("{name}.toml"));
        std::fs::write(&config, text).unwrap();
        Self { config, tier }
    }

    fn start(&self) -> TestProcess {
        serve(&[self.tier, "--config", self.config.to_str().unwrap()]).0
    }
}

fn ask(url: &str, arguments: &[&str]) -> Option<Value> {
    let output = countree(&[arguments, &["--json", "--cluster", url]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    output.status.success().then(|| serde_json::from_str(text.lines().last()?).ok()).flatten()
}

#[test]
fn tiers_in_processes_of_their_own_survive_the_death_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_redis, redis)) = redis(folder.path()) else { return };
    let certs = folder.path().join("certs");
    let made = countree(&["certs", certs.to_str().unwrap(), "root-0", "leaf-0", "broadcast-0"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let root_port = free_udp_port();
    let root = Node::new(folder.path(), "root", redis, root_port, root_port, free_tcp_port());
    let leaf_http = free_tcp_port();
    let leaf = Node::new(folder.path(), "leaf", redis, root_port, free_udp_port(), leaf_http);
    let broadcast_http = free_tcp_port();
    let broadcast = Node::new(folder.path(), "broadcast", redis, root_port, free_udp_port(), broadcast_http);
    let (leaf_url, broadcast_url) =
        (format!("http://127.0.0.1:{leaf_http}"), format!("http://127.0.0.1:{broadcast_http}"));

    let mut processes = [Some(root.start()), Some(leaf.start()), Some(broadcast.start())];
    let mut total = 0;
    for (killed, node) in [&root, &leaf, &broadcast].into_iter().enumerate() {
        total += 1;
        eventually("a like is acked", || ask(&leaf_url, &["send", "t", "i", "like"]));
        processes[killed].take().unwrap().signal("-KILL");
        processes[killed] = Some(node.start());
    }
    let like = |view: &Value| view["counts"]["i"]["like"].as_i64();
    eventually("every like is shown", || {
        ask(&broadcast_url, &["get", "t"]).filter(|v| like(v) == Some(total))
    });
    let audit = eventually("settled", || ask(&leaf_url, &["audit"]).filter(|a| a["in_flight"] == 0));
    assert_eq!((audit["accepted"].as_i64(), audit["balanced"].as_bool()), (Some(total), Some(true)));
    for (tier, process) in ["leaf", "broadcast", "root"].into_iter().zip([1, 2, 0]) {
        let mut process = processes[process].take().unwrap();
        process.signal("-TERM");
        assert_eq!(process.wait(), Some(0), "{tier}");
    }
}

#[test]
fn a_node_lists_the_http_port_that_it_has_and_does_not_join_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_redis, redis)) = redis(folder.path()) else { return };
    let certs = folder.path().join("certs");
    assert!(countree(&["certs", certs.to_str().unwrap(), "root-0", "leaf-0"]).status.success());
    let port = free_udp_port();
    let root = Node::new(folder.path(), "root", redis, port, port, 0);
    let (_root, ready) = serve(&["root", "--config", root.config.to_str().unwrap()]);
    let http = ready["http"].as_str().unwrap().to_owned();
    assert!(!http.ends_with(":0"), "{http}");

    let taken = http.rsplit(':').next().unwrap().parse().unwrap();
    let leaf = Node::new(folder.path(), "leaf", redis, port, free_udp_port(), taken);
    let refused = countree(&["leaf", "--config", leaf.config.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is taken"));
    let status = ask(&format!("http://{http}"), &["status"]).unwrap();
    assert!(!status.to_string().contains("leaf-0"), "{status}");
}

#[test]
fn a_node_that_waits_for_its_cluster_ends_when_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let certs = folder.path().join("certs");
    assert!(countree(&["certs", certs.to_str().unwrap(), "leaf-0", "broadcast-0"]).status.success());
    for tier in ["leaf", "broadcast"] {
        let http = free_tcp_port();
        let node = Node::new(folder.path(), tier, 9, free_udp_port(), free_udp_port(), http);
        let mut process = launch(&[tier, "--config", node.config.to_str().unwrap()]);
        eventually("it takes its port", || std::net::TcpStream::connect(("127.0.0.1", http)).ok());
        eventually("it hears signals", || process.catches_term().then_some(()));
        let asked = Instant::now();
        process.signal("-TERM");
        assert_eq!(process.wait(), Some(0), "{tier}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{tier} waited for nobody");
    }
}
