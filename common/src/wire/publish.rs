//! Root ⇄ broadcast node: subscriptions up, totals down.

use crate::document::{CounterTotal, Update, Version};
use crate::key::Topic;
use crate::stamp::Stamp;
use serde::{Deserialize, Serialize};

/// A message from a broadcast node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToRoot {
    /// Send snapshots of these topics, and then their updates. Repeated for a topic, it asks for a new
    /// snapshot.
    Interest(Vec<Topic>),
    /// Send nothing more of these.
    Disinterest(Vec<Topic>),
}

/// A message from a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromRoot {
    /// A piece of a snapshot.
    Snapshot(SnapshotPart),
    /// The changes of a merge. They apply to a copy at `base`; holders of another version ask for a snapshot.
    Update(Update),
    /// The totals that this root has published so far hold everything that live leaves acked before this
    /// time, where they are [of its era](Stamp::completes). It may be earlier than the one before: the last
    /// one holds.
    Watermark(Stamp),
}

/// A piece of a snapshot, since a topic may be larger than a frame. The pieces of one snapshot follow one
/// another on their stream. A topic never counted is one empty piece at version 0-0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPart {
    /// The topic.
    pub topic: Topic,
    /// The snapshot's version.
    pub version: Version,
    /// Some of the totals.
    pub totals: Vec<CounterTotal>,
    /// Whether this is the snapshot's last piece.
    pub last: bool,
}

/// Splits totals into snapshot pieces of at most `bytes` bytes each (one total always fits).
pub fn snapshot_parts(
    topic: &Topic,
    version: Version,
    totals: Vec<CounterTotal>,
    bytes: usize,
) -> Vec<SnapshotPart> {
    // Room for two length prefixes, and the longest varint.
    let size = |t: &CounterTotal| t.item.as_str().len() + t.kind.as_str().len() + 13;
    let part = |totals| SnapshotPart { topic: topic.clone(), version, totals, last: false };
    let mut parts = Vec::new();
    let (mut piece, mut piece_bytes) = (Vec::new(), 0);
    for total in totals {
        if !piece.is_empty() && piece_bytes + size(&total) > bytes {
            parts.push(part(std::mem::take(&mut piece)));
            piece_bytes = 0;
        }
        piece_bytes += size(&total);
        piece.push(total);
    }
    parts.push(SnapshotPart { last: true, ..part(piece) });
    parts
}

/// Joins snapshot pieces. Pieces of different topics may interleave.
#[derive(Debug, Default)]
pub struct SnapshotAssembly {
    open: std::collections::HashMap<Topic, Vec<CounterTotal>>,
}

impl SnapshotAssembly {
    /// Adds a piece; returns the snapshot when it was the last.
    pub fn push(&mut self, part: SnapshotPart) -> Option<crate::document::Snapshot> {
        let SnapshotPart { topic, version, mut totals, last } = part;
        if !last {
            self.open.entry(topic).or_default().append(&mut totals);
            return None;
        }
        let totals = match self.open.remove(&topic) {
            Some(mut earlier) => {
                earlier.append(&mut totals);
                earlier
            }
            None => totals,
        };
        Some(crate::document::Snapshot { topic, version, totals })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Item, Kind};

    #[test]
    fn a_snapshot_in_pieces_is_the_same_snapshot() {
        let topic = Topic::new("t").unwrap();
        let version = Version { era: 0, number: 3 };
        let totals: Vec<_> = (0..100)
            .map(|i| CounterTotal {
                item: Item::new(&format!("i{i}")).unwrap(),
                kind: Kind::new("like").unwrap(),
                total: i,
            })
            .collect();
        let parts = snapshot_parts(&topic, version, totals.clone(), 200);
        assert!(parts.len() > 5);
        let mut assembly = SnapshotAssembly::default();
        let whole: Vec<_> = parts.into_iter().filter_map(|p| assembly.push(p)).collect();
        assert_eq!(whole.len(), 1);
        assert_eq!(whole[0].totals, totals);
        assert_eq!(snapshot_parts(&topic, Version::default(), vec![], 200).len(), 1);
    }
}
