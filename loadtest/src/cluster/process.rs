//! One program that is started, signalled and started again, and that ends with its guard.

use super::{aof, older};
use countree_common::shell::failure::Failure;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The prefix of environment variables that must not reach a node.
const ENVIRONMENT: &str = "COUNTREE_";

/// The kinds of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProcessKind {
    Leaf,
    Root,
    Broadcast,
    Redis,
    /// The server that Countree is compared with.
    Rival,
}

/// An act on a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Kill,
    /// A kill too; what comes after it takes longer.
    KillForLong,
    /// A kill of a Redis server, whose log then loses this many bytes at its end.
    KillAndForget(u64),
    /// A kill; the data is then as it was at the last such kill.
    KillAndRestore,
    /// A kill; the data is then gone.
    KillAndLose,
    Pause,
    Resume,
    Terminate,
    Start,
}

/// One program. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    pub(crate) name: String,
    pub(crate) kind: ProcessKind,
    /// Its HTTP address, if it has one.
    pub(crate) url: Option<String>,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// The file for its output.
    pub(crate) log: PathBuf,
    /// Its data folder.
    pub(crate) data: Option<PathBuf>,
    pub(crate) child: Option<Child>,
}

impl ServerProcess {
    /// Does it.
    ///
    /// # Errors
    /// When the program can't be started or signalled.
    pub(crate) fn act(&mut self, act: Act) -> Result<(), Failure> {
        let name = &self.name;
        let signal = match act {
            Act::Start => return self.start(),
            Act::Kill | Act::KillForLong | Act::KillAndForget(_) | Act::KillAndRestore | Act::KillAndLose => {
                Signal::KILL
            }
            Act::Pause => Signal::STOP,
            Act::Resume => Signal::CONT,
            Act::Terminate => Signal::TERM,
        };
        // One that has ended by itself since it was last looked at is still ours to signal, and heeds none.
        let Some(child) = &mut self.child else { return Ok(()) };
        kill_process(Pid::from_child(child), signal)
            .map_err(|e| Failure::failed(format!("{name} can't be sent {signal:?}: {e}")))?;
        if signal == Signal::KILL {
            child.wait()?;
            self.child = None;
        }
        match (act, &self.data) {
            (Act::KillAndForget(bytes), Some(data)) => aof::forget(data, bytes),
            // It was killed before it had made any.
            (Act::KillAndRestore | Act::KillAndLose, Some(data)) if !data.exists() => Ok(()),
            (Act::KillAndRestore, Some(data)) => older::restore(data),
            (Act::KillAndLose, Some(data)) => Ok(fs::remove_dir_all(data)?),
            _ => Ok(()),
        }
    }

    fn start(&mut self) -> Result<(), Failure> {
        let mut command = Command::new(&self.program);
        for (variable, _) in std::env::vars_os() {
            if variable.to_str().is_some_and(|v| v.starts_with(ENVIRONMENT) && v != "COUNTREE_LOG") {
                command.env_remove(variable);
            }
        }
        if std::env::var_os("COUNTREE_LOG").is_none() {
            command.env("COUNTREE_LOG", "warn");
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        command.args(&self.arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().map_err(|e| {
            let program = self.program.display();
            Failure::failed(format!("{program} can't be run as {}: {e}", self.name))
        })?;
        self.child = Some(child);
        Ok(())
    }

    /// Its number, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether it was running and has ended since.
    ///
    /// # Errors
    /// When the system does not say.
    pub(crate) fn has_ended(&mut self) -> Result<bool, Failure> {
        let Some(child) = &mut self.child else { return Ok(false) };
        let has_ended = child.try_wait()?.is_some();
        if has_ended {
            self.child = None;
        }
        Ok(has_ended)
    }

    /// The last lines of its output.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing").to_owned()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Its data is of no use any more; SIGKILL ends a stopped process too.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
