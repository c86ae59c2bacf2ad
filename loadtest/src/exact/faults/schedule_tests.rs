use super::*;

const STEP: Duration = Duration::from_millis(10);
const ALL: [Allowed; 8] = [
    Allowed::Kill,
    Allowed::Pause,
    Allowed::Stop,
    Allowed::Redis,
    Allowed::Away,
    Allowed::Forget,
    Allowed::Restore,
    Allowed::Disk,
];

fn kinds() -> Vec<ProcessKind> {
    [
        ProcessKind::Redis,
        ProcessKind::Root,
        ProcessKind::Leaf,
        ProcessKind::Leaf,
        ProcessKind::Leaf,
        ProcessKind::Broadcast,
    ]
    .into()
}

/// A schedule over processes that drain within 100 ms; checks on the way that each command fits the state.
fn run(seed: u64, allowed: &[Allowed], limit: Limit) -> (FaultSchedule, Vec<(Time, Command)>) {
    let mut schedule = FaultSchedule::new(seed, allowed.to_vec(), limit, kinds(), Time(0));
    let (mut now, mut journal) = (Time(0), Vec::new());
    let mut draining: BTreeMap<usize, Time> = BTreeMap::new();
    let mut running = [(true, false); 6];
    while !schedule.is_over(now) {
        assert!(now < Time(0) + Duration::from_secs(3_600), "it never ends");
        for command in schedule.handle_time(now) {
            let (is_running, is_paused) = &mut running[command.process];
            match command.act {
                Act::Start => assert!(!std::mem::replace(is_running, true)),
                Act::Resume => assert!(*is_running && std::mem::replace(is_paused, false)),
                Act::Pause => assert!(*is_running && !std::mem::replace(is_paused, true)),
                Act::Terminate => {
                    assert!(*is_running && !*is_paused);
                    draining.insert(command.process, now + 10 * STEP);
                }
                Act::Kill
                | Act::KillForLong
                | Act::KillAndForget(_)
                | Act::KillAndRestore
                | Act::KillAndLose => {
                    assert!(*is_running);
                    (*is_running, *is_paused) = (false, false);
                    draining.remove(&command.process);
                }
            }
            journal.push((now, command));
        }
        draining.retain(|&process, end| {
            let is_done = *end <= now;
            if is_done {
                running[process].0 = false;
                assert!(schedule.handle_exit(process, now));
            }
            !is_done
        });
        now = now + STEP;
    }
    assert!(running.iter().all(|state| *state == (true, false)));
    (schedule, journal)
}

#[test]
fn a_seed_makes_the_same_faults_again_and_another_seed_makes_others() {
    let journal = |seed| run(seed, &ALL, Limit::Kills(50)).1;
    assert_eq!(journal(1), journal(1));
    assert_ne!(journal(1), journal(2));
}

#[test]
fn there_are_as_many_kills_as_asked_for_and_each_tier_has_its_share() {
    let (schedule, _) = run(3, &ALL, Limit::Kills(400));
    assert_eq!(schedule.kills(), 400);
    for kind in [ProcessKind::Leaf, ProcessKind::Root, ProcessKind::Broadcast, ProcessKind::Redis] {
        assert!(schedule.done()[&(Fault::Kill, kind)] > 30, "{kind:?}");
        assert!(schedule.done()[&(Fault::Pause, kind)] > 10, "{kind:?}");
    }
    assert!(!schedule.done().contains_key(&(Fault::Stop, ProcessKind::Redis)));
}

#[test]
fn faults_keep_their_distance_and_come_as_long_as_anything_is_up() {
    let (_, journal) = run(4, &ALL, Limit::Kills(100));
    let undoes = |act| matches!(act, Act::Start | Act::Resume);
    let faults: Vec<_> = journal.iter().filter(|(_, c)| !undoes(c.act)).map(|(at, _)| *at).collect();
    let calm = |pair: &[Time]| pair[1].since(pair[0]).as_millis() as u64;
    assert!(faults.windows(2).all(|pair| calm(pair) >= *CALM_MS.start()));
    let (_, pauses) = run(4, &[Allowed::Pause], Limit::Until(Time(0) + Duration::from_secs(100)));
    let pauses: Vec<_> = pauses.iter().filter(|(_, c)| !undoes(c.act)).map(|(at, _)| *at).collect();
    assert!(pauses.windows(2).all(|pair| calm(pair) <= CALM_MS.end() + 10));
}

#[test]
fn only_what_is_allowed_is_done() {
    let end = Limit::Until(Time(0) + Duration::from_secs(60));
    let (schedule, _) = run(5, &[Allowed::Pause], end);
    assert!(schedule.count(Fault::Pause) > 20);
    assert_eq!((schedule.count(Fault::Kill), schedule.count(Fault::Stop)), (0, 0));
    let (schedule, _) = run(6, &[Allowed::Redis], Limit::Kills(5));
    assert!(schedule.done().keys().all(|(_, kind)| *kind == ProcessKind::Redis));
    let (schedule, journal) = run(6, &[Allowed::Disk], Limit::Kills(20));
    assert!(schedule.done().keys().all(|of| *of == (Fault::Disk, ProcessKind::Leaf)));
    let lost = journal.iter().filter(|(_, command)| command.act == Act::KillAndLose).count();
    assert!((1..20).contains(&lost), "older copies are put back, too");
}

#[test]
fn a_process_that_ends_by_itself_is_started_again() {
    let mut schedule = FaultSchedule::new(7, vec![], Limit::Kills(0), kinds(), Time(0));
    assert!(!schedule.handle_exit(2, Time(0)));
    assert!(!schedule.is_over(Time(0)));
    assert_eq!(schedule.handle_time(Time(0) + RESTART), [Command { process: 2, act: Act::Start }]);
    assert!(schedule.is_over(Time(0) + RESTART));
}

#[test]
fn a_drain_without_end_is_cut_short() {
    let mut schedule = FaultSchedule::new(8, vec![Allowed::Stop], Limit::Until(Time(1)), kinds(), Time(0));
    schedule.limit = Limit::Until(Time(0) + Duration::from_secs(2));
    let stopped = (0..200).find_map(|step| schedule.handle_time(Time(0) + STEP * step).pop()).unwrap();
    let end = Time(0) + Duration::from_secs(40);
    assert!(schedule.handle_time(end).contains(&Command { act: Act::Kill, ..stopped }));
}
