use super::super::testing::*;
use super::super::{Format, Output, Since};
use super::*;

fn others() -> Vec<(NodeName, SocketAddr)> {
    vec![(NodeName::new("broadcast-1").unwrap(), "10.0.0.1:4433".parse().unwrap())]
}

#[test]
fn viewers_are_told_once_where_to_go_and_served_until_they_have_gone() {
    let (mut machine, mut audience) = (connected(), Audience::new());
    let quick = audience.join(&mut machine, 1, Format::Frames);
    let slow = audience.join(&mut machine, 2, Format::Frames);
    let browser = audience.join(&mut machine, 3, Format::Events);
    for viewer in [quick, slow, browser] {
        machine.handle_subscribe(viewer, vec![topic("t")], Since::Nothing, Time(0));
    }
    machine.handle_from_root(&root("root-0"), from_root_snapshot("t", (0, 1), &[("a", 1)]), Time(0));
    machine.handle_arrivals(Time(0), |_| ROOMY);
    audience.take(drain(&mut machine), || false);

    machine.handle_leaving(others(), Duration::from_millis(500), Time(1));
    machine.handle_arrivals(Time(1), |viewer| if viewer == slow { NO_ROOM } else { ROOMY });
    let outputs = drain(&mut machine);
    let is_dismissed = |o: &Output| matches!(o, Output::Dismiss { viewer, .. } if *viewer == browser);
    assert!(outputs.iter().any(is_dismissed), "a viewer that can't be asked to move is dropped");
    audience.take(outputs, || false);
    let told = vec![vec![NodeName::new("broadcast-1").unwrap()]];
    assert_eq!((audience.moves.get(&quick), audience.moves.get(&slow)), (Some(&told), None));

    let change = from_root_update("t", (0, 1), (0, 2), &[("a", 2)]);
    machine.handle_from_root(&root("root-0"), change, Time(2));
    machine.handle_tick(Time(2), |_| ROOMY);
    audience.take(drain(&mut machine), || false);
    assert_eq!((audience.moves.get(&quick), audience.moves.get(&slow)), (Some(&told), Some(&told)));
    for viewer in [quick, slow] {
        assert_eq!(audience.seen(viewer, "t").total("a"), Some(2), "it is still served");
    }

    let late = audience.join(&mut machine, 4, Format::Frames);
    machine.handle_subscribe(late, vec![topic("t")], Since::Nothing, Time(3));
    machine.handle_arrivals(Time(3), |_| ROOMY);
    audience.take(drain(&mut machine), || false);
    assert_eq!(audience.moves.get(&late), Some(&told), "a viewer that comes now is asked to move, too");
    assert_eq!(audience.seen(late, "t").total("a"), Some(2));
}
