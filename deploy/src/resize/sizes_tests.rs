use super::*;

fn running(names: &[&str]) -> BTreeMap<Tier, BTreeSet<NodeName>> {
    let mut tiers: BTreeMap<Tier, BTreeSet<NodeName>> = BTreeMap::new();
    for name in names {
        let name = NodeName::new(name).unwrap();
        tiers.entry(crate::host::tier_of(&name).unwrap()).or_default().insert(name);
    }
    tiers
}

fn told(names: &[&str], leaves: u32, roots: u32, broadcasts: u32) -> Vec<String> {
    let sizes = Sizes([(Tier::Leaf, leaves), (Tier::Root, roots), (Tier::Broadcast, broadcasts)].into());
    let steps = steps(&running(names), &sizes).unwrap();
    steps.iter().map(|step| format!("{:?} {}", step.action, step.node)).collect()
}

#[test]
fn nothing_is_done_where_nothing_changes() {
    assert!(told(&["leaf-0", "leaf-1", "root-0", "broadcast-0"], 2, 1, 1).is_empty());
}

#[test]
fn all_that_come_are_there_before_any_goes() {
    let steps = told(&["leaf-0", "root-0", "root-1", "broadcast-0", "broadcast-1"], 3, 1, 1);
    assert_eq!(steps, ["Start leaf-1", "Start leaf-2", "Drain broadcast-1", "Drain root-1"]);
}

#[test]
fn leaves_go_before_the_roots_that_merge_what_they_have_and_the_last_first() {
    let twelve: Vec<_> = (0..12).map(|index| format!("leaf-{index}")).collect();
    let names: Vec<_> =
        twelve.iter().map(String::as_str).chain(["root-0", "root-1", "broadcast-0"]).collect();
    let steps = told(&names, 9, 1, 1);
    assert_eq!(steps, ["Drain leaf-11", "Drain leaf-10", "Drain leaf-9", "Drain root-1"]);
}

#[test]
fn a_node_that_was_taken_out_by_hand_comes_back() {
    assert_eq!(told(&["leaf-1", "root-0", "broadcast-0"], 2, 1, 1), ["Start leaf-0"]);
}
