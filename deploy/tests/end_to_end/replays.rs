//! Tests traces with bad rows: good rows are counted, and bad ones are reported.

use crate::cluster::Cluster;
use crate::process::last_line;
use crate::waiting::eventually;
use serde_json::Value;
use std::path::PathBuf;

const HEADER: &str = "t_ms,topic,item,kind,delta,actor\n";

fn trace(cluster: &Cluster, rows: &[u8]) -> PathBuf {
    let path = cluster.folder.path().join("trace.csv");
    std::fs::write(&path, [HEADER.as_bytes(), rows].concat()).unwrap();
    path
}

/// Plays a trace at full speed; returns the tally, the exit code, and standard error.
fn replay(cluster: &Cluster, rows: &[u8], more: &[&str]) -> (Value, i32, String) {
    let path = trace(cluster, rows);
    let output = cluster.run(&[&["replay", path.to_str().unwrap(), "--speed", "max"], more].concat());
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    (last_line(&output), output.status.code().unwrap(), errors)
}

#[test]
fn rows_that_cannot_be_used_are_named_by_line_and_the_others_counted() {
    let cluster = Cluster::start();
    let mut rows = String::new();
    let mut bad = Vec::new();
    for row in 0..10_000 {
        // 155 of them, here and there.
        let is_bad = row % 64 == 7 && bad.len() < 155;
        let item = if is_bad { "x".repeat(129) } else { format!("item-{}", row % 10) };
        rows += &format!("{row},long,{item},like,1,1\n");
        if is_bad {
            // The header is line 1.
            bad.push(row + 2);
        }
    }
    let (tally, code, errors) = replay(&cluster, rows.as_bytes(), &[]);
    assert_eq!(code, 1, "{errors}");
    assert_eq!((&tally["acked"], &tally["rejected"]), (&9_845.into(), &155.into()), "{tally}");
    assert_eq!(cluster.sum("long", "like"), 9_845);
    let (last, named) =
        errors.lines().collect::<Vec<_>>().split_last().map(|(l, n)| (*l, n.to_vec())).unwrap();
    let expected: Vec<_> =
        bad.iter().map(|line| format!("line {line}: item has 129 bytes; it takes 1 to 128")).collect();
    assert_eq!(named, expected);
    assert!(last.contains("155 rows can't be used and are not counted"), "{last}");

    let (tally, code, errors) =
        replay(&cluster, b"0,bad,a,like,1,1\n1,bad,a,like,x,1\n2,bad,a,like,0,1\n", &[]);
    assert_eq!((code, &tally["acked"]), (1, &1.into()), "{errors}");
    assert!(errors.contains("line 3: delta is 'x'") && errors.contains("line 4: delta is 0"), "{errors}");
}

#[test]
fn a_long_list_of_bad_rows_is_cut_and_the_rest_counted() {
    let cluster = Cluster::start();
    let (tally, code, errors) = replay(&cluster, "0,t,i,like,0,1\n".repeat(1_234).as_bytes(), &[]);
    assert_eq!((code, &tally["rejected"]), (1, &1_234.into()));
    assert_eq!(errors.lines().count(), 1_001);
    assert!(
        errors.contains("1234 rows can't be used") && errors.contains("234 of them not named"),
        "{errors}"
    );
}

#[test]
fn a_bad_byte_ends_with_a_tally_and_says_where_to_go_on() {
    let cluster = Cluster::start();
    let good = "0,t,p,like,1,0\n".repeat(20_000);
    let rows = [good.as_bytes(), b"0,t,caf\xe9,like,1,0\n", "0,t,q,like,1,0\n".repeat(7).as_bytes()].concat();
    let (tally, code, errors) = replay(&cluster, &rows, &[]);
    assert_eq!((code, &tally["acked"], &tally["next_line"]), (1, &20_000.into(), &20_002.into()), "{errors}");
    assert_eq!(cluster.sum("t", "like"), 20_000);
    assert_eq!(errors.lines().count(), 1, "{errors}");
    for words in ["line 20002", "UTF-8", "--from-line 20002", "--from-line 20003"] {
        assert!(errors.contains(words), "{errors}");
    }
    let (tally, code, errors) = replay(&cluster, &rows, &["--from-line", "20003"]);
    assert_eq!((code, &tally["acked"], &tally["next_line"]), (0, &7.into(), &Value::Null), "{errors}");
    assert_eq!(cluster.sum("t", "like"), 20_007);
}

#[test]
fn a_trace_that_counts_from_1970_starts_at_once_and_can_be_stopped_and_gone_on_with() {
    let cluster = Cluster::start();
    let start = 1_700_000_000_000u64;
    let rows =
        format!("{start},t,p,like,1,0\n{},t,p,like,1,0\n{},t,p,like,1,0\n", start + 10, start + 3_600_000);
    let path = trace(&cluster, rows.as_bytes());
    let running = cluster.spawn(&["replay", path.to_str().unwrap(), "--speed", "1x"]);
    eventually("two events are counted", || {
        (cluster.ask(&["get", "t"]).0["counts"]["p"]["like"] == 2).then_some(())
    });
    running.signal("-INT");
    let (lines, is_success) = running.finish();
    let tally = lines.last().unwrap();
    assert_eq!((is_success, &tally["acked"], &tally["next_line"]), (false, &2.into(), &4.into()), "{tally}");
    cluster.tell(&["replay", path.to_str().unwrap(), "--speed", "1x", "--from-line", "4"]);
    assert_eq!(cluster.sum("t", "like"), 3);
}
