//! Rerouting of batches that were never sent, when the set of leaves that take new events changes.

use super::{ProducerMachine, index};
use crate::machine::producer::batch::Batch;
use crate::machine::producer::routing::Routing;
use countree_common::cluster::ClusterView;
use countree_common::time::Time;

impl ProducerMachine {
    /// Applies a changed set of leaves: drops unused connections, and reroutes batches that were never sent.
    pub(super) fn reroute(&mut self, now: Time, view: ClusterView) {
        let owners = self
            .connections
            .iter()
            .filter(|connection| connection.takes_new())
            .map(|connection| connection.leaf().clone());
        self.routing = Routing::new(owners, view, self.next_session as usize);
        let unrouted = std::mem::take(&mut self.unrouted).take();
        let mut displaced: Vec<Batch> = unrouted.into();
        for connection in self.connections.iter_mut().filter(|connection| !connection.takes_new()) {
            displaced.extend(connection.backlog.take());
        }
        for at in 0..self.connections.len() {
            self.with_connection(now, at, |connection, ctx| {
                if connection.is_unused() {
                    connection.disconnect(ctx);
                }
            });
        }
        self.connections.retain(|connection| !connection.is_unused());
        self.names.forget_routes();
        displaced.into_iter().for_each(|batch| self.reroute_batch(batch));
    }

    /// Moves batches that a connection must not send any more to others.
    pub(super) fn displace_backlog(&mut self, at: usize) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        if !connection.takes_new() && !connection.backlog.is_empty() {
            let displaced = connection.backlog.take();
            displaced.into_iter().for_each(|batch| self.reroute_batch(batch));
        }
    }

    /// Routes a whole batch to the owner of its first event. Where events are counted is a matter of
    /// efficiency only, and this happens rarely.
    pub(super) fn reroute_batch(&mut self, batch: Batch) {
        let names = self.names.of(batch.generation);
        let first = batch.iter().next().and_then(|(name, _)| names.get(name as usize));
        let at = first
            .map_or(self.connections.len(), |counter| index(&self.connections)(self.routing.owner(counter)));
        self.connections
            .get_mut(at)
            .map_or(&mut self.unrouted, |connection| &mut connection.backlog)
            .push_back(batch);
    }
}
