//! A whole log, small and real, damaged in every way that takes one cut or one bit. Recovery refuses it, or
//! finds each stream as it was after some record: never a sum, a session or a key that never was.

use super::testing::{Writing, fast_folder, open};
use super::*;
use crate::log::carried::Carried;
use crate::log::recut::Stretch;
use crate::machine::LeafConfig;
use crate::testing::{Chance, Rig, TestDisk, config, counter};
use countree_common::key::Counter;
use countree_common::session::{Seq, SessionId};
use countree_common::time::{Now, Time, WallMs};
use countree_common::wire::producer::ToLeaf;
use countree_common::wire::rpc::Idempotency;
use std::collections::BTreeSet;

type Sums = BTreeMap<Counter, i64>;

/// The content of a stream up to some record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Held {
    sums: Sums,
    events: u64,
    sessions: BTreeMap<SessionId, Seq>,
    keys: BTreeSet<u128>,
}

/// One stream as it came to be: what it held after each record that changed something.
#[derive(Debug, Default)]
struct History {
    steps: Vec<(Lsn, Held)>,
    /// The end of the checkpoint that carries on what the streams before it knew.
    carried_at: Lsn,
    end: Lsn,
    /// The last LSN that its last record knew to be on disk.
    proven: Lsn,
}

impl History {
    fn at(&self, end: Lsn) -> Held {
        let step = self.steps.iter().rev().find(|(lsn, _)| *lsn <= end);
        step.map(|(_, held)| held.clone()).unwrap_or_default()
    }
}

/// The log, and all that went into it.
struct Log {
    files: Vec<(PathBuf, Vec<u8>)>,
    streams: BTreeMap<u64, History>,
}

/// A machine whose appends a real writer puts into real files.
struct Author {
    rig: Rig,
    writing: Writing,
    held: Held,
    history: History,
    has_first: bool,
}

fn event(topic: &str, item: &str, delta: i64) -> (Counter, i64) {
    (counter(topic, item), delta)
}

impl Author {
    fn begin(disk: &Disk, rig: Rig, held: Held) -> Self {
        disk.create(rig.incarnation).unwrap();
        let writing = Writing::start(disk, rig.incarnation, Vec::new());
        let mut author = Self { rig, writing, held, history: History::default(), has_first: false };
        author.sync();
        author.rig.connect_root();
        author
    }

    /// Notes what the stream holds now, and puts it on disk or leaves that for later.
    fn note(&mut self, change: impl FnOnce(&mut Held), is_synced: bool) {
        change(&mut self.held);
        let last = self.rig.disk.pending.back().unwrap().last;
        self.history.steps.push((last, self.held.clone()));
        if is_synced {
            self.sync();
        }
    }

    fn sync(&mut self) {
        let pending = self.rig.disk.pending.clone();
        let last = pending.back().unwrap().last;
        if !self.has_first {
            self.has_first = true;
            self.history.carried_at = last;
            self.history.steps.push((last, self.held.clone()));
        }
        self.history.end = last;
        pending.into_iter().for_each(|append| assert!(self.writing.append(append)));
        while !matches!(self.writing.report(), Written::Durable { last: l, .. } if l == last) {}
        self.rig.sync();
    }

    fn open(&mut self, connection: u64, session: u128) {
        self.rig.connect(connection);
        self.rig.message(connection, ToLeaf::Open(SessionId(session)));
        self.note(|held| held.sessions.extend([(SessionId(session), 0)]), true);
    }

    fn batch(
        &mut self,
        connection: u64,
        session: u128,
        seq: Seq,
        events: &[(Counter, i64)],
        is_synced: bool,
    ) {
        self.rig.batch(connection, seq, events);
        let change = |held: &mut Held| {
            held.count(events);
            held.sessions.insert(SessionId(session), seq);
        };
        self.note(change, is_synced);
    }

    fn submit(&mut self, id: u64, events: &[(Counter, i64)], idempotency: Idempotency, keys: &[u128]) {
        self.rig.submit(id, events, idempotency);
        let change = |held: &mut Held| {
            held.count(events);
            held.keys.extend(keys);
        };
        self.note(change, true);
    }

    /// Goes on until the last segment holds records that later ones prove to be on disk.
    fn end(mut self) -> (Rig, Held, History) {
        let is_proven = |author: &Self, by: Lsn| {
            let segments = &author.rig.disk.streams[&author.rig.incarnation];
            segments.last_key_value().is_some_and(|(first, _)| *first < by)
        };
        let mut before = self.history.end;
        for id in 100.. {
            self.submit(id, &[event("t", "d", id as i64)], Idempotency::None, &[]);
            if is_proven(&self, before) {
                break;
            }
            before = self.history.end;
        }
        assert_eq!(self.writing.end(), []);
        (self.rig, self.held, self.history)
    }
}

