//! Tests backups of a running embedded store and their restore, and topics in Redis with an interrupted merge.

use crate::cluster::Cluster;
use crate::process::countree;
use crate::redis::redis;
use crate::trace;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const TOPIC: &str = "live/made-up";
const BEFORE: i64 = 4_000;

fn play(cluster: &Cluster, events: usize) {
    let trace = trace::make(cluster.folder.path(), events);
    cluster.tell(&["replay", trace.to_str().unwrap(), "--speed", "max"]);
}

/// A backup that was made between two batches of events, the second while it was made.
fn backed_up(cluster: &Cluster) -> std::path::PathBuf {
    play(cluster, BEFORE as usize);
    assert_eq!(cluster.sum(TOPIC, "comment"), BEFORE);
    let folder = cluster.folder.path().join("backup");
    let backup = cluster.tell(&["backup", folder.to_str().unwrap()]);
    let file = folder.join("store.redb").metadata().unwrap();
    assert_eq!(backup["bytes"].as_u64(), Some(file.len()));
    assert_eq!(folder.metadata().unwrap().mode() & 0o777, 0o700, "the authority's key is in it");
    assert!(cluster.refused(&["backup", folder.to_str().unwrap()]).contains("is there already"));
    folder
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

#[test]
fn a_lost_machine_is_restored_from_a_backup() {
    let mut cluster = Cluster::start();
    let backup = backed_up(&cluster);
    cluster.tell(&["send", TOPIC, "later", "comment"]);
    cluster.kill();
    std::fs::remove_dir_all(cluster.data()).unwrap();
    copy_folder(&backup, &cluster.data());
    cluster.start_again();
    assert_eq!(cluster.sum(TOPIC, "comment"), BEFORE, "what was there at the time of the backup");
    cluster.tell(&["send", TOPIC, "new", "comment"]);
    assert_eq!(cluster.sum(TOPIC, "comment"), BEFORE + 1);
}

#[test]
fn a_lost_store_is_put_back_and_what_the_logs_have_no_more_is_declared() {
    let mut cluster = Cluster::start();
    let backup = backed_up(&cluster);
    let later = 300;
    for _ in 0..later {
        assert_eq!(cluster.post(&format!(r#"{{"topic":"{TOPIC}","item":"later","kind":"comment"}}"#)).0, 202);
    }
    assert_eq!(cluster.sum(TOPIC, "comment"), BEFORE + later);
    cluster.stop();
    std::fs::copy(backup.join("store.redb"), cluster.data().join("store.redb")).unwrap();
    cluster.start_again();
    let shown = cluster.sum(TOPIC, "comment");
    assert!((BEFORE..=BEFORE + later).contains(&shown), "{shown}");
    let (audit, _) = cluster.ask(&["audit"]);
    assert_eq!(shown + audit["declared_lost"].as_i64().unwrap(), BEFORE + later, "{audit}");
}

#[test]
fn a_backup_goes_on_while_events_do() {
    let mut cluster = Cluster::start();
    let trace = trace::make(cluster.folder.path(), 20_000);
    let replay = cluster.spawn(&["replay", trace.to_str().unwrap(), "--speed", "max"]);
    let backups: Vec<_> = (0..5).map(|n| cluster.folder.path().join(format!("backup {n}"))).collect();
    for backup in &backups {
        cluster.tell(&["backup", backup.to_str().unwrap()]);
    }
    assert!(replay.finish().1);
    assert_eq!(cluster.sum(TOPIC, "comment"), 20_000);
    cluster.stop();
    let mut before = 0;
    for backup in &backups {
        std::fs::remove_dir_all(cluster.data()).unwrap();
        copy_folder(backup, &cluster.data());
        cluster.start_again();
        let (view, is_there) = cluster.ask(&["get", TOPIC]);
        let items = if is_there { view["counts"].as_object().unwrap().len() as i64 } else { 0 };
        assert!((before..=20_000).contains(&items), "each is a state that was: {items}");
        before = items;
        cluster.stop();
    }
}

#[test]
fn a_half_topic_takes_the_operators_word() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_redis, port)) = redis(folder.path()) else { return };
    let url = format!("redis://127.0.0.1:{port}");
    let cluster = Cluster::start_with(&format!("[cluster]\nstore = \"{url}\"\n"));
    cluster.tell(&["send", "t", "i", "like", "5"]);
    assert_eq!(cluster.sum("t", "like"), 5);
    let mend = |more: &[&str]| {
        let output = countree(&[&["store", "mend", &url, "t", "--json"], more].concat());
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    assert!(mend(&[]).1.contains("\"whole\""));
    let half = ["-p", &port.to_string(), "HSET", "countree:local:topic:t", "version", "half of 7"];
    assert!(std::process::Command::new("redis-cli").args(half).output().unwrap().status.success());
    let (code, said) = mend(&[]);
    assert!(code == Some(1) && said.contains("--accept") && said.contains("Nothing was changed"), "{said}");
    assert!(!cluster.ask(&["get", "t"]).1);
    assert!(mend(&["--accept"]).1.contains("\"accepted\""));
    assert_eq!(cluster.tell(&["get", "t"])["version"], 7);
}
