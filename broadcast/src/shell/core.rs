//! The one task that owns the machine: takes inputs, keeps the tick, and carries out the machine's outputs.

use super::input::BroadcastInput;
use super::links::RootLink;
use super::read;
use super::report::{Report, Reporter};
use super::sink::ViewerSink;
use super::snapshot_cache::{SharedSnapshot, SnapshotCache};
use crate::machine::{BroadcastMachine, Output, Room, ViewerId};
use countree_common::cluster::NodeName;
use countree_common::shell::clock::Clock;
use countree_common::shell::membership::Membership;
use countree_common::shell::shutdown::Shutdown;
use countree_common::shell::tasks;
use countree_common::time::Time;
use countree_common::wire::publish::FromRoot;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

/// Most inputs that are taken before viewers that arrived with them are served.
const BATCH: usize = 256;
/// Outputs after which other tasks of the thread may run.
const OUTPUTS_PER_TURN: usize = 256;

/// The owner of the machine, and the state that its outputs need.
pub(super) struct Core {
    machine: BroadcastMachine,
    sinks: HashMap<ViewerId, ViewerSink>,
    links: HashMap<NodeName, RootLink>,
    links_opened: u64,
    clock: Clock,
    membership: Membership,
    cache: Arc<SnapshotCache>,
    reporter: Reporter,
    inputs: mpsc::Sender<BroadcastInput>,
    leaving: Shutdown,
}

impl Core {
    pub(super) fn new(
        clock: Clock,
        membership: Membership,
        cache: Arc<SnapshotCache>,
        reports: watch::Sender<Report>,
        inputs: mpsc::Sender<BroadcastInput>,
        leaving: &Shutdown,
    ) -> Self {
        Self {
            machine: BroadcastMachine::default(),
            sinks: HashMap::new(),
            links: HashMap::new(),
            links_opened: 0,
            clock,
            membership,
            cache,
            reporter: Reporter::new(reports),
            inputs,
            leaving: leaving.clone(),
        }
    }

    /// Runs until the node leaves; then drops all viewers' sinks, which ends their streams.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<BroadcastInput>, tick: Duration) {
        let mut ticks = tokio::time::interval(tick);
        // After a stall one tick brings everyone up to date: there is nothing to catch up on.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut view = self.membership.view();
        view.mark_changed();
        let leaving = self.leaving.clone();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                // In order: a flood of inputs must not keep the tick or the end from coming.
                biased;
                () = leaving.begun() => return,
                _ = ticks.tick() => {
                    let (now, sinks) = (self.now(), &self.sinks);
                    self.machine.handle_tick(now, |viewer| room(sinks, viewer));
                }
                Ok(()) = view.changed() => {
                    let view = view.borrow_and_update().clone();
                    self.cache.learn(&view);
                    self.machine.handle_view(&view, self.now());
                }
                taken = queue.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                    let now = self.now();
                    batch.drain(..).for_each(|input| self.take(input, now));
                    let sinks = &self.sinks;
                    self.machine.handle_arrivals(now, |viewer| room(sinks, viewer));
                }
            }
            self.perform_all().await;
            let now = self.now();
            self.reporter.report(&mut self.machine, now);
        }
    }

    fn now(&self) -> Time {
        self.clock.now().mono
    }

    /// Returns the link with this number, unless another has replaced it.
    fn link(&mut self, root: &NodeName, number: u64) -> Option<&mut RootLink> {
        self.links.get_mut(root).filter(|link| link.number == number)
    }

    fn take(&mut self, input: BroadcastInput, now: Time) {
        match input {
            BroadcastInput::RootConnected { root, link, outbox } => {
                if let Some(link) = self.link(&root, link) {
                    link.outbox = Some(outbox);
                    self.machine.handle_root_connected(&root, now);
                }
            }
            BroadcastInput::RootLost { root, link } => {
                if let Some(link) = self.link(&root, link) {
                    link.outbox = None;
                    self.machine.handle_root_lost(&root);
                }
            }
            BroadcastInput::FromRoot { root, link, message } => {
                if self.link(&root, link).is_some() {
                    if let FromRoot::Watermark(watermark) = &message {
                        self.cache.mark(&root, *watermark);
                    }
                    self.machine.handle_from_root(&root, message, now);
                }
            }
            BroadcastInput::Joined { viewer, format, sink } => {
                self.sinks.insert(viewer, sink);
                self.machine.handle_viewer_joined(viewer, format);
            }
            BroadcastInput::Left(viewer) => {
                self.sinks.remove(&viewer);
                self.machine.handle_viewer_left(viewer, now);
            }
            BroadcastInput::Viewer { viewer, message } => self.machine.handle_viewer(viewer, message, now),
            BroadcastInput::Subscribe { viewer, topic, since } => {
                self.machine.handle_subscribe(viewer, vec![topic], since, now);
            }
            BroadcastInput::Checked { check, snapshot } => self.machine.handle_checked(check, snapshot, now),
            BroadcastInput::Away(names) => self.machine.handle_away(names),
            BroadcastInput::Leaving { alternates, within } => {
                self.machine.handle_leaving(alternates, within, now)
            }
        }
    }

    async fn perform_all(&mut self) {
        let mut performed = 0usize;
        while let Some(output) = self.machine.poll_output() {
            self.perform(output);
            performed += 1;
            if performed.is_multiple_of(OUTPUTS_PER_TURN) {
                tokio::task::yield_now().await;
            }
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Connect { root, address } => {
                self.links_opened += 1;
                let (peers, inputs) = (self.membership.peers().clone(), self.inputs.clone());
                let link = RootLink::open(self.links_opened, root.clone(), address, peers, inputs);
                self.links.insert(root, link);
            }
            Output::Disconnect { root } => {
                self.links.remove(&root);
            }
            Output::ToRoot { root, message } => {
                if let Some(link) = self.links.get_mut(&root)
                    && let Some(outbox) = &link.outbox
                    && outbox.try_send(message).is_err()
                {
                    // Ends the conversation; the next one begins with all interest.
                    link.outbox = None;
                }
            }
            Output::Datagram { viewer, bytes } => {
                if let Some(sink) = self.sinks.get(&viewer) {
                    sink.send_datagram(bytes);
                }
            }
            Output::Stream { viewer, chunks } => {
                if let Some(sink) = self.sinks.get(&viewer) {
                    sink.send_stream(chunks);
                }
            }
            Output::Dismiss { viewer, reason } => {
                if let Some(sink) = self.sinks.remove(&viewer) {
                    sink.dismiss(reason);
                }
            }
            Output::Share { topic, version, away, event } => {
                self.cache.share(topic, SharedSnapshot { version, away, event });
            }
            Output::Unshare { topic } => self.cache.unshare(&topic),
            Output::Check { check, topic } => {
                let (membership, cache) = (self.membership.clone(), self.cache.clone());
                let inputs = self.inputs.clone();
                tasks::spawn(async move {
                    let snapshot = read::snapshot(&membership, &cache, &topic).await.ok();
                    // The core may have ended.
                    let _ = inputs.send(BroadcastInput::Checked { check, snapshot }).await;
                });
            }
        }
    }
}

fn room(sinks: &HashMap<ViewerId, ViewerSink>, viewer: ViewerId) -> Room {
    sinks.get(&viewer).map_or(Room::NONE, ViewerSink::room)
}
