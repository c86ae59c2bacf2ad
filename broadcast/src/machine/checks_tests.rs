use super::super::testing::*;
use super::super::{Format, Since, ViewerId};
use super::*;
use countree_common::document::Version;

fn checks(machine: &mut BroadcastMachine) -> Vec<CheckId> {
    machine.handle_arrivals(Time(0), |_| STREAM_ONLY);
    let check = |output| match output {
        Output::Check { check, topic: of } => {
            assert_eq!(of, topic("t"));
            Some(check)
        }
        _ => None,
    };
    drain(machine).into_iter().filter_map(check).collect()
}

/// A node that holds topic `t` at version 5-9, and viewers.
struct House {
    machine: BroadcastMachine,
    audience: Audience,
    viewers: u64,
}

impl House {
    fn new() -> Self {
        let mut house = Self { machine: connected(), audience: Audience::new(), viewers: 0 };
        house.comes(Since::Nothing);
        house.root_says((5, 9), 9);
        house.served();
        house
    }

    fn comes(&mut self, since: Since) -> ViewerId {
        self.viewers += 1;
        let viewer = self.audience.join(&mut self.machine, self.viewers, Format::Events);
        self.machine.handle_subscribe(viewer, vec![topic("t")], since, Time(0));
        viewer
    }

    fn root_says(&mut self, at: (u64, u64), total: i64) {
        self.machine.handle_from_root(&root("root-0"), from_root_snapshot("t", at, &[("a", total)]), Time(0));
    }

    fn store_says(&mut self, check: CheckId, at: (u64, u64), total: i64) {
        self.machine.handle_checked(check, Some(snapshot("t", at, &[("a", total)])), Time(0));
    }

    /// Serves everyone; returns the checks that are due then.
    fn served(&mut self) -> Vec<CheckId> {
        self.machine.handle_arrivals(Time(0), |_| STREAM_ONLY);
        let outputs = drain(&mut self.machine);
        self.audience.take(outputs.clone(), || false);
        let check = |output| if let Output::Check { check, .. } = output { Some(check) } else { None };
        outputs.into_iter().filter_map(check).collect()
    }

    fn seen(&self, viewer: ViewerId) -> (Version, Option<i64>) {
        let seen = self.audience.seen(viewer, "t");
        (seen.version, seen.total("a"))
    }
}

#[test]
fn a_viewer_that_holds_another_era_is_sent_this_one_once_the_store_says_that_it_is_the_later() {
    for era in [3, 7] {
        let mut house = House::new();
        let viewer = house.comes(Since::Held(version(era, 25)));
        let checks = house.served();
        assert_eq!((checks.len(), house.seen(viewer)), (1, (version(0, 0), None)));
        house.store_says(checks[0], (5, 10), 10);
        assert_eq!(house.served(), []);
        assert_eq!(house.seen(viewer), (version(5, 10), Some(10)));
    }
}

#[test]
fn a_node_that_lags_behind_what_a_viewer_has_seen_catches_up_before_it_sends_anything() {
    let mut house = House::new();
    let first = ViewerId(1);
    // The store was replaced, by one in a lower era; another node has told the viewer.
    let viewer = house.comes(Since::Held(version(3, 4)));
    let checks = house.served();
    house.store_says(checks[0], (3, 4), 4);
    house.served();
    assert_eq!(house.seen(viewer), (version(3, 4), None), "it has that");
    assert_eq!(house.seen(first), (version(3, 4), Some(4)));
    // The root, which does not know yet, changes nothing.
    house.root_says((5, 9), 9);
    let checks = house.served();
    assert_eq!((checks.len(), house.seen(first)), (1, (version(3, 4), Some(4))));
    house.store_says(checks[0], (3, 5), 5);
    house.machine.handle_tick(Time(0), |_| STREAM_ONLY);
    house.served();
    assert_eq!(house.seen(first), (version(3, 5), Some(5)));
    // Now it does.
    house.root_says((3, 6), 6);
    house.root_says((2, 1), 1);
    assert_eq!(house.served(), []);
    assert_eq!(house.seen(first), (version(2, 1), Some(1)));
}

