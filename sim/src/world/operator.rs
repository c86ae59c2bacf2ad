//! The operator: the person who starts roots on stores, rightly or by mistake.

use crate::store::Store;

/// Traces of the operator's actions.
#[derive(Debug, Default)]
pub(super) struct Operator {
    /// The cluster's own store, while roots reach another one instead.
    pub(super) displaced_store: Option<Store>,
    /// Whether roots were ever started on another store.
    pub(super) has_used_another_store: bool,
}