impl Held {
    fn count(&mut self, events: &[(Counter, i64)]) {
        for (counter, delta) in events {
            *self.sums.entry(counter.clone()).or_default() += delta;
        }
        self.events += events.len() as u64;
    }
}

/// Two lives, each of several segments: two connections with sessions of their own, groups of several
/// records, requests with and without keys.
fn write_log(data: &Path) -> Log {
    let disk = open(data);
    let mut streams = BTreeMap::new();
    let config = LeafConfig { segment_bytes: 330, ..config() };
    let now = Now { mono: Time(1_000_000), wall: WallMs(1_000) };
    let rig = Rig::on(config, TestDisk::default(), now);
    let mut author = Author::begin(&disk, rig, Held::default());
    author.open(1, 7);
    author.open(2, 8);
    author.batch(1, 7, 1, &[event("t", "a", 1), event("t", "b", -20)], false);
    author.batch(2, 8, 1, &[event("u", "a", 300)], true);
    let request = Idempotency::Request { key: 1, content: 5 };
    author.submit(1, &[event("t", "a", 1 << 40)], request, &[1]);
    author.batch(1, 7, 2, &[event("t", "b", 4_000)], true);
    author.submit(
        2,
        &[event("u", "a", -1), event("v", "é", 50_000)],
        Idempotency::Events(vec![2, 3]),
        &[2, 3],
    );
    author.batch(2, 8, 2, &[event("u", "a", 600_000)], false);
    author.batch(2, 8, 3, &[event("t", "a", -1)], true);
    let (mut rig, held, history) = author.end();
    streams.insert(1, history);

    rig.crash(&mut Chance::new(1));
    let mut author = Author::begin(&disk, rig, Held { sums: Sums::new(), events: 0, ..held });
    author.rig.connect(3);
    author.rig.message(3, ToLeaf::Resume(SessionId(7)));
    author.batch(3, 7, 3, &[event("t", "a", 7_000_000)], true);
    author.submit(3, &[event("t", "c", 9)], Idempotency::None, &[]);
    author.open(4, 9);
    author.batch(4, 9, 1, &[event("t", "a", 80_000_000)], true);
    author.batch(3, 7, 4, &[event("u", "a", 11)], false);
    author.batch(4, 9, 2, &[event("u", "b", 13)], false);
    author.batch(3, 7, 5, &[event("v", "é", 17)], true);
    streams.insert(2, author.end().2);

    let mut files = Vec::new();
    for (incarnation, history) in &mut streams {
        let segments = disk.segments(*incarnation).unwrap();
        assert!(segments.len() >= 2, "several segments: {segments:?}");
        let last_begins = segments.last().unwrap().0;
        for (_, path) in segments {
            let bytes = fs::read(&path).unwrap();
            let mut rest = &bytes[..];
            while let Some((place, _)) = record::take(rest) {
                history.proven = place.durable;
                rest = &rest[place.bytes..];
            }
            files.push((path.strip_prefix(data).unwrap().to_owned(), bytes));
        }
        assert!(last_begins < history.proven, "its last segment has proven records too");
    }
    Log { files, streams }
}

impl Log {
    fn write(&self, data: &Path) {
        for (path, bytes) in &self.files {
            fs::create_dir_all(data.join(path).parent().unwrap()).unwrap();
            fs::write(data.join(path), bytes).unwrap();
        }
    }

    /// Recovers, and checks what that finds against what went in; `None` when it is refused, else the ends.
    fn recover(&self, disk: &Disk, damage: &str) -> Option<BTreeMap<u64, Lsn>> {
        let (recovery, old) = match disk.recover() {
            Ok(recovered) => recovered,
            Err(DiskError::Log { .. }) => return None,
            Err(e) => panic!("{damage}: {e}"),
        };
        assert!(old.keys().map(|s| s.incarnation).eq(self.streams.keys().copied()), "{damage}");
        let mut known = Held::default();
        let mut ends = BTreeMap::new();
        for (stream, found) in old {
            let history = &self.streams[&stream.incarnation];
            let held = history.at(found.end);
            assert!(found.end <= history.end, "{damage}");
            assert_eq!(found.accepted, held.events, "{damage}");
            assert_eq!(found.topics.values().map(|t| t.events).sum::<u64>(), held.events, "{damage}");
            assert_eq!(sums(disk, &stream, &found), held.sums, "{damage}");
            if found.end >= history.carried_at {
                known = held;
            }
            ends.insert(stream.incarnation, found.end);
        }
        let Carried { sessions, keys, .. } = recovery.carried;
        let sessions: BTreeMap<_, _> = sessions.into_iter().map(|(id, known)| (id, known.last)).collect();
        assert_eq!(
            (sessions, keys.into_keys().map(|key| key.hash).collect()),
            (known.sessions, known.keys),
            "{damage}"
        );
        Some(ends)
    }
}

