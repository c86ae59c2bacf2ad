//! Tests forgotten topics: no reader, viewer, list, export or copy shows them any more.

use crate::cluster::Cluster;
use crate::process::{TestProcess, countree};
use crate::redis::redis;
use crate::waiting::eventually;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use tempfile::TempDir;

const TOPIC: &str = "live/secret";
const GONE: &str = "/v1/topics/live%2Fsecret?forget=true";

/// Starts a cluster on the embedded store, and one on Redis where it is installed.
fn clusters() -> Vec<(Cluster, Option<(TempDir, TestProcess)>)> {
    let manifest =
        |store: &str| format!("[cluster]\nstore = \"{store}\"\n[leaf]\nreplicas = 2\nretention = \"30s\"\n");
    let mut clusters = vec![(Cluster::start_with(&manifest("embedded")), None)];
    let folder = tempfile::tempdir().unwrap();
    if let Some((process, port)) = redis(folder.path()) {
        let cluster = Cluster::start_with(&manifest(&format!("redis://127.0.0.1:{port}")));
        clusters.push((cluster, Some((folder, process))));
    }
    clusters
}

/// Counts this many likes of each of 40 items, and waits until they are acked.
fn like(cluster: &Cluster, topic: &str, delta: u64) {
    let event = |item| format!(r#"{{"topic":"{topic}","item":"post-{item}","kind":"like","delta":{delta}}}"#);
    let events: Vec<_> = (0..40).map(event).collect();
    let (status, body) = cluster.post(&events.join("\n"));
    assert_eq!(status, 202, "{body}");
}

/// Asks until no leaf is away.
fn forget(cluster: &Cluster) -> Value {
    eventually("the topic is forgotten", || {
        let (answer, is_done) = cluster.ask(&["forget", TOPIC]);
        is_done.then_some(answer)
    })
}

fn status(cluster: &Cluster, method: &str, path: &str) -> u16 {
    cluster.http(method, path, "", b"").0
}

fn totals(cluster: &Cluster) -> Value {
    cluster.tell(&["get", TOPIC])["counts"]["post-7"].clone()
}

/// Runs a full audit and returns it.
fn full_audit(cluster: &Cluster) -> Value {
    eventually("the audit balances", || {
        let (audit, is_fine) = cluster.ask(&["audit", "--full"]);
        (is_fine && audit["in_flight"] == 0).then_some(audit)
    })
}

#[test]
fn a_topic_is_gone_with_all_that_was_acked_before_and_what_comes_later_counts_from_0() {
    for (mut cluster, _store) in clusters() {
        like(&cluster, TOPIC, 3);
        like(&cluster, "live/other", 1);
        eventually("the other topic is merged", || (cluster.sum("live/other", "like") == 40).then_some(()));
        // Without a wait: acked events are forgotten wherever they are.
        like(&cluster, TOPIC, 3);
        let answer = cluster.tell(&["forget", TOPIC]);
        assert_eq!((&answer["forgotten"], &answer["events"]), (&json!(true), &json!(80)), "{answer}");
        assert_eq!(status(&cluster, "GET", "/v1/topics/live%2Fsecret"), 404);
        for list in ["/v1/topics", "/v1/topics?after="] {
            let (_, topics) = cluster.http("GET", list, "", b"");
            assert!(!topics.contains(TOPIC) && topics.contains("live/other"), "{list}: {topics}");
        }
        let exported = String::from_utf8(cluster.run(&["export"]).stdout).unwrap();
        assert!(!exported.contains(TOPIC) && exported.contains("live/other"), "{exported}");
        assert_eq!(cluster.tell(&["forget", TOPIC])["events"], 80, "a repeat is answered the same");
        assert!(cluster.refused(&["forget", "live/never"]).contains("nothing was ever counted"));
        assert_eq!(status(&cluster, "DELETE", "/v1/topics/live%2Fnever?forget=true"), 404);
        assert_eq!(status(&cluster, "DELETE", &format!("{GONE}&item=post-1")), 400);

        let audit = full_audit(&cluster);
        let sums = [&audit["accepted"], &audit["merged"], &audit["forgotten"], &audit["declared_lost"]];
        assert_eq!(sums, [&json!(120), &json!(120), &json!(80), &json!(0)], "{audit}");

        like(&cluster, TOPIC, 1);
        assert_eq!(totals(&cluster), json!({"like": 1}));
        // What the logs hold still is offered to the store once more, and is not taken.
        cluster.kill();
        cluster.start_again();
        like(&cluster, TOPIC, 1);
        eventually("leaves are back", || (totals(&cluster) == json!({"like": 2})).then_some(()));
        assert_eq!(full_audit(&cluster)["forgotten"], 80);
        assert_eq!(forget(&cluster)["events"], 160);
        assert_eq!(status(&cluster, "GET", "/v1/topics/live%2Fsecret"), 404);
    }
}

/// The leaves are killed with acked events that are in their logs alone: they are cut long after the topic was
/// forgotten for the first time, and belong to what the second one forgets.
#[test]
fn what_is_in_a_log_alone_when_everything_is_killed_is_forgotten_all_the_same() {
    let manifest = "[cluster]\nwindow = \"20s\"\n[leaf]\nreplicas = 2\n";
    let mut cluster = Cluster::start_with(manifest);
    like(&cluster, TOPIC, 1);
    assert_eq!(forget(&cluster)["events"], 40);
    like(&cluster, TOPIC, 1);
    cluster.kill();
    cluster.start_again();
    assert_eq!(forget(&cluster)["events"], 80, "both");
    assert_eq!(status(&cluster, "GET", "/v1/topics/live%2Fsecret"), 404);
    like(&cluster, TOPIC, 5);
    assert_eq!(totals(&cluster), json!({"like": 5}));
    let audit = full_audit(&cluster);
    assert_eq!((&audit["merged"], &audit["forgotten"]), (&json!(120), &json!(80)), "{audit}");
}

#[test]
fn who_watches_is_told_that_the_topic_is_gone() {
    for (cluster, _store) in clusters() {
        like(&cluster, TOPIC, 1);
        let authority = cluster.url.trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(&authority).unwrap();
        stream.set_read_timeout(Some(crate::waiting::TIMEOUT)).unwrap();
        let head = format!("GET /v1/topics/live%2Fsecret/stream HTTP/1.1\r\nhost: {authority}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        // The event of this name, and the version of it.
        let mut next = |name: &str| -> Value {
            lines.by_ref().find(|line| line == &format!("event: {name}")).expect(name);
            let data = lines.by_ref().find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
            serde_json::from_str(&data.unwrap()).unwrap()
        };
        let mut watching = cluster.spawn(&["watch", TOPIC]);
        let shown = watching.lines();
        let shows = |is_it: &dyn Fn(&Value) -> bool| shown.iter().find(|view| is_it(view)).unwrap();
        let before = next("snapshot");
        shows(&|view| view["counts"]["post-7"]["like"] == 1);
        cluster.tell(&["forget", TOPIC]);
        let gone = next("gone");
        assert_eq!(gone["counts"], json!({}), "{gone}");
        assert!(gone["era"].as_u64() > before["era"].as_u64(), "{before} {gone}");
        let seen = shows(&|view| view["counts"] == json!({}));
        assert_eq!((&seen["era"], &seen["version"]), (&gone["era"], &gone["version"]));
        like(&cluster, TOPIC, 4);
        let later = next("update");
        assert_eq!(later["counts"]["post-7"]["like"], 4, "{later}");
        assert!(later["version"].as_u64() > gone["version"].as_u64(), "{gone} {later}");
        shows(&|view| view["counts"]["post-7"]["like"] == 4);
        watching.kill();
    }
}

#[test]
fn a_copy_of_the_store_takes_what_is_left_of_a_forgotten_topic() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_redis, port)) = redis(folder.path()) else { return };
    let url = format!("redis://127.0.0.1:{port}");
    let manifest = |store: &str| format!("[cluster]\nstore = \"{store}\"\n[leaf]\nretention = \"30s\"\n");
    let mut cluster = Cluster::start_with(&manifest("embedded"));
    like(&cluster, TOPIC, 1);
    cluster.tell(&["forget", TOPIC]);
    cluster.stop();
    let output = countree(&["store", "copy", cluster.data().to_str().unwrap(), &url]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    cluster.set_manifest(&manifest(&url));
    cluster.start_again();
    assert_eq!(status(&cluster, "GET", "/v1/topics/live%2Fsecret"), 404);
    let audit = full_audit(&cluster);
    assert_eq!((&audit["merged"], &audit["forgotten"]), (&json!(40), &json!(40)), "{audit}");
    like(&cluster, TOPIC, 2);
    assert_eq!(totals(&cluster), json!({"like": 2}), "what the logs hold still comes in no more");
}
