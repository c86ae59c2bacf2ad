//! Ends windows, and runs the work that is due with each of them.

use super::LeafMachine;
use super::counters::names::TopicId;
use countree_common::time::Now;

impl LeafMachine {
    /// Ends the window at its time.
    pub(super) fn end_window(&mut self, now: Now) {
        let (window, appended) = (self.context.config.window, self.context.log.appended());
        self.counters.freeze_if_free(now, window, appended);
        self.offer_frozen();
        self.forget_abandoned();
        self.resets.ask_again_to_forget(&mut self.context);
        self.settle_flushes();
        self.retire_settled(now);
        self.uplink.survey(now.mono, &self.context);
        self.uplink.ask_unanswered();
        self.uplink.trim(now.mono, &mut self.context);
        self.uplink.echo(&mut self.context.outputs);
        self.uplink.begin_scans(self.counters.names(), &mut self.context.outputs);
    }

    /// Ends the window before its time, if a topic has changed in too many counters.
    pub(super) fn end_window_if_full(&mut self, now: Now) {
        if self.counters.table().is_window_full() {
            self.counters.freeze(now, self.context.config.window, self.context.log.appended());
            self.offer_frozen();
        }
    }

    /// Ends the window of one topic alone.
    pub(super) fn end_window_of(&mut self, topic: TopicId) {
        if self.counters.freeze_topic(topic, self.context.log.appended()) {
            self.offer_frozen();
        }
    }

    /// Hands on the windows whose records are on disk: only durable records are cut.
    pub(super) fn offer_frozen(&mut self) {
        let durable = self.context.log.durable();
        while let Some(frozen) = self.counters.take_durable(durable) {
            self.uplink.offer(frozen);
        }
    }

    /// Sends the cuts that can be sent.
    pub(super) fn send_up(&mut self, now: Now) {
        self.uplink.send_up(now.mono, self.counters.names(), &mut self.context.outputs);
    }

    fn forget_abandoned(&mut self) {
        if self.counters.should_forget() {
            self.counters.forget_all_but(self.uplink.counters().chain(self.intake.counters()));
        }
    }
}

#[cfg(test)]
#[path = "window_end_tests.rs"]
mod tests;
