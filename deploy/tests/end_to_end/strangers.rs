//! Requests of strangers: unknown names, pages of other origins (in a real browser, too), proxies, and open ports.

use crate::cluster::Cluster;
use crate::page::{browse, titles};
use crate::process::countree;
use crate::waiting::eventually;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;

const EVENT: &[u8] = br#"{"topic":"t","item":"i","kind":"like"}"#;
const DRAIN: &str = "/v1/nodes/leaf-1/drain";

fn code(body: &str) -> Value {
    serde_json::from_str::<Value>(body).unwrap_or_default()["error"]["code"].clone()
}

fn manifest(http: &str, processes: &str) -> String {
    format!("[cluster]\nprocesses = \"{processes}\"\n[http]\n{http}\n")
}

#[test]
fn unknown_hosts_and_origins_reach_no_route_of_a_cluster_in_one_process_or_many() {
    for processes in ["one", "per-node"] {
        let http = "origins = [\"https://app.example\"]\nhosts = [\"counts.example\"]";
        let cluster = Cluster::start_with(&manifest(http, processes));
        for path in ["/", "/v1/events", "/v1/topics/t", "/metrics", "/nowhere"] {
            let (status, body) = cluster.http("POST", path, "host: evil.example\r\n", EVENT);
            assert_eq!((status, code(&body)), (421, "unknown_host".into()), "{path}: {body}");
        }
        for origin in ["http://evil.example", "null", "http://localhost:1"] {
            for content_type in ["text/plain", "application/json"] {
                let headers = format!("origin: {origin}\r\ncontent-type: {content_type}\r\n");
                let (status, body) = cluster.http("POST", "/v1/events", &headers, EVENT);
                assert_eq!((status, code(&body)), (403, "origin_refused".into()), "{origin}: {body}");
            }
        }
        let own = format!("origin: {}\r\n", cluster.url);
        let behind_proxy = "host: counts.example\r\norigin: https://counts.example\r\n";
        let (status, head, body) =
            cluster.exchange("POST", "/v1/events", "origin: https://app.example\r\n", EVENT);
        assert_eq!(status, 202, "{body}");
        for header in
            ["access-control-allow-origin: https://app.example", "access-control-allow-credentials: true"]
        {
            assert!(head.contains(header), "{head}");
        }
        assert_eq!(head.matches("vary: origin").count(), 1, "{head}");
        for headers in [own.as_str(), behind_proxy] {
            let (status, head, body) = cluster.exchange("POST", "/v1/events", headers, EVENT);
            assert!(status == 202 && !head.contains("access-control"), "{head}{body}");
        }
        let asked = "origin: https://app.example\r\naccess-control-request-method: POST\r\n\
                     access-control-request-headers: authorization,content-type,idempotency-key\r\n";
        let (status, head, _) = cluster.exchange("OPTIONS", "/v1/events", asked, b"");
        assert_eq!(status, 204, "{head}");
        assert!(head.contains("access-control-allow-methods: get, head, post, delete"), "{head}");
        assert!(
            head.contains("access-control-allow-headers: authorization, content-type, idempotency-key"),
            "{head}"
        );
        assert!(head.contains("vary: origin"), "{head}");
        let (status, _) = cluster.http("OPTIONS", "/v1/events", &asked.replace("app", "evil"), b"");
        assert_eq!(status, 403);
        assert_eq!(cluster.settled_audit()["accepted"], 3, "and nothing else was counted");
    }
}

#[test]
fn nobody_changes_a_cluster_without_keys_through_a_proxy_or_without_saying_json() {
    for processes in ["one", "per-node"] {
        let cluster = Cluster::start_with(&manifest("trusted_proxies = [\"127.0.0.1\"]", processes));
        assert_eq!(cluster.post(std::str::from_utf8(EVENT).unwrap()).0, 202);
        for header in [
            "x-forwarded-for: 203.0.113.9",
            "forwarded: for=203.0.113.9",
            "x-real-ip: 203.0.113.9",
            "via: 1.1 proxy",
        ] {
            for (method, path) in [("POST", DRAIN), ("DELETE", "/v1/topics/t"), ("POST", "/v1/manifest")] {
                let (status, body) = cluster.http(method, path, &format!("{header}\r\n"), b"");
                assert_eq!((status, code(&body)), (403, "forbidden".into()), "{method} {path}: {body}");
            }
        }
        let (status, body) = cluster.http("POST", DRAIN, "content-type: text/plain\r\n", b"");
        assert_eq!((status, code(&body)), (415, "not_json".into()), "{body}");
        assert_eq!(cluster.sum("t", "like"), 1, "nothing was reset");
        assert!(cluster.tell(&["status"]).to_string().contains("leaf-1"), "nothing was drained");
        cluster.tell(&["drain", "leaf-1"]);
    }
}

