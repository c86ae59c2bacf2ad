//! Tests the client in Python, which was written from docs/protocol.md alone.

use crate::cluster::Cluster;
use crate::process::TestProcess;
use crate::shared::ROOT;
use crate::shared::command::run_in;
use crate::shared::python::python_with;
use crate::waiting::TIMEOUT;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;

/// Events that are acked between two disturbances.
const EVENTS: u64 = 500;

fn client() -> PathBuf {
    PathBuf::from(ROOT).join("client/python")
}

fn interpreter() -> Option<PathBuf> {
    python_with("client", &["aioquic>=1.2,<2"], "the client in Python")
}

#[test]
fn the_python_client_reads_and_writes_the_bytes_that_are_pinned() {
    let Some(python) = interpreter() else { return };
    let tests = ["-m", "unittest", "discover", "tests"];
    run_in(Command::new(python).args(tests).current_dir(client()).env("PYTHONPATH", client()), None).unwrap();
}

#[test]
fn the_python_client_counts_exactly_through_a_crash_and_a_leaf_that_leaves_and_watches_all_of_it() {
    let Some(python) = interpreter() else { return };
    let mut cluster = Cluster::start_with("[leaf]\nreplicas = 1\n");
    let mut child = Command::new(python)
        .arg(client().join("tests/waves.py"))
        .args([&cluster.url, "python"])
        .env("PYTHONPATH", client())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let until_end = child.stdin.take();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut process = TestProcess::of(child);
    let (tell, told) = mpsc::channel::<Value>();
    std::thread::spawn(move || lines.for_each(|line| drop(tell.send(serde_json::from_str(&line).unwrap()))));
    let next = || told.recv_timeout(TIMEOUT).expect("the client goes on");
    let mut acked = 0;
    let mut more = || {
        let enough = acked + EVENTS;
        while acked < enough {
            acked = next()["acked"].as_u64().unwrap();
        }
    };

    more();
    cluster.kill();
    cluster.start_again();
    more();
    // The client's leaf, the only one so far, leaves.
    cluster.apply("[leaf]\nreplicas = 2\n");
    let drained = cluster.tell(&["drain", "leaf-0"]);
    assert_eq!(drained["audit"]["balanced"], true, "{drained}");
    more();

    drop(until_end);
    let seen = loop {
        let line = next();
        match line["seen"].as_u64() {
            Some(seen) => break seen,
            None => acked = line["acked"].as_u64().unwrap(),
        }
    };
    assert_eq!(process.wait(), Some(0));
    assert_eq!(seen, acked);
    assert_eq!(cluster.sum("python", "like").unsigned_abs(), acked);
}
