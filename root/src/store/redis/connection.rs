//! The connection: to one server that comes back by itself, or to a Redis Cluster.

use super::process_id::id_of;
use super::single::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT, Single};
use crate::store::StoreError;
use countree_common::config::manifest::StoreUrl;
use redis::aio::ConnectionLike;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, Value, cmd, from_redis_value};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::time::Duration;

/// The wait for an answer of a Redis Cluster, which may take several tries at different nodes.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(10);

/// Copies share their connections.
#[derive(Clone)]
pub(super) enum RedisConnection {
    Single(Single),
    Cluster(ClusterConnection),
}

impl RedisConnection {
    /// Connects, and asks for a sign of life.
    pub(super) async fn open(url: &StoreUrl) -> Result<Self, StoreError> {
        let link = match url {
            StoreUrl::Redis(server) => Single::open(server).await.map(Self::Single),
            StoreUrl::RedisCluster(servers) => cluster(servers).await.map(Self::Cluster),
            StoreUrl::Embedded => return Err(StoreError::Failed("the embedded store is no Redis".into())),
        };
        let mut link = link.map_err(|e| unopened(url, e))?;
        cmd("PING").query_async::<()>(&mut link).await.map_err(|e| unopened(url, e))?;
        Ok(link)
    }
}

impl RedisConnection {
    /// Asks for the id of the process that serves, or of all primaries.
    pub(super) async fn process_id(&mut self) -> RedisResult<String> {
        let sections = ["server", "replication"].map(|section| {
            let mut info = cmd("INFO");
            info.arg(section);
            info
        });
        let [server, replication] = &sections;
        let infos = match self {
            Self::Single(_) => {
                let infos = self.all_of(&sections).await?;
                let infos: Vec<String> = infos.into_iter().map(from_redis_value).collect::<Result<_, _>>()?;
                vec![infos.concat()]
            }
            Self::Cluster(link) => {
                let servers: BTreeMap<String, String> = server.query_async(link).await?;
                let mut replications: BTreeMap<String, String> = replication.query_async(link).await?;
                let both = |(node, info)| Some(info + replications.remove(&node)?.as_str());
                servers.into_iter().filter_map(both).collect()
            }
        };
        let ids: Option<BTreeSet<_>> = infos.iter().map(|info| id_of(info)).collect();
        let ids = ids.filter(|ids| !ids.is_empty());
        let ids = ids.ok_or((ErrorKind::UnexpectedReturnType, "Redis does not tell its run_id"))?;
        Ok(ids.into_iter().collect::<Vec<_>>().join(" "))
    }

    /// Sends commands in one round trip; the first error, if there is one.
    pub(super) async fn all_of(&mut self, commands: &[Cmd]) -> RedisResult<Vec<Value>> {
        let mut pipeline = Pipeline::with_capacity(commands.len());
        for command in commands {
            pipeline.add_command(command.clone());
        }
        let answers = self.req_packed_commands(&pipeline, 0, commands.len()).await?;
        if answers.len() != commands.len() {
            return Err((ErrorKind::UnexpectedReturnType, "Redis left commands without an answer").into());
        }
        answers.into_iter().map(Value::extract_error).collect()
    }

    /// The primaries, in an order of their own; `None` while slots move between them.
    pub(super) async fn servers(&mut self) -> RedisResult<Option<Servers>> {
        let process = self.process_id().await?;
        let Self::Cluster(link) = self else {
            let (addresses, slots) = (Vec::new(), Vec::new());
            return Ok(Some(Servers { addresses, primaries: 1, slots, mark: mark(&process) }));
        };
        let mut nodes = cmd("CLUSTER");
        nodes.arg("NODES");
        let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let known: BTreeMap<String, String> = from_redis_value(link.route_command(nodes, all).await?)?;
        let slots: Vec<_> = known.values().map(|nodes| slots_of(nodes)).collect();
        if slots.iter().flatten().any(|range| range.starts_with('[')) {
            return Ok(None);
        }
        let mark = mark(&(process, &slots));
        let slots =
            slots.into_iter().map(|ranges| ranges.into_iter().filter_map(slot_range).collect()).collect();
        Ok(Some(Servers { primaries: known.len(), addresses: known.into_keys().collect(), slots, mark }))
    }

