//! Tests a wiped or older store under viewers that have seen more: all of them show the new number at once.

use crate::cluster::Cluster;
use crate::page::{browse, titles};
use crate::waiting::{TIMEOUT, eventually};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;

fn like(cluster: &Cluster, times: usize) {
    let event = r#"{"topic":"demo","item":"post-1","kind":"like"}"#;
    let (status, answer) = cluster.post(&format!("[{}]", vec![event; times].join(",")));
    assert_eq!(status, 202, "{answer}");
}

fn total(view: &Value) -> Option<i64> {
    view["counts"]["post-1"]["like"].as_i64()
}

/// The next view that `watch` prints with this total.
fn watched(views: &mpsc::Receiver<Value>, wanted: i64) -> Value {
    loop {
        let view = views.recv_timeout(TIMEOUT).unwrap_or_else(|_| panic!("watch never shows {wanted}"));
        if total(&view) == Some(wanted) {
            return view;
        }
    }
}

/// Opens a stream with this last event id, and reads until it shows this total; returns its first event.
fn resumed(cluster: &Cluster, last_event_id: &str, wanted: i64) -> (String, Value) {
    let authority = cluster.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let head = format!(
        "GET /v1/topics/demo/stream HTTP/1.1\r\nhost: {authority}\r\nlast-event-id: {last_event_id}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let (mut name, mut first) = (String::new(), None);
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if let Some(event) = line.strip_prefix("event: ") {
            event.clone_into(&mut name);
        } else if let Some(data) = line.strip_prefix("data: ") {
            let view: Value = serde_json::from_str(data).unwrap();
            let is_it = total(&view) == Some(wanted);
            let first = first.get_or_insert((std::mem::take(&mut name), view));
            if is_it {
                return first.clone();
            }
        }
    }
    panic!("the stream never shows {wanted}");
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

#[test]
fn viewers_of_a_store_that_was_wiped_or_replaced_by_an_older_copy_show_the_new_number_at_once() {
    let mut cluster = Cluster::start();
    like(&cluster, 2);
    eventually("2 likes", || (cluster.sum("demo", "like") == 2).then_some(()));
    cluster.stop();
    let older = cluster.folder.path().join("older");
    copy(&cluster.data(), &older);
    cluster.start_again();
    like(&cluster, 23);

    let browser = browse(&format!("{}/?topic=demo", cluster.url), &cluster.folder.path().join("profile"));
    let is_shown = |wanted: &str| {
        let is_it = |titles: Vec<String>| titles.iter().any(|title| title.starts_with(wanted));
        let Some((_, port)) = &browser else { return };
        eventually(wanted, || titles(*port).is_some_and(is_it).then_some(()));
    };
    let mut watch = cluster.spawn(&["watch", "demo"]);
    let views = watch.lines();
    let before = watched(&views, 25);
    is_shown("25 like · demo");
    let mut held = format!("{}-{}", before["era"], before["version"]);

    // The older copy has 2, which no viewer here has seen; the wiped folder has none.
    for (is_older, wanted) in [(true, 6), (false, 4)] {
        cluster.stop();
        std::fs::remove_dir_all(cluster.data()).unwrap();
        if is_older {
            copy(&older, &cluster.data());
        }
        cluster.start_again();
        like(&cluster, 4);
        let view = watched(&views, wanted);
        is_shown(&format!("{wanted} like · demo"));
        let (name, event) = resumed(&cluster, &held, wanted);
        assert_eq!((name.as_str(), &event["era"]), ("snapshot", &view["era"]), "after {held}: {event}");
        held = format!("{}-{}", view["era"], view["version"]);
    }
    watch.signal("-INT");
}
