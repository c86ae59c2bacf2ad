//! The processes: a Redis server and every node, each with ports and files that it keeps over restarts.

use super::layout::{Common, NodePlan, Ports};
use super::process::{Act, ProcessKind, ServerProcess};
use super::redis::{self, Fsync};
use crate::clock::now;
use countree_common::shell::failure::Failure;
use countree_common::shell::http::{self, ClusterInfo};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The copy of the binary in the run's folder.
pub(crate) const BINARY: &str = "countree";
const POLL: Duration = Duration::from_millis(20);

/// The number of nodes of each tier.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiers {
    pub(crate) leaves: u16,
    pub(crate) roots: u16,
    pub(crate) broadcasts: u16,
}

/// Settings of the nodes, beyond the defaults.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Settings {
    /// The store: a Redis server that belongs to the fleet, or the embedded one of a single root.
    pub(crate) redis: Option<Fsync>,
    pub(crate) window: Option<Duration>,
    pub(crate) tick: Option<Duration>,
    /// The time that leaves keep merged events in their logs.
    pub(crate) retention: Option<Duration>,
}

/// All of them. Dropping it kills those that run.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) processes: Vec<ServerProcess>,
    folder: PathBuf,
}

impl Fleet {
    /// Lays out the cluster in a folder: certificates, settings, ports. Nothing runs yet.
    ///
    /// # Errors
    /// When there is no Redis server or no countree binary, or the folder can't be written.
    pub(crate) fn new(
        folder: &Path,
        countree: &Path,
        tiers: Tiers,
        settings: Settings,
    ) -> Result<Self, Failure> {
        // A copy, so that a build meanwhile does not change the tested binary.
        let binary = folder.join(BINARY);
        fs::copy(countree, &binary)?;
        let mut ports = Ports::default();
        let mut fleet = Self { processes: Vec::new(), folder: folder.to_owned() };
        let redis = settings.redis.map(|fsync| fleet.add_redis(ports.next()?, fsync)).transpose()?;
        let count = |tier, count| (0..count).map(move |number| (tier, number));
        let nodes = count(ProcessKind::Root, tiers.roots)
            .chain(count(ProcessKind::Leaf, tiers.leaves))
            .chain(count(ProcessKind::Broadcast, tiers.broadcasts));
        let nodes: Vec<_> = nodes
            .map(|(kind, number)| Ok(NodePlan { kind, number, quic: ports.next()?, http: ports.next()? }))
            .collect::<Result<_, Failure>>()?;
        let roots = nodes.iter().filter(|n| n.kind == ProcessKind::Root).map(|n| n.quic).collect();
        make_certificates(&binary, folder, &nodes)?;
        let Settings { window, tick, retention, .. } = settings;
        let common = Common { folder, redis, roots, window, tick, retention };
        for node in &nodes {
            fleet.add_node(&binary, node, &common)?;
        }
        Ok(fleet)
    }

    fn add_redis(&mut self, port: u16, fsync: Fsync) -> Result<u16, Failure> {
        if !redis::is_installed()? {
            return Err(Failure::failed(
                "skipped: there is no redis-server on this machine; install Redis 6.2 or later",
            ));
        }
        self.processes.push(redis::server("redis", &self.folder, port, fsync)?);
        Ok(port)
    }

    fn add_node(&mut self, binary: &Path, node: &NodePlan, common: &Common<'_>) -> Result<(), Failure> {
        let name = node.name();
        let path = self.folder.join(format!("{name}.toml"));
        fs::write(&path, node.settings(common))?;
        self.processes.push(ServerProcess {
            kind: node.kind,
            url: Some(format!("http://127.0.0.1:{}", node.http)),
            program: binary.to_owned(),
            arguments: vec![node.tier().into(), "--config".into(), path.display().to_string()],
            log: self.folder.join(format!("{name}.log")),
            data: (node.kind == ProcessKind::Leaf).then(|| self.folder.join(&name)),
            child: None,
            name,
        });
        Ok(())
    }

    /// Starts everything and returns once all of it can do its work.
    ///
    /// # Errors
    /// When it can't within `timeout`.
    pub(crate) async fn start(&mut self, timeout: Duration) -> Result<(), Failure> {
        for process in &mut self.processes {
            process.act(Act::Start)?;
        }
        let deadline = now() + timeout;
        // A node that finds no Redis or no root yet may end; it is started until it stays.
        while let Some(problem) = self.problem().await {
            if now() > deadline {
                let seconds = timeout.as_secs();
                return Err(Failure::failed(format!("the cluster is not up after {seconds} s: {problem}")));
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

    /// Returns once every node knows every other.
    ///
    /// # Errors
    /// When they don't come to within `timeout`.
    pub(crate) async fn gather(&self, timeout: Duration) -> Result<(), Failure> {
        let deadline = now() + timeout;
        while let Some(stranger) = self.stranger().await {
            if now() > deadline {
                return Err(Failure::failed(format!("the nodes have not come together: {stranger}")));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Names a node that does not know all nodes; `None` when all do.
    pub(crate) async fn stranger(&self) -> Option<String> {
        let nodes: Vec<_> = self.processes.iter().filter_map(|p| Some((&p.name, p.url.as_ref()?))).collect();
        for (name, url) in &nodes {
            let answer = http::request("GET", url, "/v1/cluster", &[], None).await;
            let info = answer.ok().and_then(|a| serde_json::from_slice::<ClusterInfo>(&a.body).ok());
            let Some(info) = info else { return Some(format!("{name} does not answer")) };
            let knows = |node: &str| info.view.nodes.iter().any(|known| known.name.as_str() == node);
            if let Some((unknown, _)) = nodes.iter().find(|(node, _)| !knows(node)) {
                return Some(format!("{name} does not know {unknown}"));
            }
        }
        None
    }

    /// Names a node that is not ready, and the reason; `None` when all are.
    pub(crate) async fn problem(&self) -> Option<String> {
        for ServerProcess { name, url, .. } in &self.processes {
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
    pub(crate) fn urls(&self, kind: ProcessKind) -> Vec<String> {
        self.processes.iter().filter(|p| p.kind == kind).filter_map(|p| p.url.clone()).collect()
    }

    /// Lines of the nodes' logs that report a panic.
    pub(crate) fn panics(&self) -> Vec<String> {
        let mut panics = Vec::new();
        for ServerProcess { name, log, .. } in &self.processes {
            let text = fs::read_to_string(log).unwrap_or_default();
            let lines = text.lines().filter(|line| line.contains("panicked at"));
            panics.extend(lines.map(|line| format!("{name}: {}", line.trim())));
        }
        panics
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
