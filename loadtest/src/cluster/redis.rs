//! A Redis server of our own.

use super::process::{ProcessKind, ServerProcess};
use clap::ValueEnum;
use countree_common::shell::failure::Failure;
use serde::Serialize;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

const REDIS: &str = "redis-server";

/// The durability of Redis's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fsync {
    /// It keeps no log
    Off,
    /// Once a second, in the background
    Everysec,
    /// Before it answers
    Always,
}

/// Whether there is a Redis server on this machine.
///
/// # Errors
/// When there is one that can't be run.
pub(crate) fn is_installed() -> Result<bool, Failure> {
    let found = Command::new(REDIS).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status();
    match found {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Failure::failed(format!("{REDIS} can't be run: {e}"))),
    }
}

/// A server that keeps its data in a folder of its own; it does not run yet.
///
/// # Errors
/// When the folder can't be made.
pub(crate) fn server(name: &str, folder: &Path, port: u16, fsync: Fsync) -> Result<ServerProcess, Failure> {
    let data = folder.join(name);
    fs::create_dir(&data)?;
    let (dir, port) = (data.display().to_string(), port.to_string());
    let (log, fsync) = match fsync {
        Fsync::Off => ("no", "no"),
        Fsync::Everysec => ("yes", "everysec"),
        Fsync::Always => ("yes", "always"),
    };
    // A rewrite of its file is another process, which would outlive it and share the processor.
    let arguments = [
        ["--port", &port],
        ["--bind", "127.0.0.1"],
        ["--dir", &dir],
        ["--save", ""],
        ["--appendonly", log],
        ["--appendfsync", fsync],
        ["--auto-aof-rewrite-percentage", "0"],
        ["--maxmemory-policy", "noeviction"],
    ];
    Ok(ServerProcess {
        name: name.into(),
        kind: ProcessKind::Redis,
        url: None,
        program: REDIS.into(),
        arguments: arguments.concat().into_iter().map(str::to_owned).collect(),
        log: folder.join(format!("{name}.log")),
        data: Some(data),
        child: None,
    })
}
