//! The dictionary of one connection: the ids that its leaf knows names by.

use super::batch::Batch;
use super::names::PREFETCHED_NAMES;
use countree_common::delta::Delta;
use countree_common::key::Counter;
use countree_common::limits;
use countree_common::prefetch::prefetch;
use countree_common::session::Seq;
use countree_common::wire::batch::BatchBuilder;

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// The round in which `id` was defined. Ids of earlier rounds are void.
    round: u32,
    id: u32,
}

/// The names that one connection has defined. They stay defined even if the batch that brought them is not
/// counted: a batch that is repeated on its connection need not bring them again.
#[derive(Debug, Default)]
pub struct Dictionary {
    entries: Vec<Entry>,
    round: u32,
    defined: usize,
    generation: Option<u32>,
}

impl Dictionary {
    /// Forgets all names, for a new connection.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.round = 1;
        self.defined = 0;
        self.generation = None;
    }

    fn start_round(&mut self) {
        self.defined = 0;
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            // No entry may look as if it were of a round to come.
            self.entries.clear();
            self.round = 1;
        }
    }

    /// Encodes a batch for this connection. `names` are those of the batch's generation.
    pub fn encode(&mut self, seq: Seq, batch: &Batch, names: &[Counter]) -> Vec<u8> {
        let mut builder = BatchBuilder::default();
        let is_other_generation = self.generation.is_some_and(|g| g != batch.generation);
        let may_run_out = self.defined + batch.events as usize > limits::NAMES_PER_CONNECTION;
        if is_other_generation || may_run_out {
            builder.reset_names();
            self.start_round();
        }
        self.generation = Some(batch.generation);
        let mut ahead = batch.iter().map(|(name, _)| name);
        for (index, (name, delta)) in batch.iter().enumerate() {
            if index.is_multiple_of(PREFETCHED_NAMES) {
                let next = ahead.by_ref().take(PREFETCHED_NAMES);
                prefetch(next.filter_map(|name| Some(self.entries.get(name as usize)?.id)));
            }
            // Both hold by construction: a batch is made of defined names and valid deltas.
            let (Some(counter), Ok(delta)) = (names.get(name as usize), Delta::new(delta)) else { continue };
            let id = self.id(name as usize, || builder.name(counter));
            builder.event(id, delta);
        }
        builder.build(seq)
    }

    fn id(&mut self, name: usize, define: impl FnOnce()) -> u32 {
        if self.entries.len() <= name {
            self.entries.resize(name + 1, Entry::default());
        }
        let entry = &mut self.entries[name];
        if entry.round != self.round {
            define();
            *entry = Entry { round: self.round, id: self.defined as u32 };
            self.defined += 1;
        }
        entry.id
    }
}
