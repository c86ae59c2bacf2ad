//! The imports that a cluster remembers, as the registry keeps them.

use countree_common::import::{Direction, ImportFile, ImportRefusal};
use countree_common::ledger::{Ledger, StreamLedger};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Imports that are remembered. They are remembered for good: a repeat must never count again.
pub(super) const IMPORTS_REMEMBERED: usize = 1_024;

/// The state of an import. Each may be continued, and none goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Running,
    Done,
    Undoing,
    Undone,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Import {
    digest: String,
    rows: u64,
    state: State,
    /// Rows that were put in; known once it is done or undone.
    #[serde(default)]
    merged: u64,
}

/// The remembered imports, by id.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Imports(BTreeMap<String, Import>);

impl Imports {
    /// An import begins, or goes on.
    pub(super) fn begin(&mut self, file: &ImportFile, direction: Direction) -> Result<(), ImportRefusal> {
        let is_full = self.0.len() >= IMPORTS_REMEMBERED;
        let ImportFile { id, digest, rows } = file;
        match (self.0.get_mut(id), direction) {
            (Some(known), _) if known.digest != *digest || known.rows != *rows => {
                Err(ImportRefusal::OtherFile(id.clone()))
            }
            (Some(known), Direction::Import) if known.state >= State::Undoing => {
                Err(ImportRefusal::Undone(id.clone()))
            }
            (Some(_), Direction::Import) => Ok(()),
            (Some(known), Direction::Undo) => {
                known.state = known.state.max(State::Undoing);
                Ok(())
            }
            (None, Direction::Undo) => Err(ImportRefusal::Unknown(id.clone())),
            (None, Direction::Import) if is_full => Err(ImportRefusal::Full(IMPORTS_REMEMBERED)),
            (None, Direction::Import) => {
                let import = Import { digest: digest.clone(), rows: *rows, state: State::Running, merged: 0 };
                self.0.insert(id.clone(), import);
                Ok(())
            }
        }
    }

    /// All rows were sent; the number of them that count.
    pub(super) fn end(
        &mut self,
        file: &ImportFile,
        direction: Direction,
        rows: u64,
    ) -> Result<(), ImportRefusal> {
        self.begin(file, direction)?;
        if let Some(known) = self.0.get_mut(&file.id) {
            let reached = match direction {
                Direction::Import => State::Done,
                Direction::Undo => State::Undone,
            };
            if known.state < reached {
                (known.state, known.merged) = (reached, rows);
            }
        }
        Ok(())
    }

    /// The ledgers of imports that have come to their end: each row is an event.
    pub(super) fn ledgers(&self) -> impl Iterator<Item = StreamLedger> {
        let of = |(id, import): (&String, &Import)| {
            let Import { digest, rows, state, merged } = import;
            let file = ImportFile { id: id.clone(), digest: digest.clone(), rows: *rows };
            let directions: &[Direction] = match state {
                State::Running | State::Undoing => &[],
                State::Done => &[Direction::Import],
                State::Undone => &[Direction::Import, Direction::Undo],
            };
            let ledger = Ledger { accepted: *merged, merged: *merged, in_flight: 0, declared_lost: 0 };
            let stream = |direction: &Direction| {
                Some(StreamLedger { stream: file.stream(*direction).ok()?, sealed: true, ledger })
            };
            directions.iter().filter_map(stream).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of)
    }
}

#[cfg(test)]
#[path = "imports_tests.rs"]
mod tests;
