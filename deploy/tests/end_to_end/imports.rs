//! Tests export and import: each row counts once, even when nodes are killed in the middle.

use crate::cluster::Cluster;
use crate::process::countree;
use crate::waiting::eventually;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

type Totals = BTreeMap<(String, String, String), i64>;

fn export(cluster: &Cluster, topics: &[&str]) -> Totals {
    let output = countree(&[&["export", "--cluster", &cluster.url], topics].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let total = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let name = |key: &str| row[key].as_str().unwrap().to_owned();
        let total = row["total"].as_i64().unwrap();
        let exact = (total.unsigned_abs() >= 1 << 53).then(|| total.to_string());
        assert_eq!(row["exact"].as_str().map(str::to_owned), exact);
        ((name("topic"), name("item"), name("kind")), total)
    };
    text.lines().map(total).collect()
}

fn write(cluster: &Cluster, name: &str, text: &str) -> PathBuf {
    let path = cluster.folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A CSV whose rows of one topic lie far apart; their totals tell which of them are missing.
fn rows(count: i64) -> (String, Totals) {
    let (mut text, mut totals) = ("topic,item,kind,total\n".to_owned(), Totals::new());
    for n in 0..count {
        let (topic, item, total) = (format!("t{}", n % 70), format!("i\"{}", n % 11), n * n - 1_000);
        let _ = writeln!(text, "{topic},\"{}\",like,{total}", item.replace('"', "\"\""));
        *totals.entry((topic, item, "like".to_owned())).or_default() += total;
    }
    (text, totals)
}

fn all_zero(totals: &Totals) -> bool {
    totals.values().all(|total| *total == 0)
}

#[test]
fn what_is_exported_is_what_an_import_puts_in() {
    let from = Cluster::start();
    let events = [
        ("t:%/☃", "i,\"", "k", 5),
        ("t:%/☃", "i,\"", "l", -7),
        ("z", "a\nb", "k", 9_007_199_254_740_000_i64),
    ];
    for (topic, item, kind, delta) in events {
        let event = serde_json::json!({ "topic": topic, "item": item, "kind": kind, "delta": delta });
        for _ in 0..3 {
            assert_eq!(from.post(&event.to_string()).0, 202);
        }
    }
    from.settled_audit();
    let exported = export(&from, &[]);
    assert_eq!(exported.values().copied().collect::<Vec<_>>(), [15, -21, 27_021_597_764_220_000]);
    assert_eq!(export(&from, &["z"]).len(), 1);
    from.refused(&["export", "never"]);

    let output = countree(&["export", "--cluster", &from.url]);
    let mut to = Cluster::start();
    let file = write(&to, "totals.ndjson", &String::from_utf8(output.stdout).unwrap());
    let file = file.to_str().unwrap();
    for _ in 0..2 {
        assert_eq!(to.tell(&["import", file])["rows"], 3);
        assert_eq!(export(&to, &[]), exported, "a repeat counts nothing again");
    }
    assert_eq!(to.settled_audit()["accepted"], 3);
    to.stop();
    to.start_again();
    to.tell(&["send", "z", "a\nb", "k", "1"]);
    assert_eq!(to.tell(&["import", file])["rows"], 3, "nor does one after a restart");
    assert_eq!(to.sum("z", "k"), 27_021_597_764_220_001);
    let other = write(&to, "other.csv", "topic,item,kind,total\nz,i,k,1\n");
    let error = to.refused(&["import", other.to_str().unwrap(), "--undo"]);
    assert!(error.contains("there is no import"), "{error}");
    to.tell(&["import", other.to_str().unwrap(), "--id", "mine"]);
    let error = to.refused(&["import", file, "--id", "mine"]);
    assert!(error.contains("of another file"), "{error}");
}

#[test]
fn bad_rows_are_named_and_nothing_is_imported() {
    let cluster = Cluster::start();
    let good = |n: u32| format!("{{\"topic\":\"t\",\"item\":\"i\",\"kind\":\"k\",\"total\":{n}}}\n");
    let long = "x".repeat(129);
    let text = [
        good(1),
        "\n".into(),
        good(2).replace("\"i\"", "\"\""),
        good(3).replace("\"t\"", &format!("\"{long}\"")),
        good(4).replace('4', "4.5"),
        good(5).replace("total", "sum"),
        good(6).replace('6', "4611686018427387905"),
        good(7),
    ];
    let file = write(&cluster, "bad.ndjson", &text.concat());
    let output = countree(&["import", "--cluster", &cluster.url, file.to_str().unwrap()]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), error.lines().count()), (Some(1), 6), "{error}");
    for line in [3, 4, 5, 6, 7] {
        assert!(error.contains(&format!("bad.ndjson: line {line}: ")), "{error}");
    }
    assert!(error.contains("5 rows can't be used: nothing was imported"), "{error}");
    let csv = write(&cluster, "bad.csv", "topic,item,kind,total\nt,i,k,1\nt,i,k\nt,i,k,one\n");
    let output = countree(&["import", "--cluster", &cluster.url, csv.to_str().unwrap()]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("line 3: ") && error.contains("line 4: 'one' is no total"), "{error}");
    let strange = write(&cluster, "strange.csv", "a,b\n1,2\n");
    assert!(cluster.refused(&["import", strange.to_str().unwrap()]).contains("topic,item,kind,total"));
    assert_eq!(cluster.http("GET", "/v1/topics/t", "", b"").0, 404, "nothing was counted");
}

