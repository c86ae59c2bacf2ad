//! Tests the audit of the store: documents that were changed by hand are found, and repaired or declared lost.

use crate::cluster::Cluster;
use crate::process::TestProcess;
use crate::redis::redis;
use crate::shared::command::run;
use crate::waiting::eventually;
use serde_json::{Value, json};
use tempfile::TempDir;

const KEY: &str = "countree:local:topic:demo";

/// One leaf over a Redis of its own.
struct ClusterOverRedis {
    cluster: Cluster,
    port: u16,
    _redis: (TempDir, TestProcess),
}

impl ClusterOverRedis {
    fn start(retention: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (process, port) = redis(folder.path())?;
        let manifest = format!(
            "[cluster]\nstore = \"redis://127.0.0.1:{port}\"\n[leaf]\nreplicas = 1\nretention = \"{retention}\"\n"
        );
        Some(Self { cluster: Cluster::start_with(&manifest), port, _redis: (folder, process) })
    }

    fn redis(&self, words: &[&str]) -> String {
        run("redis-cli", &[&["-p", &self.port.to_string()], words].concat()).unwrap()
    }

    fn send(&self, events: usize) {
        send(&self.cluster, events);
    }

    /// Restarts the cluster, and waits until the log of the previous stream is deleted; returns that stream.
    fn retire(&mut self) -> String {
        retire(&mut self.cluster)
    }
}

fn post(cluster: &Cluster, events: usize) {
    let event = r#"{"topic":"demo","item":"x","kind":"like"}"#;
    let (status, body) = cluster.post(&vec![event; events].join("\n"));
    assert_eq!(status, 202, "{body}");
}

fn send(cluster: &Cluster, events: usize) {
    post(cluster, events);
    cluster.settled_audit();
}

fn retire(cluster: &mut Cluster) -> String {
    let audit = cluster.settled_audit();
    let mut live = audit["streams"].as_array().unwrap().iter().filter(|of| of["sealed"] == false);
    let stream = live.next().unwrap()["stream"].as_str().unwrap().to_owned();
    cluster.stop();
    cluster.start_again();
    eventually("the old stream is retired", || {
        let (stream, _) = cluster.ask(&["audit", "--stream", &stream]);
        (stream["state"] == "retired").then_some(())
    });
    stream
}

fn total(cluster: &Cluster) -> Value {
    cluster.tell(&["get", "demo"])["counts"]["x"]["like"].clone()
}

/// Waits until the loss is in the ledger; until then no audit may be balanced.
fn declared(cluster: &Cluster, lost: u64) -> Value {
    eventually("the loss is declared", || {
        let (audit, is_fine) = cluster.ask(&["audit"]);
        assert_eq!(audit["balanced"], is_fine, "{audit}");
        assert!(!is_fine || audit["declared_lost"] == lost, "{audit}");
        is_fine.then_some(audit)
    })
}

#[test]
fn a_topic_that_was_deleted_by_hand_is_found_and_declared_lost() {
    let Some(mut cluster_over_redis) = ClusterOverRedis::start("1s") else { return };
    cluster_over_redis.send(10);
    let stream = cluster_over_redis.retire();
    cluster_over_redis.redis(&["DEL", KEY]);
    post(&cluster_over_redis.cluster, 1);
    let (audit, is_fine) = cluster_over_redis.cluster.ask(&["audit", "--full"]);
    assert!(!is_fine && audit["balanced"] == false, "{audit}");
    assert_eq!(audit["store"]["short"], json!([{"stream": stream, "events": 10}]), "{audit}");
    assert_eq!(audit["store"]["topics"][0]["topic"], "demo", "{audit}");
    let audit = declared(&cluster_over_redis.cluster, 10);
    assert_eq!((&audit["accepted"], &audit["merged"]), (&json!(11), &json!(1)), "{audit}");
    assert_eq!(total(&cluster_over_redis.cluster), 1);
    cluster_over_redis.cluster.stop();
    cluster_over_redis.cluster.start_again();
    assert_eq!(declared(&cluster_over_redis.cluster, 10)["merged"], 1);
}

#[test]
fn an_older_copy_of_a_topic_is_healed_as_far_as_logs_reach() {
    let Some(mut cluster_over_redis) = ClusterOverRedis::start("1s") else { return };
    cluster_over_redis.send(4);
    cluster_over_redis.redis(&["COPY", KEY, "older"]);
    cluster_over_redis.send(6);
    cluster_over_redis.redis(&["COPY", "older", KEY, "REPLACE"]);
    eventually("the leaf sends it again", || (total(&cluster_over_redis.cluster) == 10).then_some(()));
    let audit = eventually("the store was read since", || {
        let (audit, is_fine) = cluster_over_redis.cluster.ask(&["audit", "--full"]);
        is_fine.then_some(audit)
    });
    assert_eq!((&audit["merged"], &audit["declared_lost"]), (&json!(10), &json!(0)), "{audit}");

    cluster_over_redis.retire();
    cluster_over_redis.redis(&["COPY", "older", KEY, "REPLACE"]);
    assert!(!cluster_over_redis.cluster.ask(&["audit", "--full"]).1);
    assert_eq!(declared(&cluster_over_redis.cluster, 6)["merged"], 4);
    assert_eq!(total(&cluster_over_redis.cluster), 4);
}

#[test]
fn a_position_that_was_edited_by_hand_is_found() {
    let Some(mut cluster_over_redis) = ClusterOverRedis::start("1s") else { return };
    cluster_over_redis.send(10);
    let stream = cluster_over_redis.retire();
    let field = format!("leaf:{stream}");
    let position = cluster_over_redis.redis(&["HGET", KEY, &field]);
    let lsn = position.split(' ').next().unwrap();
    cluster_over_redis.redis(&["HSET", KEY, &field, &format!("{lsn} 12")]);
    let (audit, is_fine) = cluster_over_redis.cluster.ask(&["audit", "--full"]);
    assert!(!is_fine, "{audit}");
    assert_eq!(audit["store"]["over"], json!([{"stream": stream, "events": 2}]), "{audit}");
    cluster_over_redis.redis(&["HSET", KEY, &field, "none"]);
    let (audit, is_fine) = cluster_over_redis.cluster.ask(&["audit", "--full"]);
    assert!(!is_fine && audit["store"]["unreadable"] == json!(["demo"]), "{audit}");
}

#[test]
fn an_older_store_that_is_put_back_while_all_is_stopped_is_found() {
    let mut cluster = Cluster::start_with("[leaf]\nreplicas = 1\nretention = \"1s\"\n");
    send(&cluster, 10);
    cluster.stop();
    let (file, copy) = (cluster.data().join("store.redb"), cluster.folder.path().join("older"));
    std::fs::copy(&file, &copy).unwrap();
    cluster.start_again();
    send(&cluster, 5);
    retire(&mut cluster);
    cluster.stop();
    std::fs::copy(&copy, &file).unwrap();
    cluster.start_again();
    let audit = declared(&cluster, 5);
    assert_eq!((&audit["accepted"], &audit["merged"]), (&json!(15), &json!(10)), "{audit}");
    assert_eq!(total(&cluster), 10);
}
