use super::*;
use countree_common::cluster::Tier;
use countree_common::ledger::Ledger;
use countree_common::time::WallMs;

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
}

impl Bench {
    fn new() -> Self {
        let now = Now { mono: Time(1_000_000), wall: WallMs(1_000_000) };
        let registrar = Registrar::new(LEASE, REFRESH);
        Self { registrar, now, down: false, loads: 0, saves: 0, replies: BTreeMap::new(), asked: 0 }
    }

    fn run(&mut self, stored: &mut Stored) {
        while let Some(output) = self.registrar.poll_output() {
            match output {
                RegistrarOutput::Load => {
                    self.loads += 1;
                    let result = if self.down { Err("down".into()) } else { Ok(stored.clone()) };
                    self.registrar.handle_loaded(result, self.now);
                }
                RegistrarOutput::Save { expected, text } => {
                    self.saves += 1;
                    let is_next = stored.as_ref().map_or(0, |(revision, _)| *revision) == expected;
                    if is_next && !self.down {
                        *stored = Some((expected + 1, text));
                    }
                    let result = if self.down { Err("down".into()) } else { Ok(is_next) };
                    self.registrar.handle_saved(result, self.now);
                }
                RegistrarOutput::Reply { ask, reply } => {
                    assert!(self.replies.insert(ask.0, reply).is_none(), "one answer for each question");
                }
                RegistrarOutput::View(view) => assert_eq!(view, self.registrar.view()),
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

fn join(called: &str) -> Ask {
    Ask::Join { name: name(called), at_least: 0 }
}

#[test]
fn two_roots_never_give_one_incarnation_twice() {
    let (mut one, mut two, mut stored) = (Bench::new(), Bench::new(), None);
    let mut given = Vec::new();
    for _ in 0..5 {
        for root in [&mut one, &mut two] {
            let Reply::Joined { incarnation } = root.answer(&mut stored, join("a")) else { panic!() };
            given.push(incarnation);
        }
    }
    assert_eq!(given, (1..=10).collect::<Vec<_>>());
}

#[test]
fn what_one_root_writes_the_other_shows() {
    let (mut one, mut two, mut stored) = (Bench::new(), Bench::new(), None);
    one.answer(&mut stored, Ask::Heartbeat(node("a")));
    two.answer(&mut stored, Ask::Heartbeat(node("b")));
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
    root.answer(&mut stored, Ask::Heartbeat(node("a")));
    let saves = root.saves;
    for _ in 0..150 {
        let id = root.ask(&mut stored, Ask::Heartbeat(node("a")));
        assert!(matches!(root.replies.get(&id), Some(Reply::View(view)) if view.nodes.len() == 1));
        root.pass(&mut stored, REFRESH);
    }
    assert_eq!(root.names(), ["a"], "a minute of heartbeats keeps the lease");
    assert!(root.saves - saves <= 30, "{} writes", root.saves - saves);
}

#[test]
fn many_changes_are_one_write() {
    let (mut root, mut stored) = (Bench::new(), None);
    root.answer(&mut stored, Ask::Heartbeat(node("first")));
    let saves = root.saves;
    let asks: Vec<_> = (0..100).map(|i| root.ask(&mut stored, join(&format!("n{i}")))).collect();
    root.pass(&mut stored, Duration::from_secs(1));
    assert!(asks.iter().all(|id| root.replies.contains_key(id)));
    assert!(root.saves - saves <= 2);
}

#[test]
fn a_silent_node_leaves_the_view_and_a_silent_store_empties_nothing() {
    let (mut root, mut stored) = (Bench::new(), None);
    root.answer(&mut stored, Ask::Heartbeat(node("a")));
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
    root.answer(&mut stored, Ask::Heartbeat(node("a")));
    let backup = stored.clone();
    root.answer(&mut stored, Ask::Heartbeat(node("b")));
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
    root.answer(&mut stored, Ask::Heartbeat(node("a")));
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
