//! Conflation: at each tick a viewer gets the newest totals of the topics that changed, in at most one
//! datagram and one stretch of its stream. Without room for them its topics stay dirty, and it gets the
//! newest totals later.

use super::delivery::{Delivery, DeliveryContext, QUIET, deliver};
use super::frame_builder::{FrameBuilder, Room};
use super::ids::{TopicHandle, ViewerId};
use super::viewers::Subscription;
use super::{BroadcastMachine, Output};
use countree_common::time::Time;

impl BroadcastMachine {
    /// Sends every viewer its changes since the last tick, as far as `room` allows.
    pub fn handle_tick(&mut self, now: Time, mut room: impl FnMut(ViewerId) -> Room) {
        self.tick += 1;
        self.tend_roots(now);
        self.tend_checks(now);
        for handle in std::mem::take(&mut self.changed) {
            if let Some(topic) = self.topics.get_mut(handle) {
                topic.changed = false;
            }
            self.mark_viewers(handle, |_| true);
        }
        self.settle(now);
        for viewer in std::mem::take(&mut self.queues.waiting) {
            self.serve(viewer, now, room(viewer));
        }
    }

    /// Serves viewers that have just subscribed, or whose topic's first snapshot has just come, before the
    /// tick.
    pub fn handle_arrivals(&mut self, now: Time, mut room: impl FnMut(ViewerId) -> Room) {
        for viewer in std::mem::take(&mut self.queues.arrivals) {
            self.serve(viewer, now, room(viewer));
        }
    }

    /// Marks viewers that may have lost the last datagram of a topic that has gone quiet.
    fn settle(&mut self, now: Time) {
        let topics = &self.topics;
        let quiet = |h: &TopicHandle| topics.get(*h).is_none_or(|t| now.since(t.changed_at) >= QUIET);
        let settled: Vec<TopicHandle> = self.unsettled.iter().copied().filter(quiet).collect();
        for handle in settled {
            self.unsettled.remove(&handle);
            let Some(topic) = self.topics.get_mut(handle) else { continue };
            topic.unsettled = false;
            let Some(version) = topic.document.as_ref().map(|d| d.version()) else { continue };
            self.mark_viewers(handle, |s| s.reliable != Some(version));
        }
    }

    fn mark_viewers(&mut self, handle: TopicHandle, which: impl Fn(&Subscription) -> bool) {
        let Some(topic) = self.topics.get(handle) else { return };
        for id in &topic.viewers {
            let Some(viewer) = self.viewers.get_mut(id) else { continue };
            if viewer.subscription(handle).is_some_and(|s| which(s)) {
                viewer.mark(handle);
                if !std::mem::replace(&mut viewer.in_line, true) {
                    self.queues.waiting.push(*id);
                }
            }
        }
    }

    /// Serves the topic's viewers at once: they have waited for this version, or hold totals that are void
    /// now.
    pub(super) fn serve_now(&mut self, handle: TopicHandle) {
        self.serve_now_where(handle, |_| true);
    }

    /// [`BroadcastMachine::serve_now`] for some of them.
    pub(super) fn serve_now_where(&mut self, handle: TopicHandle, which: impl Fn(&Subscription) -> bool) {
        self.mark_viewers(handle, which);
        self.queues.arrivals.append(&mut self.queues.waiting);
    }

    fn serve(&mut self, id: ViewerId, now: Time, room: Room) {
        let Some(viewer) = self.viewers.get_mut(&id) else { return };
        viewer.in_line = false;
        let mut builder = FrameBuilder::new(room);
        let mut ctx = DeliveryContext {
            roots: &self.roots,
            away: &self.away,
            stats: &mut self.stats,
            outputs: &mut self.outputs,
            unsettled: &mut self.unsettled,
            tick: self.tick,
            now,
        };
        let format = viewer.format;
        let mut skipped = !builder.put_farewell(self.farewell.as_ref(), viewer);
        skipped |= !builder.put_away(&self.away, viewer);
        let mut doubtful = Vec::new();
        for handle in viewer.take_dirty() {
            let Some(topic) = self.topics.get_mut(handle) else { continue };
            let Some(subscription) = viewer.subscription(handle) else { continue };
            match deliver(&mut ctx, &mut builder, format, subscription, handle, topic) {
                Delivery::Done => {}
                Delivery::Later => {
                    viewer.mark(handle);
                    skipped = true;
                }
                Delivery::Doubtful => doubtful.push(handle),
            }
        }
        if skipped {
            self.stats.skips += 1;
            viewer.in_line = true;
            self.queues.waiting.push(id);
        }
        self.dispatch(id, builder);
        doubtful.into_iter().for_each(|handle| self.check(handle));
    }

    fn dispatch(&mut self, viewer: ViewerId, builder: FrameBuilder) {
        if !builder.stream.is_empty() {
            self.stats.streams += 1;
            self.stats.bytes += builder.stream.iter().map(|b| b.len() as u64).sum::<u64>();
            self.outputs.push_back(Output::Stream { viewer, chunks: builder.stream });
        }
        if !builder.datagram.is_empty() {
            let bytes = self.packed.pack(builder.datagram);
            self.stats.datagrams += 1;
            self.stats.bytes += bytes.len() as u64;
            self.outputs.push_back(Output::Datagram { viewer, bytes });
        }
    }
}

#[cfg(test)]
#[path = "conflation_tests.rs"]
mod tests;
