//! Tests the live page in a real browser, by its title, which shows the totals.

use crate::cluster::Cluster;
use crate::process::TestProcess;
use crate::shared::command::skip;
use crate::waiting::eventually;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Opens a page in headless Chromium; `None`, noted as skipped, where it is not installed.
pub(crate) fn browse(url: &str, profile: &Path) -> Option<(TestProcess, u16)> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .args(["--disable-component-update", "--disable-sync"])
        .arg(format!("--remote-debugging-port={port}"))
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = child else {
        skip("no chromium");
        return None;
    };
    Some((TestProcess::of(child), port))
}

/// Reads the titles of the browser's pages over its debugging interface.
pub(crate) fn titles(port: u16) -> Option<Vec<String>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET /json/list HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").ok()?;
    let mut answer = String::new();
    let pages = loop {
        // The connection stays open, so the answer ends where its JSON is complete.
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        if let Ok(pages) = serde_json::from_str::<serde_json::Value>(body) {
            break pages;
        }
        let mut piece = [0; 4_096];
        let length = stream.read(&mut piece).ok().filter(|length| *length > 0)?;
        answer.push_str(&String::from_utf8_lossy(&piece[..length]));
    };
    Some(pages.as_array()?.iter().filter_map(|page| page["title"].as_str()).map(str::to_owned).collect())
}

#[test]
fn the_page_finds_the_topic_by_itself_and_shows_likes_as_they_come() {
    let cluster = Cluster::start();
    let Some((_browser, port)) = browse(&cluster.url, &cluster.folder.path().join("profile")) else { return };
    for likes in 1..=3 {
        cluster.tell(&["send", "demo", "post-1", "like"]);
        let wanted = format!("{likes} like · demo");
        let is_shown = |titles: Vec<String>| titles.iter().any(|title| title.starts_with(&wanted));
        eventually(&wanted, || titles(port).is_some_and(is_shown).then_some(()));
    }
}
