//! Calls of the store, each in a task of its own that reports back to the core.

use super::Core;
use super::input::Finished;
use crate::machine::{BatchId, ReadId};
use crate::shell::health::Work;
use crate::store::Store;
use countree_common::cut::{Cut, Outcome};
use countree_common::key::Topic;
use countree_common::shell::tasks;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Core {
    pub(super) fn ask_era(&self, after: Duration) {
        let (store, finished) = (self.store.clone(), self.finished.clone());
        tasks::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(after) => {}
                () = finished.closed() => return,
            }
            let _ = finished.send(Finished::ServedIn(store.served_in().await));
        });
    }

    pub(super) fn merge(&mut self, batch: BatchId, cuts: Arc<[Cut]>) {
        self.merging += 1;
        let (store, gauges, finished) = (self.store.clone(), self.gauges.clone(), self.finished.clone());
        tasks::spawn(async move {
            let began = Instant::now();
            let answers = store.merge(cuts.clone()).await;
            let applied = cuts.iter().zip(&answers).filter(|(_, a)| matches!(a, Ok(Outcome::Applied(_))));
            gauges.merged(&answers, applied.map(|(cut, _)| cut.events).sum(), began.elapsed());
            // The core outlives its merges, but for a shutdown that gave up on them.
            let _ = finished.send(Finished::Merge(batch, answers));
        });
    }

    pub(super) fn read(&self, read: ReadId, topic: Topic) {
        let (store, gauges, finished) = (self.store.clone(), self.gauges.clone(), self.finished.clone());
        tasks::spawn(async move {
            let result = store.read(&topic).await;
            match &result {
                Ok(_) => gauges.store_answered(Work::Reading),
                Err(e) => {
                    tracing::debug!(%topic, "a topic could not be read: {e}");
                    gauges.store_failed(Work::Reading, e);
                }
            }
            let _ = finished.send(Finished::Read(read, result));
        });
    }
}
