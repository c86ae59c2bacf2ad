use super::*;
use crate::resize::State;
use countree_common::cluster::Node;

fn view(leaves: u32, roots: u32, broadcasts: u32) -> ClusterView {
    let tiers = [(Tier::Leaf, leaves), (Tier::Root, roots), (Tier::Broadcast, broadcasts)];
    let node = |tier: Tier, index: u32| Node {
        name: NodeName::new(&format!("{tier}-{index}")).unwrap(),
        tier,
        quic: "127.0.0.1:1".parse().unwrap(),
        http: None,
        incarnation: 1,
    };
    let nodes = tiers.into_iter().flat_map(|(tier, count)| (0..count).map(move |index| node(tier, index)));
    ClusterView { nodes: nodes.collect(), ..ClusterView::default() }
}

fn step(node: &str, action: Action) -> Step {
    Step { node: NodeName::new(node).unwrap(), action, state: State::Waiting, seconds: 0.0 }
}

#[test]
fn a_leaf_that_comes_or_goes_moves_its_share_and_at_most_a_tenth_more() {
    for (leaves, moved, ideal) in
        [(2, step("leaf-2", Action::Start), 1.0 / 3.0), (4, step("leaf-3", Action::Drain), 0.25)]
    {
        let moves = Moves::of(&view(leaves, 1, 1), &[moved], &BTreeMap::new());
        for share in [moves.items, moves.keys] {
            assert!((share.ideal - ideal).abs() < 1e-9, "{share:?}");
            assert!((share.moves - ideal).abs() < 0.1 * ideal + 0.01, "{share:?}");
        }
        assert_eq!((moves.topics.moves, moves.viewers.moves), (0.0, 0.0));
    }
}

#[test]
fn topics_move_with_roots_and_viewers_with_the_node_that_goes() {
    let steps = [step("root-1", Action::Start), step("broadcast-1", Action::Drain)];
    let viewers =
        [("broadcast-0", 70), ("broadcast-1", 30)].map(|(name, count)| (NodeName::new(name).unwrap(), count));
    let moves = Moves::of(&view(1, 1, 2), &steps, &viewers.into());
    assert!((moves.topics.moves - 0.5).abs() < 0.06, "{moves:?}");
    assert_eq!((moves.viewers.moves, moves.viewers.ideal), (0.3, 0.5));
    assert_eq!(moves.items.moves, 0.0);
}