#[test]
fn an_import_goes_on_where_it_was_killed_and_counts_each_row_once() {
    let mut cluster = Cluster::start_with("[leaf]\nreplicas = 2\n[root]\nreplicas = 2\n");
    let (text, totals) = rows(40_000);
    let file = write(&cluster, "totals.csv", &text);
    let file = file.to_str().unwrap().to_owned();
    let there = |cluster: &Cluster| cluster.http("GET", "/v1/topics/t0", "", b"").1;
    // The importer dies, then the cluster under another one.
    for kills_cluster in [false, true, false] {
        let before = there(&cluster);
        let mut importing = cluster.spawn(&["import", &file]);
        eventually("more rows are in", || (there(&cluster) != before).then_some(()));
        if kills_cluster {
            cluster.kill();
            cluster.start_again();
            let (lines, is_success) = importing.finish();
            assert!(is_success, "{lines:?}");
            break;
        }
        importing.kill();
    }
    assert_eq!(cluster.tell(&["import", &file])["rows"], 40_000);
    assert_eq!(export(&cluster, &[]), totals);
    assert_eq!(cluster.settled_audit()["accepted"], 40_000);
}

#[test]
fn an_import_is_undone_by_half_and_in_whole() {
    let cluster = Cluster::start();
    let (text, totals) = rows(30_000);
    let file = write(&cluster, "totals.csv", &text);
    let file = file.to_str().unwrap();
    cluster.tell(&["send", "t1", "i\"1", "like", "77"]);
    let mut importing = cluster.spawn(&["import", file, "--id", "half"]);
    eventually("some rows are in", || (cluster.http("GET", "/v1/topics/t0", "", b"").0 == 200).then_some(()));
    importing.kill();
    let mut undoing = cluster.spawn(&["import", file, "--id", "half", "--undo"]);
    eventually("some are out again", || {
        let view: Value = serde_json::from_str(&cluster.http("GET", "/v1/topics/t0", "", b"").1).unwrap();
        let kinds = view["counts"].as_object().unwrap().values();
        kinds.into_iter().all(|kinds| kinds["like"] == 0).then_some(())
    });
    undoing.kill();
    let undone = cluster.tell(&["import", file, "--id", "half", "--undo"]);
    assert_eq!(undone["undone"], true);
    let mut left = export(&cluster, &[]);
    assert_eq!(left.insert(("t1".into(), "i\"1".into(), "like".into()), 0), Some(77));
    assert!(all_zero(&left), "{left:?}");
    assert!(cluster.refused(&["import", file, "--id", "half"]).contains("was undone"));

    cluster.tell(&["import", file]);
    let mut wanted = totals;
    *wanted.get_mut(&("t1".into(), "i\"1".into(), "like".into())).unwrap() += 77;
    assert_eq!(export(&cluster, &[]), wanted);
    assert_eq!(cluster.tell(&["import", file, "--undo"])["rows"], 30_000);
    assert_eq!(cluster.sum("t1", "like"), 77);
    let audit = cluster.settled_audit();
    assert_eq!(audit["accepted"].as_i64(), Some(1 + 2 * 30_000 + 2 * undone["rows"].as_i64().unwrap()));
}
