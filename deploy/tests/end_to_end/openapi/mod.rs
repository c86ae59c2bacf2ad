//! Compares `/v1/openapi.json` with the server: provokes every route, method and status of the document, except those
//! that need a broken disk or a slow network, and checks each answer against it.

mod requests;
mod schema;

use crate::cluster::Cluster;
use crate::shared::command::{run, say};
use crate::shared::python::python_with;
use crate::shared::{BINARY, ask};
use requests::{EVENT, STREAM, Try, tries};
use schema::check;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

/// Statuses that other tests provoke: for slow bodies, leaves that are away or shed load, full disks, missing roots.
const HARD: [&str; 4] = ["408", "500", "503", "507"];
const HARD_ANSWERS: [(&str, &str, &str); 6] = [
    ("post", "/v1/store/acknowledge", "409"),
    ("post", "/v1/backups", "422"),
    ("post", "/v1/events", "409"),
    ("delete", "/v1/topics/{topic}", "409"),
    ("delete", "/v1/topics/{topic}", "422"),
    ("delete", "/v1/nodes/{name}", "200"),
];

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
    // Every route refuses unknown parameters and other methods.
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
                let is_general = ["400", "401", "403", "421"].contains(&status) || HARD.contains(&status);
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
