//! The producer's task: feeds the machine and does what it says.

use super::cluster::Cluster;
use super::error::ClientError;
use super::inbox::Inbox;
use super::link::{self, News, Way};
use super::producer::{AckedBatch, OnAck, ProducerOptions};
use super::timeline::Timeline;
use crate::machine::producer::{Fate, FlushId, Intake, Lanes, LinkId, Outgoing, Output, Resolved, Rules};
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::limits;
use countree_common::shell::peers::Peers;
use countree_common::wire::producer::FromLeaf;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

/// News of all links that wait for the task; above it links stop reading.
const NEWS_QUEUED: usize = 1_024;
/// Frames that wait for one connection beyond the batches in flight: greetings, and batches that were
/// repeated before their first copy had left. With more the connection is given up.
const FRAMES_QUEUED_EXTRA: usize = 64;
/// The least wait while events are held back, however short the linger time.
const TICK_MIN: Duration = Duration::from_millis(1);
/// While answers are owed, whether a leaf has fallen silent is looked at this often.
const LOOK: Duration = Duration::from_millis(500);
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
    rules: Rules,
    on_ack: Option<OnAck>,
    lanes: Lanes,
    links: BTreeMap<NodeName, OpenLink>,
    news: mpsc::Receiver<(Way, News)>,
    news_sender: mpsc::Sender<(Way, News)>,
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
        options: ProducerOptions,
    ) -> Self {
        #[cfg(feature = "load")]
        let on_ack = options.on_ack.clone();
        #[cfg(not(feature = "load"))]
        let on_ack = None;
        let ProducerOptions { linger, batch_events, batch_bytes, in_flight_batches, give_up, .. } = options;
        let rules = Rules { linger, batch_events, batch_bytes, in_flight_batches, give_up }.clamped();
        let (news_sender, news) = mpsc::channel(NEWS_QUEUED);
        let mut view = cluster.watch_view();
        view.mark_changed();
        Self {
            view,
            cluster,
            peers,
            inbox,
            timeline,
            rules,
            on_ack,
            lanes: Lanes::new(rules, rand::random()),
            links: BTreeMap::new(),
            news,
            news_sender,
            flushes: BTreeMap::new(),
            spare: Intake::default(),
            is_last: false,
            has_failed: false,
        }
    }

    /// Works until the producer is closed and every event is resolved.
    pub(super) async fn run(mut self) {
        while !(self.is_last && self.lanes.is_empty()) {
            self.wait().await;
            self.take_news();
            self.take_mail();
            self.lanes.handle_time(self.timeline.now());
            self.carry_out();
            if self.has_failed {
                // Who waits for a flush hears why; by now the tally is right.
                self.flushes.clear();
            }
            let held = self.lanes.queued_events();
            self.inbox.settle(held, if held == 0 { 1 } else { self.rules.batch_events });
        }
    }

    /// Returns when there may be something to do. While events are held back new ones don't wake the
    /// task, so that it looks for them in time itself.
    async fn wait(&mut self) {
        let now = self.timeline.now();
        let tick = (self.lanes.queued_events() > 0).then(|| now + self.rules.linger.max(TICK_MIN));
        let look = (!self.lanes.is_empty()).then(|| now + LOOK);
        let deadline = self.lanes.next_deadline().into_iter().chain(tick).chain(look).min();
        let timeline = self.timeline;
        let timer = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(timeline.instant(at).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.inbox.mail.notified() => {}
            Some((way, news)) = self.news.recv() => self.hear(way, news),
            Ok(()) = self.view.changed() => {
                let view = self.view.borrow_and_update().clone();
                self.lanes.handle_view(self.timeline.now(), &view);
            }
            () = timer => {}
        }
    }

    fn take_news(&mut self) {
        while let Ok((way, news)) = self.news.try_recv() {
            self.hear(way, news);
        }
    }

    fn hear(&mut self, way: Way, news: News) {
        let now = self.timeline.now();
        let Way { leaf, link, .. } = way;
        match news {
            News::Connected => self.lanes.handle_connected(now, &leaf, link),
            News::Message(message) => {
                if let FromLeaf::View(view) = &message {
                    self.cluster.learn(view);
                }
                self.lanes.handle_message(now, &leaf, link, message);
            }
            News::Lost { reason, refusal } => {
                tracing::debug!(%leaf, "no connection: {reason}");
                self.cluster.report_trouble();
                self.lanes.handle_lost(now, &leaf, link, reason);
                if let Some(error) = refusal.and_then(ClientError::refusal) {
                    self.inbox.fail(error);
                }
            }
        }
    }

    fn take_mail(&mut self) {
        let mut delivery = self.inbox.take(std::mem::take(&mut self.spare));
        let now = self.timeline.now();
        for intake in &mut delivery.intakes {
            self.lanes.handle_intake(now, intake);
        }
        self.spare =
            delivery.intakes.pop_back().filter(|i| i.events.capacity() <= SPARE_EVENTS).unwrap_or_default();
        for waiting in delivery.flushes {
            self.flushes.insert(self.lanes.handle_flush(now), waiting);
        }
        self.is_last = delivery.is_last;
        if let Some(error) = self.inbox.ended().filter(|e| *e != ClientError::Closed) {
            self.lanes.handle_abandon(now, &error.to_string());
            self.has_failed = true;
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.lanes.poll_output() {
            match output {
                Output::Connect { leaf, link, address } => self.connect(Way { leaf, link, address }),
                Output::Send { leaf, link, frame } => self.send(&leaf, link, frame),
                Output::Disconnect { leaf, link } => self.disconnect(&leaf, link),
                Output::Resolved(resolved) => self.resolve(resolved),
                Output::Flushed(flush) => {
                    if let Some(waiting) = self.flushes.remove(&flush)
                        && !self.has_failed
                    {
                        // Who waited may have given up.
                        let _ = waiting.send(());
                    }
                }
            }
        }
        if self.lanes.is_cut_off(self.timeline.now()) {
            self.cluster.report_trouble();
        }
    }

    fn connect(&mut self, way: Way) {
        let (frames, to_send) = mpsc::channel(2 * self.rules.in_flight_batches + FRAMES_QUEUED_EXTRA);
        let (leaf, id) = (way.leaf.clone(), way.link);
        let task = tokio::spawn(link::run(self.peers.clone(), way, to_send, self.news_sender.clone()));
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
            self.lanes.handle_lost(self.timeline.now(), leaf, link, reason);
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
