//! Tests resizing while events flow: nothing is lost, doubled, or refused for long.

use crate::cluster::Cluster;
use crate::load::{Load, TOPIC};
use crate::redis::redis;
use crate::waiting::eventually;
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

/// A manifest with these numbers of leaves, roots and broadcast nodes.
fn sized(head: &str, [leaves, roots, broadcasts]: [u32; 3]) -> String {
    format!(
        "{head}\n[leaf]\nreplicas = {leaves}\n[root]\nreplicas = {roots}\n[broadcast]\nreplicas = {broadcasts}\n"
    )
}

fn names(status: &Value) -> Vec<String> {
    let nodes = status["nodes"].as_array().unwrap().iter();
    nodes.map(|node| node["name"].as_str().unwrap().to_owned()).collect()
}

/// Resizes every tier up and down under load.
fn resizes_under_load(head: &str, sizes: &[[u32; 3]]) {
    let mut cluster = Cluster::start_with(&sized(head, sizes[0]));
    let load = Load::start(&cluster.url);
    for size in &sizes[1..] {
        let applied = cluster.apply(&sized(head, *size));
        assert_eq!(applied["audit"]["balanced"], true, "{applied}");
        let status = cluster.tell(&["status"]);
        let [leaves, roots, broadcasts] = *size;
        let count = |tier: &str| names(&status).iter().filter(|name| name.starts_with(tier)).count() as u32;
        assert_eq!(
            [count("leaf"), count("root"), count("broadcast")],
            [leaves, roots, broadcasts],
            "{status}"
        );
    }
    let sent = load.finish();
    assert_eq!(cluster.sum(TOPIC, "like"), sent);
    let audit = cluster.settled_audit();
    assert_eq!((audit["accepted"].as_i64(), audit["merged"].as_i64()), (Some(sent), Some(sent)), "{audit}");
    cluster.stop();
}

#[test]
fn every_tier_up_and_down_under_load_in_one_process() {
    resizes_under_load("", &[[2, 1, 1], [4, 1, 2], [4, 3, 1], [1, 1, 1], [2, 2, 2]]);
}

#[test]
fn every_tier_up_and_down_under_load_with_a_process_for_each_node() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_redis, port)) = redis(folder.path()) else { return };
    let head = format!("[cluster]\nprocesses = \"per-node\"\nstore = \"redis://127.0.0.1:{port}\"");
    resizes_under_load(&head, &[[2, 1, 1], [3, 2, 2], [1, 1, 1]]);
}

