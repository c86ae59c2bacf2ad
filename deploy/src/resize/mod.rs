//! Plans a resize: its steps, and the share of items, topics, keys and viewers that it moves.

mod shares;
mod sizes;
mod step;

pub(crate) use shares::{Moves, Share};
pub(crate) use sizes::{Sizes, steps};
pub(crate) use step::{Action, Resize, State, Step};
