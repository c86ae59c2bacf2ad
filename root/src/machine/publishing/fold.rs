//! Brings a snapshot up to date with the updates that came while it was read.

use countree_common::document::{CounterTotal, Snapshot, Update};
use countree_common::key::{Item, Kind};
use std::collections::BTreeMap;

/// Whether the store was found to have gone back in time before this update. A version before it may be
/// another document than the one that somebody holds under the same number: only a new snapshot helps.
pub(super) fn begins_an_era(update: &Update) -> bool {
    update.base.era != update.version.era
}

/// The snapshot with the updates in it that follow upon it, one upon the other.
pub(super) fn fold(mut snapshot: Snapshot, updates: Vec<Update>) -> Snapshot {
    let mut newer = BTreeMap::<(Item, Kind), i64>::new();
    for update in updates {
        if update.base == snapshot.version && !begins_an_era(&update) {
            snapshot.version = update.version;
            newer.extend(update.totals.into_iter().map(|t| ((t.item, t.kind), t.total)));
        }
    }
    if !newer.is_empty() {
        for known in &mut snapshot.totals {
            let counter = (known.item.clone(), known.kind.clone());
            known.total = newer.remove(&counter).unwrap_or(known.total);
        }
        let added = newer.into_iter().map(|((item, kind), total)| CounterTotal { item, kind, total });
        snapshot.totals.extend(added);
    }
    snapshot
}
