//! Reads, streams and the page over HTTP.

use super::viewer::Viewer;
use super::{House, TIMEOUT, name, soon};
use countree_common::document::TopicView;
use countree_common::key::{Item, Kind};
use countree_common::shell::access::{Access, Right};
use countree_common::shell::http;
use countree_common::time::WallMs;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

impl House {
    async fn get(&self, path: &str) -> (u16, String) {
        let base = format!("http://{}", self.http);
        let answer = http::request("GET", &base, path, &[], None).await.unwrap();
        (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
    }

    async fn read(&self, path: &str) -> TopicView {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

fn total(view: &TopicView, item: &str, kind: &str) -> Option<i64> {
    view.counts.get(&Item::new(item).unwrap())?.get(&Kind::new(kind).unwrap()).copied()
}

/// An event off a stream.
#[derive(Debug)]
struct Event {
    name: String,
    id: String,
    view: TopicView,
}

struct EventSource {
    lines: tokio::io::Lines<BufReader<TcpStream>>,
}

impl EventSource {
    async fn open(house: &House, path: &str, last_event_id: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(house.http).await.unwrap();
        let resume = last_event_id.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        let head = format!("GET {path} HTTP/1.1\r\nhost: test\r\n{resume}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let status = soon("an answer", lines.next_line()).await.unwrap().unwrap();
        assert!(status.contains("200"), "{status}");
        let mut kind = None;
        while let Some(line) = soon("headers", lines.next_line()).await.unwrap().filter(|l| !l.is_empty()) {
            kind = kind.or(line.strip_prefix("content-type: ").map(str::to_owned));
        }
        assert_eq!(kind.as_deref(), Some("text/event-stream"));
        Self { lines }
    }

    /// The next event; each comes in one chunk, so lines are whole. `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        let (mut name, mut id) = (None, None);
        loop {
            let line = soon("an event", self.lines.next_line()).await.ok()??;
            // The chunk that ends a body.
            if line == "0" {
                return None;
            }
            if let Some(value) = line.strip_prefix("event: ") {
                name = Some(value.to_owned());
            } else if let Some(value) = line.strip_prefix("id: ") {
                id = Some(value.to_owned());
            } else if let Some(value) = line.strip_prefix("data: ") {
                let view: TopicView = serde_json::from_str(value).unwrap();
                return Some(Event { name: name?, id: id?, view });
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_begins_with_a_snapshot_and_goes_on_with_changes() {
    let house = House::open().await;
    house.root.merge("live/irl-stream", &[("a", "like", 3), ("b", "comment", 1)]);
    let mut events = EventSource::open(&house, "/v1/topics/live%2Firl-stream/stream", None).await;
    let first = events.next().await.unwrap();
    assert_eq!((first.name.as_str(), first.id.as_str()), ("snapshot", "0-1"));
    assert_eq!(total(&first.view, "b", "comment"), Some(1));
    house.root.mark(WallMs(1_234));
    house.root.merge("live/irl-stream", &[("a", "like", 1)]);
    let second = events.next().await.unwrap();
    assert_eq!((second.name.as_str(), second.id.as_str()), ("update", "0-2"));
    assert_eq!(total(&second.view, "a", "like"), Some(4), "totals, not deltas");
    assert_eq!(total(&second.view, "b", "comment"), None, "only what changed");
    assert_eq!(second.view.complete_to, WallMs(1_234));

    // Served from the shared snapshot, and brought up to date.
    let mut late = EventSource::open(&house, "/v1/topics/live/irl-stream/stream", None).await;
    assert_eq!(late.next().await.unwrap().name, "snapshot");
    assert_eq!(late.next().await.unwrap().id, "0-2");
    assert_eq!(house.metric("countree_broadcast_viewers"), 2.0);
    drop((events, late));
    house.until_metric("countree_broadcast_viewers", |viewers| viewers == 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_comes_back_gets_what_it_missed() {
    let house = House::open().await;
    house.root.merge("t", &[("a", "like", 1), ("b", "like", 1)]);
    let mut first = EventSource::open(&house, "/v1/topics/t/stream", None).await;
    assert_eq!(first.next().await.unwrap().id, "0-1");
    let mut current = EventSource::open(&house, "/v1/topics/t/stream", Some("0-1")).await;
    let event = current.next().await.unwrap();
    assert_eq!(
        (event.name.as_str(), event.id.as_str(), event.view.counts.len()),
        ("update", "0-1", 0),
        "it is current"
    );
    house.root.merge("t", &[("a", "like", 1)]);
    let event = current.next().await.unwrap();
    assert_eq!((event.name.as_str(), event.id.as_str()), ("update", "0-2"), "no snapshot again");
    assert_eq!(first.next().await.unwrap().id, "0-2");
    let mut behind = EventSource::open(&house, "/v1/topics/t/stream", Some("0-1")).await;
    let event = behind.next().await.unwrap();
    assert_eq!((event.name.as_str(), total(&event.view, "b", "like")), ("update", None));
    // Of an earlier store, by the header or, from a page that opens a new stream, by the address.
    for (path, header) in
        [("/v1/topics/t/stream", Some("9007199254740991-25")), ("/v1/topics/t/stream?since=7-25", None)]
    {
        let event = EventSource::open(&house, path, header).await.next().await.unwrap();
        assert_eq!((event.name.as_str(), event.view.era), ("snapshot", 0), "{path}");
    }
    let mut astray = EventSource::open(&house, "/v1/topics/t/stream", Some("nonsense")).await;
    assert_eq!(astray.next().await.unwrap().name, "snapshot");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_skips_and_a_leaving_node_ends_its_streams() {
    let house = House::open().await;
    let items: Vec<String> = (0..3_000).map(|n| format!("an-item-with-a-long-name-{n}")).collect();
    let all: Vec<_> = items.iter().map(|i| (i.as_str(), "like", 1)).collect();
    house.root.merge("t", &all);
    let mut slow = EventSource::open(&house, "/v1/topics/t/stream", None).await;
    let mut quick = EventSource::open(&house, "/v1/topics/t/stream", None).await;
    let mut merged = 1;
    soon("the slow one to be skipped", async {
        while house.metric("countree_broadcast_skips_total") < 5.0 {
            house.root.merge("t", &all);
            merged += 1;
            while quick.next().await.unwrap().view.version < merged {}
        }
    })
    .await;
    let mut seen = 0;
    loop {
        let event = slow.next().await.unwrap();
        seen += 1;
        if event.view.version == merged {
            break;
        }
    }
    assert!(seen < merged, "{seen} events for {merged} merges");
    soon("the node to stop", house.node.stop()).await;
    assert!(slow.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_read_fresh_from_the_store() {
    let house = House::open().await;
    house.root.merge("live/irl-stream", &[("a", "like", 3)]);
    house.root.merge("live/irl-stream", &[("a", "like", -1)]);
    for path in ["/v1/topics/live%2Firl-stream", "/v1/topics/live/irl-stream"] {
        let view = house.read(path).await;
        assert_eq!((view.topic.as_str(), view.era, view.version), ("live/irl-stream", 0, 2));
        assert_eq!(total(&view, "a", "like"), Some(2));
    }
    for (path, status, code) in [
        ("/v1/topics/never", 404, "unknown_topic"),
        ("/v1/topics/%ff", 400, "bad_name"),
        ("/v1/topics/a%2", 400, "bad_name"),
        ("/v1/topics/a?wait=forever", 400, "bad_query"),
    ] {
        let (got, body) = house.get(path).await;
        let body: http::ErrorBody = serde_json::from_str(&body).unwrap();
        assert_eq!((got, body.error.code.as_str()), (status, code), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_watch_over_quic_may_not_over_http() {
    let access = Access::with_secret(&[7; 32]).unwrap();
    let token = |right| access.mint("a test", &[right], Duration::from_secs(60)).unwrap();
    let (watch, send) = (token(Right::Watch), token(Right::Send));
    let house = House::open_for(access.clone()).await;
    house.root.merge("t", &[("a", "like", 1)]);
    let base = format!("http://{}", house.http);
    for path in ["/v1/topics/t", "/v1/topics/t/stream"] {
        for (token, status) in [(None, 401), (Some("nonsense"), 401), (Some(send.as_str()), 403)] {
            let bearer = token.map(|t| format!("Bearer {t}"));
            let headers: Vec<_> = bearer.iter().map(|b| ("authorization", b.as_str())).collect();
            let answer = http::request("GET", &base, path, &headers, None).await.unwrap();
            assert_eq!(answer.status, status, "{path} {token:?}");
        }
    }
    assert_eq!(total(&house.read(&format!("/v1/topics/t?access_token={watch}")).await, "a", "like"), Some(1));
    let path = format!("/v1/topics/t/stream?access_token={watch}");
    assert_eq!(EventSource::open(&house, &path, None).await.next().await.unwrap().name, "snapshot");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_that_are_away_are_named_whether_or_not_the_reader_waits() {
    let house = House::open().await;
    house.root.merge("t", &[("a", "like", 1)]);
    assert_eq!(house.read("/v1/topics/t").await.away, vec![]);
    house.root.lose_leaf("leaf-1");
    let away = vec![name("leaf-1")];
    let waited = house.read("/v1/topics/t?wait=complete").await;
    assert_eq!(
        (total(&waited, "a", "like"), &waited.away),
        (Some(1), &away),
        "by the root's word of that moment"
    );
    soon("a view in which a leaf may be away", async {
        while house.read("/v1/topics/t").await.away != away {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_hears_of_a_leaf_that_is_away() {
    let house = House::open().await;
    house.root.merge("t", &[("a", "like", 1)]);
    let mut events = EventSource::open(&house, "/v1/topics/t/stream", None).await;
    assert_eq!(events.next().await.unwrap().view.away, vec![]);
    let mut viewer = Viewer::connect(&house).await;
    viewer.watch(&["t"]).await;
    viewer.ask_away().await;
    viewer.until("that none is away", |v| v.away == Some(Vec::new())).await;
    house.root.lose_leaf("leaf-1");
    let told = events.next().await.unwrap();
    assert_eq!((told.name.as_str(), told.id.as_str()), ("update", "0-1"));
    assert_eq!((told.view.away, told.view.counts.len()), (vec![name("leaf-1")], 0));
    viewer.until("that one is", |v| v.away == Some(vec![name("leaf-1")])).await;
    let mut late = EventSource::open(&house, "/v1/topics/t/stream", None).await;
    assert_eq!(late.next().await.unwrap().view.away, vec![name("leaf-1")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_root_reads_are_to_be_tried_again() {
    let house = House::open().await;
    house.root.vanish();
    house.until_metric("countree_broadcast_roots", |roots| roots == 0.0).await;
    assert!(house.node.trouble().is_some());
    let mut stream = TcpStream::connect(house.http).await.unwrap();
    stream.write_all(b"GET /v1/topics/t HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(TIMEOUT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n") && answer.contains("\"code\":\"unavailable\""), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_and_its_files_are_served_without_any_other_host() {
    let house = House::open().await;
    let (status, page) = house.get("/").await;
    assert_eq!(status, 200);
    let (script, style, totals) =
        (house.get("/live.js").await, house.get("/live.css").await, house.get("/totals.js").await);
    assert!([&script, &style, &totals].iter().all(|(status, body)| *status == 200 && body.len() > 500));
    for text in [&page, &script.1, &style.1, &totals.1] {
        let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"));
    }
}
