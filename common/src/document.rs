//! Topic documents as they travel from the store to viewers.

use crate::cluster::NodeName;
use crate::key::{Item, Kind, Topic};
use crate::limits::EXACT_MAX;
use crate::time::WallMs;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// The version of a topic document. Ordered: first by era, which changes when the store was found to have
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
    /// The kind.
    pub kind: Kind,
    /// The total.
    pub total: i64,
}

/// All totals of a topic at one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The topic.
    pub topic: Topic,
    /// The document's version.
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

/// Totals as `{item: {kind: total}}`.
pub type Counts = BTreeMap<Item, BTreeMap<Kind, i64>>;

/// Groups totals by item and kind.
pub fn counts(totals: impl IntoIterator<Item = CounterTotal>) -> Counts {
    let mut counts = Counts::new();
    for CounterTotal { item, kind, total } in totals {
        counts.entry(item).or_default().insert(kind, total);
    }
    counts
}

/// A topic as `GET /v1/topics/{topic}`, `countree get --json` and `countree watch --json` show it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TopicView {
    /// The topic.
    pub topic: Topic,
    /// See [`Version::era`].
    pub era: u64,
    /// See [`Version::number`].
    pub version: u64,
    /// The time up to which every live leaf's events are in the numbers; 0 when not known yet.
    pub complete_to: WallMs,
    /// Leaves that are not live and may hold events that are not in the numbers.
    #[serde(default)]
    pub away: Vec<NodeName>,
    /// The totals; in an update, those that changed.
    pub counts: Counts,
    /// Whether these are all totals of the topic, and replace what was held, rather than those that changed.
    /// Not written.
    #[serde(skip)]
    pub is_snapshot: bool,
}

/// Writes, beside the fields, `exact`: the totals that not every JSON reader holds as numbers, as text, in
/// the shape of `counts`. It is left out where there are none, and so is `away`.
impl Serialize for TopicView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { topic, era, version, complete_to, away, counts, is_snapshot: _ } = self;
        let exact = exact(counts);
        let extras = usize::from(!exact.is_empty()) + usize::from(!away.is_empty());
        let mut view = serializer.serialize_struct("TopicView", 5 + extras)?;
        view.serialize_field("topic", topic)?;
        view.serialize_field("era", era)?;
        view.serialize_field("version", version)?;
        view.serialize_field("complete_to", complete_to)?;
        if !away.is_empty() {
            view.serialize_field("away", away)?;
        }
        view.serialize_field("counts", counts)?;
        if !exact.is_empty() {
            view.serialize_field("exact", &exact)?;
        }
        view.end()
    }
}

/// The totals beyond [`EXACT_MAX`], as text.
fn exact(counts: &Counts) -> BTreeMap<&Item, BTreeMap<&Kind, String>> {
    let mut exact: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for (item, kinds) in counts {
        for (kind, total) in kinds {
            if total.unsigned_abs() > EXACT_MAX.unsigned_abs() {
                exact.entry(item).or_default().insert(kind, total.to_string());
            }
        }
    }
    exact
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(totals: &[(&str, i64)]) -> TopicView {
        let name = |item: &str| (Item::new(item).unwrap(), Kind::new("like").unwrap());
        let totals = totals.iter().map(|(item, total)| {
            let (item, kind) = name(item);
            CounterTotal { item, kind, total: *total }
        });
        let topic = Topic::new("t").unwrap();
        TopicView {
            topic,
            era: 1,
            version: 2,
            complete_to: WallMs(3),
            away: Vec::new(),
            counts: counts(totals),
            is_snapshot: false,
        }
    }

    #[test]
    fn totals_that_a_double_cannot_hold_are_also_shown_as_text() {
        let safe = view(&[("a", EXACT_MAX), ("b", -EXACT_MAX)]);
        let json = serde_json::to_string(&safe).unwrap();
        assert!(!json.contains("exact"), "{json}");
        let large = view(&[("a", EXACT_MAX), ("b", -EXACT_MAX - 1), ("c", i64::MAX)]);
        let json = serde_json::to_string(&large).unwrap();
        let exact = r#""exact":{"b":{"like":"-9007199254740992"},"c":{"like":"9223372036854775807"}}"#;
        assert!(json.ends_with(&format!("{exact}}}")), "{json}");
        for view in [safe, large] {
            let json = serde_json::to_string(&view).unwrap();
            assert_eq!(serde_json::from_str::<TopicView>(&json).unwrap(), view);
        }
    }
}
