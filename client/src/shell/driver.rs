//! The producer's task: feeds the machine with events, messages and time, and carries out its instructions.

use super::acks::{AckedBatch, OnAck};
use super::cluster::Cluster;
use super::error::ClientError;
use super::inbox::Inbox;
use super::link::{self, LinkEvent, LinkTarget};
use super::timeline::Timeline;
use crate::machine::producer::{
    Fate, FlushId, Intake, LinkId, Outgoing, Output, ProducerMachine, ProducerOptions, Resolved,
};
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::limits;
use countree_common::shell::peers::Peers;
use countree_common::wire::producer::FromLeaf;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

/// Events of all links that wait for the task; links stop reading while there are more.
const LINK_EVENTS_QUEUED: usize = 1_024;
/// Frames that wait for one connection beyond the batches in flight: greetings, and batches that were
/// repeated before their first copy had left. A connection with more is closed.
const FRAMES_QUEUED_EXTRA: usize = 64;
/// The least wait while events are held back, however short the linger time.
const TICK_MIN: Duration = Duration::from_millis(1);
/// Interval of looks for silent leaves while answers are owed.
const SILENCE_CHECK: Duration = Duration::from_millis(500);
/// Intake buffers larger than this are not kept for the next events.
const SPARE_EVENTS: usize = 64 << 10;

struct OpenLink {
    id: LinkId,
    frames: mpsc::Sender<Outgoing>,
    task: AbortHandle,
}

pub(super) struct Driver {
    cluster: Cluster,
    view: watch::Receiver<Arc<ClusterView>>,
    peers: Peers,
    inbox: Arc<Inbox>,
    timeline: Timeline,
    options: ProducerOptions,
    on_ack: Option<OnAck>,
    machine: ProducerMachine,
    links: BTreeMap<NodeName, OpenLink>,
    link_events: mpsc::Receiver<(LinkTarget, LinkEvent)>,
    link_event_sender: mpsc::Sender<(LinkTarget, LinkEvent)>,
    flushes: BTreeMap<FlushId, oneshot::Sender<()>>,
    spare: Intake,
    is_last: bool,
    has_failed: bool,
}

impl Driver {
    pub(super) fn new(
        cluster: Cluster,
        peers: Peers,
        inbox: Arc<Inbox>,
        timeline: Timeline,
        (options, on_ack): (ProducerOptions, Option<OnAck>),
    ) -> Self {
        let options = options.clamped();
        let (link_event_sender, link_events) = mpsc::channel(LINK_EVENTS_QUEUED);
        let mut view = cluster.watch_view();
        view.mark_changed();
        Self {
            view,
            cluster,
            peers,
            inbox,
            timeline,
            options,
            on_ack,
            machine: ProducerMachine::new(options, rand::random()),
            links: BTreeMap::new(),
            link_events,
            link_event_sender,
            flushes: BTreeMap::new(),
            spare: Intake::default(),
            is_last: false,
            has_failed: false,
        }
    }

    /// Works until the producer is closed and every event is resolved.
    pub(super) async fn run(mut self) {
        while !(self.is_last && self.machine.is_empty()) {
            self.wait().await;
            self.handle_link_events();
            self.take_events();
            self.machine.handle_time(self.timeline.now());
            self.execute_outputs();
            if self.has_failed {
                // Waiting flushes return the error; the tally is complete by now.
                self.flushes.clear();
            }
            let held = self.machine.queued_events();
            self.inbox.settle(held, if held == 0 { 1 } else { self.options.batch_events });
        }
    }

    /// Returns when there may be work. While events are held back, new ones don't wake the task: it looks for
    /// them in time by itself.
    async fn wait(&mut self) {
        let now = self.timeline.now();
        let tick = (self.machine.queued_events() > 0).then(|| now + self.options.linger.max(TICK_MIN));
        let look = (!self.machine.is_empty()).then(|| now + SILENCE_CHECK);
        let deadline = self.machine.next_deadline().into_iter().chain(tick).chain(look).min();
        let timeline = self.timeline;
        let timer = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(timeline.instant(at).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.inbox.wake.notified() => {}
            Some((target, event)) = self.link_events.recv() => self.handle_link_event(target, event),
            Ok(()) = self.view.changed() => {
                let view = self.view.borrow_and_update().clone();
                self.machine.handle_view(self.timeline.now(), &view);
            }
            () = timer => {}
        }
    }

    fn handle_link_events(&mut self) {
        while let Ok((target, event)) = self.link_events.try_recv() {
            self.handle_link_event(target, event);
        }
    }

