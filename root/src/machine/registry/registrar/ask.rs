//! The questions to the registry, and the change that each makes.

use crate::machine::audit::Correction;
use crate::machine::registry::{Registry, RegistryFull};
use countree_common::cluster::{ClusterView, Node, NodeName, Split, Tier};
use countree_common::import::{Direction, ImportFile};
use countree_common::ledger::StreamLedger;
use countree_common::stream::StreamId;
use countree_common::time::WallMs;
use countree_common::wire::rpc::{KeyHandover, LogEnd, Reply, StreamProgress};
use std::time::Duration;

/// One question. The shell numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// A question to the registry; the requests of [`countree_common::wire::rpc`] by the same names.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Asks for the incarnation of this start.
    Join {
        /// The node that starts.
        name: NodeName,
        /// Its tier.
        tier: Tier,
        /// It must be at least this.
        at_least: u64,
    },
    /// Asks for the incarnation of this start of a leaf, whose log holds these streams.
    JoinOnLog {
        /// The leaf that starts.
        leaf: NodeName,
        /// The ends of its streams.
        log: Vec<LogEnd>,
    },
    /// A node lives.
    Heartbeat {
        /// The node.
        node: Node,
        /// The epoch that it goes by.
        epoch: u64,
        /// The progress of a leaf's stream.
        reached: Option<StreamProgress>,
    },
    /// A node is gone.
    Leave(NodeName),
    /// Streams are wholly merged, and their logs are about to be deleted.
    Retire(Vec<StreamLedger>),
    /// A leaf is gone and has left nothing unmerged.
    Settled {
        /// The leaf, and its incarnation.
        stream: StreamId,
        /// The leaves that took its keys over.
        handover: KeyHandover,
    },
    /// A leaf will never come back.
    Forget(NodeName),
    /// An import begins, or goes on.
    BeginImport {
        /// The file that is imported.
        file: ImportFile,
        /// Whether its rows are put in or taken out.
        direction: Direction,
    },
    /// All rows of an import were sent.
    EndImport {
        /// The file that is imported.
        file: ImportFile,
        /// Whether its rows are put in or taken out.
        direction: Direction,
        /// The number of rows that count.
        rows: u64,
    },
    /// Items are to be split like this.
    Split(Vec<Split>),
    /// The ledgers of retired streams, as the store has them now: a copy could lack one whose log is gone.
    Ledgers,
    /// The nodes, as the store has them now: a copy could lack one that has just come.
    Members,
    /// The records that the audit compares, as the store has them now.
    AuditRecords,
    /// The audit has found these out for certain.
    Correct(Vec<Correction>),
}

/// A question that only the store itself can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Ledgers,
    Members,
    AuditRecords,
}

impl Ask {
    /// Changes the registry; returns the answer, or why nothing changed. A leaf's incarnations are `jump` apart at
    /// least.
    pub(super) fn apply(
        &self,
        registry: &mut Registry,
        lease: Duration,
        jump: u64,
        now: WallMs,
    ) -> Result<Reply, String> {
        // The view is known once everything that waits has been applied.
        let view = || Reply::View(ClusterView::default());
        match self {
            Self::Join { name, tier, at_least } => {
                let incarnation = registry.join(name, *tier, *at_least).map_err(said)?;
                return Ok(Reply::Joined { incarnation, store: None });
            }
            Self::JoinOnLog { leaf, log } => {
                let joined = registry.join_on_log(leaf, log, jump).map_err(said)?;
                return Ok(Reply::JoinedOnLog { incarnation: joined.0, missing: joined.1, store: None });
            }
            Self::Heartbeat { node, reached, .. } => {
                registry.heartbeat(node, now, lease).map_err(said)?;
                if let Some(reached) = reached {
                    registry.reach(node, *reached, now);
                }
                return Ok(view());
            }
            Self::Leave(name) => {
                registry.leave(name);
                return Ok(view());
            }
            Self::Retire(ledgers) => registry.retire(ledgers).map_err(said)?,
            Self::Settled { stream, handover } => {
                let keeps_keys = registry.settle(stream, handover, now).map_err(said)?;
                return Ok(Reply::Drained { keeps_keys });
            }
            Self::Forget(leaf) => registry.forget(leaf, now).map_err(said)?,
            Self::Split(splits) => registry.split(splits),
            Self::BeginImport { file, direction } => {
                return Ok(Reply::Import(registry.begin_import(file, *direction).map(|()| 0)));
            }
            Self::EndImport { file, direction, rows } => {
                return Ok(Reply::Import(registry.end_import(file, *direction, *rows).map(|()| 0)));
            }
            Self::Ledgers => return Ok(Reading::Ledgers.of(registry)),
            Self::Members => return Ok(Reading::Members.of(registry)),
            Self::AuditRecords => return Ok(Reading::AuditRecords.of(registry)),
            Self::Correct(corrections) => correct(registry, corrections).map_err(said)?,
        }
        Ok(Reply::Done)
    }
}

impl Reading {
    pub(super) fn of(self, registry: &Registry) -> Reply {
        match self {
            Self::Ledgers => Reply::Ledgers(registry.ledgers()),
            Self::Members => Reply::Members { view: registry.view(), away: registry.away() },
            Self::AuditRecords => Reply::AuditRecords(Box::new(registry.audit_records())),
        }
    }
}

fn correct(registry: &mut Registry, corrections: &[Correction]) -> Result<(), RegistryFull> {
    corrections.iter().try_for_each(|correction| match correction {
        Correction::Lost(stream, events) => registry.declare_lost(stream, *events),
        Correction::Held(stream, events) => {
            registry.know_held(stream, *events);
            Ok(())
        }
        Correction::Claimed(ledger) => registry.retire(std::slice::from_ref(ledger)),
    })
}

fn said(e: impl std::fmt::Display) -> String {
    e.to_string()
}