#[test]
fn administration_has_a_port_of_its_own_where_one_is_set() {
    let cluster = Cluster::start_with(&manifest("admin = \"127.0.0.1:0\"", "one"));
    for (method, path) in
        [("GET", "/metrics"), ("GET", "/v1/status"), ("POST", DRAIN), ("GET", "/v1/manifest")]
    {
        let (status, body) = cluster.http(method, path, "", b"");
        assert_eq!((status, code(&body)), (404, "no_such_route".into()), "{path}: {body}");
    }
    assert_eq!(cluster.post(std::str::from_utf8(EVENT).unwrap()).0, 202);
    let admin = cluster.ready["admin"].as_str().unwrap();
    let status = countree(&["status", "--json", "--cluster", admin]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("leaf-1"));
}

#[test]
fn without_keys_only_loopback_is_listened_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let path = folder.path().join("manifest.toml");
    // None of them comes to listen.
    for (http, arguments, setting) in [
        ("", &["--http", "0.0.0.0:0"][..], "http.listen"),
        ("listen = \"[::]:0\"", &[], "http.listen"),
        ("quic_host = \"203.0.113.7\"", &[], "http.quic_host"),
        ("admin = \"0.0.0.0:0\"", &[], "http.admin"),
    ] {
        std::fs::write(&path, manifest(http, "one")).unwrap();
        let command = ["up", path.to_str().unwrap(), "--data", data.to_str().unwrap()];
        let output = countree(&[&command[..], arguments].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{error}");
        assert!(error.contains(setting) && error.contains("--insecure"), "{error}");
    }
    let config = folder.path().join("leaf-0.toml");
    std::fs::write(&config, "[node]\nname = \"leaf-0\"\nquic = \"0.0.0.0:0\"\nroots = [\"127.0.0.1:9\"]\n")
        .unwrap();
    let output = countree(&["leaf", "--config", config.to_str().unwrap()]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && error.contains("node.quic"), "{error}");
}

/// Serves one page to everybody, for as long as the test runs.
fn serve_page(page: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        // A browser opens connections in advance: one that says nothing must not hold up the others.
        for mut stream in listener.incoming().map_while(Result::ok) {
            let page = page.clone();
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4_096]);
                let head =
                    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length:";
                let _ = stream.write_all(format!("{head} {}\r\n\r\n{page}", page.len()).as_bytes());
            });
        }
    });
    port
}

/// A page that tries everything against a cluster that it finds by its own address, and says in its title how it went.
fn trying(cluster: &str) -> String {
    let script = r#"
const event = item => JSON.stringify({ topic: "from-page", item, kind: "view" });
const headers = { "content-type": "application/json", "idempotency-key": "page-1" };
const tries = {
  cors: async () => (await fetch(H + "/v1/events", { method: "POST", headers, body: event("cors") })).status,
  simple: async () => (await fetch(H + "/v1/events", { method: "POST", mode: "no-cors", body: event("simple") })).type,
  beacon: async () => navigator.sendBeacon(H + "/v1/events", event("beacon")),
  drain: async () => (await fetch(H + "/v1/nodes/leaf-1/drain", { method: "POST", mode: "no-cors" })).type,
  drainJson: async () => (await fetch(H + "/v1/nodes/leaf-1/drain", { method: "POST", headers })).status,
  read: async () => (await fetch(H + "/v1/cluster")).status,
};
(async () => {
  const result = {};
  for (const [name, attempt] of Object.entries(tries)) {
    try { result[name] = await attempt(); } catch (e) { result[name] = "refused"; }
  }
  document.title = "done " + Object.entries(result).map(pair => pair.join("=")).join(" ");
})();"#;
    format!("<!doctype html><title>trying</title><script>const H = \"{cluster}\";{script}</script>")
}

#[test]
fn a_page_of_another_origin_counts_only_where_it_is_allowed_in_a_real_browser() {
    for is_allowed in [false, true] {
        // The page is served before the cluster runs, and the cluster has to know its port.
        let cluster_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{cluster_port}");
        let page = serve_page(trying(&url));
        let origins =
            if is_allowed { format!("origins = [\"http://localhost:{page}\"]\n") } else { String::new() };
        let cluster = Cluster::start_on(&manifest(&origins, "one"), &url);
        let page = format!("http://localhost:{page}/");
        let Some((_browser, port)) = browse(&page, &cluster.folder.path().join("profile")) else { return };
        let result = eventually("the page has tried all", || {
            titles(port)?.into_iter().find_map(|title| title.strip_prefix("done ").map(str::to_owned))
        });
        let of = |name: &str| {
            let found = result.split(' ').filter_map(|pair| pair.split_once('=')).find(|pair| pair.0 == name);
            found.map(|pair| pair.1)
        };
        let expected = if is_allowed { ["202", "200", "403"] } else { ["refused"; 3] }.map(Some);
        assert_eq!(["cors", "read", "drainJson"].map(of), expected, "{result}");
        assert!(cluster.tell(&["status"]).to_string().contains("leaf-1"), "nothing was drained");
        if is_allowed {
            eventually("the beacon is counted, too", || {
                (cluster.sum("from-page", "view") == 3).then_some(())
            });
        } else {
            // What the page could send went before its title; the beacon may still be under way.
            assert_eq!(cluster.settled_audit()["accepted"], 0, "{result}");
        }
    }
}
