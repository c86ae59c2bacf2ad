//! Lists the requests that provoke each answer of the OpenAPI document.

pub(super) const EVENT: &[u8] = br#"{"topic":"live/show","item":"post-1","kind":"like"}"#;
const KEY: &str = "idempotency-key: openapi\r\n";

/// The route that streams a topic's totals.
pub(super) const STREAM: &str = "/v1/topics/{topic}/stream";

/// A request and the status that it is answered with.
pub(super) struct Try {
    pub(super) method: &'static str,
    pub(super) route: &'static str,
    pub(super) path: &'static str,
    pub(super) headers: &'static str,
    pub(super) body: &'static [u8],
    pub(super) status: &'static str,
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

/// All requests, in the order to send them to a cluster that asks for no tokens.
pub(super) fn tries() -> Vec<Try> {
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
        with(
            br#"{"manifest":"[leaf]\nreplicas = 3\n"}"#,
            of("post", "/v1/manifest", "/v1/manifest?dry_run=true", "200"),
        ),
        with(br#"{"manifest":"[leaf]\nreplicas = 2\n"}"#, of("post", "/v1/manifest", "/v1/manifest", "202")),
        with(br#"{"manifest":"[leaf]\nreplicas = 0\n"}"#, of("post", "/v1/manifest", "/v1/manifest", BAD)),
        with(
            br#"{"manifest":"[cluster]\nname = \"other\"\n"}"#,
            of("post", "/v1/manifest", "/v1/manifest", "409"),
        ),
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
    for (route, path) in [
        ("/v1/manifest", "/v1/manifest"),
        ("/v1/imports", "/v1/imports"),
        ("/v1/backups", "/v1/backups"),
        ("/v1/store/acknowledge", "/v1/store/acknowledge"),
        (DRAIN, "/v1/nodes/leaf-0/drain"),
    ] {
        tries.push(under("content-type: text/plain\r\n", of("post", route, path, "415")));
    }
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
