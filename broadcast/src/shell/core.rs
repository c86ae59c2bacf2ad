//! The one task that owns the machine: takes inputs, keeps the tick, does what the machine says.

use super::board::{Board, SharedSnapshot};
use super::links::Link;
use super::read;
use super::report::{Report, Reporter};
use super::viewers::Outlet;
use crate::machine::{CheckId, Format, Machine, Output, Room, Since, ViewerId};
use countree_common::cluster::NodeName;
use countree_common::document::Snapshot;
use countree_common::key::Topic;
use countree_common::shell::clock::Clock;
use countree_common::shell::membership::Membership;
use countree_common::shell::shutdown::Shutdown;
use countree_common::time::Time;
use countree_common::wire::publish::{FromRoot, ToRoot};
use countree_common::wire::viewer::ToBroadcast;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

/// Inputs that are taken before those who arrived with them are served.
const BATCH: usize = 256;
/// Outputs after which other tasks of the thread get a turn.
const OUTPUTS_PER_TURN: usize = 256;

/// What the core is told.
#[derive(Debug)]
pub(super) enum Input {
    /// A conversation with a root has begun.
    RootConnected { root: NodeName, link: u64, outbox: mpsc::Sender<ToRoot> },
    /// It is over.
    RootLost { root: NodeName, link: u64 },
    /// A root said something.
    FromRoot { root: NodeName, link: u64, message: FromRoot },
    /// A viewer came.
    Joined { viewer: ViewerId, format: Format, outlet: Outlet },
    /// A viewer went.
    Left(ViewerId),
    /// A viewer over QUIC says something.
    Viewer { viewer: ViewerId, message: ToBroadcast },
    /// A viewer over HTTP wants this topic, of which it has that.
    Subscribe { viewer: ViewerId, topic: Topic, since: Since },
    /// A topic was read from the store; `None`: nobody could read it.
    Checked { check: CheckId, snapshot: Option<Snapshot> },
    /// These leaves are away, and no others.
    Away(Vec<NodeName>),
    /// The node is leaving: viewers go to these within this time.
    Leaving { alternates: Vec<(NodeName, SocketAddr)>, within: Duration },
}

/// The core.
pub(super) struct Core {
    machine: Machine,
    outlets: HashMap<ViewerId, Outlet>,
    links: HashMap<NodeName, Link>,
    links_opened: u64,
    clock: Clock,
    membership: Membership,
    board: Arc<Board>,
    reporter: Reporter,
    inputs: mpsc::Sender<Input>,
    leaving: Shutdown,
}

impl Core {
    pub(super) fn new(
        clock: Clock,
        membership: Membership,
        board: Arc<Board>,
        reports: watch::Sender<Report>,
        inputs: mpsc::Sender<Input>,
        leaving: &Shutdown,
    ) -> Self {
        Self {
            machine: Machine::default(),
            outlets: HashMap::new(),
            links: HashMap::new(),
            links_opened: 0,
            clock,
            membership,
            board,
            reporter: Reporter::new(reports),
            inputs,
            leaving: leaving.clone(),
        }
    }

    /// Runs until the node leaves; then lets go of everyone, which tells them so.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Input>, tick: Duration) {
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
                    let (now, outlets) = (self.now(), &self.outlets);
                    self.machine.handle_tick(now, |viewer| room(outlets, viewer));
                }
                Ok(()) = view.changed() => {
                    let view = view.borrow_and_update().clone();
                    self.board.learn(&view);
                    self.machine.handle_view(&view, self.now());
                }
                taken = queue.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                    let now = self.now();
                    batch.drain(..).for_each(|input| self.take(input, now));
                    let outlets = &self.outlets;
                    self.machine.handle_arrivals(now, |viewer| room(outlets, viewer));
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

    /// The link, if it is this one and not one that took its place.
    fn link(&mut self, root: &NodeName, number: u64) -> Option<&mut Link> {
        self.links.get_mut(root).filter(|link| link.number == number)
    }

    fn take(&mut self, input: Input, now: Time) {
        match input {
            Input::RootConnected { root, link, outbox } => {
                if let Some(link) = self.link(&root, link) {
                    link.outbox = Some(outbox);
                    self.machine.handle_root_connected(&root, now);
                }
            }
            Input::RootLost { root, link } => {
                if let Some(link) = self.link(&root, link) {
                    link.outbox = None;
                    self.machine.handle_root_lost(&root);
                }
            }
            Input::FromRoot { root, link, message } => {
                if self.link(&root, link).is_some() {
                    if let FromRoot::Watermark(watermark) = &message {
                        self.board.mark(&root, *watermark);
                    }
                    self.machine.handle_from_root(&root, message, now);
                }
            }
            Input::Joined { viewer, format, outlet } => {
                self.outlets.insert(viewer, outlet);
                self.machine.handle_viewer_joined(viewer, format);
            }
            Input::Left(viewer) => {
                self.outlets.remove(&viewer);
                self.machine.handle_viewer_left(viewer, now);
            }
            Input::Viewer { viewer, message } => self.machine.handle_viewer(viewer, message, now),
            Input::Subscribe { viewer, topic, since } => {
                self.machine.handle_subscribe(viewer, vec![topic], since, now);
            }
            Input::Checked { check, snapshot } => self.machine.handle_checked(check, snapshot, now),
            Input::Away(names) => self.machine.handle_away(names),
            Input::Leaving { alternates, within } => self.machine.handle_leaving(alternates, within, now),
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
                let link = Link::open(self.links_opened, root.clone(), address, peers, inputs);
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
                if let Some(outlet) = self.outlets.get(&viewer) {
                    outlet.send_datagram(bytes);
                }
            }
            Output::Stream { viewer, chunks } => {
                if let Some(outlet) = self.outlets.get(&viewer) {
                    outlet.send_stream(chunks);
                }
            }
            Output::Dismiss { viewer, reason } => {
                if let Some(outlet) = self.outlets.remove(&viewer) {
                    outlet.dismiss(reason);
                }
            }
            Output::Share { topic, version, away, event } => {
                self.board.share(topic, SharedSnapshot { version, away, event });
            }
            Output::Unshare { topic } => self.board.unshare(&topic),
            Output::Check { check, topic } => {
                let (membership, board) = (self.membership.clone(), self.board.clone());
                let inputs = self.inputs.clone();
                tokio::spawn(async move {
                    let snapshot = read::snapshot(&membership, &board, &topic).await.ok();
                    // The core may have ended.
                    let _ = inputs.send(Input::Checked { check, snapshot }).await;
                });
            }
        }
    }
}

fn room(outlets: &HashMap<ViewerId, Outlet>, viewer: ViewerId) -> Room {
    outlets.get(&viewer).map_or(Room::NONE, Outlet::room)
}
