//! Tests a store that is emptied, exchanged or taken over in use: the cluster reports it, and is not ready until an
//! operator has acknowledged it.

use crate::cluster::Cluster;
use crate::process::{TestProcess, countree, last_line, serve};
use crate::shared::command::{run, skip};
use crate::waiting::eventually;
use serde_json::Value;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const EVENTS: i64 = 40;

/// A Redis server on one port that is stopped and started with one data folder or another.
struct Server {
    port: u16,
    process: Option<TestProcess>,
}

impl Server {
    fn new() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { port, process: None }
    }

    /// Starts it on this folder; returns false, noted as skipped, where Redis is not installed.
    fn start(&mut self, folder: &TempDir) -> bool {
        let (port, folder) = (self.port.to_string(), folder.path().to_str().unwrap());
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "yes",
                "--dir",
                folder,
            ])
            .args(["--appendfsync", "always"])
            .stdout(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            skip("no redis-server");
            return false;
        };
        self.process = Some(TestProcess::of(child));
        eventually("Redis answers", || TcpStream::connect(("127.0.0.1", self.port)).ok());
        true
    }

    fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal("-TERM");
        process.wait();
    }

    fn tell(&self, words: &[&str]) -> String {
        run("redis-cli", &[&["-p", &self.port.to_string()], words].concat()).unwrap()
    }

    fn manifest(&self) -> String {
        let port = self.port;
        format!("[cluster]\nname = \"local\"\nstore = \"redis://127.0.0.1:{port}\"\n[leaf]\nreplicas = 2\n")
    }
}

