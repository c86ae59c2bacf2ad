//! Holds the state that all parts of the machine share: settings, the cluster as this leaf knows it, the log, the
//! outputs.

use super::calls::{Asker, Callee, Calls};
use super::clocks::Clocks;
use super::config::LeafConfig;
use super::ids::SubmissionId;
use super::intake::acks::{Acks, Waiting};
use super::log_builder::LogBuilder;
use super::members::Members;
use super::output::{Output, Outputs};
use super::resets::question::Question;

use crate::log::record::Record;
use countree_common::stream::Lsn;
use countree_common::wire::codec::CodecError;
use countree_common::wire::rpc::Request;

/// The time after which producers and HTTP clients are asked to try again, in milliseconds.
pub(super) const RETRY_AFTER_MS: u32 = 100;

/// The state of the disk under the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskState {
    /// All is well.
    Works,
    /// No room; what waits will be written when there is.
    Full,
    /// A write or fsync failed: nothing is acked any more by this process (fail stop).
    Failed,
}

/// The phases of a leaf's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It takes what is new.
    Open,
    /// It leaves, and the seal of its log is on its way to the disk: no session has ended yet.
    Sealing,
    /// It leaves, and every session has ended for good.
    Sealed,
}

/// The state that is handed to each part with every call.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) config: LeafConfig,
    pub(super) members: Members,
    pub(super) clocks: Clocks,
    pub(super) log: LogBuilder,
    pub(super) disk: DiskState,
    pub(super) phase: Phase,
    pub(super) acks: Acks,
    pub(super) calls: Calls,
    pub(super) outputs: Outputs,
}

impl Context {
    /// Whether nothing new is taken any more.
    pub(super) fn is_leaving(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Logs a record; `None` when it can't be, and then nothing is acked any more.
    pub(super) fn log(&mut self, record: &Record<'_>) -> Option<Lsn> {
        self.log.append(record).map_err(|e| self.fail_log(&e)).ok()
    }

    /// Stops acks for good.
    pub(super) fn fail_log(&mut self, e: &CodecError) {
        self.disk = DiskState::Failed;
        self.outputs.push(Output::Alarm(format!("a log record could not be written: {e}")));
    }

    /// Sends an answer once the log is on disk up to this record.
    pub(super) fn answer_once_durable(&mut self, lsn: Lsn, waiting: Waiting) {
        self.acks.answer_once_durable(lsn, waiting, &self.log, &mut self.outputs);
    }

    /// Asks the cluster on behalf of a reset.
    pub(super) fn ask_for_reset(&mut self, reset: SubmissionId, question: Question) {
        self.outputs.push(Output::Ask { reset, question });
    }

    /// Asks another node.
    pub(super) fn call(&mut self, asker: Asker, callee: Callee, request: Request) {
        let call = self.calls.begin(asker);
        self.outputs.push(Output::Call { call, callee, request });
    }
}
