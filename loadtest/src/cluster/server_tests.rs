use super::*;
use crate::cluster::Cluster;
use std::os::unix::fs::PermissionsExt;

/// A file that is being written can't be run, and a process that another test forks just then holds it open.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A stand-in for the binary: what `countree up` does is not tested here, only what is made of it.
fn script(folder: &tempfile::TempDir, body: &str) -> Target {
    let path = folder.path().join("countree");
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Target { countree: Some(path), ..Target::default() }
}

#[tokio::test]
async fn the_process_ends_with_its_guard_and_was_told_so() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let body = format!(
        "trap 'echo > {}; exit' TERM\necho '{{\"ready\":true,\"http\":\"http://h:1\"}}'\nwhile :; do sleep 0.01; done",
        told.display()
    );
    let server = Server::start(&script(&folder, &body)).await.unwrap();
    assert_eq!(server.url, "http://h:1");
    let process = server.id().to_string();
    assert!(Path::new("/proc").join(&process).exists());
    drop(server);
    assert!(!Path::new("/proc").join(&process).exists());
    assert!(told.exists());
}

#[tokio::test]
async fn a_cluster_that_does_not_come_up_has_the_last_word() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let failure = Server::start(&script(&folder, "echo 'countree: the disk is full' >&2; exit 1")).await;
    let text = format!("{:?}", failure.unwrap_err());
    assert!(text.contains("the disk is full"), "{text}");
}

#[tokio::test]
async fn a_binary_that_is_not_there_is_asked_for() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let missing = Target { countree: Some(folder.path().join("nothing")), ..script(&folder, "") };
    let text = format!("{:?}", Server::start(&missing).await.unwrap_err());
    assert!(text.contains("cargo build --release --workspace"), "{text}");
}

#[tokio::test]
async fn a_cluster_that_ends_in_the_middle_is_noticed() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let body = "echo '{\"ready\":true,\"http\":\"http://h:1\"}'; echo 'the log is damaged' >&2; exit 3";
    let cluster = Cluster::start(&script(&folder, body)).await.unwrap();
    let text = format!("{:?}", cluster.ended().await);
    assert!(text.contains("ended in the middle") && text.contains("the log is damaged"), "{text}");
}
