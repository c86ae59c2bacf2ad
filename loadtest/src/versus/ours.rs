//! Runs Countree as a contender: a leaf, a root with the store, and a broadcast node, each a process of its own.

use super::contender::{Row, Turn};
use crate::arguments::{Target, VersusArguments};
use crate::cluster::Cluster;
use crate::load::Load;
use crate::load::plan::Plan;
use crate::load::transport::Transport;
use countree_common::shell::failure::Failure;

/// The factor by which our rounds are longer: a round of a contender's length would be over within a few windows and
/// ticks of the kernel's clock.
const LONGER: u64 = 5;

/// The cluster, its producers, and its rounds so far.
pub(super) struct Ours {
    cluster: Cluster,
    load: Load,
    plan: Plan,
    turns: Vec<Turn>,
    unacked: Option<String>,
}

impl Ours {
    /// Starts a cluster with one leaf, and connects the producers.
    ///
    /// # Errors
    /// When it does not come up.
    pub(super) async fn start(arguments: &VersusArguments, producers: u16) -> Result<Self, Failure> {
        let target = Target {
            apart: true,
            leaves: Some(1),
            store: arguments.store,
            countree: arguments.countree.clone(),
            ..Target::default()
        };
        let (longer, one) = if arguments.single { (1, Some(1)) } else { (LONGER, None) };
        let events = arguments.events * longer;
        let plan = arguments.spread().plan(rand::random(), events, producers, None)?;
        let cluster = Cluster::start(&target).await?;
        let transport = Transport::Quic { batch: one, in_flight: one };
        let load = Load::connect(plan.clone(), transport, &cluster, false).await?;
        Ok(Self { cluster, load, plan, turns: Vec::new(), unacked: None })
    }

    /// Sends the whole plan once, and waits until all of it is merged.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(super) async fn turn(&mut self, round: u32) -> Result<(), Failure> {
        let done = tokio::select! {
            round = self.load.round(&self.cluster, round) => round?,
            failure = self.cluster.ended() => return Err(failure),
        };
        if done.tally.acked != self.plan.events {
            let why = done.tally.errors.last().map_or("no reason is known", String::as_str);
            self.unacked = Some(format!("{} of {} events acked: {why}", done.tally.acked, self.plan.events));
        }
        self.turns.push(Turn {
            events: done.tally.acked,
            elapsed_s: done.elapsed.as_secs_f64(),
            core_s: done.used.total(),
            leaf_core_s: done.used.of("leaf"),
        });
        Ok(())
    }

    /// The first round was to warm up.
    pub(super) fn forget_first(&mut self) {
        self.turns.drain(..self.turns.len().min(1));
    }

    /// The events of each round.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Checks that every event was acked and every total is right; returns the first error.
    ///
    /// # Errors
    /// When the totals can't be read.
    pub(super) async fn complaint(&self) -> Result<Option<String>, Failure> {
        if let Some(unacked) = &self.unacked {
            return Ok(Some(format!("countree: {unacked}")));
        }
        let wrong = self.load.differences(&self.cluster).await?;
        Ok((!wrong.is_empty()).then(|| format!("countree: {} counters are not exact", wrong.len())))
    }

    /// The whole server, and the leaf alone.
    pub(super) fn rows(&self, exact: bool) -> Vec<Row> {
        let row = |contender, counted, rate: fn(&Turn) -> Option<f64>| {
            Row::of(contender, counted, "on ack", &self.turns, rate, Some(exact))
        };
        vec![
            row("Countree, whole server", "leaf, root, store and broadcast node", |t| Some(t.per_core())),
            row("Countree, leaf alone", "the leaf", Turn::per_leaf_core),
        ]
    }
}
