//! `/v1/openapi.json` beside the server that serves it: every route, method and status that the document has is provoked here,
//! but for those that need a broken disk or a slow network, and every answer is what the document says.

use crate::cluster::Cluster;
use crate::shared::command::{run, say};
use crate::shared::python::python_with;
use crate::shared::{BINARY, ask};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

const EVENT: &[u8] = br#"{"topic":"live/show","item":"post-1","kind":"like"}"#;
const KEY: &str = "idempotency-key: openapi\r\n";
/// Statuses that other tests provoke: of slow bodies, leaves that are away or shed load, full disks, roots that are gone.
const HARD: [&str; 4] = ["408", "500", "503", "507"];
const HARD_ANSWERS: [(&str, &str, &str); 6] = [
    ("post", "/v1/store/acknowledge", "409"),
    ("post", "/v1/backups", "422"),
    ("post", "/v1/events", "409"),
    ("delete", "/v1/topics/{topic}", "409"),
    ("delete", "/v1/topics/{topic}", "422"),
    ("delete", "/v1/nodes/{name}", "200"),
];

const STREAM: &str = "/v1/topics/{topic}/stream";

struct Try {
    method: &'static str,
    route: &'static str,
    path: &'static str,
    headers: &'static str,
    body: &'static [u8],
    status: &'static str,
}

const fn of(method: &'static str, route: &'static str, path: &'static str, status: &'static str) -> Try {
    Try { method, route, path, headers: "", body: b"", status }
}

const fn with(body: &'static [u8], like: Try) -> Try {
    Try { body, ..like }
}

const fn under(headers: &'static str, like: Try) -> Try {
    Try { headers, ..like }
}

/// Of a cluster that asks for no tokens, in this order.
fn tries() -> Vec<Try> {
    const TOPIC: &str = "/v1/topics/{topic}";
    const DRAIN: &str = "/v1/nodes/{name}/drain";
    const NODE: &str = "/v1/nodes/{name}";
    const BAD: &str = "400";
    let mut tries = vec![
        with(EVENT, under(KEY, of("post", "/v1/events", "/v1/events", "202"))),
        with(b"{}", under(KEY, of("post", "/v1/events", "/v1/events", BAD))),
        with(
            br#"{"topic":"live/show","item":"post-2","kind":"like"}"#,
            under(KEY, of("post", "/v1/events", "/v1/events", "422")),
        ),
        with(&[b' '; (4 << 20) + 1], of("post", "/v1/events", "/v1/events", "413")),
        of("get", TOPIC, "/v1/topics/live%2Fshow?wait=complete", "200"),
        of("get", TOPIC, "/v1/topics/live/show?wait=soon", BAD),
        of("get", TOPIC, "/v1/topics/nothing", "404"),
        of("get", STREAM, "/v1/topics/live/show/stream?wait=complete", BAD),
        of("get", "/v1/topics", "/v1/topics?after=", "200"),
        of("get", "/v1/audit", "/v1/audit", "200"),
        of("get", "/v1/audit", "/v1/audit?stream=leaf-9/1", "404"),
        of("delete", TOPIC, "/v1/topics/live/show?item=post-1", "200"),
        of("delete", TOPIC, "/v1/topics/%ff", BAD),
        with(b"[leaf]\nreplicas = 3\n", of("post", "/v1/manifest", "/v1/manifest?dry_run=true", "200")),
        with(b"[leaf]\nreplicas = 2\n", of("post", "/v1/manifest", "/v1/manifest", "202")),
        with(b"[leaf]\nreplicas = 0\n", of("post", "/v1/manifest", "/v1/manifest", BAD)),
        with(b"[cluster]\nname = \"other\"\n", of("post", "/v1/manifest", "/v1/manifest", "409")),
        with(&[b' '; (64 << 10) + 1], of("post", "/v1/manifest", "/v1/manifest", "413")),
        with(
            br#"{"file":{"id":"f","digest":"d","rows":0},"direction":"import","step":"begin"}"#,
            of("post", "/v1/imports", "/v1/imports", "200"),
        ),
        with(b"{}", of("post", "/v1/imports", "/v1/imports", BAD)),
        with(&[b' '; (2 << 20) + 1], of("post", "/v1/imports", "/v1/imports", "413")),
        with(
            br#"{"file":{"id":"g","digest":"d","rows":0},"direction":"undo","step":"begin"}"#,
            of("post", "/v1/imports", "/v1/imports", "422"),
        ),
        with(b"{}", of("post", "/v1/backups", "/v1/backups", BAD)),
        with(&[b' '; (2 << 20) + 1], of("post", "/v1/backups", "/v1/backups", "413")),
        of("post", "/v1/store/acknowledge", "/v1/store/acknowledge", "200"),
        of("post", DRAIN, "/v1/nodes/broadcast-0/drain", "409"),
        of("post", DRAIN, "/v1/nodes/leaf-9/drain", "404"),
        of("post", DRAIN, "/v1/nodes/LEAF/drain", BAD),
        of("delete", NODE, "/v1/nodes/leaf-0", "409"),
        of("delete", NODE, "/v1/nodes/leaf-9", "404"),
        of("delete", NODE, "/v1/nodes/LEAF", BAD),
    ];
    for path in [
        "/",
        "/live.css",
        "/live.js",
        "/totals.js",
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/cluster",
        "/v1/openapi.json",
        "/v1/status",
        "/v1/audit",
        "/v1/topics",
        "/v1/manifest",
    ] {
        tries.push(of("get", path, path, "200"));
    }
    tries
}