fn post(cluster: &Cluster, events: i64) {
    for item in 0..events {
        let (status, answer) = cluster.post(&format!(r#"{{"topic":"t","item":"i{item}","kind":"like"}}"#));
        assert_eq!(status, 202, "{answer}");
    }
}

fn count(cluster: &Cluster) {
    post(cluster, EVENTS);
    assert_eq!(cluster.sum("t", "like"), EVENTS);
}

/// Reads the shown sum, even of a cluster that is not ready.
fn shown(cluster: &Cluster) -> Option<i64> {
    let (view, is_there) = cluster.ask(&["get", "t"]);
    is_there.then(|| {
        view["counts"].as_object().unwrap().values().filter_map(|kinds| kinds["like"].as_i64()).sum()
    })
}

/// Waits until the cluster answers that it is not ready, with these words.
fn is_not_ready(cluster: &Cluster, words: &str) {
    let said = eventually("not ready", || {
        let (status, said) = cluster.http("GET", "/readyz", "", b"");
        (status == 503 && said.contains(words)).then_some(said)
    });
    assert!(said.contains("store"), "{said}");
    eventually("the root says so of itself", || {
        let (status, _) = cluster.ask(&["status"]);
        status.to_string().contains(words).then_some(())
    });
}

fn acknowledge(cluster: &Cluster) -> Result<Value, String> {
    let output = countree(&["store", "acknowledge", "--json", "--cluster", &cluster.url]);
    if output.status.success() {
        Ok(last_line(&output))
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

/// Waits until the audit balances, with everything merged and nothing lost.
fn all_is_there(cluster: &Cluster, events: i64) {
    let audit = eventually("balanced", || {
        let (audit, is_balanced) = cluster.ask(&["audit"]);
        (is_balanced && audit["in_flight"] == 0).then_some(audit)
    });
    let ledger = ["accepted", "merged", "declared_lost"].map(|side| audit[side].as_i64());
    assert_eq!(ledger, [Some(events), Some(events), Some(0)], "{audit}");
}

fn is_ready(cluster: &Cluster) {
    eventually("ready", || (cluster.http("GET", "/readyz", "", b"").0 == 200).then_some(()));
}

#[test]
fn a_store_that_is_emptied_is_healed_from_the_logs_and_not_ready_until_acknowledged() {
    let (folder, mut server) = (tempfile::tempdir().unwrap(), Server::new());
    if !server.start(&folder) {
        return;
    }
    let mut cluster = Cluster::start_with(&server.manifest());
    count(&cluster);
    // What a store that is some seconds old has lost may be its last seconds.
    cluster.stop();
    cluster.start_again();
    server.tell(&["FLUSHALL"]);
    is_not_ready(&cluster, "was emptied while it was in use");
    eventually("healed", || (shown(&cluster) == Some(EVENTS)).then_some(()));
    let (audit, is_balanced) = cluster.ask(&["audit"]);
    assert!(!is_balanced && audit["balanced"] == false, "{audit}");
    assert!(audit["trouble"].as_str().unwrap().contains("acknowledge"), "{audit}");

    // Nor does a start forget it.
    cluster.kill();
    cluster.start_unready();
    is_not_ready(&cluster, "countree store acknowledge");
    let (status, _) = cluster.ask(&["status"]);
    assert_eq!(status["healthy"], false, "{status}");
    assert_eq!(acknowledge(&cluster).unwrap()["acknowledged"], "emptied");
    is_ready(&cluster);
    cluster.stop();
    cluster.start_again();
    server.tell(&["FLUSHALL"]);
    is_not_ready(&cluster, "was emptied");
    assert_eq!(acknowledge(&cluster).unwrap()["acknowledged"], "emptied");
    is_ready(&cluster);
    eventually("healed", || (shown(&cluster) == Some(EVENTS)).then_some(()));
    all_is_there(&cluster, EVENTS);
    assert!(acknowledge(&cluster).unwrap()["acknowledged"].is_null());
    cluster.stop();
}

#[test]
fn an_older_file_of_the_server_is_noticed_also_under_a_cluster_that_runs() {
    let (folder, older, mut server) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Server::new());
    if !server.start(&folder) {
        return;
    }
    let mut cluster = Cluster::start_with(&server.manifest());
    post(&cluster, 1);
    assert_eq!(cluster.sum("t", "like"), 1);
    server.stop();
    let files = folder.path().join("appendonlydir");
    let copied = Command::new("cp").arg("-a").args([&files, older.path()]).status().unwrap();
    if !copied.success() {
        // Before Redis 7 it is one file.
        let file = folder.path().join("appendonly.aof");
        std::fs::copy(file, older.path().join("appendonly.aof")).unwrap();
    }
    server.start(&folder);
    is_ready(&cluster);
    // The copy gets older than the 10 s that a server may forget by itself.
    let (begun, mut total) = (Instant::now(), 1);
    while begun.elapsed() < Duration::from_secs(13) {
        post(&cluster, EVENTS);
        total += EVENTS;
        assert_eq!(cluster.sum("t", "like"), total);
    }
    server.stop();
    server.start(&older);
    is_not_ready(&cluster, "went back in time while it was in use");
    eventually("healed", || (shown(&cluster) == Some(total)).then_some(()));
    let (audit, is_balanced) = cluster.ask(&["audit"]);
    assert!(!is_balanced, "{audit}");
    assert_eq!(acknowledge(&cluster).unwrap()["acknowledged"], "went_back");
    is_ready(&cluster);
    all_is_there(&cluster, total);
    cluster.stop();
}

#[test]
fn nothing_is_merged_into_another_store_behind_the_address() {
    let (folder, others, mut server) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Server::new());
    if !server.start(&others) {
        return;
    }
    let mut other = Cluster::start_with(&server.manifest());
    post(&other, 1);
    assert_eq!(other.sum("t", "like"), 1);
    other.stop();
    server.stop();
    server.start(&folder);
    let mut cluster = Cluster::start_with(&server.manifest());
    count(&cluster);

    server.stop();
    server.start(&others);
    is_not_ready(&cluster, "another store");
    post(&cluster, EVENTS);
    assert_eq!(
        server.tell(&["HGET", "countree:local:topic:t", "total:like:i0"]).trim(),
        "1",
        "the other's own"
    );
    server.stop();
    server.start(&folder);
    is_ready(&cluster);
    eventually("all is merged", || (shown(&cluster) == Some(2 * EVENTS)).then_some(()));
    all_is_there(&cluster, 2 * EVENTS);

    // The operator goes on with the other one.
    server.stop();
    server.start(&others);
    is_not_ready(&cluster, "another store");
    assert_eq!(acknowledge(&cluster).unwrap()["acknowledged"], "exchanged");
    is_ready(&cluster);
    eventually("the logs are in it", || (shown(&cluster) == Some(2 * EVENTS + 1)).then_some(()));
    cluster.stop();
}

#[test]
fn a_cluster_whose_store_is_taken_over_merges_nothing_and_says_who_has_it() {
    let (folder, mut server) = (tempfile::tempdir().unwrap(), Server::new());
    if !server.start(&folder) {
        return;
    }
    let manifest = server.manifest();
    let cluster = Cluster::start_with(&manifest);
    count(&cluster);
    let (path, data) = (folder.path().join("manifest.toml"), folder.path().join("second"));
    std::fs::write(&path, &manifest).unwrap();
    let (path, data) = (path.to_str().unwrap(), data.to_str().unwrap());
    let refused = countree(&["up", path, "--data", data, "--http", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains("other certificates"), "{said}");
    is_ready(&cluster);
    post(&cluster, 1);
    assert_eq!(cluster.sum("t", "like"), EVENTS + 1);

    let (_taker, ready) = serve(&["up", path, "--data", data, "--http", "127.0.0.1:0", "--adopt"]);
    is_not_ready(&cluster, data);
    post(&cluster, EVENTS);
    let url = ready["http"].as_str().unwrap();
    let seen = countree(&["get", "t", "--json", "--cluster", url]);
    let seen = last_line(&seen);
    let sum: i64 =
        seen["counts"].as_object().unwrap().values().filter_map(|kinds| kinds["like"].as_i64()).sum();
    assert_eq!(sum, EVENTS + 1, "what the first cluster has merged before, and nothing since");
    assert!(acknowledge(&cluster).unwrap_err().contains("taken over"));
    let (audit, is_balanced) = cluster.ask(&["audit"]);
    assert!(!is_balanced, "{audit}");
}
