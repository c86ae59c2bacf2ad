use super::*;
use countree_common::cluster::{NodeName, Tier};
use countree_common::ledger::Ledger;
use countree_common::ledger::StreamLedger;
use countree_common::stream::StreamId;
use countree_common::time::Time;
use countree_common::time::WallMs;
use countree_common::wire::rpc::{KeyHandover, StreamProgress};
use std::collections::BTreeMap;

const LEASE: Duration = Duration::from_secs(5);
const REFRESH: Duration = Duration::from_millis(400);
/// The store's registry, as the conformance suite promises it.
type Stored = Option<(u64, String)>;

fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn node(called: &str) -> Node {
    let quic = "127.0.0.1:1".parse().unwrap();
    Node { name: name(called), tier: Tier::Leaf, quic, http: None, incarnation: 1 }
}

/// A registrar before a store that answers at once, unless it is down.
struct Bench {
    registrar: Registrar,
    now: Now,
    down: bool,
    loads: usize,
    saves: usize,
    replies: BTreeMap<u64, Reply>,
    asked: u64,
    confirmed: Time,
    fell_back: Duration,
}

impl Bench {
    fn new() -> Self {
        Self::salted(0)
    }

    fn salted(salt: u64) -> Self {
        let now = Now { mono: Time(1_000_000), wall: WallMs(1_000_000) };
        let registrar = Registrar::new(LEASE, REFRESH, salt);
        let (replies, confirmed) = (BTreeMap::new(), Time(0));
        let fell_back = Duration::ZERO;
        Self { registrar, now, down: false, loads: 0, saves: 0, replies, asked: 0, confirmed, fell_back }
    }

    fn run(&mut self, stored: &mut Stored) {
        while let Some(output) = self.registrar.poll_output() {
            match output {
                RegistrarOutput::Load => {
                    self.loads += 1;
                    let result = if self.down { Err("down".into()) } else { Ok(stored.clone()) };
                    self.registrar.handle_loaded(result, self.now);
                }
                RegistrarOutput::Save { expected, next, text } => {
                    self.saves += 1;
                    let is_next = stored.as_ref().map_or(0, |(revision, _)| *revision) == expected;
                    if is_next && !self.down {
                        *stored = Some((next, text));
                    }
                    let result = if self.down { Err("down".into()) } else { Ok(is_next) };
                    self.registrar.handle_saved(result, self.now);
                }
                RegistrarOutput::Reply { ask, reply } => {
                    assert!(self.replies.insert(ask.0, reply).is_none(), "one answer for each question");
                }
                RegistrarOutput::FellBack(by) => self.fell_back = self.fell_back.max(by),
                RegistrarOutput::View(view) => assert_eq!(view, self.registrar.view()),
                RegistrarOutput::Confirmed(asked) => {
                    assert!(asked >= self.confirmed, "time goes on");
                    self.confirmed = asked;
                }
            }
        }
    }

    fn pass(&mut self, stored: &mut Stored, time: Duration) {
        let steps = time.as_millis() / 50;
        for _ in 0..steps {
            self.now.mono = self.now.mono + Duration::from_millis(50);
            self.now.wall = self.now.wall + Duration::from_millis(50);
            self.registrar.handle_tick(self.now);
            self.run(stored);
        }
    }

    fn ask(&mut self, stored: &mut Stored, ask: Ask) -> u64 {
        self.asked += 1;
        self.registrar.handle_ask(AskId(self.asked), ask, self.now);
        self.run(stored);
        self.asked
    }

    /// Asks, and lets time pass until the answer is there.
    fn answer(&mut self, stored: &mut Stored, ask: Ask) -> Reply {
        let id = self.ask(stored, ask);
        self.pass(stored, Duration::from_secs(1));
        self.replies.remove(&id).unwrap()
    }

    fn names(&self) -> Vec<String> {
        self.registrar.view().nodes.iter().map(|n| n.name.to_string()).collect()
    }
}

fn beat(called: &str) -> Ask {
    beat_at(called, 0)
}

fn beat_at(called: &str, epoch: u64) -> Ask {
    Ask::Heartbeat { node: node(called), epoch, reached: None }
}

fn join(called: &str) -> Ask {
    Ask::Join { name: name(called), tier: Tier::Leaf, at_least: 0 }
}

#[test]
fn a_registry_that_is_gone_is_put_back() {
    let (mut root, mut stored) = (Bench::new(), None);
    assert!(matches!(root.answer(&mut stored, join("a")), Reply::Joined { incarnation: 1, .. }));
    stored = None;
    root.pass(&mut stored, Duration::from_secs(1));
    assert!(stored.is_some(), "nobody has to ask for it");
    assert!(matches!(root.answer(&mut stored, join("a")), Reply::Joined { incarnation: 2, .. }));
    assert_eq!(root.fell_back, Duration::ZERO, "that is told otherwise");
}