/// Whether a value is of a schema, as far as the document's schemas go; else why not.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(path) = schema["$ref"].as_str() {
        let schema = document.pointer(path.trim_start_matches('#')).ok_or(format!("{path} leads nowhere"))?;
        return check(document, schema, value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = choices.iter().any(|choice| check(document, choice, value, at).is_ok());
        return if fits { Ok(()) } else { Err(format!("{at} is {value}, none of {choices:?}")) };
    }
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let types: Vec<_> = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(some) => some.iter().filter_map(Value::as_str).collect(),
        _ => vec![is],
    };
    let fits = types.contains(&is) || types.contains(&"number") && is == "integer";
    if !fits {
        return Err(format!("{at} is {value}, and not {types:?}"));
    }
    if schema.get("const").is_some_and(|only| only != value)
        || schema["enum"].as_array().is_some_and(|choices| !choices.contains(value))
    {
        return Err(format!("{at} is {value}, and should be of {schema}"));
    }
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(required).is_none() {
            return Err(format!("{at} lacks {required}: {value}"));
        }
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let known = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
        match known {
            Some(Value::Bool(false)) => return Err(format!("{at} has a {name} that the document lacks")),
            Some(schema @ Value::Object(_)) => check(document, schema, field, &format!("{at}.{name}"))?,
            // A field that clients are shown is one that they are told of.
            _ if schema.get("properties").is_some() => {
                return Err(format!("{at} has a {name} that the document lacks"));
            }
            _ => {}
        }
    }
    for element in value.as_array().into_iter().flatten().filter(|_| schema.get("items").is_some()) {
        check(document, &schema["items"], element, &format!("{at}[]"))?;
    }
    Ok(())
}

fn answer_is_as_described(document: &Value, cluster: &Cluster, try_: &Try) {
    let Try { method, route, path, headers, body, status } = *try_;
    let what = format!("{method} {path}");
    let (got, head, answer) = cluster.exchange(&method.to_uppercase(), path, headers, body);
    assert_eq!(got.to_string(), status, "{what}: {answer}");
    let described = &document["paths"][route][method]["responses"][status];
    let (kind, content) = described["content"]
        .as_object()
        .and_then(|content| content.iter().next())
        .unwrap_or_else(|| panic!("{what} answers {status}, which the document lacks"));
    assert!(head.contains(&format!("content-type: {kind}")), "{what}: not {kind}: {head}");
    for header in described["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
        let is_there = head.contains(&format!("{}: ", header.to_lowercase()));
        assert!(is_there || header == "Retry-After", "{what}: no {header}: {head}");
    }
    if kind == "application/json" {
        // A long answer comes in chunks.
        let json = answer.lines().find_map(|line| serde_json::from_str(line).ok());
        let json: Value =
            serde_json::from_str(&answer).ok().or(json).unwrap_or_else(|| panic!("{what}: {answer}"));
        check(document, &content["schema"], &json, "it").unwrap_or_else(|why| panic!("{what}: {why}"));
    }
}

