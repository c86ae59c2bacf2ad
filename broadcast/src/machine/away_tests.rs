use super::super::Since;
use super::super::testing::*;
use super::*;
use countree_common::time::Time;
use countree_common::wire::viewer::ToBroadcast;

struct House {
    machine: BroadcastMachine,
    audience: Audience,
}

impl House {
    /// A machine that holds a topic.
    fn new() -> Self {
        Self { machine: connected(), audience: Audience::new() }
    }

    fn watch(&mut self, id: u64, format: Format, since: Since) -> ViewerId {
        let viewer = self.audience.join(&mut self.machine, id, format);
        if format == Format::Frames {
            self.machine.handle_viewer(viewer, ToBroadcast::Away, Time(0));
        }
        self.machine.handle_subscribe(viewer, vec![topic("t")], since, Time(0));
        viewer
    }

    fn serve(&mut self, room: crate::machine::Room) -> Vec<Output> {
        self.machine.handle_arrivals(Time(0), |_| room);
        let outputs = drain(&mut self.machine);
        self.audience.take(outputs.clone(), || false);
        outputs
    }

    /// Returns the lists that the viewer was sent since the last call.
    fn told(&mut self, viewer: ViewerId) -> Vec<Vec<NodeName>> {
        self.audience.away.remove(&viewer).unwrap_or_default()
    }
}

fn leaf() -> Vec<NodeName> {
    vec![NodeName::new("leaf-1").unwrap()]
}

#[test]
fn everyone_is_told_who_is_away_at_first_and_when_it_changes() {
    let mut house = House::new();
    house.machine.handle_away(leaf());
    let viewers =
        [Format::Frames, Format::Events].map(|format| house.watch(format as u64, format, Since::Nothing));
    house.machine.handle_from_root(&root("root-0"), from_root_snapshot("t", (0, 1), &[("a", 1)]), Time(0));
    house.serve(STREAM_ONLY);
    viewers.into_iter().for_each(|viewer| assert_eq!(house.told(viewer), [leaf()]));
    house.machine.handle_away(leaf());
    assert_eq!(house.serve(STREAM_ONLY), []);

    house.machine.handle_away(Vec::new());
    house.serve(NO_ROOM);
    viewers.into_iter().for_each(|viewer| assert_eq!(house.told(viewer).len(), 0, "there is no room"));
    house.machine.handle_tick(Time(0), |_| STREAM_ONLY);
    house.serve(STREAM_ONLY);
    for viewer in viewers {
        assert_eq!(house.told(viewer), [Vec::new()]);
        assert_eq!(house.audience.seen(viewer, "t").total("a"), Some(1));
    }
}

#[test]
fn a_snapshot_that_is_shared_names_who_is_away_now() {
    let mut house = House::new();
    house.watch(1, Format::Events, Since::Nothing);
    house.machine.handle_from_root(&root("root-0"), from_root_snapshot("t", (0, 1), &[("a", 1)]), Time(0));
    let shared = |outputs: &[Output]| {
        outputs.iter().find_map(|output| match output {
            Output::Share { version, away, .. } => Some((*version, *away)),
            _ => None,
        })
    };
    let (version, away) = shared(&house.serve(STREAM_ONLY)).unwrap();
    let current = house.watch(2, Format::Events, Since::Sent(version, away));
    house.serve(STREAM_ONLY);
    assert_eq!(house.told(current).len(), 0, "the snapshot named it");

    house.machine.handle_away(leaf());
    assert!(house.serve(STREAM_ONLY).contains(&Output::Unshare { topic: topic("t") }));
    let late = house.watch(3, Format::Events, Since::Sent(version, away));
    house.serve(STREAM_ONLY);
    assert_eq!(house.told(late), [leaf()], "the snapshot was from before");
}

#[test]
fn viewers_of_earlier_releases_are_sent_nothing_that_they_do_not_know() {
    let mut house = House::new();
    house.machine.handle_away(leaf());
    let viewer = house.audience.join(&mut house.machine, 1, Format::Frames);
    house.machine.handle_subscribe(viewer, vec![topic("t")], Since::Nothing, Time(0));
    house.machine.handle_from_root(&root("root-0"), from_root_snapshot("t", (0, 1), &[("a", 1)]), Time(0));
    house.serve(STREAM_ONLY);
    house.machine.handle_away(Vec::new());
    house.serve(STREAM_ONLY);
    assert_eq!(house.told(viewer).len(), 0);
}
