//! Reads a whole store, page by page.

use serde::{Deserialize, Serialize};

/// The position where a scan goes on. Only the store that made it understands it; it may be kept as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A cursor that was kept as text.
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The cursor as text, to be kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Some of what a scan finds. A page may be empty while there are more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items of this page.
    pub found: Vec<T>,
    /// The cursor of the next page; `None` after the last.
    pub next: Option<Cursor>,
}