#[test]
fn every_route_answers_as_the_openapi_document_says() {
    let cluster = Cluster::start();
    let document = ask(&cluster.url, "/v1/openapi.json").unwrap();
    let mut tried = BTreeSet::new();
    for one in tries() {
        answer_is_as_described(&document, &cluster, &one);
        tried.insert((one.method, one.route, one.status));
    }
    // Parameters that nobody knows, and other methods, are refused by all.
    for (route, operations) in document["paths"].as_object().unwrap() {
        let path = route.replace("{topic}", "t").replace("{name}", "leaf-9");
        let methods: BTreeSet<_> = operations.as_object().unwrap().keys().cloned().collect();
        for method in &methods {
            let (status, _, answer) =
                cluster.exchange(&method.to_uppercase(), &format!("{path}?no_such=1"), "", EVENT);
            assert_eq!(status, 400, "{method} {path}: {answer}");
        }
        let (status, head, _) = cluster.exchange("PATCH", &path, "", b"");
        assert_eq!(status, 405, "{path}");
        let allow = head.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap();
        let allowed: BTreeSet<_> = allow.split(',').filter(|m| *m != "head").map(str::to_owned).collect();
        // The stream's route is a topic's, as far as the server can say.
        if !route.ends_with("/stream") {
            assert_eq!(allowed, methods, "{route}");
        }
    }

    let secret = cluster.folder.path().join("secret");
    std::fs::write(&secret, [b's'; 40]).unwrap();
    let guarded = Cluster::start_with(&format!("[auth]\nsecret_file = \"{}\"\n", secret.display()));
    let bearer = |right| {
        let arguments = ["token", "--secret-file", secret.to_str().unwrap(), "--right", right];
        format!("authorization: Bearer {}\r\n", run(BINARY, &arguments).unwrap())
    };
    let (send, watch) = (bearer("send"), bearer("watch"));
    let mut lacks = Vec::new();
    for (route, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let path = route.replace("{topic}", "t").replace("{name}", "leaf-9");
            let responses = operation["responses"].as_object().unwrap();
            if responses.contains_key("401") {
                let (status, _, answer) = guarded.exchange(&method.to_uppercase(), &path, "", EVENT);
                assert_eq!(status, 401, "{method} {path}: {answer}");
                let other = if route == "/v1/events" { &watch } else { &send };
                let (status, _, answer) = guarded.exchange(&method.to_uppercase(), &path, other, EVENT);
                assert_eq!(status, 403, "{method} {path}: {answer}");
            }
            for status in responses.keys().map(String::as_str) {
                let is_general = ["400", "401", "403"].contains(&status) || HARD.contains(&status);
                let is_hard = HARD_ANSWERS.contains(&(method, route, status));
                let is_stream = route.ends_with("/stream") && status == "200";
                let is_effect = ["200", "202"].contains(&status)
                    && ["/v1/backups", "/v1/nodes/{name}/drain"].contains(&route.as_str());
                let was_tried = tried.contains(&(method.as_str(), route.as_str(), status));
                if !(is_general || is_hard || is_stream || is_effect || was_tried) {
                    lacks.push(format!("{method} {route} {status}"));
                }
            }
        }
    }
    assert!(lacks.is_empty(), "nobody has seen these answers: {lacks:#?}");
}

#[test]
fn every_node_serves_the_openapi_document() {
    let cluster = Cluster::start_with("[cluster]\nprocesses = \"per-node\"\n");
    let document = ask(&cluster.url, "/v1/openapi.json").unwrap();
    let nodes = ask(&cluster.url, "/v1/cluster").unwrap()["nodes"].clone();
    let addresses: Vec<_> =
        nodes.as_array().unwrap().iter().filter_map(|node| node["http"].as_str()).collect();
    assert!(!addresses.is_empty(), "{nodes}");
    for address in addresses {
        assert_eq!(
            ask(&format!("http://{address}"), "/v1/openapi.json").as_ref(),
            Ok(&document),
            "{address}"
        );
    }
}

#[test]
fn schemathesis_finds_no_answer_that_the_openapi_document_lacks() {
    let packages = ["schemathesis>=4,<5"];
    let Some(python) = python_with("schemathesis", &packages, "the OpenAPI document by schemathesis") else {
        return;
    };
    let cluster = Cluster::start();
    // NDJSON is text to it.
    let hooks = "import schemathesis\nschemathesis.serializer.alias('application/x-ndjson', 'text/plain')\n";
    std::fs::write(cluster.folder.path().join("hooks.py"), hooks).unwrap();
    let checks = ["not_a_server_error", "status_code_conformance", "content_type_conformance"];
    let checks = [&checks[..], &["response_schema_conformance"]].concat().join(",");
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "300"]).arg(python.with_file_name("schemathesis"));
    command.arg("run").arg(format!("{}/v1/openapi.json", cluster.url)).args(["--checks", &checks]);
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--seed", "1"]);
    command.args(["--no-color", "--generation-database", "none", "--request-timeout", "20"]);
    // A stream does not end, a backup is written wherever it is asked for, and a leaf that leaves takes no events.
    for path in [STREAM, "/v1/backups", "/v1/manifest", "/v1/nodes/{name}/drain"] {
        command.args(["--exclude-path", path]);
    }
    let output =
        command.current_dir(cluster.folder.path()).env("SCHEMATHESIS_HOOKS", "hooks").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(output.status.success(), "{said}");
    say(said.lines().last().unwrap_or_default());
}