    /// Asks the primary of that place.
    pub(super) async fn ask_primary(
        &mut self,
        servers: &Servers,
        primary: usize,
        command: Cmd,
    ) -> RedisResult<Value> {
        let link = match self {
            Self::Single(link) => return link.command(&command).await?.extract_error(),
            Self::Cluster(link) => link,
        };
        let unknown =
            || RedisError::from((ErrorKind::UnexpectedReturnType, "Redis does not tell its addresses"));
        let address = servers.addresses.get(primary).and_then(|address| address.rsplit_once(':'));
        let (host, port) = address.ok_or_else(unknown)?;
        let (host, port) = (host.to_owned(), port.parse().map_err(|_| unknown())?);
        let there = RoutingInfo::SingleNode(SingleNodeRoutingInfo::ByAddress { host, port });
        link.route_command(command, there).await
    }

    /// Lets the server, or every primary, forget all scripts.
    pub(super) async fn forget_scripts(&mut self) -> RedisResult<()> {
        let mut flush = cmd("SCRIPT");
        flush.arg("FLUSH");
        self.tell_primaries(flush).await
    }

    /// Teaches a script to the server, or to every primary. Not to replicas: one that is promoted must not know it.
    pub(super) async fn load(&mut self, script: &str) -> RedisResult<()> {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(script);
        self.tell_primaries(load).await
    }

    async fn tell_primaries(&mut self, command: Cmd) -> RedisResult<()> {
        match self {
            Self::Single(link) => link.command(&command).await?.extract_error()?,
            Self::Cluster(link) => {
                let primaries = MultipleNodeRoutingInfo::AllMasters;
                let all = RoutingInfo::MultiNode((primaries, Some(ResponsePolicy::AllSucceeded)));
                link.route_command(command, all).await?
            }
        };
        Ok(())
    }
}

/// The primaries of a store, for as long as nothing changes about them.
pub(super) struct Servers {
    addresses: Vec<String>,
    /// The number of primaries.
    pub(super) primaries: usize,
    /// The slots of each, in a Redis Cluster.
    pub(super) slots: Vec<Vec<RangeInclusive<u16>>>,
    /// Other processes, or another division of the slots, have another mark.
    pub(super) mark: u64,
}

/// The slots of the node that has answered `CLUSTER NODES`; those that move begin with a bracket.
fn slots_of(nodes: &str) -> Vec<&str> {
    const BEFORE_SLOTS: usize = 8;
    let own = nodes.lines().find(|line| line.split(' ').nth(2).is_some_and(|flags| flags.contains("myself")));
    own.map(|line| line.split(' ').skip(BEFORE_SLOTS).collect()).unwrap_or_default()
}

/// `0-5460`, or one slot by itself.
fn slot_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

fn mark(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// The reason why the server at `url` is of no use.
fn unopened(url: &StoreUrl, e: RedisError) -> StoreError {
    let reason = e.to_string();
    match StoreError::from(e) {
        StoreError::Refused { advice, .. } => {
            StoreError::Refused { reason: format!("{url}: {reason}"), advice }
        }
        _ => StoreError::Unreachable { address: url.to_string(), reason },
    }
}

async fn cluster(servers: &[String]) -> RedisResult<ClusterConnection> {
    let client = ClusterClientBuilder::new(servers.iter().map(String::as_str))
        .response_timeout(RESPONSE_TIMEOUT)
        .overall_response_timeout(Some(CLUSTER_TIMEOUT))
        .connection_timeout(CONNECT_TIMEOUT)
        .build()?;
    client.get_async_connection().await
}

impl ConnectionLike for RedisConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(link) => Box::pin(link.command(cmd)),
            Self::Cluster(link) => link.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(link) => Box::pin(link.commands(cmd, offset, count)),
            Self::Cluster(link) => link.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(link) => link.current().0.get_db(),
            Self::Cluster(link) => link.get_db(),
        }
    }
}
