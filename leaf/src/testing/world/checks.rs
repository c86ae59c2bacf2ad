//! Does what the machine asks, and checks that it may ask for it.

use super::World;
use crate::machine::{FlushId, Output};
use crate::testing::{TestDisk, decoded, leaf_name, ledgers_balance};
use countree_common::cut::Cut;
use countree_common::ledger::StreamLedger;
use countree_common::limits::COUNTERS_PER_CUT;
use countree_common::time::WallMs;
use std::collections::BTreeSet;

impl World {
    /// Does what the machine asks, and checks that it may ask for it.
    pub(super) fn check(&mut self) {
        self.rig.collect();
        while let Some(output) = self.rig.outputs.pop_front() {
            match output {
                Output::Send { connection, message } => {
                    let now = self.rig.now.wall;
                    let to = self.producers.iter_mut().find(|p| p.connection == Some(connection));
                    let topics = to.map(|p| p.hear(message)).unwrap_or_default();
                    self.promises.ack(now, topics);
                }
                Output::Submitted { submission, result } => {
                    self.clients.iter_mut().for_each(|c| c.hear(submission, &result));
                }
                Output::Cuts { message, .. } => {
                    decoded(&message).into_iter().for_each(|cut| self.check_cut(cut))
                }
                Output::Echo { stamp, .. } => self.check_echo(stamp.at),
                Output::Scan { stream, recut } => self.work.scans.push_back((stream, recut)),
                Output::Retire(ledgers) => self.work.retirements.push_back(ledgers),
                Output::DropStream(stream) => {
                    self.let_go(|disk| disk.streams.remove(&stream.incarnation).is_some());
                }
                Output::DropSegment(first) => {
                    let live = self.rig.incarnation;
                    self.let_go(|disk| disk.streams.get_mut(&live).unwrap().remove(&first).is_some());
                }
                Output::Ask { .. } | Output::Forgotten { .. } => panic!("nobody resets anything here"),
                Output::Flushed { flush, .. } => self.check_flush(flush),
                Output::Call { call, request, .. } => self.work.calls.push_back((call, request)),
                Output::Left { keeps_keys } => self.left(keeps_keys),
                Output::Answer { reply, .. } => panic!("nobody asked: {reply:?}"),
                Output::Alarm(message) => assert!(self.store.went_back > 0, "{message}"),
                Output::Close { message, .. } => panic!("a sound producer was cut off: {message}"),
            }
        }
        if std::mem::take(&mut self.has_left) {
            self.restart();
        }
        ledgers_balance(&self.rig.machine);
        if self.store.went_back == 0 {
            for StreamLedger { stream, ledger, .. } in self.rig.machine.ledgers() {
                assert!(
                    ledger.merged <= self.store.store.events_of_stream(&stream),
                    "{stream} claims {ledger:?}"
                );
            }
        }
    }

    /// A part of the log goes, and nothing that a restart has to know goes with it.
    fn let_go(&mut self, remove: impl FnOnce(&mut TestDisk) -> bool) {
        // Reading the whole log each time would take most of the test's time.
        let is_checked = self.chance.percent(15);
        let carried = |disk: &TestDisk| is_checked.then(|| disk.carried(&leaf_name()));
        let before = carried(&self.rig.disk);
        assert!(remove(&mut self.rig.disk));
        assert_eq!(carried(&self.rig.disk), before);
    }

    fn check_cut(&mut self, cut: Cut) {
        assert!(cut.stream != self.rig.live() || cut.to <= self.rig.disk.durable, "only what is on disk");
        assert!(cut.from <= cut.to && cut.sums.len() <= COUNTERS_PER_CUT);
        assert!(cut.from < cut.to || (cut.sums.is_empty() && cut.events == 0));
        let names: BTreeSet<_> = cut.sums.iter().map(|s| (&s.item, &s.kind)).collect();
        assert_eq!(names.len(), cut.sums.len(), "each counter once");
        self.link.send(cut);
    }

    fn check_flush(&mut self, flush: FlushId) {
        let Some((topic, acked)) = self.promises.end_flush(flush) else { return };
        let merged = self.store.store.events_of_topic(&topic);
        assert!(self.store.went_back > 0 || merged >= acked, "a flush claims what is not merged");
    }

    fn check_echo(&mut self, at: WallMs) {
        let (complete, store) = (self.promises.complete(at), &self.store);
        for (topic, events) in complete.iter().filter(|_| store.went_back == 0) {
            assert!(store.store.events_of_topic(topic) >= *events, "the echo claims what is not merged");
        }
    }

    /// The leaf has left, and comes back another day.
    fn left(&mut self, keeps_keys: bool) {
        assert!(self.rig.machine.is_drained());
        assert!(self.store.has_kept_all(self.rig.now.mono), "the store may forget what came last");
        assert!(keeps_keys || self.clients.iter().all(|c| !c.is_acked), "its keys are nowhere else");
        self.leaves += 1;
        self.has_left = true;
    }
}
