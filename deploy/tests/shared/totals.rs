//! Totals by counter, as load expects them and viewers see them.

use std::collections::BTreeMap;

/// The total of each (topic, item).
pub(crate) type Totals = BTreeMap<(String, String), i64>;
