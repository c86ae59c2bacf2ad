//! Tests the binding of single nodes to their store by certificates and folders.

use crate::process::{TestProcess, countree, last_line, serve};
use crate::redis::redis;
use crate::waiting::eventually;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The folders of a test's nodes.
struct Machine {
    folder: PathBuf,
    root_port: u16,
}

impl Machine {
    fn new(folder: &Path) -> Self {
        let certs = folder.join("certs");
        let nodes = ["root-0", "leaf-0", "broadcast-0"];
        let made = countree(&[&["certs", certs.to_str().unwrap()], nodes.as_slice()].concat());
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { folder: folder.to_owned(), root_port: free_udp_port() }
    }

    /// Writes a node's configuration.
    fn config(&self, name: &str, store: &str, certs: &str, data: &str) -> String {
        let (at, port) = (self.folder.display(), self.root_port);
        let (quic, roots) = match name.starts_with("root") {
            true => (port, String::new()),
            false => (free_udp_port(), format!("roots = [\"127.0.0.1:{port}\"]\n")),
        };
        let http = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = format!(
            "[cluster]\nname = \"apart\"\nstore = \"{store}\"\n[node]\nname = \"{name}\"\nquic = \"127.0.0.1:{quic}\"\n\
             http = \"127.0.0.1:{http}\"\ncertificates = \"{at}/{certs}\"\ndata = \"{at}/{data}\"\n{roots}"
        );
        let path = self.folder.join(format!("{name}-{data}.toml"));
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn start(&self, name: &str, store: &str, data: &str, more: &[&str]) -> (TestProcess, String) {
        let (tier, config) = (name.split('-').next().unwrap(), self.config(name, store, "certs", data));
        let (process, ready) = serve(&[&[tier, "--config", &config], more].concat());
        (process, format!("http://{}", ready["http"].as_str().unwrap()))
    }

    /// Starts a node that has to be refused; returns the last line of its output.
    fn refused(&self, name: &str, store: &str, certs: &str, data: &str) -> String {
        let (tier, config) = (name.split('-').next().unwrap(), self.config(name, store, certs, data));
        let output = countree(&[tier, "--config", &config]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        said.lines().last().unwrap().to_owned()
    }
}

fn ask(url: &str, arguments: &[&str]) -> Option<Value> {
    let output = countree(&[arguments, &["--json", "--cluster", url]].concat());
    output.status.success().then(|| last_line(&output))
}

fn total(url: &str) -> Option<i64> {
    ask(url, &["get", "t"]).map(|view| view["counts"]["i"]["like"].as_i64().unwrap_or_default())
}

/// Posts a like to this leaf; returns the status.
fn post(url: &str) -> u16 {
    let (authority, body) = (url.trim_start_matches("http://"), r#"{"topic":"t","item":"i","kind":"like"}"#);
    let mut stream = TcpStream::connect(authority).unwrap();
    let length = body.len();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

fn end(mut process: TestProcess, signal: &str) {
    process.signal(signal);
    process.wait();
}

#[test]
fn a_second_cluster_of_the_same_name_is_refused_at_its_root() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_redis, port)) = redis(folder.path()) else { return };
    let (machine, store) = (Machine::new(folder.path()), format!("redis://127.0.0.1:{port}"));
    let (_root, _) = machine.start("root-0", &store, "root", &[]);
    let second = folder.path().join("second");
    std::fs::create_dir(&second).unwrap();
    let second = Machine::new(&second);
    let said = second.refused("root-0", &store, "certs", "root");
    assert!(said.contains("other certificates") && said.contains("Nothing was changed"), "{said}");
}

#[test]
fn a_root_whose_store_was_changed_in_its_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_redis, port)) = redis(folder.path()) else { return };
    let machine = Machine::new(folder.path());
    let (root, _) = machine.start("root-0", "embedded", "root", &[]);
    end(root, "-TERM");
    let said = machine.refused("root-0", &format!("redis://127.0.0.1:{port}"), "certs", "root");
    assert!(said.contains("countree store copy") && said.contains("--adopt"), "{said}");
}

#[test]
fn a_leaf_on_a_folder_of_another_store_is_refused_until_it_is_adopted() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_redis, port)) = redis(folder.path()) else { return };
    let (machine, store) = (Machine::new(folder.path()), format!("redis://127.0.0.1:{port}"));
    let (root, _) = machine.start("root-0", &store, "root", &[]);
    let (leaf, leaf_url) = machine.start("leaf-0", &store, "leaf", &[]);
    end(root, "-KILL");
    for _ in 0..5 {
        eventually("acked, and merged nowhere", || ask(&leaf_url, &["send", "t", "i", "like"]));
    }
    end(leaf, "-KILL");

    let store = format!("{store}/1");
    let (_root, _) = machine.start("root-0", &store, "another-root", &[]);
    let said = machine.refused("leaf-0", &store, "certs", "leaf");
    assert!(said.contains("belongs to store") && said.contains("--adopt"), "{said}");
    let (leaf, _) = machine.start("leaf-0", &store, "leaf", &["--adopt"]);
    let (_broadcast, broadcast_url) = machine.start("broadcast-0", &store, "broadcast", &[]);
    eventually("what it had acked is counted", || (total(&broadcast_url) == Some(5)).then_some(()));
    end(leaf, "-KILL");
    // It belongs to this one from now on.
    let (_leaf, leaf_url) = machine.start("leaf-0", &store, "leaf", &[]);
    eventually("it goes on", || ask(&leaf_url, &["send", "t", "i", "like"]));
    eventually("once each", || (total(&broadcast_url) == Some(6)).then_some(()));
}

#[test]
fn of_two_leaves_on_copies_of_one_folder_one_goes_on_and_each_ack_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_redis, port)) = redis(folder.path()) else { return };
    let (machine, store) = (Machine::new(folder.path()), format!("redis://127.0.0.1:{port}"));
    let (_root, _) = machine.start("root-0", &store, "root", &[]);
    let (_broadcast, broadcast_url) = machine.start("broadcast-0", &store, "broadcast", &[]);
    let (leaf, url) = machine.start("leaf-0", &store, "leaf", &[]);
    let mut acked = 0;
    let mut send = |url: &str| {
        let is_acked = post(url) == 202;
        acked += i64::from(is_acked);
        is_acked
    };
    for _ in 0..3 {
        assert!(send(&url));
    }
    end(leaf, "-KILL");
    let [from, to] = ["leaf", "copy"].map(|name| folder.path().join(name));
    assert!(Command::new("cp").arg("-a").args([&from, &to]).status().unwrap().success());

    let (_first, first) = machine.start("leaf-0", &store, "leaf", &[]);
    assert!(send(&first));
    let (_second, second) = machine.start("leaf-0", &store, "copy", &[]);
    for _ in 0..5 {
        send(&first);
        assert!(send(&second));
    }
    eventually("the first takes nothing more", || (!send(&first)).then_some(()));
    assert!(send(&second));
    eventually("each ack counts", || (total(&broadcast_url) == Some(acked)).then_some(()));
    assert_eq!(total(&broadcast_url), Some(acked), "once");
}
