//! Tests a store that is changed, deleted, emptied or shared: it is refused or reported, never a wrong number.

use crate::cluster::Cluster;
use crate::redis::redis;

const EVENTS: i64 = 40;

fn manifest(store: &str) -> String {
    format!("[cluster]\nname = \"local\"\nstore = \"{store}\"\n[leaf]\nreplicas = 2\nretention = \"10s\"\n")
}

/// Counts some events, over both leaves.
fn count(cluster: &Cluster) {
    for item in 0..EVENTS {
        let (status, answer) = cluster.post(&format!(r#"{{"topic":"t","item":"i{item}","kind":"like"}}"#));
        assert_eq!(status, 202, "{answer}");
    }
    assert_eq!(cluster.sum("t", "like"), EVENTS);
}

/// A refusal says what to do.
fn says_what_to_do(error: &str) {
    assert!(error.contains("countree store copy") && error.contains("--adopt"), "{error}");
    assert!(error.contains("Nothing was changed"), "{error}");
}

#[test]
fn another_store_under_the_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_redis, port)) = redis(folder.path()) else { return };
    let mut cluster = Cluster::start_with(&manifest("embedded"));
    count(&cluster);
    cluster.stop();

    cluster.set_manifest(&manifest(&format!("redis://127.0.0.1:{port}")));
    says_what_to_do(&cluster.refused_start());
    cluster.set_manifest(&manifest("embedded"));
    cluster.start_again();
    assert_eq!(cluster.sum("t", "like"), EVENTS);
    cluster.stop();
}

#[test]
fn a_store_that_was_deleted_is_refused() {
    let mut cluster = Cluster::start_with(&manifest("embedded"));
    count(&cluster);
    cluster.stop();
    let store = cluster.data().join("store.redb");
    let kept = cluster.folder.path().join("kept");
    std::fs::rename(&store, &kept).unwrap();

    says_what_to_do(&cluster.refused_start());
    says_what_to_do(&cluster.refused_start());
    std::fs::rename(&kept, &store).unwrap();
    cluster.start_again();
    assert_eq!(cluster.sum("t", "like"), EVENTS);
    cluster.stop();
}
