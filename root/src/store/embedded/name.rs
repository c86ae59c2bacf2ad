//! A counter's name within its topic: item and kind as one run of bytes.

use countree_common::key::{Item, Kind, NameError};

/// Ends the item: a byte that no UTF-8 holds.
const END: u8 = 0xff;

/// Appends the name.
pub(super) fn pack(item: &Item, kind: &Kind, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(item.as_str().as_bytes());
    bytes.push(END);
    bytes.extend_from_slice(kind.as_str().as_bytes());
}

/// The counter of that name.
///
/// # Errors
/// When no counter is.
pub(super) fn unpack(name: &[u8]) -> Result<(Item, Kind), NameError> {
    let end = name.iter().position(|byte| *byte == END).unwrap_or(name.len());
    let (item, kind) = (text(name.get(..end)), text(name.get(end + 1..)));
    Ok((Item::new(item)?, Kind::new(kind)?))
}

/// Bytes that are no name become an empty one, which is none either.
fn text(bytes: Option<&[u8]>) -> &str {
    std::str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
#[path = "name_tests.rs"]
mod tests;
