//! Keeps the state of one producer's connection.

use super::dictionary::Dictionary;
use countree_common::session::{Seq, SessionId};

#[derive(Debug, Default)]
pub(super) struct Producer {
    /// The session that it opened or resumed last.
    pub(super) session: Option<SessionId>,
    /// The counters that its ids mean.
    pub(super) dictionary: Dictionary,
    /// A batch of the session was refused for good: it takes no more.
    pub(super) is_refused: bool,
    /// The batch that it was asked to repeat; those after it are on their way and to be ignored.
    pub(super) repeat_from: Option<Seq>,
}
