use super::*;
use crate::clock::now;
use std::path::Path;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(20);

fn sleeper(folder: &Path) -> ServerProcess {
    ServerProcess {
        name: "sleeper".into(),
        kind: ProcessKind::Leaf,
        url: None,
        program: "sleep".into(),
        arguments: vec!["600".into()],
        log: folder.join("log"),
        data: None,
        child: None,
    }
}

fn state(process: &ServerProcess) -> Option<char> {
    let id = process.child.as_ref()?.id();
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn eventually(mut is_so: impl FnMut() -> bool) {
    let deadline = now() + Duration::from_secs(20);
    while !is_so() {
        assert!(now() < deadline);
        std::thread::sleep(POLL);
    }
}

#[test]
fn a_process_is_paused_resumed_killed_and_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = sleeper(folder.path());
    process.act(Act::Start).unwrap();
    process.act(Act::Pause).unwrap();
    eventually(|| state(&process) == Some('T'));
    process.act(Act::Resume).unwrap();
    eventually(|| state(&process) == Some('S'));
    process.act(Act::Kill).unwrap();
    assert!(process.child.is_none() && !process.has_ended().unwrap());
    process.act(Act::Start).unwrap();
    process.act(Act::Terminate).unwrap();
    eventually(|| process.has_ended().unwrap());
}

#[test]
fn a_paused_process_ends_with_its_guard() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = sleeper(folder.path());
    process.act(Act::Start).unwrap();
    process.act(Act::Pause).unwrap();
    let id = process.child.as_ref().unwrap().id();
    drop(process);
    assert!(!Path::new(&format!("/proc/{id}")).exists());
}
