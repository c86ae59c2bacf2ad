//! A cluster of our own: `countree up` in a process of its own, which ends when its guard does.

use crate::arguments::Target;
use countree_common::shell::failure::Failure;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A cluster that has not come up after this long won't.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for a drain before the process is killed: its log is not needed any more.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const STOP_POLL: Duration = Duration::from_millis(20);

/// A running `countree up`. Dropping it ends it, by SIGTERM and then by force.
#[derive(Debug)]
pub(crate) struct Server {
    process: UpProcess,
    /// Its HTTP address, `http://host:port`.
    pub(crate) url: String,
    log: PathBuf,
    // Dropped after the process, which writes to both.
    _output: BufReader<ChildStdout>,
    _workspace: tempfile::TempDir,
}

#[derive(Debug)]
struct UpProcess {
    child: Child,
}

/// The line that says that it is up.
#[derive(Debug, Deserialize)]
struct Ready {
    http: String,
}

impl Server {
    /// Starts a cluster and returns once it can be used.
    ///
    /// # Errors
    /// When there is no binary, or it does not come up.
    pub(crate) async fn start(target: &Target) -> Result<Self, Failure> {
        Self::start_with(target, None).await
    }

    /// [`Server::start`], with a manifest instead of one made from `target`.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub(crate) async fn start_with(target: &Target, manifest: Option<&Path>) -> Result<Self, Failure> {
        let binary = binary(target.countree.as_deref())?;
        let workspace = tempfile::Builder::new().prefix("countree-loadtest-").tempdir()?;
        let log = workspace.path().join("countree.log");
        let mut command = Command::new(&binary);
        command.args(["up", "--json", "--http", "127.0.0.1:0", "--data"]);
        command.arg(target.data.clone().unwrap_or_else(|| workspace.path().join("data")));
        let made = workspace.path().join("manifest.toml");
        fs::write(&made, settings(target))?;
        command.arg(manifest.unwrap_or(&made));
        if std::env::var_os("COUNTREE_LOG").is_none() {
            command.env("COUNTREE_LOG", "warn");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let child = command
            .spawn()
            .map_err(|e| Failure::failed(format!("{} can't be run: {e}", binary.display())))?;
        let mut process = UpProcess { child };
        let Some(output) = process.child.stdout.take() else {
            return Err(Failure::failed("the cluster's output can't be read"));
        };
        let (url, output) = ready(output, &log).await?;
        Ok(Self { process, url, log, _output: output, _workspace: workspace })
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// The last lines of its output.
    pub(crate) fn last_words(&self) -> String {
        last_line(&self.log)
    }
}

impl Drop for UpProcess {
    fn drop(&mut self) {
        // Until it is waited for, its number can't belong to another process.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let polls = STOP_TIMEOUT.as_millis() / STOP_POLL.as_millis();
        for _ in 0..polls {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(STOP_POLL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The manifest: what was asked for, and else what `countree up` does by itself.
fn settings(target: &Target) -> String {
    let line = |section: &str, name: &str, value: Option<String>| {
        value.map_or(String::new(), |value| format!("[{section}]\n{name} = {value}\n"))
    };
    let time = |length: Option<Duration>| length.map(|length| format!("\"{}ms\"", length.as_millis()));
    line("leaf", "replicas", target.leaves.map(|leaves| leaves.to_string()))
        + &line("cluster", "window", time(target.window))
        + &line("broadcast", "tick", time(target.tick))
}

/// Waits for the line that says where the cluster is.
async fn ready(output: ChildStdout, log: &Path) -> Result<(String, BufReader<ChildStdout>), Failure> {
    let read = tokio::task::spawn_blocking(move || {
        let (mut output, mut line) = (BufReader::new(output), String::new());
        output.read_line(&mut line).map(|_| (line, output))
    });
    let Ok(read) = tokio::time::timeout(READY_TIMEOUT, read).await else {
        let seconds = READY_TIMEOUT.as_secs();
        return Err(Failure::failed(format!(
            "the cluster is not ready after {seconds} s; {}",
            last_line(log)
        )));
    };
    let (line, output) = read??;
    if line.is_empty() {
        return Err(Failure::failed(format!("the cluster did not come up; {}", last_line(log))));
    }
    let ready: Ready = serde_json::from_str(&line).map_err(|e| {
        Failure::failed(format!("countree up says {}, which is not of its form: {e}", line.trim()))
    })?;
    Ok((ready.http, output))
}

/// The last lines of the cluster's output.
fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    line.map_or_else(|| "it said nothing".into(), |line| format!("it said: {line}"))
}

/// The binary that was named, or the one that was built along with this one.
pub(crate) fn binary(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name("countree"),
    };
    if path.is_file() {
        return Ok(path);
    }
    Err(Failure::failed(format!(
        "no countree binary at {}: run 'cargo build --release --workspace', or name one with --countree PATH, \
         or a running cluster with --cluster URL",
        path.display()
    )))
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
