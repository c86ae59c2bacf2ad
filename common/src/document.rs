//! Topic documents as they travel from the store to viewers.

use crate::key::{Item, Kind, Topic};
use crate::time::WallMs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Where a topic document stands. Ordered: first by era, which changes when the store was found to have
/// gone back in time, then by the count of merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Version {
    /// Changes when the store was found to have gone back in time.
    pub era: u64,
    /// Counts merges of the topic.
    pub number: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.era, self.number)
    }
}

impl std::str::FromStr for Version {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (era, number) = text.split_once('-').unwrap_or(("", text));
        Ok(Self { era: era.parse()?, number: number.parse()? })
    }
}

/// One counter's total: the value, not the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterTotal {
    /// The item.
    pub item: Item,
    /// What happened to it.
    pub kind: Kind,
    /// How often, as a signed sum.
    pub total: i64,
}

/// All totals of a topic at one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The topic.
    pub topic: Topic,
    /// Where the document stood.
    pub version: Version,
    /// Every counter ever merged into it.
    pub totals: Vec<CounterTotal>,
}

/// The totals that changed from one version of a topic to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// The topic.
    pub topic: Topic,
    /// The version that these changes apply to.
    pub base: Version,
    /// The version after them.
    pub version: Version,
    /// The new totals of the counters that changed.
    pub totals: Vec<CounterTotal>,
}

/// `{item: {kind: total}}`, the shape that people read.
pub type Counts = BTreeMap<Item, BTreeMap<Kind, i64>>;

/// Arranges totals the way people read them.
pub fn counts(totals: impl IntoIterator<Item = CounterTotal>) -> Counts {
    let mut counts = Counts::new();
    for CounterTotal { item, kind, total } in totals {
        counts.entry(item).or_default().insert(kind, total);
    }
    counts
}

/// A topic as `GET /v1/topics/{topic}`, `countree get --json` and `countree watch --json` show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicView {
    /// The topic.
    pub topic: Topic,
    /// See [`Version::era`].
    pub era: u64,
    /// See [`Version::number`].
    pub version: u64,
    /// The time up to which every live leaf's events are in the numbers; 0 when not known yet.
    pub complete_to: WallMs,
    /// The totals; in an update, those that changed.
    pub counts: Counts,
}
