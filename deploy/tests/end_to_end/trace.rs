//! Provides traces: recorded ones where they are at hand, and a generated one.

use crate::shared::command::skip;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Generates a trace: `rows` comments on one stream, each on an item of its own.
pub(crate) fn make(folder: &Path, rows: usize) -> PathBuf {
    let mut text = String::from("t_ms,topic,item,kind,delta,actor\n");
    for row in 0..rows {
        let _ = writeln!(text, "{},live/made-up,comment-{row},comment,1,{}", row * 7, row % 100);
    }
    let path = folder.join("trace.csv");
    std::fs::write(&path, text).unwrap();
    path
}

/// Finds a recorded trace; `None`, noted as skipped, where it is not at hand.
pub(crate) fn recorded(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces").join(name);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("no trace {name}"));
    None
}
