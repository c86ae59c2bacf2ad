//! Makes Python environments with packages from PyPI, kept between runs.

use super::command::{run, skip};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Tests of one process make environments one after another.
static MAKING: Mutex<()> = Mutex::new(());

/// Returns the interpreter of an environment that has these packages; `None`, noted as skipped, where it can't be
/// made.
pub(crate) fn python_with(name: &str, packages: &[&str], what: &str) -> Option<PathBuf> {
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{name}"));
    let python = folder.join("bin/python");
    let install = || {
        let path = python.to_str().unwrap();
        if run(path, &["-m", "pip", "--version"]).is_err() {
            run("python3", &["-m", "venv", "--clear", folder.to_str().unwrap()])?;
        }
        let arguments = ["-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "20"];
        run(path, &[&arguments[..], packages].concat())
    };
    match install() {
        Ok(_) => Some(python),
        Err(why) => {
            let why = why.lines().last().unwrap_or_default().to_owned();
            skip(&format!("{what} ({} can't be installed: {why})", packages.join(", ")));
            None
        }
    }
}
