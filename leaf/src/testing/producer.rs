//! A producer's side of one connection's dictionary.

use countree_common::delta::Delta;
use countree_common::key::Counter;
use countree_common::session::Seq;
use countree_common::wire::batch::BatchBuilder;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<Counter, u32>);

impl Names {
    /// A batch's body; names that the connection has not seen yet are defined by it.
    pub(crate) fn batch(&mut self, seq: Seq, events: &[(Counter, i64)]) -> Vec<u8> {
        let mut builder = BatchBuilder::default();
        for (counter, delta) in events {
            let next = self.0.len() as u32;
            let id = *self.0.entry(counter.clone()).or_insert_with(|| {
                builder.name(counter);
                next
            });
            builder.event(id, Delta::new(*delta).unwrap());
        }
        builder.build(seq)
    }
}
