//! Takes the inputs that roots and the log have for the uplink.

use crate::log::recut::Found;
use crate::machine::LeafMachine;
use crate::machine::output::Output;
use countree_common::cluster::NodeName;
use countree_common::key::Counter;
use countree_common::stamp::Stamp;
use countree_common::stream::StreamId;
use countree_common::time::Now;
use countree_common::wire::uplink::CutOutcome;

impl LeafMachine {
    /// A root is connected: cuts of its topics can go.
    pub fn handle_root_connected(&mut self, now: Now, root: NodeName) {
        self.uplink.root_connected(root);
        self.send_up(now);
    }

    /// A root's connection is gone: what it has not answered goes out again.
    pub fn handle_root_lost(&mut self, root: &NodeName) {
        self.uplink.root_lost(root);
    }

    /// A root has answered cuts.
    pub fn handle_outcomes(&mut self, now: Now, outcomes: Vec<CutOutcome>) {
        let Self { uplink, counters, context, .. } = self;
        uplink.take_outcomes(now.mono, outcomes, counters, &mut context.outputs);
        if !self.flushes.is_empty() {
            self.uplink.begin_scans(self.counters.names(), &mut self.context.outputs);
            self.settle_flushes();
        }
        self.uplink.echo(&mut self.context.outputs);
        self.send_up(now);
        self.go_on_leaving(now);
    }

    /// A root reports totals near their limit, whichever leaf took them there.
    pub fn handle_near_limit(&mut self, totals: &[(Counter, i64)]) {
        for (counter, total) in totals {
            if self.counters.names().has_room(1) {
                for (counter, _) in self.counters.intern([(counter, 0)].into_iter()) {
                    self.counters.near_limit_mut().note(counter, *total);
                }
            }
        }
    }

    /// The store may lack something: every topic is asked about.
    pub fn handle_ask_again(&mut self, now: Now) {
        self.uplink.streams_mut().for_each(|stream| stream.ask_again());
        self.send_up(now);
    }

    /// A root that is connected sends its stamp.
    pub fn handle_stamp(&mut self, now: Now, root: &NodeName, stamp: Stamp) {
        if self.uplink.take_stamp(now.mono, root, stamp, self.context.log.appended()) {
            self.uplink.echo(&mut self.context.outputs);
            self.send_up(now);
        }
    }

    /// A reading of a stream's log is done.
    pub fn handle_scan(&mut self, now: Now, stream: &StreamId, found: Found) {
        let table = self.counters.table_mut();
        let lost = self.uplink.stream_mut(stream).map(|of| of.handle_scan(found, table));
        for (topic, events) in lost.unwrap_or_default() {
            let message = format!(
                "the store forgot {events} events of topic '{topic}' of {stream} whose log was gone; \
                 they are declared lost: let leaves keep their log for longer than the store may forget"
            );
            self.context.outputs.push(Output::Alarm(message));
        }
        self.settle_flushes();
        self.uplink.echo(&mut self.context.outputs);
        self.send_up(now);
    }

    /// A reading of a stream's log failed; it is tried again with the next window.
    pub fn handle_scan_failed(&mut self, stream: &StreamId) {
        if let Some(stream) = self.uplink.stream_mut(stream) {
            stream.handle_scan_failed();
        }
    }
}
