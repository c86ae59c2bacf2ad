//! Tests the answers to requests with ids and keys: repeats, contradictions, and requests in doubt.

use crate::cluster::Cluster;
use crate::resizing::process_of;
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

/// The largest delta that an event takes.
const DELTA_MAX: i64 = (1 << 53) - 1;

/// The status and the body of an answer.
fn post(cluster: &Cluster, headers: &str, body: &Value) -> (u16, Value) {
    let (status, body) = cluster.http("POST", "/v1/events", headers, body.to_string().as_bytes());
    (status, serde_json::from_str(&body).unwrap_or_else(|e| panic!("{status} {body:?}: {e}")))
}

fn under(key: &str) -> String {
    format!("idempotency-key: {key}\r\n")
}

fn view(topic: &str, id: &str) -> Value {
    json!({ "topic": topic, "item": "p", "kind": "view", "id": id })
}

fn error((status, body): (u16, Value)) -> (u16, String, Option<u64>) {
    let error = &body["error"];
    (status, error["code"].as_str().unwrap_or_default().to_owned(), error["index"].as_u64())
}

fn refused(status: u16, code: &str, index: Option<u64>) -> (u16, String, Option<u64>) {
    (status, code.to_owned(), index)
}

fn is_uncounted(cluster: &Cluster, topic: &str) -> bool {
    cluster.http("GET", &format!("/v1/topics/{topic}?wait=complete"), "", b"").0 == 404
}

#[test]
fn ids_and_the_requests_key_both_hold() {
    let cluster = Cluster::start();
    let two = json!([view("n", "m1"), view("n", "m2")]);
    let three = json!([view("n", "m1"), view("n", "m2"), view("n", "m3")]);
    assert_eq!(post(&cluster, &under("A"), &two), (202, json!({ "accepted": 2, "durability": "disk" })));
    assert_eq!(post(&cluster, &under("B"), &three), (202, json!({ "accepted": 3, "durability": "disk" })));
    assert_eq!(cluster.sum("n", "view"), 3);
    let replayed = |n| (202, json!({ "accepted": n, "durability": "disk", "replayed": true }));
    assert_eq!(post(&cluster, &under("B"), &three), replayed(3));
    assert_eq!(post(&cluster, &under("C"), &two), replayed(2), "nothing of it was new");
    assert_eq!(error(post(&cluster, &under("B"), &two)), refused(422, "key_reused", None));
    assert_eq!(
        error(post(&cluster, &under("B"), &json!([view("n", "m4")]))),
        refused(422, "key_reused", None)
    );
    assert_eq!(post(&cluster, "", &json!([view("other", "m1")])).0, 202, "an id belongs to its topic");
    assert_eq!((cluster.sum("n", "view"), cluster.sum("other", "view")), (3, 1));
}

#[test]
fn an_id_for_another_event_refuses_the_request_and_counts_nothing_of_it() {
    let mut cluster = Cluster::start();
    let two = json!([
        { "topic": "n", "item": "y", "kind": "like", "id": "K" },
        { "topic": "n", "item": "z", "kind": "like", "delta": 5, "id": "K" },
    ]);
    assert_eq!(error(post(&cluster, "", &two)), refused(422, "key_reused", Some(1)));
    assert!(is_uncounted(&cluster, "n"));
    // A refusal is not remembered.
    assert_eq!(post(&cluster, "", &two[1]).0, 202);
    let again = json!([two[1], two[1], { "topic": "n", "item": "y", "kind": "like", "id": "L" }]);
    assert_eq!(post(&cluster, "", &again), (202, json!({ "accepted": 3, "durability": "disk" })));
    cluster.kill();
    cluster.start_again();
    let other = json!([{ "topic": "n", "item": "x", "kind": "like" }, two[0]]);
    assert_eq!(error(post(&cluster, "", &other)), refused(422, "key_reused", Some(1)));
    assert_eq!(cluster.sum("n", "like"), 6);
}

