use super::*;
use countree_common::cluster::Node;
use countree_common::key::{Item, Topic};
use countree_common::wire::rpc::NodeStats;

fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn node(called: &str, tier: Tier, stats: NodeStats) -> NodeStatus {
    let quic = "127.0.0.1:4433".parse().unwrap();
    NodeStatus {
        node: Node { name: name(called), tier, quic, http: None, incarnation: 1 },
        stats: Some(stats),
    }
}

fn status() -> Status {
    let busy = NodeStats { events_per_s: 40.0, connections: 2, ..NodeStats::default() };
    let nodes = vec![
        node("leaf-0", Tier::Leaf, busy.clone()),
        node("leaf-1", Tier::Leaf, busy),
        node("root-0", Tier::Root, NodeStats::default()),
        node("broadcast-0", Tier::Broadcast, NodeStats { connections: 1_200, ..NodeStats::default() }),
    ];
    Status { epoch: 7, nodes, away: Vec::new(), splits: Vec::new() }
}

#[test]
fn the_first_line_is_the_verdict_and_a_head_stands_above_the_nodes() {
    let text = Overview::of(name("local"), status()).show();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "healthy: 2 leaves, 1 root, 1 broadcast node; 80 events/s, 1,200 viewers");
    assert_eq!(lines[1], "cluster local, ring epoch 7");
    assert!(lines[2].starts_with("NODE ") && lines[3].starts_with("leaf-0 "), "{text}");
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let mut ill = status();
    ill.away = vec![name("leaf-2")];
    ill.nodes[2].stats.as_mut().unwrap().trouble = Some("the store is empty".into());
    ill.nodes[3].stats = None;
    let overview = Overview::of(name("local"), ill);
    assert!(!overview.healthy);
    let text = overview.show();
    assert!(text.starts_with("NOT HEALTHY: 2 leaves"), "{text}");
    for words in ["countree drain leaf-2 --dead", "root-0: the store is empty", "broadcast-0 has not said"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let nobody = Status { nodes: Vec::new(), ..status() };
    assert_eq!(problems(&nobody).len(), 3);
}

#[test]
fn programs_get_all_that_the_route_answers_and_the_verdict() {
    let overview = serde_json::to_value(Overview::of(name("local"), status())).unwrap();
    let serde_json::Value::Object(before) = serde_json::to_value(status()).unwrap() else { panic!() };
    assert!(before.iter().all(|(key, value)| overview[key] == *value), "{overview}");
    assert_eq!((&overview["healthy"], &overview["viewers"]), (&true.into(), &1_200.into()));
}

#[test]
fn names_can_not_move_a_terminals_cursor() {
    let mut status = status();
    let (topic, item) = (Topic::new("t\u{1b}[2J").unwrap(), Item::new("i\n\u{202e}").unwrap());
    status.nodes[0].stats.as_mut().unwrap().hot_items = vec![(topic, item, 9.0)];
    let text = Overview::of(name("local"), status).show();
    assert!(text.ends_with("\nhot item  t\\u{1b}[2J i\\n\\u{202e}  9 events/s"), "{text:?}");
}