#[test]
fn a_plan_says_what_moves_and_a_manifest_that_can_not_be_followed_changes_nothing() {
    let cluster = Cluster::start();
    let write = |text: &str| {
        let path = cluster.folder.path().join("plan.toml");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let plan = cluster.tell(&["plan", &write(&sized("", [3, 1, 2]))]);
    assert_eq!(
        (&plan["come"], &plan["go"]),
        (&serde_json::json!(["leaf-2", "broadcast-1"]), &serde_json::json!([]))
    );
    let share = |what: &str, which: &str| plan["moves"][what][which].as_f64().unwrap();
    let third = 1.0 / 3.0;
    assert!(
        (share("items", "ideal") - third).abs() < 1e-9 && share("items", "moves") < third * 1.1,
        "{plan}"
    );
    assert_eq!((share("topics", "moves"), share("viewers", "moves")), (0.0, 0.0));

    let before = cluster.tell(&["status"]);
    for (text, words) in [
        ("[cluster]\nwindow = \"200ms\"", "cluster.window"),
        ("[cluster]\nstore = \"redis://127.0.0.1:9\"", "cluster.store"),
        ("[cluster]\nprocesses = \"per-node\"", "cluster.processes"),
        ("[leaf]\nreplicas = 4\nretention = \"1h\"", "[leaf]"),
        ("[cluster]\nname = \"another\"", "cluster.name"),
    ] {
        let error = cluster.refused(&["apply", &write(text)]);
        assert!(error.contains(words) && error.contains("while the cluster runs"), "{text}: {error}");
    }
    assert!(cluster.refused(&["plan", &write("[cluster]\nname = \"another\"")]).contains("'another'"));
    assert_eq!(names(&before), names(&cluster.tell(&["status"])));
}

#[test]
fn one_node_is_taken_out_and_its_stream_is_followed_to_its_end() {
    let cluster = Cluster::start();
    for item in ["a", "b", "c", "d", "e", "f"] {
        cluster.tell(&["send", "t", item, "like"]);
    }
    let audit = cluster.tell(&["audit"]);
    let streams = audit["streams"].as_array().unwrap().iter().filter_map(|of| of["stream"].as_str());
    let [stream] = streams.filter(|stream| stream.starts_with("leaf-1/")).collect::<Vec<_>>()[..] else {
        panic!("{audit}")
    };
    let audit = eventually("all is merged", || {
        let audit = cluster.tell(&["audit", "--stream", stream]);
        (audit["in_flight"] == 0).then_some(audit)
    });
    assert_eq!((&audit["state"], &audit["balanced"]), (&"live".into(), &true.into()), "{audit}");
    let position = |at: &str| audit["positions"][at].as_u64().unwrap();
    assert!(position("accepted") >= position("durable") && position("durable") >= position("cut"), "{audit}");
    assert!(position("cut") >= position("merged") && position("merged") > 0, "{audit}");

    let drained = cluster.tell(&["drain", "leaf-1"]);
    assert_eq!(
        (&drained["drained"], &drained["audit"]["balanced"]),
        (&"leaf-1".into(), &true.into()),
        "{drained}"
    );
    assert_eq!(names(&cluster.tell(&["status"])), ["broadcast-0", "leaf-0", "root-0"]);
    let retired = cluster.tell(&["audit", "--stream", stream]);
    assert_eq!((&retired["state"], &retired["merged"]), (&"retired".into(), &audit["accepted"]));
    assert_eq!(cluster.sum("t", "like"), 6);

    assert!(cluster.refused(&["drain", "leaf-0"]).contains("the only leaf"));
    assert!(cluster.refused(&["drain", "leaf-7"]).contains("not in the cluster"));
    assert!(cluster.refused(&["drain", "leaf-0", "--dead"]).contains("leaf-0 lives"));
    assert!(cluster.refused(&["audit", "--stream", "leaf-7/1"]).contains("no stream leaf-7/1"));
    cluster.apply("[leaf]\nreplicas = 2\n");
    assert!(names(&cluster.tell(&["status"])).contains(&"leaf-1".to_owned()), "a manifest brings it back");
    cluster.tell(&["send", "t", "a", "like"]);
    assert_eq!(cluster.sum("t", "like"), 7);
}

/// The process of a node that the cluster has started.
pub(crate) fn process_of(node: &str, cluster: &Cluster) -> Option<u32> {
    let config = cluster.data().canonicalize().unwrap().join(format!("{node}.toml"));
    let config = config.to_str().unwrap().as_bytes();
    std::fs::read_dir("/proc").unwrap().find_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        line.split(|byte| *byte == 0).any(|part| part == config).then_some(pid)
    })
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
}

#[test]
fn killed_nodes_come_back_and_one_that_never_will_is_given_up() {
    let mut cluster = Cluster::start_with("[cluster]\nprocesses = \"per-node\"\n[leaf]\nreplicas = 2\n");
    let load = Load::start(&cluster.url);
    for node in ["leaf-0", "broadcast-0", "root-0"] {
        let killed = process_of(node, &cluster).unwrap();
        kill(killed);
        eventually("it runs again", || process_of(node, &cluster).filter(|pid| *pid != killed));
    }
    eventually("all is well", || (cluster.http("GET", "/readyz", "", b"").0 == 200).then_some(()));
    let sent = load.finish();
    assert_eq!(cluster.sum(TOPIC, "like"), sent);
    cluster.settled_audit();

    // A lost disk: a file takes the folder's place.
    std::fs::rename(cluster.data().join("leaf-1"), cluster.data().join("gone")).unwrap();
    std::fs::write(cluster.data().join("leaf-1"), "").unwrap();
    kill(process_of("leaf-1", &cluster).unwrap());
    let (audit, is_balanced) = cluster.ask(&["audit"]);
    assert!(
        !is_balanced && audit["away"] == serde_json::json!(["leaf-1"]),
        "before its lease runs out: {audit}"
    );
    let is_away = |status: &Value| status["away"].as_array().is_some_and(|away| !away.is_empty());
    eventually("its lease runs out", || Some(cluster.ask(&["status"]).0).filter(is_away));
    let (audit, is_balanced) = cluster.ask(&["audit"]);
    assert!(!is_balanced && audit["away"] == serde_json::json!(["leaf-1"]), "{audit}");
    cluster.tell(&["drain", "leaf-1", "--dead"]);
    assert_eq!(cluster.tell(&["audit"])["away"], serde_json::json!([]));
    assert!(cluster.refused(&["drain", "leaf-1", "--dead"]).contains("nothing to give up"));
    cluster.stop();
    assert_eq!(process_of("leaf-0", &cluster), None, "no node outlives the cluster");
}

