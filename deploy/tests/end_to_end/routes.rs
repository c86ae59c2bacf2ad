//! Tests rules that all HTTP routes share, and numbers that readers of JSON can hold.

use crate::cluster::Cluster;
use crate::events::Events;
use serde_json::Value;

/// Each route, and a method that it has.
const ROUTES: [(&str, &str); 16] = [
    ("GET", "/"),
    ("GET", "/live.js"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/v1/cluster"),
    ("GET", "/v1/audit"),
    ("GET", "/v1/status"),
    ("GET", "/v1/topics"),
    ("GET", "/v1/topics/t"),
    ("GET", "/v1/topics/t/stream"),
    ("DELETE", "/v1/topics/t"),
    ("POST", "/v1/events"),
    ("POST", "/v1/nodes/leaf-9/drain"),
    ("DELETE", "/v1/nodes/leaf-9"),
    ("GET", "/v1/manifest"),
];

fn code(body: &str) -> Value {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{body}: {e}"));
    assert!(body["error"]["message"].as_str().is_some_and(|message| message.len() > 10), "{body}");
    body["error"]["code"].clone()
}

#[test]
fn a_parameter_that_a_route_does_not_know_is_refused_by_name() {
    let cluster = Cluster::start();
    let event = br#"{"topic":"t","item":"i","kind":"like"}"#;
    for (method, path) in ROUTES {
        let (status, body) = cluster.http(method, &format!("{path}?tpo=10"), "", event);
        assert_eq!((status, code(&body)), (400, "bad_query".into()), "{method} {path}: {body}");
        assert!(body.contains("tpo"), "{body}");
    }
    for path in [
        "/v1/topics/t?wait=complete&wait=complete",
        "/v1/topics/t?wait=soon",
        "/v1/topics/t/stream?wait=complete",
    ] {
        assert_eq!(cluster.http("GET", path, "", b"").0, 400, "{path}");
    }
    assert_eq!(cluster.http("GET", "/?topic=t", "", b"").0, 200);
    assert_eq!(cluster.settled_audit()["accepted"], 0, "nothing was counted, and nothing reset");
}

#[test]
fn another_method_is_told_which_there_are() {
    let cluster = Cluster::start();
    for (path, methods) in [
        ("/v1/events", &["post"][..]),
        ("/v1/topics/t", &["get", "head", "delete"]),
        ("/v1/topics", &["get", "head"]),
        ("/v1/audit", &["get", "head"]),
        ("/v1/nodes/leaf-9/drain", &["post"]),
        ("/v1/manifest", &["get", "head", "post"]),
        ("/healthz", &["get", "head"]),
        ("/", &["get", "head"]),
    ] {
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH"] {
            if methods.contains(&method.to_ascii_lowercase().as_str()) {
                continue;
            }
            let (status, head, body) = cluster.exchange(method, path, "", b"");
            assert_eq!((status, code(&body)), (405, "method_not_allowed".into()), "{method} {path}: {body}");
            let allow = head
                .lines()
                .find_map(|line| line.strip_prefix("allow: "))
                .unwrap_or_else(|| panic!("{head}"));
            let mut allowed: Vec<_> = allow.split(',').collect();
            allowed.sort_unstable();
            let mut expected = methods.to_vec();
            expected.sort_unstable();
            assert_eq!(allowed, expected, "{method} {path}");
        }
    }
}

#[test]
fn errors_of_every_kind_are_the_json_object() {
    let cluster = Cluster::start();
    for (method, path, body, status) in [
        ("GET", "/nowhere", &b""[..], 404),
        ("PUT", "/nowhere", b"", 404),
        ("DELETE", "/v1/topics/%ff", b"", 400),
        ("POST", "/v1/nodes/%ff/drain", b"", 400),
        ("POST", "/v1/manifest", b"\xff", 400),
        ("POST", "/v1/manifest", &[b' '; 100_000], 413),
    ] {
        let (got, answer) = cluster.http(method, path, "", body);
        assert_eq!(got, status, "{method} {path}: {answer}");
        code(&answer);
    }
}

#[test]
fn totals_that_javascript_cannot_hold_are_also_text_wherever_totals_are_shown() {
    let cluster = Cluster::start();
    let largest = r#"{"topic":"t","item":"i","kind":"like","delta":9007199254740991}"#;
    assert_eq!(cluster.post(&format!("\u{feff}{largest}")).0, 202, "a byte order mark is no harm");
    assert_eq!(cluster.tell(&["get", "t"])["exact"], Value::Null, "numbers do up to there");
    assert_eq!(cluster.post(largest).0, 202);
    let view = cluster.tell(&["get", "t"]);
    let exact = serde_json::json!({ "i": { "like": "18014398509481982" } });
    assert_eq!((&view["exact"], &view["counts"]["i"]["like"]), (&exact, &18_014_398_509_481_982i64.into()));
    let watching = cluster.spawn(&["watch", "t", "--for", "1s"]);
    let (lines, _) = watching.finish();
    assert_eq!(lines.first().map(|view| &view["exact"]), Some(&exact));
    let mut events = Events::open(&cluster, "t", "");
    assert_eq!(events.next("snapshot")["exact"], exact);
    assert_eq!(cluster.post(largest).0, 202);
    assert_eq!(events.next("update")["exact"]["i"]["like"], "27021597764222973");
}
