//! Prints results on standard output, for people or for programs.

use countree_common::document::TopicView;
use countree_common::key::Kind;
use countree_common::shell::failure::printable;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Prints for people or for programs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    /// Whether to print JSON for a program.
    pub json: bool,
}

impl Report {
    /// Prints `text` for people or `value` for programs. Returns `false` when standard output is closed.
    pub(crate) fn print(self, value: &impl Serialize, text: impl FnOnce() -> String) -> bool {
        let line = if self.json {
            serde_json::to_string(value).unwrap_or_default()
        } else {
            printable_lines(&text())
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
    }
}

/// Escapes control characters in each line.
fn printable_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

/// Groups digits: 28013 becomes 28,013.
pub(crate) fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// Sums each kind over the items of a topic.
pub(crate) fn kind_sums(view: &TopicView) -> BTreeMap<Kind, i64> {
    let mut sums = BTreeMap::new();
    for (kind, total) in view.counts.values().flatten() {
        let sum: &mut i64 = sums.entry(kind.clone()).or_default();
        *sum = sum.saturating_add(*total);
    }
    sums
}

/// Formats one total: `comment 28,013`.
pub(crate) fn show_total(kind: &Kind, total: i64) -> String {
    format!("{} {}", printable(kind.as_str()), thousands(total))
}

/// Formats the sums: `comment 28,013 · like 12`.
pub(crate) fn show_sums(sums: &BTreeMap<Kind, i64>) -> String {
    let parts: Vec<_> = sums.iter().map(|(kind, sum)| show_total(kind, *sum)).collect();
    if parts.is_empty() { "nothing counted yet".into() } else { parts.join(" · ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (28_013, "28,013"), (-1_000_000, "-1,000,000")] {
            assert_eq!(thousands(number), text);
        }
    }
}
