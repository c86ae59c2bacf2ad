use super::*;

#[test]
fn a_node_is_told_all_roots_and_a_root_none() {
    let (folder, roots) = (Path::new("/x"), vec![4, 5]);
    let common = Common { folder, redis: Some(3), roots, window: None, tick: None, retention: None };
    let node = |kind| NodePlan { kind, number: 1, quic: 1, http: 2 }.settings(&common);
    assert!(node(ProcessKind::Leaf).contains("roots = [\"127.0.0.1:4\", \"127.0.0.1:5\"]"));
    assert!(node(ProcessKind::Leaf).contains("name = \"leaf-1\""));
    assert!(!node(ProcessKind::Root).contains("roots"));
}

#[test]
fn ports_differ_and_are_free() {
    let mut ports = Ports::default();
    let given: Vec<_> = (0..20).map(|_| ports.next().unwrap()).collect();
    let different: std::collections::BTreeSet<_> = given.iter().collect();
    assert_eq!(different.len(), given.len());
}
