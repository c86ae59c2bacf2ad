//! Tests a leaf whose data folder was lost or replaced by an older copy: it notices.

use crate::cluster::Cluster;
use crate::waiting::eventually;
use std::path::Path;
use std::process::Command;

const ONE_LEAF: &str = "[cluster]\nname = \"folders\"\n[leaf]\nreplicas = 1\n";

fn post_keyed(cluster: &Cluster, key: u32) -> (u16, String) {
    let header = format!("idempotency-key: key-{key}\r\n");
    cluster.http("POST", "/v1/events", &header, br#"{"topic":"t","item":"i","kind":"like"}"#)
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// Counted events stay counted, earlier keys are in doubt, and the audit reports that something is missing until
/// an operator gives it up.
fn is_not_who_it_was(cluster: &Cluster, keys: std::ops::Range<u32>, total: i64) {
    for key in keys {
        let (status, body) = post_keyed(cluster, key);
        assert_eq!(status, 409, "{body}");
        assert!(body.contains("in_doubt"), "{body}");
    }
    let (audit, is_balanced) = cluster.ask(&["audit"]);
    assert!(!is_balanced && audit["balanced"] == false, "{audit}");
    assert_eq!(audit["away"], serde_json::json!(["leaf-0"]), "{audit}");
    assert_eq!(cluster.post(r#"{"topic":"t","item":"i","kind":"like"}"#).0, 202, "it goes on nevertheless");
    eventually("the new event is shown", || (cluster.sum("t", "like") == total + 1).then_some(()));

    cluster.tell(&["drain", "leaf-0", "--dead"]);
    // After two readings of the documents it is known how much of the lost log was merged.
    let audit = eventually("the audit balances", || {
        let (audit, is_balanced) = cluster.ask(&["audit"]);
        is_balanced.then_some(audit)
    });
    assert_eq!((&audit["away"], audit["given_up"].as_array().unwrap().len()), (&serde_json::json!([]), 1));
    assert_eq!(cluster.sum("t", "like"), total + 1, "once each");
}

#[test]
fn a_leaf_that_has_lost_its_folder_vouches_for_no_key() {
    let mut cluster = Cluster::start_with(ONE_LEAF);
    (0..4).for_each(|key| assert_eq!(post_keyed(&cluster, key).0, 202));
    cluster.settled_audit();
    cluster.kill();
    std::fs::remove_dir_all(cluster.data().join("leaf-0")).unwrap();
    cluster.start_again();
    is_not_who_it_was(&cluster, 0..4, 4);
}

#[test]
fn a_leaf_on_an_older_copy_of_its_folder_vouches_for_no_key() {
    let mut cluster = Cluster::start_with(ONE_LEAF);
    assert_eq!(post_keyed(&cluster, 0).0, 202);
    cluster.kill();
    let (folder, copied) = (cluster.data().join("leaf-0"), cluster.data().join("copy-of-leaf-0"));
    copy(&folder, &copied);
    cluster.start_again();
    (1..4).for_each(|key| assert_eq!(post_keyed(&cluster, key).0, 202));
    cluster.settled_audit();
    cluster.kill();
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::rename(&copied, &folder).unwrap();
    cluster.start_again();
    assert_eq!(post_keyed(&cluster, 0).0, 202, "that one is in the copy");
    is_not_who_it_was(&cluster, 1..4, 4);
}
