//! The processes: a Redis server and every node, each with ports and files that it keeps over restarts.

use super::layout::{NodePlan, Ports};
use super::now;
use super::storm::{Act, Place};
use countree_common::shell::failure::Failure;
use countree_common::shell::http;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The copy of the binary in the run's folder.
pub(super) const BINARY: &str = "countree";
const REDIS: &str = "redis-server";
const POLL: Duration = Duration::from_millis(20);
/// What a name begins with that is not part of a node's own settings.
const ENVIRONMENT: &str = "COUNTREE_";

/// How many nodes each tier has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiers {
    pub(super) leaves: u16,
    pub(super) roots: u16,
    pub(super) broadcasts: u16,
}

/// One program that is started again and again.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) name: String,
    pub(super) place: Place,
    /// Its HTTP address; Redis has none.
    pub(super) url: Option<String>,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

/// All of them. Dropping it kills those that run.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) processes: Vec<Process>,
    folder: PathBuf,
}

impl Fleet {
    /// Lays out the cluster in a folder: certificates, settings, ports. Nothing runs yet.
    ///
    /// # Errors
    /// When there is no Redis server or no countree binary, or the folder can't be written.
    pub(super) fn new(folder: &Path, countree: &Path, tiers: Tiers) -> Result<Self, Failure> {
        is_installed()?;
        // A build that goes on meanwhile must not change what is tested.
        let binary = folder.join(BINARY);
        fs::copy(countree, &binary)?;
        let mut ports = Ports::default();
        let mut fleet = Self { processes: Vec::new(), folder: folder.to_owned() };
        let redis = ports.next()?;
        fleet.add_redis(redis)?;
        let count = |tier, count| (0..count).map(move |number| (tier, number));
        let nodes = count(Place::Root, tiers.roots)
            .chain(count(Place::Leaf, tiers.leaves))
            .chain(count(Place::Broadcast, tiers.broadcasts));
        let nodes: Vec<_> = nodes
            .map(|(place, number)| Ok(NodePlan { place, number, quic: ports.next()?, http: ports.next()? }))
            .collect::<Result<_, Failure>>()?;
        let roots: Vec<_> = nodes.iter().filter(|n| n.place == Place::Root).map(|n| n.quic).collect();
        make_certificates(&binary, folder, &nodes)?;
        for node in &nodes {
            fleet.add_node(&binary, node, redis, &roots)?;
        }
        Ok(fleet)
    }

    fn add_redis(&mut self, port: u16) -> Result<(), Failure> {
        let data = self.folder.join("redis");
        fs::create_dir(&data)?;
        let data = data.display().to_string();
        let port = port.to_string();
        // A rewrite of its file is another process, which would outlive it.
        let arguments = [
            ["--port", &port],
            ["--bind", "127.0.0.1"],
            ["--dir", &data],
            ["--save", ""],
            ["--appendonly", "yes"],
            ["--appendfsync", "always"],
            ["--auto-aof-rewrite-percentage", "0"],
            ["--maxmemory-policy", "noeviction"],
        ];
        self.processes.push(Process {
            name: "redis".into(),
            place: Place::Redis,
            url: None,
            program: REDIS.into(),
            arguments: arguments.concat().into_iter().map(str::to_owned).collect(),
            log: self.folder.join("redis.log"),
            child: None,
        });
        Ok(())
    }

    fn add_node(&mut self, binary: &Path, node: &NodePlan, redis: u16, roots: &[u16]) -> Result<(), Failure> {
        let name = node.name();
        let path = self.folder.join(format!("{name}.toml"));
        fs::write(&path, node.settings(&self.folder, redis, roots))?;
        self.processes.push(Process {
            place: node.place,
            url: Some(format!("http://127.0.0.1:{}", node.http)),
            program: binary.to_owned(),
            arguments: vec![node.tier().into(), "--config".into(), path.display().to_string()],
            log: self.folder.join(format!("{name}.log")),
            child: None,
            name,
        });
        Ok(())
    }

    /// Starts everything and returns once all of it can do its work.
    ///
    /// # Errors
    /// When it can't within `patience`.
    pub(super) async fn start(&mut self, patience: Duration) -> Result<(), Failure> {
        for process in &mut self.processes {
            process.act(Act::Start)?;
        }
        let deadline = now() + patience;
        // A node that finds no Redis or no root yet may end; it is started until it stays.
        while let Some(trouble) = self.trouble().await {
            if now() > deadline {
                let seconds = patience.as_secs();
                return Err(Failure::failed(format!("the cluster is not up after {seconds} s: {trouble}")));
            }
            tokio::time::sleep(POLL).await;
            for process in &mut self.processes {
                if process.has_ended()? {
                    process.act(Act::Start)?;
                }
            }
        }
        Ok(())
    }

    /// Which node is not ready, if one is not.
    pub(super) async fn trouble(&self) -> Option<String> {
        for Process { name, url, .. } in &self.processes {
            let Some(url) = url else { continue };
            match http::request("GET", url, "/readyz", &[], None).await {
                Ok(answer) if answer.status == 200 => {}
                Ok(answer) => {
                    return Some(format!("{name} says {}", String::from_utf8_lossy(&answer.body).trim()));
                }
                Err(e) => return Some(format!("{name}: {e}")),
            }
        }
        None
    }

    /// The HTTP addresses of a tier.
    pub(super) fn urls(&self, place: Place) -> Vec<String> {
        self.processes.iter().filter(|p| p.place == place).filter_map(|p| p.url.clone()).collect()
    }

    /// Lines of the nodes' logs that speak of a panic.
    pub(super) fn panics(&self) -> Vec<String> {
        let mut panics = Vec::new();
        for Process { name, log, .. } in &self.processes {
            let text = fs::read_to_string(log).unwrap_or_default();
            let lines = text.lines().filter(|line| line.contains("panicked at"));
            panics.extend(lines.map(|line| format!("{name}: {}", line.trim())));
        }
        panics
    }
}

impl Process {
    /// Does it.
    ///
    /// # Errors
    /// When the program can't be started or signalled.
    pub(super) fn act(&mut self, act: Act) -> Result<(), Failure> {
        let name = &self.name;
        let signal = match act {
            Act::Start => return self.start(),
            Act::Kill | Act::KillForLong => Signal::KILL,
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
        Ok(())
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

    /// Whether it was running and has ended since.
    ///
    /// # Errors
    /// When the system does not say.
    pub(super) fn has_ended(&mut self) -> Result<bool, Failure> {
        let Some(child) = &mut self.child else { return Ok(false) };
        let has_ended = child.try_wait()?.is_some();
        if has_ended {
            self.child = None;
        }
        Ok(has_ended)
    }

    /// What it said last.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing").to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Its data is of no use any more; SIGKILL ends a stopped process too.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn is_installed() -> Result<(), Failure> {
    let found = Command::new(REDIS).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status();
    match found {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == ErrorKind::NotFound => Err(Failure::failed(
            "skipped: there is no redis-server on this machine; install Redis 6.2 or later",
        )),
        Err(e) => Err(Failure::failed(format!("{REDIS} can't be run: {e}"))),
    }
}

fn make_certificates(binary: &Path, folder: &Path, nodes: &[NodePlan]) -> Result<(), Failure> {
    let said = folder.join("certs.log");
    let status = Command::new(binary)
        .arg("certs")
        .arg(folder.join("certs"))
        .args(nodes.iter().map(NodePlan::name))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&said)?)
        .status()?;
    if status.success() {
        return Ok(());
    }
    let said = fs::read_to_string(said).unwrap_or_default();
    Err(Failure::failed(format!("countree certs fails: {}", said.trim())))
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