#[test]
fn a_registry_that_is_older_by_more_than_its_last_writes_is_told_of() {
    let (mut root, mut stored) = (Bench::new(), None);
    root.answer(&mut stored, beat("a"));
    let older = stored.clone();
    for _ in 0..30 {
        root.ask(&mut stored, beat("a"));
        root.pass(&mut stored, Duration::from_secs(1));
    }
    assert_eq!(root.fell_back, Duration::ZERO);
    stored = older;
    root.pass(&mut stored, Duration::from_secs(1));
    assert!(
        root.fell_back > Duration::from_secs(20) && root.fell_back < Duration::from_secs(35),
        "{:?}",
        root.fell_back
    );
}

#[test]
fn the_members_of_a_registry_that_went_back_are_told_once_all_have_said_again_that_they_live() {
    let (mut root, mut stored) = (Bench::new(), None);
    root.answer(&mut stored, beat("a"));
    let older = stored.clone();
    root.answer(&mut stored, beat("b"));
    stored = older;
    assert!(matches!(root.answer(&mut stored, Ask::Members), Reply::Failed(_)), "b is missing");
    root.answer(&mut stored, beat("b"));
    root.pass(&mut stored, LEASE);
    root.answer(&mut stored, beat("a"));
    assert!(matches!(root.answer(&mut stored, Ask::Members), Reply::Members { .. }));
}

#[test]
fn a_store_that_is_not_this_clusters_is_neither_read_nor_written() {
    let (mut root, mut stored) = (Bench::new(), None);
    root.answer(&mut stored, beat("a"));
    let waits = root.ask(&mut stored, join("b"));
    root.registrar.handle_fence(Some("it is another's".into()), root.now);
    root.run(&mut stored);
    let (loads, saves, kept) = (root.loads, root.saves, stored.clone());
    for ask in [join("c"), beat("a"), Ask::AuditRecords] {
        let answered = root.answer(&mut stored, ask);
        assert_eq!(answered, Reply::Failed("it is another's".into()));
    }
    assert!(root.replies.contains_key(&waits), "nobody waits for it");
    assert_eq!((root.loads, root.saves, &stored), (loads, saves, &kept));
    root.registrar.handle_fence(None, root.now);
    root.run(&mut stored);
    assert!(matches!(root.answer(&mut stored, join("c")), Reply::Joined { .. }));
}

#[test]
fn leases_go_by_time_that_passes_and_not_by_a_wall_clock() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let (mut root, mut stored) = (Bench::new(), None);
    root.answer(&mut stored, beat("a"));
    root.answer(&mut stored, beat("b"));
    let live = |root: &mut Bench, stored: &mut Stored, names: &[&str], time: Duration| {
        for _ in 0..time.as_millis() / 400 {
            for name in names {
                root.ask(stored, beat(name));
            }
            root.pass(stored, Duration::from_millis(400));
        }
    };
    live(&mut root, &mut stored, &["a", "b"], LEASE * 2);
    root.now.wall = root.now.wall + HOUR;
    live(&mut root, &mut stored, &["a", "b"], Duration::from_secs(3));
    assert_eq!(root.names(), ["a", "b"], "nobody is out because the clock is ahead");
    root.now.wall = WallMs(root.now.wall.0 - HOUR.as_millis() as u64);
    live(&mut root, &mut stored, &["a"], LEASE + Duration::from_secs(2));
    assert_eq!(root.names(), ["a"], "nor is anybody listed for an hour");

    // Another root, with a clock of its own, goes by the same time.
    let mut other = Bench::new();
    other.now.wall = WallMs(1);
    live(&mut other, &mut stored, &["a"], LEASE * 3);
    assert_eq!(other.names(), ["a"]);
    live(&mut other, &mut stored, &["c"], LEASE * 3);
    assert_eq!(other.names(), ["c"]);
}

#[test]
fn when_a_leaf_was_last_heard_of_goes_by_the_registrys_time() {
    let (mut root, mut stored) = (Bench::new(), None);
    root.answer(&mut stored, beat("a"));
    let begun = root.now.wall;
    root.now.wall = WallMs(1);
    let ledger = Ledger { accepted: 3, ..Ledger::default() };
    let reached = Some(StreamProgress { last: 3, ledger });
    for _ in 0..10 {
        root.ask(&mut stored, Ask::Heartbeat { node: node("a"), epoch: 0, reached });
        root.pass(&mut stored, Duration::from_millis(400));
    }
    root.pass(&mut stored, LEASE * 2);
    assert!(matches!(root.answer(&mut stored, Ask::Forget(name("a"))), Reply::Done));
    let Reply::AuditRecords(records) = root.answer(&mut stored, Ask::AuditRecords) else { panic!() };
    let heard: Vec<_> = records.given_up.iter().map(|given_up| given_up.heard_at).collect();
    assert!(heard.len() == 1 && heard[0] > begun, "{heard:?}, not by the wall clock, which was stepped back");
}

