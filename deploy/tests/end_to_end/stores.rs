//! Tests copies of whole stores from one form into another, while no cluster uses them.

use crate::cluster::Cluster;
use crate::process::{TestProcess, countree, launch};
use crate::redis::redis;
use crate::trace;
use crate::waiting::eventually;
use serde_json::Value;
use std::path::Path;

const EVENTS: i64 = 6_000;
const TOPICS: i64 = 40;
const TOPIC: &str = "live/made-up";

fn manifest(store: &str) -> String {
    format!("[cluster]\nstore = \"{store}\"\n[leaf]\nreplicas = 2\nretention = \"10s\"\n")
}

/// Makes a stopped cluster on the embedded store with counted events; returns its totals, and the last view of a
/// viewer.
fn counted() -> (Cluster, Value) {
    let mut cluster = Cluster::start_with(&manifest("embedded"));
    let trace = trace::make(cluster.folder.path(), EVENTS as usize);
    cluster.tell(&["replay", trace.to_str().unwrap(), "--speed", "max"]);
    for n in 0..TOPICS {
        let event =
            format!(r#"{{"topic":"t {n} %","item":"i:%","kind":"a:b","delta":{}}}"#, 1_i64 << (n % 50));
        assert_eq!(cluster.post(&event).0, 202);
    }
    assert_eq!(cluster.sum(TOPIC, "comment"), EVENTS);
    let shown = cluster.tell(&["get", TOPIC]);
    cluster.settled_audit();
    cluster.stop();
    (cluster, shown)
}

/// Starts the cluster with another store and the same data folder.
fn go_on(cluster: &mut Cluster, store: &str) {
    std::fs::write(cluster.folder.path().join("manifest.toml"), manifest(store)).unwrap();
    cluster.start_again();
}

fn copy(from: &str, to: &str) -> Value {
    let output = countree(&["store", "copy", from, to, "--json"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{from} to {to}: {error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = countree(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    error.lines().last().unwrap().to_owned()
}

fn all_there(cluster: &Cluster, events: i64) {
    assert_eq!(cluster.sum(TOPIC, "comment"), events);
    for n in 0..TOPICS {
        let view = cluster.tell(&["get", &format!("t {n} %")]);
        assert_eq!(view["counts"]["i:%"]["a:b"], 1_i64 << (n % 50), "{view}");
    }
    let audit = cluster.settled_audit();
    assert_eq!(
        (audit["accepted"].as_i64(), audit["declared_lost"].as_i64()),
        (Some(events + TOPICS), Some(0))
    );
}

fn era(view: &Value) -> u64 {
    view["era"].as_u64().unwrap()
}

#[test]
fn embedded_to_redis_and_back_keeps_every_count_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_redis, port)) = redis(folder.path()) else { return };
    let url = format!("redis://127.0.0.1:{port}");
    let (mut cluster, shown) = counted();
    let data = cluster.data();
    let data = data.to_str().unwrap();
    let copied = copy(data, &url);
    assert_eq!(
        (copied["topics"].as_i64(), copied["events"].as_i64()),
        (Some(TOPICS + 1), Some(EVENTS + TOPICS))
    );
    assert_eq!(copied["verified"], true);

    go_on(&mut cluster, &url);
    all_there(&cluster, EVENTS);
    let there = cluster.tell(&["get", TOPIC]);
    assert!(era(&there) > era(&shown), "{there}");
    let (status, listed) = cluster.http("GET", "/v1/topics", "", b"");
    assert!(status == 200 && listed.contains("t 39 %"), "{listed}");
    cluster.tell(&["send", TOPIC, "i", "comment"]);
    assert!(refused(&["store", "copy", &url, data]).contains("in use by"));
    assert_eq!(cluster.sum(TOPIC, "comment"), EVENTS + 1);
    let there = cluster.tell(&["get", TOPIC]);
    cluster.stop();

    let other = folder.path().join("other");
    copy(&url, other.to_str().unwrap());
    let store = Path::new(data).join("store.redb");
    std::fs::copy(other.join("store.redb"), store).unwrap();
    go_on(&mut cluster, "embedded");
    all_there(&cluster, EVENTS + 1);
    assert!(era(&cluster.tell(&["get", TOPIC])) > era(&there));
}

#[test]
fn a_copy_goes_into_an_empty_store_only_and_leaves_a_running_one_alone() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_redis, port)) = redis(folder.path()) else { return };
    let url = format!("redis://127.0.0.1:{port}");
    let (mut cluster, _) = counted();
    let data = cluster.data();
    let data = data.to_str().unwrap();
    copy(data, &url);
    assert!(refused(&["store", "copy", data, &url]).contains("is not empty"));
    assert!(refused(&["store", "copy", folder.path().to_str().unwrap(), &url]).contains("no embedded store"));
    assert!(refused(&["store", "copy", &url, data, "--name", "other"]).contains("cluster"));
    assert!(
        refused(&["store", "copy", &url, folder.path().join("x").to_str().unwrap(), "--name", "other"])
            .contains("--name")
    );
    // The copy has taken its place.
    cluster.set_manifest(&manifest("embedded"));
    assert!(cluster.refused_start().contains("was copied"));
    cluster.start_again_with(&["--adopt"]);
    assert!(refused(&["store", "copy", data, &format!("{url}/1")]).contains("held by a running cluster"));
    all_there(&cluster, EVENTS);
}

/// Kills the copy halfway; returns whether it had not finished before.
fn kill_in_the_middle(from: &str, url: &str, size: impl Fn() -> u64, at: u64) -> bool {
    let mut copying: TestProcess = launch(&["store", "copy", from, url]);
    let mut last = None;
    eventually("some of it is copied", || {
        last = copying.ended();
        (size() >= at || last.is_some()).then_some(())
    });
    copying.signal("-KILL");
    copying.wait() != Some(0)
}

#[test]
fn a_copy_killed_in_the_middle_is_no_store_and_is_finished_by_a_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_redis, port)) = redis(folder.path()) else { return };
    let url = format!("redis://127.0.0.1:{port}");
    let (mut cluster, _) = counted();
    let data = cluster.data();
    let data = data.to_str().unwrap();
    let keys = || {
        let output =
            std::process::Command::new("redis-cli").args(["-p", &port.to_string(), "DBSIZE"]).output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim().parse().unwrap()
    };
    for at in [2, 10, 20] {
        assert!(kill_in_the_middle(data, &url, keys, at), "it was not killed in the middle");
        let path = cluster.folder.path().join("manifest.toml");
        std::fs::write(&path, manifest(&url)).unwrap();
        let fresh = folder.path().join("fresh");
        let error = refused(&[
            "up",
            path.to_str().unwrap(),
            "--data",
            fresh.to_str().unwrap(),
            "--http",
            "127.0.0.1:0",
        ]);
        assert!(error.contains("countree store copy"), "{error}");
    }
    assert_eq!(copy(data, &url)["topics"], TOPICS + 1);
    go_on(&mut cluster, &url);
    all_there(&cluster, EVENTS);
}
