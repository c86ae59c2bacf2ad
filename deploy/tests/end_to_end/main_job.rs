//! Tests the main job: real events are counted, watched, audited, and still there after a restart.

use crate::cluster::Cluster;
use crate::process::countree;
use crate::redis::redis;
use crate::trace;
use crate::waiting::eventually;
use std::path::Path;

/// Plays a trace on a fresh cluster and checks all its events, before and after a restart.
fn counts_a_trace(cluster: &mut Cluster, trace: &Path, topic: &str, kind: &str, events: i64) {
    let watch = cluster.spawn(&["watch", topic, "--for", "3s"]);
    let replay = cluster.tell(&["replay", trace.to_str().unwrap(), "--speed", "max"]);
    assert_eq!((replay["sent"].as_i64(), replay["acked"].as_i64()), (Some(events), Some(events)));
    assert_eq!(replay["rejected"], 0);
    assert_eq!(cluster.sum(topic, kind), events, "everything acked before is in the answer");
    assert_eq!(cluster.settled_audit()["merged"], events);

    let (lines, is_success) = watch.finish();
    assert!(is_success);
    let versions: Vec<_> = lines.iter().map(|l| l["version"].as_u64().unwrap()).collect();
    assert!(versions.is_sorted(), "{versions:?}");
    let mut seen = std::collections::BTreeMap::new();
    for line in &lines {
        for (item, kinds) in line["counts"].as_object().unwrap() {
            seen.insert(item.clone(), kinds[kind].as_i64().unwrap());
        }
    }
    assert_eq!(seen.values().sum::<i64>(), events, "the viewer has seen every total");

    cluster.stop();
    cluster.start_again();
    assert_eq!(cluster.sum(topic, kind), events, "nothing is missing after a restart");
    assert_eq!(cluster.settled_audit()["accepted"], events, "the ledger remembers streams that are gone");
}

#[test]
fn a_made_up_trace_on_the_embedded_store() {
    let mut cluster = Cluster::start();
    let trace = trace::make(cluster.folder.path(), 20_000);
    counts_a_trace(&mut cluster, &trace, "live/made-up", "comment", 20_000);
}

#[test]
fn the_recorded_live_chat_on_the_embedded_store() {
    let Some(trace) = trace::recorded("live-chat.csv") else { return };
    counts_a_trace(&mut Cluster::start(), &trace, "live/irl-stream", "comment", 28_013);
}

#[test]
fn page_views_on_redis() {
    let folder = tempfile::tempdir().unwrap();
    let (Some((_redis, port)), Some(trace)) = (redis(folder.path()), trace::recorded("page-views.csv"))
    else {
        return;
    };
    let manifest = format!("[cluster]\nstore = \"redis://127.0.0.1:{port}\"\n[leaf]\nreplicas = 2\n");
    counts_a_trace(&mut Cluster::start_with(&manifest), &trace, "site/nasa", "view", 1_842);
}

#[test]
fn a_cluster_killed_in_the_middle_of_a_replay_counts_every_event_once() {
    let mut cluster = Cluster::start();
    let events = 200_000;
    let trace = trace::make(cluster.folder.path(), events);
    let replay = cluster.spawn(&["replay", trace.to_str().unwrap(), "--speed", "max"]);
    for _ in 0..3 {
        let before = cluster.tell(&["audit"])["accepted"].as_i64().unwrap();
        eventually("more was accepted", || {
            let accepted = cluster.tell(&["audit"])["accepted"].as_i64().unwrap();
            (accepted > before || accepted == events as i64).then_some(())
        });
        cluster.kill();
        cluster.start_again();
    }
    let (lines, is_success) = replay.finish();
    let end = lines.last().unwrap();
    assert!(is_success, "{end}");
    assert_eq!(end["acked"], events, "{end}");
    assert_eq!(cluster.sum("live/made-up", "comment"), events as i64);
    let view = cluster.tell(&["get", "live/made-up"]);
    let counts = view["counts"].as_object().unwrap();
    assert!(counts.values().all(|kinds| kinds["comment"] == 1), "no event twice");
    cluster.settled_audit();
}