#[test]
fn a_registry_without_a_clock_gets_one_and_leases_that_were_ahead_end_like_others() {
    let (mut root, mut stored) = (Bench::new(), None);
    root.answer(&mut stored, beat("a"));
    let Some((_, text)) = &mut stored else { panic!() };
    let mut document: serde_json::Value = serde_json::from_str(text).unwrap();
    let registry = &mut document["registry"];
    registry.as_object_mut().unwrap().remove("time");
    registry["members"]["a"]["lease_until"] = u64::from(u32::MAX).into();
    *text = document.to_string();
    let mut later = Bench::new();
    later.pass(&mut stored, LEASE);
    assert_eq!(later.names(), ["a"]);
    later.pass(&mut stored, LEASE);
    assert!(later.names().is_empty());
}

#[test]
fn two_roots_never_give_one_incarnation_twice() {
    let (mut one, mut two, mut stored) = (Bench::new(), Bench::new(), None);
    let mut given = Vec::new();
    for _ in 0..5 {
        for root in [&mut one, &mut two] {
            let Reply::Joined { incarnation, .. } = root.answer(&mut stored, join("a")) else { panic!() };
            given.push(incarnation);
        }
    }
    assert_eq!(given, (1..=10).collect::<Vec<_>>());
}

#[test]
fn what_one_root_writes_the_other_shows() {
    let (mut one, mut two, mut stored) = (Bench::new(), Bench::new(), None);
    one.answer(&mut stored, beat("a"));
    two.answer(&mut stored, beat("b"));
    one.pass(&mut stored, REFRESH);
    assert_eq!(
        (one.names(), two.names()),
        (vec!["a".to_owned(), "b".into()], vec!["a".to_owned(), "b".into()])
    );
    assert_eq!(one.registrar.view(), two.registrar.view());
}

#[test]
fn steady_heartbeats_are_answered_at_once_and_written_seldom() {
    let (mut root, mut stored) = (Bench::new(), None);
    root.answer(&mut stored, beat("a"));
    let saves = root.saves;
    for _ in 0..150 {
        let id = root.ask(&mut stored, beat("a"));
        assert!(matches!(root.replies.get(&id), Some(Reply::View(view)) if view.nodes.len() == 1));
        root.pass(&mut stored, REFRESH);
    }
    assert_eq!(root.names(), ["a"], "a minute of heartbeats keeps the lease");
    assert!(root.saves - saves <= 30, "{} writes", root.saves - saves);
}

#[test]
fn many_changes_are_one_write() {
    let (mut root, mut stored) = (Bench::new(), None);
    root.answer(&mut stored, beat("first"));
    let saves = root.saves;
    let asks: Vec<_> = (0..100).map(|i| root.ask(&mut stored, join(&format!("n{i}")))).collect();
    root.pass(&mut stored, Duration::from_secs(1));
    assert!(asks.iter().all(|id| root.replies.contains_key(id)));
    assert!(root.saves - saves <= 2);
}

#[test]
fn a_silent_node_leaves_the_view_and_a_silent_store_empties_nothing() {
    let (mut root, mut stored) = (Bench::new(), None);
    root.answer(&mut stored, beat("a"));
    root.down = true;
    root.pass(&mut stored, 2 * LEASE);
    assert!(matches!(root.answer(&mut stored, join("b")), Reply::Failed(reason) if reason == "down"));
    root.down = false;
    root.pass(&mut stored, LEASE / 2);
    assert_eq!(root.names(), ["a"], "its lease ran out while nobody could renew it");
    root.pass(&mut stored, LEASE);
    assert_eq!(root.names(), [""; 0]);
}

#[test]
fn a_store_that_forgot_an_epoch_is_put_ahead_of_it() {
    let (mut root, mut stored) = (Bench::new(), None);
    root.answer(&mut stored, beat("a"));
    let backup = stored.clone();
    root.answer(&mut stored, beat("b"));
    let seen = root.registrar.view().epoch;
    stored = backup;
    root.pass(&mut stored, Duration::from_secs(1));
    assert!(root.registrar.view().epoch > seen);
    assert_eq!(root.names(), ["a"]);
}

#[test]
fn ledgers_are_read_from_the_store_itself() {
    let (mut one, mut two, mut stored) = (Bench::new(), Bench::new(), None);
    one.answer(&mut stored, join("a"));
    two.answer(&mut stored, join("b"));
    let ledger = Ledger { accepted: 3, merged: 3, ..Ledger::default() };
    let ledgers = vec![StreamLedger { stream: "a/1".parse().unwrap(), sealed: true, ledger }];
    assert_eq!(one.answer(&mut stored, Ask::Retire(ledgers.clone())), Reply::Done);
    let id = two.ask(&mut stored, Ask::Ledgers);
    assert_eq!(two.replies.get(&id), Some(&Reply::Ledgers(ledgers)), "without waiting for a refresh");
}

