//! Does in the background what takes time: asks other nodes, and reads the log back. Each result comes back as an
//! input.

use crate::log::recut::Recut;
use crate::machine::SubmissionId;
use crate::machine::calls::{CallId, Callee};
use crate::machine::resets::Question;
use crate::shell::calls::Caller;
use crate::shell::disk::Disk;
use crate::shell::inputs::{CoreHandle, Input};
use crate::shell::questions;
use countree_common::ledger::StreamLedger;
use countree_common::shell::tasks;
use countree_common::stream::StreamId;
use countree_common::wire::rpc::{Reply, Request};
use tokio::sync::mpsc;

/// Spawns tasks on the node's runtime.
#[derive(Debug)]
pub(super) struct Background {
    runtime: tokio::runtime::Handle,
    caller: Caller,
    /// Weak, so that the core ends with the last handle.
    inputs: mpsc::WeakSender<Input>,
}

impl Background {
    /// Spawns on the runtime of the calling task.
    pub(super) fn new(caller: Caller, inputs: mpsc::WeakSender<Input>) -> Self {
        Self { runtime: tokio::runtime::Handle::current(), caller, inputs }
    }

    /// Reads sums back from a stream's log.
    pub(super) fn scan(&self, disk: &Disk, stream: StreamId, recut: Recut) {
        let (disk, inputs) = (disk.clone(), self.inputs.clone());
        tasks::spawn_blocking_on(&self.runtime, move || {
            let found = disk.scan(&stream, recut);
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.blocking_send(Input::Scanned { stream, found });
            }
        });
    }

    /// Asks another node.
    pub(super) fn call(&self, call: CallId, callee: Callee, request: Request) {
        let Some(inputs) = self.inputs.upgrade() else { return };
        let (caller, handle) = (self.caller.clone(), CoreHandle { inputs });
        tasks::spawn_on(&self.runtime, async move {
            let reply = caller.ask(callee, request).await;
            handle.tell(Input::Reply { call, reply }).await;
        });
    }

    /// Asks the cluster for a reset.
    pub(super) fn ask(&self, reset: SubmissionId, question: Question) {
        let Some(inputs) = self.inputs.upgrade() else { return };
        let (membership, handle) = (self.caller.membership.clone(), CoreHandle { inputs });
        tasks::spawn_on(&self.runtime, async move {
            let answer = questions::ask(&membership, &handle, question).await;
            handle.tell(Input::Answer { reset, answer }).await;
        });
    }

    /// Hands ledgers over to the registry.
    pub(super) fn retire(&self, ledgers: Vec<StreamLedger>) {
        let Some(inputs) = self.inputs.upgrade() else { return };
        let (membership, handle) = (self.caller.membership.clone(), CoreHandle { inputs });
        tasks::spawn_on(&self.runtime, async move {
            let streams = ledgers.iter().map(|l| l.stream.clone()).collect();
            let is_done = matches!(membership.ask_a_root(&Request::Retire(ledgers)).await, Ok(Reply::Done));
            handle.tell(Input::Retired { streams, is_done }).await;
        });
    }
}