#[test]
fn fewer_leaves_after_a_restart_still_have_every_count() {
    let manifest = |leaves: u32| format!("[leaf]\nreplicas = {leaves}\n");
    let mut cluster = Cluster::start_with(&manifest(3));
    let trace = trace::make(cluster.folder.path(), 3_000);
    cluster.tell(&["replay", trace.to_str().unwrap(), "--speed", "max"]);
    cluster.kill();
    std::fs::write(cluster.folder.path().join("manifest.toml"), manifest(1)).unwrap();
    cluster.start_again();
    assert_eq!(cluster.sum("live/made-up", "comment"), 3_000);
}

#[test]
fn unlikes_subtract_and_repeats_do_not_count_again() {
    let cluster = Cluster::start();
    cluster.tell(&["send", "demo", "post-1", "like", "5"]);
    cluster.tell(&["send", "demo", "post-1", "like", "-2"]);
    let event = r#"{"topic":"demo","item":"post-1","kind":"like","delta":10,"id":"click-1"}"#;
    let keyed = r#"[{"topic":"demo","item":"post-1","kind":"like","delta":100}]"#;
    for _ in 0..3 {
        assert_eq!(cluster.post(event).0, 202);
        assert_eq!(cluster.http("POST", "/v1/events", "idempotency-key: k1\r\n", keyed.as_bytes()).0, 202);
    }
    assert_eq!(cluster.sum("demo", "like"), 113);
    let other = keyed.replace("100", "200");
    assert_eq!(cluster.http("POST", "/v1/events", "idempotency-key: k1\r\n", other.as_bytes()).0, 422);
    assert_eq!(cluster.sum("demo", "like"), 113);
}

#[test]
fn any_names_can_be_counted_and_read() {
    let cluster = Cluster::start();
    for topic in ["live/a b", "100%", "snow ☃/stream", "a:b%3A", "-x", "stream"] {
        let event = serde_json::json!({ "topic": topic, "item": "i/%:☃", "kind": "k:%" });
        assert_eq!(cluster.post(&event.to_string()).0, 202, "{topic}");
        let view = cluster.tell(&["get", "--", topic]);
        assert_eq!(view["topic"], topic);
        assert_eq!(view["counts"]["i/%:☃"]["k:%"], 1, "{view}");
    }
    let event = serde_json::json!({ "topic": "escapes", "item": "a\u{1b}[2Jb", "kind": "k" });
    assert_eq!(cluster.post(&event.to_string()).0, 202);
    let shown = countree(&["get", "escapes", "--cluster", &cluster.url]);
    assert!(!shown.stdout.contains(&0x1b) && shown.status.success(), "a name works no terminal");
}

#[test]
fn a_reset_takes_what_was_acked_before_and_leaves_what_comes_after() {
    let mut cluster = Cluster::start();
    for (item, kind, delta) in [("a", "like", "5"), ("a", "view", "7"), ("b", "like", "11")] {
        cluster.tell(&["send", "demo", item, kind, delta]);
    }
    cluster.tell(&["reset", "demo", "a", "like", "--id", "first"]);
    assert_eq!((cluster.sum("demo", "like"), cluster.sum("demo", "view")), (11, 7));
    cluster.tell(&["send", "demo", "a", "like", "100"]);
    cluster.tell(&["reset", "demo", "a", "like", "--id", "first"]);
    assert_eq!(cluster.sum("demo", "like"), 111, "a repeat resets nothing again");
    cluster.kill();
    cluster.start_again();
    cluster.tell(&["reset", "demo", "a", "like", "--id", "first"]);
    assert_eq!(cluster.sum("demo", "like"), 111, "not even after a crash");
    let (other, _) = cluster.ask(&["reset", "demo", "--id", "first"]);
    assert!(other.is_null(), "the id is taken: {other}");
    cluster.tell(&["reset", "demo"]);
    assert_eq!((cluster.sum("demo", "like"), cluster.sum("demo", "view")), (0, 0));
    cluster.tell(&["send", "demo", "a", "like"]);
    assert_eq!(cluster.sum("demo", "like"), 1);
    cluster.settled_audit();
}
