//! A failing run shrinks to a few faults, and what it shrinks to can be replayed.

use countree_sim::{Arguments, Flaw, Setting, run, shrink};

#[test]
fn a_failing_run_shrinks_and_what_is_left_fails_alike_when_it_is_replayed() {
    let setting = Setting { flaw: Some(Flaw::MergesForward), ..Setting::default() };
    let failed =
        (0..200).map(|seed| run(seed, &setting)).find(|run| run.broken.is_some() && run.injected.len() > 8);
    let failed = failed.unwrap();
    let shrunk = shrink(&failed, &setting, 300);
    assert!(shrunk.run.injected.len() <= 3, "{:?} of {:?}", shrunk.run.injected, failed.injected);
    assert!(shrunk.runs <= 300);

    let command = Arguments::of_seed(failed.seed, shrunk.setting).to_string();
    let arguments = Arguments::read(command.split_whitespace().map(str::to_owned)).unwrap();
    let replayed = run(arguments.first, &arguments.setting);
    assert_eq!(replayed, shrunk.run);
    assert_eq!(replayed.broken.unwrap().promise, failed.broken.unwrap().promise);

    let mended = Setting { flaw: None, ..arguments.setting };
    assert_eq!(run(failed.seed, &mended).broken, None, "without the flaw nothing is broken");
}

#[test]
fn shrinking_stops_when_its_runs_are_used_up() {
    let setting = Setting { flaw: Some(Flaw::EarlyDurable), ..Setting::default() };
    let failed = (0..200).map(|seed| run(seed, &setting)).find(|run| run.broken.is_some()).unwrap();
    let shrunk = shrink(&failed, &setting, 1);
    assert_eq!(shrunk.runs, 1);
    assert!(shrunk.run.broken.is_some());
}
