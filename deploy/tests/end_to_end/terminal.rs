//! Tests output on a terminal: escaped names, and log lines that name their node.

use crate::cluster::Cluster;
use crate::process::{TestProcess, countree};
use crate::waiting::{TIMEOUT, eventually};
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;

/// Clears a screen, ends a line, and turns text around.
const TOPIC: &str = "t\u{1b}[2J\n\u{202e}";

fn seen(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap() + &String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn names_can_not_work_the_terminal() {
    let cluster = Cluster::start();
    let run = |arguments: &[&str]| {
        let text = seen(&countree(&[arguments, &["--cluster", &cluster.url]].concat()));
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{arguments:?}: {text:?}");
        text
    };
    for arguments in [
        &["get", TOPIC][..],
        &["send", TOPIC, TOPIC, "like"],
        &["get", TOPIC],
        &["watch", TOPIC, "--for", "1s"],
        &["reset", TOPIC, TOPIC],
        &["audit", "--full"],
        &["forget", TOPIC],
        &["send", "t", "i", TOPIC],
    ] {
        assert!(!run(arguments).is_empty());
    }
    eventually("the status names the item", || run(&["status"]).contains("t\\u{1b}[2J\\n").then_some(()));
}

/// Modules whose log lines belong to one node. The store of a process belongs to all its roots.
const OF_NODES: [&str; 4] =
    [" countree_leaf::", " countree_root::machine", " countree_root::shell", " countree_broadcast::"];

#[test]
fn every_line_of_a_node_names_it_also_where_nodes_share_a_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_countree"))
        .args(["up", "--http", "127.0.0.1:0", "--data", folder.path().to_str().unwrap()])
        .env("COUNTREE_LOG", "countree_leaf=debug,countree_root=debug,countree_broadcast=debug,info")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (ready, log) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let mut process = TestProcess::of(child);
    let (line, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for text in BufReader::new(log).lines().map_while(Result::ok) {
            let _ = line.send(text);
        }
    });
    BufReader::new(ready).read_line(&mut String::new()).unwrap();
    process.signal("-INT");
    assert_eq!(process.wait(), Some(0));
    let mut named = [false; 2];
    while let Ok(text) = lines.recv_timeout(TIMEOUT) {
        if OF_NODES.iter().any(|module| text.contains(module)) {
            assert!(text.contains("node{name="), "{text}");
            named[0] |= text.contains("node{name=leaf-0}");
            named[1] |= text.contains("node{name=leaf-1}");
        }
    }
    assert_eq!(named, [true; 2]);
}