#[test]
fn leaving_takes_effect_before_it_is_answered() {
    let (mut root, mut stored) = (Bench::new(), None);
    root.answer(&mut stored, beat("a"));
    for _ in 0..2 {
        assert!(
            matches!(root.answer(&mut stored, Ask::Leave(name("a"))), Reply::View(view) if view.nodes.is_empty())
        );
    }
    let (_, text) = stored.unwrap();
    assert!(Registry::from_text(&text).unwrap().view().nodes.is_empty());
}

#[test]
fn a_damaged_registry_is_not_overwritten() {
    let (mut root, mut stored) = (Bench::new(), Some((4, "nonsense".to_owned())));
    assert!(
        matches!(root.answer(&mut stored, join("a")), Reply::Failed(reason) if reason.contains("damaged"))
    );
    assert_eq!(stored, Some((4, "nonsense".to_owned())));
}

#[test]
fn an_epoch_that_a_node_has_seen_is_exceeded() {
    let (mut root, mut stored) = (Bench::new(), None);
    root.answer(&mut stored, beat("a"));
    let backup = stored.clone();
    root.answer(&mut stored, beat("b"));
    root.answer(&mut stored, beat("c"));
    let seen = root.registrar.view().epoch;

    // The store falls back, and the root that knew restarts.
    stored = backup;
    let mut root = Bench::new();
    let reply = root.answer(&mut stored, beat_at("a", seen));
    assert!(matches!(&reply, Reply::View(view) if view.epoch > seen), "{reply:?}");
    let epoch = root.registrar.view().epoch;
    root.answer(&mut stored, beat_at("a", epoch));
    assert_eq!(root.registrar.view().epoch, epoch, "once");
}

#[test]
fn roots_that_know_of_nothing_do_not_give_the_same_epochs() {
    let epochs = |salt| {
        let (mut root, mut stored) = (Bench::salted(salt), None);
        let views = ["a", "b"].map(|name| root.answer(&mut stored, beat(name)));
        views.map(|reply| if let Reply::View(view) = reply { view.epoch } else { panic!() })
    };
    let (one, two) = (epochs(700), epochs(3 * LEAP + 90_000));
    assert_eq!(one[1] - one[0], 1, "only the first change skips any");
    assert!(one.iter().all(|epoch| !two.contains(epoch)), "{one:?} {two:?}");
}

#[test]
fn a_leaf_settles_once_its_keys_are_with_those_that_own_them() {
    let (mut root, mut stored) = (Bench::new(), None);
    for name in ["a", "b"] {
        root.answer(&mut stored, beat(name));
    }
    let settled = |successors: &[&str]| Ask::Settled {
        stream: StreamId { leaf: name("a"), incarnation: 1 },
        handover: KeyHandover {
            successors: successors.iter().map(|successor| name(successor)).collect(),
            epoch: u64::MAX,
            is_empty: false,
        },
    };
    let refused = root.answer(&mut stored, settled(&[]));
    assert!(matches!(&refused, Reply::Failed(why) if why.contains("[b]")), "{refused:?}");
    assert_eq!(root.names(), ["a", "b"]);
    for _ in 0..2 {
        assert_eq!(root.answer(&mut stored, settled(&["b"])), Reply::Drained { keeps_keys: false });
    }
    assert_eq!(root.names(), ["b"]);
}

#[test]
fn a_save_that_is_late_does_not_go_in_after_the_store_fell_back_and_came_so_far_again() {
    let revisions = |salt: u64| {
        let (mut bench, mut stored) = (Bench::salted(salt), None);
        let mut revisions = Vec::new();
        for name in ["a", "b", "c"] {
            let at_least = 0;
            bench.ask(
                &mut stored,
                Ask::Join { name: NodeName::new(name).unwrap(), tier: Tier::Leaf, at_least },
            );
            bench.pass(&mut stored, Duration::from_millis(500));
            revisions.push(stored.as_ref().unwrap().0);
        }
        // The same root, and the same state as at first.
        stored = None;
        for name in ["a", "b", "c"] {
            bench.ask(
                &mut stored,
                Ask::Join { name: NodeName::new(name).unwrap(), tier: Tier::Leaf, at_least: 0 },
            );
            bench.pass(&mut stored, Duration::from_millis(500));
            revisions.push(stored.as_ref().unwrap().0);
        }
        revisions
    };
    let mut all: Vec<u64> = [1, 2, 3].into_iter().flat_map(revisions).collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count, "no revision comes twice: {all:?}");
}