#[test]
fn a_viewer_that_was_at_a_node_which_is_further_is_not_shown_less_of_the_same_era() {
    let mut house = House::new();
    let viewer = house.comes(Since::Held(version(5, 12)));
    let checks = house.served();
    assert_eq!((checks.len(), house.seen(viewer)), (1, (version(0, 0), None)), "this node is at 9");
    house.root_says((5, 11), 11);
    house.machine.handle_tick(Time(0), |_| STREAM_ONLY);
    assert_eq!((house.served(), house.seen(viewer)), (vec![], (version(0, 0), None)));
    house.store_says(checks[0], (5, 13), 13);
    house.served();
    assert_eq!(house.seen(viewer), (version(5, 13), Some(13)));
    // A viewer that claims a version which no store has gets the real one.
    let other = house.comes(Since::Held(version(5, 99)));
    let checks = house.served();
    house.store_says(checks[0], (5, 13), 13);
    house.served();
    assert_eq!(house.seen(other), (version(5, 13), Some(13)));
}

#[test]
fn a_node_that_lags_behind_a_store_that_has_nothing_of_the_topic_any_more_sends_nothing_of_before() {
    let mut house = House::new();
    let viewer = house.comes(Since::Held(version(0, 0)));
    let checks = house.served();
    assert_eq!((checks.len(), house.seen(viewer)), (1, (version(0, 0), None)));
    house.machine.handle_checked(checks[0], Some(snapshot("t", (0, 0), &[])), Time(0));
    house.served();
    assert_eq!(house.seen(viewer), (version(0, 0), None));
    assert_eq!(house.seen(ViewerId(1)), (version(0, 0), None));
}

#[test]
fn a_check_that_was_begun_before_a_viewer_came_says_nothing_to_it() {
    let mut house = House::new();
    house.comes(Since::Held(version(3, 4)));
    let first = house.served();
    let late = house.comes(Since::Held(version(4, 1)));
    assert_eq!(house.served(), [], "one at a time");
    house.store_says(first[0], (5, 9), 9);
    let second = house.served();
    assert_eq!((second.len(), house.seen(late)), (1, (version(0, 0), None)));
    house.store_says(second[0], (4, 2), 2);
    house.served();
    assert_eq!(house.seen(late), (version(4, 2), Some(2)));
}

#[test]
fn a_check_that_an_era_overtook_is_begun_anew() {
    let mut house = House::new();
    house.comes(Since::Held(version(3, 4)));
    let first = house.served();
    house.root_says((6, 1), 1);
    house.store_says(first[0], (5, 9), 9);
    let second = house.served();
    assert_eq!(second.len(), 1);
    house.store_says(second[0], (6, 1), 1);
    house.served();
    assert_eq!(house.seen(ViewerId(2)), (version(6, 1), Some(1)));
}

#[test]
fn what_no_root_could_answer_is_asked_again() {
    let mut house = House::new();
    let viewer = house.comes(Since::Held(version(3, 4)));
    let first = house.served();
    house.machine.handle_checked(first[0], None, Time(0));
    assert_eq!(checks(&mut house.machine), []);
    let later = Time(0) + CHECK_AGAIN;
    house.machine.handle_tick(later, |_| STREAM_ONLY);
    let again = house.served();
    assert_eq!(again.len(), 1);
    house.store_says(first[0], (8, 1), 1);
    assert_eq!(house.served(), [], "an answer that comes twice");
    house.store_says(again[0], (5, 9), 9);
    house.served();
    assert_eq!(house.seen(viewer), (version(5, 9), Some(9)));
}

#[test]
fn viewers_without_a_version_and_those_who_lag_behind_in_the_same_era_wait_for_nothing() {
    let mut house = House::new();
    for since in [Since::Nothing, Since::Held(version(5, 8))] {
        let viewer = house.comes(since);
        assert_eq!(house.served(), []);
        assert_eq!(house.seen(viewer), (version(5, 9), Some(9)), "{since:?}");
    }
}