    fn handle_link_event(&mut self, target: LinkTarget, event: LinkEvent) {
        let now = self.timeline.now();
        let LinkTarget { leaf, link, .. } = target;
        match event {
            LinkEvent::Connected => self.machine.handle_connected(now, &leaf, link),
            LinkEvent::Message(message) => {
                if let FromLeaf::View(view) = &message {
                    self.cluster.learn(view);
                }
                self.machine.handle_message(now, &leaf, link, message);
            }
            LinkEvent::Lost { reason, refusal } => {
                tracing::debug!(%leaf, "no connection: {reason}");
                self.cluster.report_trouble();
                self.machine.handle_lost(now, &leaf, link, reason);
                if let Some(error) = refusal.and_then(ClientError::refusal) {
                    self.inbox.fail(error);
                }
            }
        }
    }

    fn take_events(&mut self) {
        let mut taken = self.inbox.take(std::mem::take(&mut self.spare));
        let now = self.timeline.now();
        for intake in &mut taken.intakes {
            self.machine.handle_intake(now, intake);
        }
        self.spare =
            taken.intakes.pop_back().filter(|i| i.events.capacity() <= SPARE_EVENTS).unwrap_or_default();
        for waiting in taken.flushes {
            self.flushes.insert(self.machine.handle_flush(now), waiting);
        }
        self.is_last = taken.is_last;
        if let Some(error) = self.inbox.ended().filter(|e| *e != ClientError::Closed) {
            self.machine.handle_abandon(now, &error.to_string());
            self.has_failed = true;
        }
    }

    fn execute_outputs(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Connect { leaf, link, address } => self.connect(LinkTarget { leaf, link, address }),
                Output::Send { leaf, link, frame } => self.send(&leaf, link, frame),
                Output::Disconnect { leaf, link } => self.disconnect(&leaf, link),
                Output::Resolved(resolved) => self.resolve(resolved),
                Output::Flushed(flush) => {
                    if let Some(waiting) = self.flushes.remove(&flush)
                        && !self.has_failed
                    {
                        // The caller may have dropped its flush.
                        let _ = waiting.send(());
                    }
                }
            }
        }
        if self.machine.is_cut_off(self.timeline.now()) {
            self.cluster.report_trouble();
        }
    }

    fn connect(&mut self, target: LinkTarget) {
        let (frames, to_send) = mpsc::channel(2 * self.options.in_flight_batches + FRAMES_QUEUED_EXTRA);
        let (leaf, id) = (target.leaf.clone(), target.link);
        let task =
            tokio::spawn(link::run(self.peers.clone(), target, to_send, self.link_event_sender.clone()));
        let old = self.links.insert(leaf, OpenLink { id, frames, task: task.abort_handle() });
        old.iter().for_each(|link| link.task.abort());
        debug_assert!(self.links.len() <= limits::NODES_PER_CLUSTER);
    }

    fn send(&mut self, leaf: &NodeName, link: LinkId, frame: Outgoing) {
        let Some(open) = self.links.get(leaf).filter(|open| open.id == link) else { return };
        // A closed channel means that the link's task is about to report the loss.
        if let Err(mpsc::error::TrySendError::Full(_)) = open.frames.try_send(frame) {
            self.disconnect(leaf, link);
            let reason = "the leaf takes nothing off the connection".to_owned();
            self.machine.handle_lost(self.timeline.now(), leaf, link, reason);
        }
    }

    fn disconnect(&mut self, leaf: &NodeName, link: LinkId) {
        if self.links.get(leaf).is_some_and(|open| open.id == link)
            && let Some(open) = self.links.remove(leaf)
        {
            open.task.abort();
        }
    }

    fn resolve(&self, Resolved { events, first_queued, fate }: Resolved) {
        if fate == Fate::Acked
            && let Some(on_ack) = &self.on_ack
        {
            let timeline = self.timeline;
            let first_queued = timeline.instant(first_queued);
            on_ack(AckedBatch { events, first_queued, acked: timeline.instant(timeline.now()) });
        }
        self.inbox.count(|tally| match fate {
            Fate::Acked => tally.acked += events,
            Fate::Rejected(reason) => {
                tally.rejected += events;
                tally.errors.push(reason);
            }
            Fate::InDoubt(reason) => {
                tally.in_doubt += events;
                tally.errors.push(reason);
            }
        });
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.links.values().for_each(|link| link.task.abort());
        // Senders must not wait for a task that is gone.
        self.inbox.end(ClientError::Stopped);
    }
}
