//! Keeps a node running in a process of its own: starts it, restarts it after a crash, and asks it to leave over its
//! standard input, which closes when this process ends.

use super::layout::Layout;
use crate::shutdown::LEAVE;
use countree_common::cluster::{NodeName, Tier};
use countree_common::shell::failure::Failure;
use countree_common::shell::shutdown::Shutdown;
use serde::Deserialize;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};

/// Time for a node to become ready; after that it needs an operator.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// The wait before a crashed node is started again. It doubles up to [`RESTART_MAX`], and begins anew for a node that
/// has run for [`STEADY`].
const RESTART: Duration = Duration::from_millis(100);
const RESTART_MAX: Duration = Duration::from_secs(10);
const STEADY: Duration = Duration::from_secs(30);
/// Time for a node to leave; then it is killed. Events that it has not merged are in its log.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(60);

/// The line that a node prints when it is ready.
#[derive(Debug, Deserialize)]
struct Ready {
    quic: SocketAddr,
    http: SocketAddr,
}

/// A running process and its standard input, apart because waiting for a child closes its input.
struct ChildProcess {
    child: tokio::process::Child,
    input: Option<ChildStdin>,
}

/// A node in a process of its own.
#[derive(Debug)]
pub(super) struct Child {
    name: NodeName,
    tier: Tier,
    /// See [`Start::adopts`](crate::node::Start).
    adopts: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Kept over restarts, so that others find the node at the same address.
    quic: Option<SocketAddr>,
    /// None while it does not run.
    http: Option<SocketAddr>,
}

impl Child {
    /// Starts the node and returns once it is in the cluster. Keeps it running until `leave` begins, or until it
    /// leaves by itself because it was asked over the network; begins `gone` after either.
    pub(super) async fn start(
        layout: Arc<Layout>,
        (name, tier, adopts): (&NodeName, Tier, bool),
        roots: impl Fn() -> Vec<SocketAddr> + Send + 'static,
        (leave, gone, stop): (&Shutdown, &Shutdown, &Shutdown),
    ) -> Result<Arc<Self>, Failure> {
        let child = Arc::new(Self { name: name.clone(), tier, adopts, state: Mutex::default() });
        let process = child.spawn(&layout, &roots(), stop).await?;
        let (keeper, leave, gone) = (child.clone(), leave.clone(), gone.clone());
        tokio::spawn(async move {
            keeper.keep(process, &layout, roots, &leave).await;
            gone.begin();
        });
        Ok(child)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address at which others reach it over QUIC.
    pub(super) fn quic(&self) -> Option<SocketAddr> {
        self.state().quic
    }

    /// Its HTTP address, while it runs.
    pub(super) fn http(&self) -> Option<SocketAddr> {
        self.state().http
    }

    async fn keep(
        &self,
        mut process: ChildProcess,
        layout: &Layout,
        roots: impl Fn() -> Vec<SocketAddr>,
        leave: &Shutdown,
    ) {
        let mut wait = RESTART;
        loop {
            let since = Instant::now();
            let ended = tokio::select! {
                ended = process.child.wait() => ended,
                () = leave.begun() => return self.dismiss(process).await,
            };
            self.state().http = None;
            match ended {
                Ok(status) if status.success() => return tracing::info!(node = %self.name, "has left"),
                Ok(status) => tracing::warn!(node = %self.name, "has crashed ({status})"),
                Err(e) => tracing::warn!(node = %self.name, "can't be watched: {e}"),
            }
            if since.elapsed() > STEADY {
                wait = RESTART;
            }
            process = loop {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = leave.begun() => return,
                }
                wait = (wait * 2).min(RESTART_MAX);
                match self.spawn(layout, &roots(), leave).await {
                    Ok(process) => break process,
                    Err(_) if leave.has_begun() => return,
                    Err(e) => tracing::warn!(node = %self.name, "does not start again: {}", e.message()),
                }
            };
        }
    }

    /// Starts the process and waits until it is ready. When `stop` begins, the start is given up.
    async fn spawn(
        &self,
        layout: &Layout,
        roots: &[SocketAddr],
        stop: &Shutdown,
    ) -> Result<ChildProcess, Failure> {
        let config = layout.config(&self.name, self.tier, self.quic(), roots);
        let path = layout.folder().join(format!("{}.toml", self.name));
        // The file may hold the store's password.
        write_private(&path, &config.to_text())
            .map_err(|e| Failure::failed(format!("{}: {e}", path.display())))?;
        let mut child = self.command(&path)?.spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let process = ChildProcess { child, input };
        let ready = tokio::select! {
            ready = tokio::time::timeout(READY_TIMEOUT, first_line(output)) => ready.ok().flatten(),
            () = stop.begun() => None,
        };
        let Some(ready) = ready else {
            self.dismiss(process).await;
            return Err(Failure::failed(format!("{} did not start: its own messages say why", self.name)));
        };
        *self.state() = State { quic: Some(ready.quic), http: Some(ready.http) };
        Ok(process)
    }

    fn command(&self, config: &Path) -> Result<Command, Failure> {
        let program: PathBuf = std::env::current_exe()?;
        let mut command = Command::new(program);
        command.arg(self.tier.to_string()).arg("--config").arg(config).args(["--with-parent", "--json"]);
        if self.adopts {
            command.arg("--adopt");
        }
        // Settings of single nodes, and of the port before them, which are not for these.
        let inherited = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let is_other =
            |name: &String| ["COUNTREE_NODE_", "COUNTREE_HTTP_"].iter().any(|p| name.starts_with(p));
        inherited.filter(is_other).for_each(|name| {
            command.env_remove(name);
        });
        // What it lets in was checked in this process.
        command.env("COUNTREE_INSECURE", "true");
        // A process group of its own: Ctrl-C reaches only this process, which stops the nodes in their order.
        command.process_group(0).kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(command)
    }

    /// Asks the process to leave, and waits for its end.
    async fn dismiss(&self, mut process: ChildProcess) {
        if let Some(input) = &mut process.input {
            // The write fails for a process that has ended by itself.
            let _ = input.write_all(LEAVE.as_bytes()).await;
            let _ = input.flush().await;
        }
        let left = tokio::time::timeout(LEAVE_TIMEOUT, process.child.wait()).await;
        self.state().http = None;
        if left.is_err() {
            tracing::warn!(node = %self.name, "has not left within {} s: ending it; what it has not merged is in its log", LEAVE_TIMEOUT.as_secs());
            let _ = process.child.kill().await;
        }
    }
}

/// Reads the line that the process prints when it is ready; `None` when it ends before.
async fn first_line(output: Option<ChildStdout>) -> Option<Ready> {
    let mut line = String::new();
    BufReader::new(output?).read_line(&mut line).await.ok()?;
    serde_json::from_str(&line).ok()
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut open = std::fs::OpenOptions::new();
    open.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}