/// All that a stream's log adds up to.
fn sums(disk: &Disk, stream: &StreamId, found: &OldStream) -> Sums {
    let whole = Stretch { from: 0, to: found.end };
    let recut = Recut::new(found.topics.keys().map(|topic| (topic.clone(), whole)).collect());
    let mut sums = Sums::new();
    for (topic, pieces) in disk.scan(stream, recut).unwrap() {
        for sum in pieces.into_iter().flat_map(|piece| piece.sums) {
            let counter = Counter { topic: topic.clone(), item: sum.item, kind: sum.kind };
            *sums.entry(counter).or_default() += sum.delta;
        }
    }
    sums
}

#[test]
fn the_log_reads_back_whole() {
    let dir = fast_folder();
    let log = write_log(dir.path());
    let ends = log.recover(&open(dir.path()), "undamaged").unwrap();
    assert!(ends.iter().all(|(incarnation, end)| *end == log.streams[incarnation].end));
    assert!(log.streams[&1].at(Lsn::MAX).events >= 9);
}

#[test]
fn every_truncation_is_refused_or_leaves_a_prefix() {
    let dir = fast_folder();
    let log = write_log(dir.path());
    let disk = open(dir.path());
    let (mut refused, mut prefixes) = (0, BTreeSet::new());
    for (path, bytes) in &log.files {
        let incarnation: u64 = path.iter().nth(1).unwrap().to_str().unwrap().parse().unwrap();
        let is_last = disk.segments(incarnation).unwrap().last().unwrap().1.ends_with(path);
        for length in 0..bytes.len() {
            log.write(dir.path());
            fs::write(dir.path().join(path), &bytes[..length]).unwrap();
            let ends = log.recover(&disk, &format!("{} cut to {length}", path.display()));
            assert_eq!(ends.is_some(), is_last, "{} cut to {length}", path.display());
            refused += usize::from(ends.is_none());
            prefixes.extend(ends);
        }
    }
    assert!(refused > 500 && prefixes.len() > 4, "{refused} {prefixes:?}");
}

/// Damage to what a later record proves to have been on disk is always noticed; no such proof stands behind
/// the last group of a stream, which therefore may be taken for a torn write.
#[test]
fn every_flipped_bit_is_refused_or_leaves_a_prefix() {
    const HANDS: usize = 4;
    let dir = fast_folder();
    let log = write_log(dir.path());
    let flip_in_part = |part: usize| {
        let dir = fast_folder();
        log.write(dir.path());
        let disk = open(dir.path());
        let (mut refused, mut cut) = (0, 0);
        for (path, bytes) in &log.files {
            for bit in (part..bytes.len() * 8).step_by(HANDS) {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                fs::write(dir.path().join(path), damaged).unwrap();
                match log.recover(&disk, &format!("{} bit {bit}", path.display())) {
                    None => refused += 1,
                    Some(ends) => {
                        cut += 1;
                        for (incarnation, end) in &ends {
                            assert!(*end >= log.streams[incarnation].proven, "{} bit {bit}", path.display());
                        }
                        assert!(
                            ends.iter().any(|(i, end)| *end < log.streams[i].end),
                            "a flip goes unnoticed"
                        );
                    }
                }
                fs::write(dir.path().join(path), bytes).unwrap();
            }
        }
        (refused, cut)
    };
    let counts = std::thread::scope(|scope| {
        let flip_in_part = &flip_in_part;
        let hands: Vec<_> = (0..HANDS).map(|part| scope.spawn(move || flip_in_part(part))).collect();
        hands.into_iter().map(|hand| hand.join().unwrap()).collect::<Vec<_>>()
    });
    let (refused, cut) = counts.into_iter().fold((0, 0), |(r, c), (refused, cut)| (r + refused, c + cut));
    let bits: usize = log.files.iter().map(|(_, bytes)| bytes.len() * 8).sum();
    assert_eq!(refused + cut, bits);
    assert!(refused > cut && cut > 0, "{refused} refused, {cut} cut off");
    println!("{bits} flips: {refused} refused, {cut} cut off");
}
