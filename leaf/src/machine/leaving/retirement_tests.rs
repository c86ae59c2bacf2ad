use super::*;
use crate::testing::{Chance, Rig, TestStore, config, counter};

/// A leaf that has started again, and whose old stream is merged; what it hands over, and remembers on disk.
fn restarted() -> (Rig, Vec<StreamLedger>) {
    let (mut rig, ledgers) = handing_over();
    rig.sync();
    (rig, ledgers)
}

/// The same before that is on disk.
fn handing_over() -> (Rig, Vec<StreamLedger>) {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 1, &[(counter("t", "a"), 1)]);
    rig.sync();
    rig.crash(&mut Chance::new(1));
    rig.connect_root();
    rig.merge_all(&mut TestStore::new(true));
    rig.sync();
    rig.pass(100);
    let handed_over = retired(&mut rig).expect("the old stream is merged");
    (rig, handed_over)
}

fn retired(rig: &mut Rig) -> Option<Vec<StreamLedger>> {
    let output = rig.take(|o| matches!(o, Output::Retire(_))).pop();
    output.map(|output| if let Output::Retire(ledgers) = output { ledgers } else { Vec::new() })
}

fn dropped(rig: &mut Rig) -> usize {
    rig.take(|o| matches!(o, Output::DropStream(_))).len()
}

#[test]
fn a_log_goes_once_the_registry_has_shown_that_it_kept_the_ledger() {
    let (mut rig, ledgers) = restarted();
    rig.machine.handle_retired(rig.now, &ledgers[0].stream);
    rig.pass(1_900);
    assert_eq!((rig.calls().len(), dropped(&mut rig)), (0, 0), "the registry may still forget it");
    rig.pass(200);
    let calls = rig.calls();
    let [(call, Callee::Root, Request::Ledgers)] = &calls[..] else { panic!("{calls:?}") };
    rig.reply(*call, Some(Reply::Ledgers(ledgers)));
    assert_eq!(dropped(&mut rig), 1);
}

#[test]
fn a_leaf_remembers_the_ledger_of_a_log_that_is_gone_also_when_it_starts_again() {
    let (mut rig, ledgers) = restarted();
    rig.machine.handle_retired(rig.now, &ledgers[0].stream);
    rig.pass(2_100);
    let call = rig.calls()[0].0;
    rig.reply(call, Some(Reply::Ledgers(ledgers.clone())));
    assert_eq!(dropped(&mut rig), 1);
    let remembered =
        |rig: &Rig| rig.machine.known_ledgers().into_iter().find(|of| of.stream == ledgers[0].stream);
    assert_eq!(remembered(&rig).map(|of| of.ledger), Some(ledgers[0].ledger));
    rig.disk.streams.remove(&ledgers[0].stream.incarnation);
    rig.crash(&mut Chance::new(1));
    assert_eq!(remembered(&rig).map(|of| of.ledger), Some(ledgers[0].ledger));
}

#[test]
fn a_log_stays_until_its_ledger_is_remembered_on_disk() {
    let (mut rig, ledgers) = handing_over();
    rig.machine.handle_retired(rig.now, &ledgers[0].stream);
    rig.pass(2_100);
    assert_eq!(rig.calls(), []);
    rig.sync();
    rig.pass(100);
    assert_eq!(rig.calls().len(), 1);
}

#[test]
fn a_ledger_that_the_registry_forgot_is_handed_over_again() {
    let (mut rig, ledgers) = restarted();
    rig.machine.handle_retired(rig.now, &ledgers[0].stream);
    rig.pass(2_100);
    let call = rig.calls()[0].0;
    rig.reply(call, Some(Reply::Ledgers(Vec::new())));
    assert_eq!(dropped(&mut rig), 0);
    rig.pass(100);
    assert_eq!(retired(&mut rig), Some(ledgers));
}

#[test]
fn a_registry_that_does_not_answer_is_asked_again() {
    let (mut rig, ledgers) = restarted();
    rig.machine.handle_retire_failed();
    rig.pass(100);
    assert_eq!(retired(&mut rig).as_ref(), Some(&ledgers));
    rig.machine.handle_retired(rig.now, &ledgers[0].stream);
    for _ in 0..3 {
        rig.pass(2_100);
        let calls = rig.calls();
        assert_eq!(calls.len(), 1);
        rig.reply(calls[0].0, None);
    }
    assert_eq!((retired(&mut rig), dropped(&mut rig)), (None, 0));
}

#[test]
fn the_oldest_ledgers_are_one_sum() {
    let (_, ledgers) = restarted();
    let at = |incarnation| {
        let mut ledger = ledgers[0].clone();
        ledger.stream.incarnation = incarnation;
        ledger
    };
    assert!(are_kept(&[at(1), at(3)], &[at(0), at(2), at(3)]));
    assert!(!are_kept(&[at(4)], &[at(0), at(2), at(3)]));
    assert!(!are_kept(&[at(1)], &[at(0)]), "nothing says that the sum holds it");
}
