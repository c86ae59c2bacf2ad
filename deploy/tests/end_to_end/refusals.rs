//! Tests bad input: each is refused clearly, nothing is counted and nothing breaks.

use crate::cluster::Cluster;
use crate::process::countree;
use serde_json::Value;
use std::process::Command;

fn event(fields: &str) -> String {
    format!(r#"{{"topic":"t","item":"i","kind":"like"{fields}}}"#)
}

#[test]
fn bad_events_over_http_count_nothing() {
    let cluster = Cluster::start();
    let good = event("");
    let long = "x".repeat(129);
    let cases: Vec<(String, u16, &str, Option<u64>)> = vec![
        (String::new(), 400, "malformed", None),
        ("[]".into(), 400, "malformed", None),
        ("nonsense".into(), 400, "malformed", Some(0)),
        (format!("[{good},{good},{{"), 400, "malformed", Some(2)),
        (format!("{good}\n{good}\n{{\"topic\":"), 400, "malformed", Some(2)),
        (event(r#","colour":"red""#), 400, "malformed", Some(0)),
        (event(r#","delta":0"#), 400, "bad_delta", Some(0)),
        (event(r#","delta":0.5"#), 400, "malformed", Some(0)),
        (event(r#","delta":9223372036854775807"#), 400, "bad_delta", Some(0)),
        (event(r#","delta":9007199254740992"#), 400, "bad_delta", Some(0)),
        (event(r#","delta":9223372036854775808"#), 400, "malformed", Some(0)),
        (event(r#","delta":"1""#), 400, "malformed", Some(0)),
        (format!(r#"[{good},{{"topic":"{long}","item":"i","kind":"like"}}]"#), 400, "bad_name", Some(1)),
        (r#"{"topic":"t","item":"","kind":"like"}"#.into(), 400, "bad_name", Some(0)),
        (r#"{"topic":"t","item":"i"}"#.into(), 400, "malformed", Some(0)),
        (format!("{good}\n").repeat(10_001), 413, "too_large", None),
        (
            format!("[{}]", vec![event(r#","delta":9007199254740991"#); 200].join(",")),
            400,
            "total_overflow",
            Some(0),
        ),
    ];
    for (body, status, code, index) in cases {
        let (got, answer) = cluster.post(&body);
        let shown: String = body.chars().take(80).collect();
        assert_eq!(got, status, "{shown}: {answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
        assert_eq!(answer["error"]["index"].as_u64(), index, "{shown}: {answer}");
        assert!(answer["error"]["message"].as_str().is_some_and(|m| m.len() > 10), "{answer}");
    }
    let not_utf8 = b"{\"topic\":\"\xff\xfe\",\"item\":\"i\",\"kind\":\"like\"}";
    assert_eq!(cluster.http("POST", "/v1/events", "", not_utf8).0, 400);
    assert_eq!(cluster.http("POST", "/v1/events", "", &vec![b' '; 10 << 20]).0, 413);
    assert_eq!(cluster.http("GET", "/v1/topics/t", "", b"").0, 404, "nothing was counted");
    assert_eq!(cluster.http("GET", "/v1/nowhere", "", b"").0, 404);
    assert_eq!(cluster.settled_audit()["accepted"], 0);
    assert_eq!(cluster.post(&good).0, 202, "and the cluster goes on");
}

#[test]
fn totals_stop_at_their_limit() {
    let cluster = Cluster::start();
    let large = format!("[{}]", vec![event(r#","delta":9007199254740991"#); 100].join(","));
    let mut accepted = 0i64;
    // 2^62 is a little more than 512 times 2^53 − 1; the sixth request can't fit.
    for _ in 0..8 {
        let (status, answer) = cluster.post(&large);
        match status {
            202 => accepted += 100,
            400 => assert!(answer.contains("total_overflow"), "{answer}"),
            503 => {}
            other => panic!("{other}: {answer}"),
        }
        cluster.settled_audit();
    }
    assert!(accepted <= 512, "{accepted}");
    assert_eq!(cluster.sum("t", "like"), accepted * ((1 << 53) - 1));
}

#[test]
fn wrong_usage_and_bad_manifests_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("m.toml");
    let path = manifest.to_str().unwrap();
    for (text, words) in [
        ("[leaf]\nreplicas = 0", "leaf.replicas"),
        ("[leaf]\nreplicas = -1", "leaf.replicas"),
        ("[broadcast]\nreplicas = 1e9", "broadcast.replicas"),
        ("[leaf]\nreplicsa = 2", "leaf.replicsa"),
        ("[cluster]\nstore = \"postgres://x\"", "cluster.store"),
        ("not toml at all", "not TOML"),
    ] {
        std::fs::write(&manifest, text).unwrap();
        let output = countree(&["up", path, "--http", "127.0.0.1:0"]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}: {error}");
        assert!(error.contains(words) && error.lines().count() == 1, "{text}: {error}");
    }
    for arguments in [
        &["no-such-command"][..],
        &["send", "t"],
        &["send", "t", "i", "k", "0"],
        &["get", ""],
        &["up", "no-such-file"],
    ] {
        let output = countree(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
    }
}

#[test]
fn environment_variables_that_set_nothing_are_refused_with_the_nearest_that_does() {
    // Nothing runs on a file.
    let file = tempfile::NamedTempFile::new().unwrap();
    let run = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countree"));
        command.args(["up", "--http", "127.0.0.1:0", "--data"]).arg(file.path()).env(name, "1");
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = run("COUNTREE_LEAF_REPLICSA");
    assert_eq!((code, error.lines().count()), (Some(2), 1), "{error}");
    assert!(error.contains("COUNTREE_LEAF_REPLICSA") && error.contains("COUNTREE_LEAF_REPLICAS?"), "{error}");
    let (_, error) = run("COUNTREE_LEAF_SERVICE_PORT_HTTP");
    assert!(!error.contains("COUNTREE_"), "{error}");
}

#[test]
fn help_says_what_happens_without_a_command() {
    let output = countree(&["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && help.contains("Without a command it is `countree up`"), "{help}");
}

#[test]
fn what_is_not_there_or_taken_is_said_with_what_to_do() {
    let mut cluster = Cluster::start();
    let data = cluster.data();
    let data = data.to_str().unwrap();
    let http = cluster.url.trim_start_matches("http://").to_owned();
    let failed = |arguments: &[&str], words: &str| {
        let output = countree(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.contains(words) && error.lines().count() == 1, "{arguments:?}: {error}");
    };
    failed(&["up", "--data", data, "--http", "127.0.0.1:0"], "in use by a running cluster");
    failed(
        &["up", "--data", cluster.folder.path().join("other").to_str().unwrap(), "--http", &http],
        "is taken",
    );
    failed(&["get", "never-counted", "--cluster", &cluster.url], "never");
    let nobody = "http://127.0.0.1:9";
    for arguments in [&["status"][..], &["audit"], &["get", "t"], &["send", "t", "i", "k"], &["watch", "t"]] {
        failed(&[arguments, &["--cluster", nobody]].concat(), "countree up");
    }
    cluster.stop();
    let manifest = cluster.folder.path().join("other.toml");
    std::fs::write(&manifest, "[cluster]\nname = \"another\"").unwrap();
    failed(
        &["up", manifest.to_str().unwrap(), "--data", data, "--http", "127.0.0.1:0"],
        "belongs to cluster 'local'",
    );
    std::fs::write(&manifest, "[cluster]\nstore = \"redis://127.0.0.1:9\"").unwrap();
    let fresh = cluster.folder.path().join("fresh");
    let arguments =
        ["up", manifest.to_str().unwrap(), "--data", fresh.to_str().unwrap(), "--http", "127.0.0.1:0"];
    failed(&arguments, "no Redis answers");
}

#[test]
fn tokens_are_asked_for_where_the_manifest_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef\n").unwrap();
    let cluster = Cluster::start_with(&format!("[auth]\nsecret_file = \"{}\"\n", secret.display()));
    let token = |right: &str| {
        let output = countree(&["token", "--secret-file", secret.to_str().unwrap(), "--right", right]);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(cluster.post(&event("")).0, 401);
    assert!(!cluster.ask(&["send", "t", "i", "like"]).1);
    let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
    let (send, watch) = (token("send"), token("watch"));
    assert_eq!(cluster.http("POST", "/v1/events", &bearer(&watch), event("").as_bytes()).0, 403);
    assert_eq!(cluster.http("POST", "/v1/events", &bearer(&send), event("").as_bytes()).0, 202);
    cluster.tell(&["send", "t", "i", "like", "--token", &send]);
    for path in ["/v1/topics/t", "/v1/topics", "/v1/audit", "/v1/status"] {
        assert_eq!(cluster.http("GET", path, "", b"").0, 401, "{path}");
    }
    assert_eq!(cluster.http("GET", "/v1/topics/t?wait=complete", &bearer(&watch), b"").0, 200);
}
