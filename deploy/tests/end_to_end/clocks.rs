//! Tests clocks that are stepped forward and back under a running cluster. `faketime` steps wall clocks and leaves
//! monotonic clocks alone, as an operator or a time server does.

use crate::cluster::Cluster;
use crate::shared::command::skip;
use crate::waiting::eventually;
use std::path::{Path, PathBuf};

/// A clock that a test can step.
pub(crate) struct Clock {
    /// The file with the offset, which is read at each look at the clock.
    file: PathBuf,
}

impl Clock {
    /// The environment variables for the processes; `None` where `faketime` is not installed.
    fn of(folder: &Path) -> Option<(Self, Vec<(String, String)>)> {
        let library =
            std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok).find_map(|architecture| {
                let path = architecture.path().join("faketime/libfaketimeMT.so.1");
                path.exists().then_some(path)
            })?;
        let clock = Self { file: folder.join("clock") };
        clock.step("+0s");
        let set = [
            ("LD_PRELOAD", library.to_str()?),
            ("FAKETIME_TIMESTAMP_FILE", clock.file.to_str()?),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let set = set.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some((clock, set.into()))
    }

    /// Sets the clock's offset.
    fn step(&self, offset: &str) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, offset).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }
}

/// A cluster and its clock.
fn cluster(manifest: &str) -> Option<(Cluster, Clock)> {
    let folder = tempfile::tempdir().unwrap();
    let Some((clock, set)) = Clock::of(folder.path()) else {
        skip("clocks that are stepped (no faketime)");
        return None;
    };
    Some((Cluster::start_under(folder, manifest, set), clock))
}

fn event(topic: &str) -> String {
    format!(r#"{{"topic":"{topic}","item":"i","kind":"like"}}"#)
}

fn complete(cluster: &Cluster, topic: &str) -> serde_json::Value {
    let (status, body) = cluster.http("GET", &format!("/v1/topics/{topic}?wait=complete"), "", b"");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn what_was_acked_is_read_whichever_way_the_clock_goes() {
    let Some((cluster, clock)) = cluster("[cluster]\nwindow = \"300ms\"\n[leaf]\nreplicas = 2\n") else {
        return;
    };
    assert_eq!(cluster.post(&event("t")).0, 202);
    // Totals have been called complete up to some time by now.
    eventually("complete_to", || complete(&cluster, "t")["complete_to"].as_u64().filter(|at| *at > 0));
    for (count, offset) in (2..).zip(["-60s", "+0s", "-3600s", "+3600s", "+0s", "-60s"]) {
        clock.step(offset);
        assert_eq!(cluster.post(&event("t")).0, 202);
        assert_eq!(complete(&cluster, "t")["counts"]["i"]["like"], count, "after {offset}");
    }
}

#[test]
fn totals_are_complete_to_what_they_say_whichever_way_the_clock_goes() {
    let Some((cluster, clock)) = cluster("[leaf]\nreplicas = 2\n") else { return };
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let mut acked = Vec::new();
    for offset in ["+0s", "-60s", "+20m", "+0s"] {
        clock.step(offset);
        for _ in 0..3 {
            assert_eq!(cluster.post(&event("t")).0, 202);
            acked.push(now());
            let last = acked.last().copied().unwrap_or_default();
            eventually("complete_to passes the last ack", || {
                let (status, body) = cluster.http("GET", "/v1/topics/t", "", b"");
                if status != 200 {
                    return None;
                }
                let view: serde_json::Value = serde_json::from_str(&body).unwrap();
                let (to, shown) =
                    (view["complete_to"].as_u64().unwrap(), view["counts"]["i"]["like"].as_u64());
                assert!(to <= now(), "{to} is to come, after {offset}");
                let claimed = acked.iter().filter(|at| **at < to).count() as u64;
                assert!(shown.unwrap_or_default() >= claimed, "{body} of {acked:?}, after {offset}");
                (to > last).then_some(())
            });
        }
    }
}

fn post_keyed(cluster: &Cluster, topic: &str, key: &str) {
    let header = format!("idempotency-key: {key}\r\n");
    let (status, body) = cluster.http("POST", "/v1/events", &header, event(topic).as_bytes());
    assert_eq!(status, 202, "{body}");
}

#[test]
fn keys_are_remembered_whichever_way_the_clock_goes() {
    let Some((mut cluster, clock)) = cluster("[leaf]\nreplicas = 2\n") else { return };
    // One of each leaf at least, nearly always.
    let keys: Vec<String> = (0..8).map(|i| format!("key-{i}")).collect();
    keys.iter().for_each(|key| post_keyed(&cluster, "t", key));
    for offset in ["+20m", "+48h", "+0s", "-20m"] {
        clock.step(offset);
        keys.iter().for_each(|key| post_keyed(&cluster, "t", key));
        assert_eq!(complete(&cluster, "t")["counts"]["i"]["like"], 8, "after {offset}");
    }
    // What was used while the clock was an hour ahead is remembered for no longer than anything else.
    clock.step("+3600s");
    cluster.kill();
    cluster.start_again();
    keys.iter().for_each(|key| post_keyed(&cluster, "t", key));
    assert_eq!(complete(&cluster, "t")["counts"]["i"]["like"], 8, "after a restart under another clock");
    eventually("the steps are counted", || {
        clock.step("+0s");
        let (_, metrics) = cluster.http("GET", "/metrics", "", b"");
        let mut steps = metrics.lines().filter(|line| line.starts_with("countree_clock_steps_total{"));
        steps.any(|line| !line.ends_with(" 0")).then_some(())
    });
}

#[test]
fn a_long_window_holds_nobody_up_who_wants_to_read_what_was_acked() {
    let cluster = Cluster::start_with("[cluster]\nwindow = \"20s\"\n[leaf]\nreplicas = 2\n");
    for count in 1..=5 {
        assert_eq!(cluster.post(&event("t")).0, 202);
        let began = std::time::Instant::now();
        assert_eq!(complete(&cluster, "t")["counts"]["i"]["like"], count);
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }
    assert_eq!(cluster.tell(&["reset", "t"])["reset"], true, "nor anybody who resets it");
    assert_eq!(complete(&cluster, "t")["counts"]["i"]["like"], 0);
}
