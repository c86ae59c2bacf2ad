//! The cluster that is loaded: its addresses, its processes, and what they use.

mod aof;
pub(crate) mod endpoints;
pub(crate) mod fleet;
pub(crate) mod layout;
pub(crate) mod older;
pub(crate) mod process;
pub(crate) mod redis;
pub(crate) mod server;
pub(crate) mod usage;

use crate::arguments::Target;
use crate::clock::now;
use countree_common::shell::failure::Failure;
use endpoints::Endpoints;
use fleet::{Fleet, Settings, Tiers};
use process::{Act, ProcessKind};
use server::Server;
use std::time::Duration;
use usage::Usage;

/// A cluster that has not come up after this long won't.
const START: Duration = Duration::from_secs(60);
/// The interval of checks for processes that have ended.
const ALIVE_POLL: Duration = Duration::from_millis(200);
const READY_POLL: Duration = Duration::from_millis(5);

/// One of our own, which ends with this value, or another one.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) endpoints: Endpoints,
    running: Running,
}

#[derive(Debug)]
enum Running {
    /// A cluster that runs elsewhere.
    Elsewhere,
    /// `countree up`.
    Together(Server),
    /// A process for each node. The folder goes after them.
    Apart(Fleet, #[allow(dead_code, reason = "deleted when dropped")] tempfile::TempDir),
}

impl Cluster {
    /// Starts what was asked for, and returns once it can be used.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) async fn start(target: &Target) -> Result<Self, Failure> {
        if let Some(url) = &target.cluster {
            let endpoints = Endpoints::at(url.clone(), target.token.clone());
            return Ok(Self { endpoints, running: Running::Elsewhere });
        }
        if target.apart {
            return Self::start_apart(target).await;
        }
        let server = Server::start(target).await?;
        Ok(Self { endpoints: Endpoints::at(server.url.clone(), None), running: Running::Together(server) })
    }

    async fn start_apart(target: &Target) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("countree-loadtest-").tempdir()?;
        let countree = server::binary(target.countree.as_deref())?;
        let leaves = u16::try_from(target.leaves.unwrap_or(1)).unwrap_or(u16::MAX);
        let settings = Settings {
            redis: target.store.redis(),
            window: target.window,
            tick: target.tick,
            retention: None,
        };
        let tiers = Tiers { leaves, roots: 1, broadcasts: 1 };
        let mut fleet = Fleet::new(folder.path(), &countree, tiers, settings)?;
        fleet.start(START).await?;
        fleet.gather(START).await?;
        let first = |kind| fleet.urls(kind).into_iter().next().unwrap_or_default();
        let endpoints =
            Endpoints { url: first(ProcessKind::Leaf), reads: first(ProcessKind::Broadcast), token: None };
        Ok(Self { endpoints, running: Running::Apart(fleet, folder) })
    }

    /// The processor time and memory of each process so far; empty for a cluster that runs elsewhere.
    ///
    /// # Errors
    /// When a process is gone.
    pub(crate) fn usage(&self) -> Result<Usage, Failure> {
        let mut usage = Usage::default();
        for (name, id) in self.processes() {
            usage.add(name, &id.to_string())?;
        }
        Ok(usage)
    }

    /// The processes, by name and number.
    pub(crate) fn processes(&self) -> Vec<(&str, u32)> {
        match &self.running {
            Running::Elsewhere => Vec::new(),
            Running::Together(server) => vec![("the cluster", server.id())],
            Running::Apart(fleet, _) => {
                fleet.processes.iter().filter_map(|p| Some((p.name.as_str(), p.id()?))).collect()
            }
        }
    }

    /// Kills the first leaf with SIGKILL and starts it again. Returns how long it took from the start until it was
    /// ready.
    ///
    /// # Errors
    /// When leaves have no processes of their own, or it is not ready within `timeout`.
    pub(crate) async fn kill_and_start_leaf(&mut self, timeout: Duration) -> Result<Duration, Failure> {
        let leaf = match &mut self.running {
            Running::Apart(fleet, _) => fleet.processes.iter_mut().find(|p| p.kind == ProcessKind::Leaf),
            _ => None,
        };
        let Some(leaf) = leaf else { return Err(Failure::failed("no leaf is a process of its own")) };
        leaf.act(Act::Kill)?;
        let start = now();
        leaf.act(Act::Start)?;
        while !endpoints::is_ready(&self.endpoints.url).await {
            if start.elapsed() > timeout {
                return Err(Failure::failed(format!(
                    "the leaf is not ready {} s after kill -9",
                    timeout.as_secs()
                )));
            }
            tokio::time::sleep(READY_POLL).await;
        }
        Ok(start.elapsed())
    }

    /// The number of the first process of a tier, where it has one of its own.
    pub(crate) fn process(&self, kind: ProcessKind) -> Option<u32> {
        let Running::Apart(fleet, _) = &self.running else { return None };
        fleet.processes.iter().find(|process| process.kind == kind)?.id()
    }

    /// The sum of a family of metrics over all nodes, where they tell.
    pub(crate) async fn metric(&self, family: &str) -> Option<u64> {
        let urls = match &self.running {
            Running::Apart(fleet, _) => fleet.processes.iter().filter_map(|p| p.url.clone()).collect(),
            _ => vec![self.endpoints.url.clone()],
        };
        let mut sum = None;
        for url in urls {
            if let Some(value) = endpoints::metric(&url, family).await {
                sum = Some(sum.unwrap_or(0) + value);
            }
        }
        sum
    }

    /// Waits until a process ends by itself, which none should, and returns how. A cluster that runs elsewhere is
    /// not watched.
    pub(crate) async fn ended(&self) -> Failure {
        loop {
            tokio::time::sleep(ALIVE_POLL).await;
            let processes = self.processes();
            if let Some((name, _)) = processes.iter().find(|(_, id)| usage::has_ended(*id)) {
                let last = self.last_words(name);
                return Failure::failed(format!("{name} ended in the middle; {last}"));
            }
        }
    }

    fn last_words(&self, name: &str) -> String {
        match &self.running {
            Running::Elsewhere => String::new(),
            Running::Together(server) => server.last_words(),
            Running::Apart(fleet, _) => {
                let process = fleet.processes.iter().find(|process| process.name == name);
                process.map_or_else(String::new, |process| format!("it said: {}", process.last_words()))
            }
        }
    }
}
