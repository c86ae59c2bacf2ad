//! Owns the machine in a thread: one input after another, and after each batch of inputs its outputs.

mod askers;
mod background;
mod feeding;
mod log_threads;
mod outboxes;
mod outputs;

use super::calls::Caller;
use super::disk::Disk;
use super::inputs::{CoreHandle, INPUTS, Input};
use crate::machine::LeafMachine;
use askers::Askers;
use background::Background;
use countree_common::shell::clock::Clock;
use countree_common::shell::tasks;
use log_threads::LogThreads;
use outboxes::Outboxes;
use std::time::Duration;
use tokio::sync::mpsc;

/// Inputs taken before outputs are written.
const INPUTS_AT_ONCE: usize = 256;

/// Everything that the core thread holds.
struct Core {
    machine: LeafMachine,
    clock: Clock,
    log: LogThreads,
    background: Background,
    outboxes: Outboxes,
    askers: Askers,
}

/// Held by each thread of a core for as long as it runs.
type Runs = mpsc::Sender<()>;

/// The threads of a core, to be waited for.
#[derive(Debug)]
pub(super) struct Threads(mpsc::Receiver<()>);

impl Threads {
    /// Waits until they have ended, and with them the hold on the data folder.
    pub(super) async fn ended(mut self) {
        while self.0.recv().await.is_some() {}
    }
}

/// Starts the core and its log's threads. [`Input::End`] ends them, and so does the loss of all handles.
pub(super) fn start(
    machine: LeafMachine,
    incarnation: u64,
    clock: Clock,
    disk: Disk,
    caller: Caller,
) -> std::io::Result<(CoreHandle, Threads)> {
    let (inputs, receiver) = mpsc::channel(INPUTS);
    let handle = CoreHandle { inputs };
    let (runs, ended) = mpsc::channel(1);
    let inputs = handle.inputs.downgrade();
    let log = LogThreads::start(disk, incarnation, &inputs, &runs)?;
    let background = Background::new(caller, inputs);
    let own_runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (outboxes, askers) = (Outboxes::default(), Askers::default());
    let core = Core { machine, clock, log, background, outboxes, askers };
    tasks::spawn_thread("leaf-core", move || {
        own_runtime.block_on(core.run(receiver));
        drop(runs);
    })?;
    Ok((handle, Threads(ended)))
}

impl Core {
    async fn run(mut self, mut receiver: mpsc::Receiver<Input>) {
        let mut inputs = Vec::with_capacity(INPUTS_AT_ONCE);
        self.write_outputs();
        loop {
            let due = self.machine.next_timeout();
            let wait = due.since(self.clock.now().mono).max(Duration::from_micros(100));
            tokio::select! {
                count = receiver.recv_many(&mut inputs, INPUTS_AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                }
                () = tokio::time::sleep(wait) => {}
            }
            for input in inputs.drain(..) {
                if matches!(input, Input::End) {
                    return;
                }
                self.take(input);
            }
            let now = self.clock.now();
            if self.machine.next_timeout() <= now.mono {
                self.machine.handle_time(now);
            }
            self.write_outputs();
        }
    }
}