#[test]
fn nodes_end_with_the_process_that_started_them_and_a_second_signal_ends_at_once() {
    let mut cluster = Cluster::start_with("[cluster]\nprocesses = \"per-node\"\n");
    let leaf = process_of("leaf-0", &cluster).unwrap();
    cluster.kill();
    let runs = |pid: u32| std::path::Path::new(&format!("/proc/{pid}/cmdline")).exists();
    eventually("the leaf ends", || {
        (process_of("leaf-0", &cluster) != Some(leaf) || !runs(leaf)).then_some(())
    });
    cluster.start_again();
    assert_eq!(cluster.post(r#"{"topic":"t","item":"i","kind":"like"}"#).0, 202);
    assert_eq!(cluster.sum("t", "like"), 1);
    let asked = Instant::now();
    assert_eq!(cluster.stop_twice(), Some(1));
    assert!(asked.elapsed() < Duration::from_secs(5));
    eventually("its nodes end", || process_of("leaf-0", &cluster).is_none().then_some(()));
}

#[test]
fn changing_the_cluster_takes_the_right_to() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef\n").unwrap();
    let manifest = format!("[auth]\nsecret_file = \"{}\"\n[leaf]\nreplicas = 2\n", secret.display());
    let cluster = Cluster::start_with(&manifest);
    let token = |rights: &[&str]| {
        let rights: Vec<_> = rights.iter().flat_map(|right| ["--right", right]).collect();
        let arguments = [&["token", "--secret-file", secret.to_str().unwrap()][..], &rights].concat();
        let output = crate::process::countree(&arguments);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let watch = format!("authorization: Bearer {}\r\n", token(&["watch"]));
    for (method, path) in
        [("POST", "/v1/nodes/leaf-1/drain"), ("DELETE", "/v1/nodes/leaf-1"), ("POST", "/v1/manifest")]
    {
        assert_eq!(cluster.http(method, path, "", b"").0, 401, "{path}");
        assert_eq!(cluster.http(method, path, &watch, b"").0, 403, "{path}");
    }
    cluster.tell(&["drain", "leaf-1", "--token", &token(&["watch", "admin"])]);
}

/// Repeats a request under a key until it is accepted.
fn post_keyed(cluster: &Cluster, key: &str) {
    let event = r#"[{"topic":"keyed","item":"i","kind":"like"}]"#;
    let header = format!("idempotency-key: {key}\r\n");
    eventually("a keyed request is taken", || {
        let (status, answer) = cluster.http("POST", "/v1/events", &header, event.as_bytes());
        assert!([202, 409, 503].contains(&status), "{status}: {answer}");
        (status == 202).then_some(())
    });
}

#[test]
fn a_keyed_request_repeated_across_resizes_counts_once() {
    let cluster = Cluster::start();
    let keys: Vec<_> = (0..20).map(|key| format!("key-{key}")).collect();
    for leaves in [2, 4, 1, 3, 2] {
        cluster.apply(&sized("", [leaves, 1, 1]));
        keys.iter().for_each(|key| post_keyed(&cluster, key));
    }
    assert_eq!(cluster.sum("keyed", "like"), 20, "whoever remembers it");
    cluster.settled_audit();
}