#[test]
fn ids_of_several_leaves_are_one_request() {
    let mut cluster = Cluster::start_with("[leaf]\nreplicas = 3\n");
    let all: Vec<_> = (0..40).map(|i| view("n", &format!("m{i}"))).collect();
    let (half, other) = (json!(all[..20]), json!(all[10..30]));
    assert_eq!(post(&cluster, "", &half), (202, json!({ "accepted": 20, "durability": "disk" })));
    assert_eq!(post(&cluster, "", &other), (202, json!({ "accepted": 20, "durability": "disk" })));
    assert_eq!(post(&cluster, "", &half).1["replayed"], true);
    assert_eq!(cluster.sum("n", "view"), 30);
    cluster.kill();
    cluster.start_again();
    // Each id alone goes to its owner, which follows its note to the leaf that took it.
    for event in &all {
        assert_eq!(post(&cluster, "", event).0, 202, "{event}");
    }
    assert_eq!(cluster.sum("n", "view"), 40);
    cluster.settled_audit();
}

#[test]
fn a_request_that_would_pass_the_largest_total_counts_nothing_whoever_remembers_its_ids() {
    let cluster = Cluster::start();
    let large = json!({ "topic": "full", "item": "c", "kind": "x", "delta": DELTA_MAX });
    let large_body = json!(vec![large; 8]);
    for _ in 0..64 {
        crate::waiting::eventually("there is room for it", || {
            (post(&cluster, "", &large_body).0 == 202).then_some(())
        });
    }
    assert_eq!(cluster.sum("full", "x"), 512 * DELTA_MAX);
    for i in 0..20 {
        let events = json!([
            { "topic": "n", "item": format!("i{i}"), "kind": "like", "id": format!("a{i}") },
            { "topic": "full", "item": "c", "kind": "x", "delta": DELTA_MAX, "id": format!("b{i}") },
        ]);
        assert_eq!(error(post(&cluster, "", &events)), refused(400, "total_overflow", Some(1)), "{i}");
    }
    assert!(is_uncounted(&cluster, "n"));
}

#[test]
fn a_delta_that_json_readers_may_not_hold_and_two_keys_are_refused() {
    let cluster = Cluster::start();
    let event = json!({ "topic": "n", "item": "p", "kind": "view", "delta": DELTA_MAX + 1 });
    assert_eq!(error(post(&cluster, "", &event)), refused(400, "bad_delta", Some(0)));
    let keys = under("X") + &under("Y");
    assert_eq!(error(post(&cluster, &keys, &view("n", "a"))), refused(400, "malformed", None));
    assert!(is_uncounted(&cluster, "n"));
}

/// Sends a signal to a node's process, to stop or resume it.
fn signal(cluster: &Cluster, node: &str, signal: &str) {
    let pid = process_of(node, cluster).unwrap().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

#[test]
fn what_a_paused_leaf_may_have_counted_is_never_refused() {
    let cluster = Cluster::start_with("[cluster]\nprocesses = \"per-node\"\n[leaf]\nreplicas = 2\n");
    // Connections between the leaves stand.
    for i in 0..8 {
        assert_eq!(post(&cluster, &under(&format!("warm{i}")), &view("warm", &format!("w{i}"))).0, 202);
    }
    signal(&cluster, "leaf-1", "-STOP");
    let paused = Instant::now();
    let answers: Vec<(usize, u16)> = std::thread::scope(|scope| {
        let send = |i: usize| {
            let (cluster, event) =
                (&cluster, json!({ "topic": "n", "item": "p", "kind": "x", "delta": 1 << i }));
            scope.spawn(move || (i, post(cluster, &under(&format!("k{i}")), &event).0))
        };
        let sent: Vec<_> = (0..24).map(send).collect();
        std::thread::sleep(Duration::from_secs(13).saturating_sub(paused.elapsed()));
        signal(&cluster, "leaf-1", "-CONT");
        sent.into_iter().map(|sent| sent.join().unwrap()).collect()
    });
    let total = crate::waiting::eventually("all is merged", || {
        let (status, body) = cluster.http("GET", "/v1/topics/n?wait=complete", "", b"");
        let body: Value = serde_json::from_str(&body).ok()?;
        (status == 200).then(|| body["counts"]["p"]["x"].as_i64().unwrap())
    });
    for (i, status) in answers {
        let is_counted = total & 1 << i != 0;
        match status {
            202 => assert!(is_counted, "{i} was acked"),
            409 => {}
            status => assert!(!is_counted, "{i} was answered {status}, and counted"),
        }
    }
    assert_eq!(total >> 24, 0, "and nothing twice: {total:#b}");
}
