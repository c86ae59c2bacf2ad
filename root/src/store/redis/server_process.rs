//! The server process that serves, and the era that it serves in.
//!
//! A process that has just started, or has just become the primary, may have forgotten merges that were answered,
//! and perhaps nobody is left who saw them. So each has an era of its own, higher than those of the processes
//! before it, and whatever document it serves is at least in that era: no version is ever given twice.
//!
//! * The era is part of the scripts' text. A new process does not know them (`NOSCRIPT`), so that nothing is ever
//!   done, or read, under another process's era.
//! * All roots take the era from one hash, `countree:CLUSTER:servers`. Where that was forgotten as well, the clock
//!   keeps eras apart. A process that no longer has it there has been emptied, and begins another.
//! * In a Redis Cluster the primaries are taken for one process: any failover begins an era.

use super::connection::RedisConnection;
use super::layout::Keys;
use crate::machine::documents::eras::by_clock;
use countree_common::era::GAP as ERA_GAP;
use countree_common::shell::clock::wall;
use redis::{ErrorKind, RedisError, RedisResult, Script, cmd};

/// One run of a server as the primary, or one set of primaries.
#[derive(Debug)]
pub(super) struct ServerProcess {
    id: String,
    /// Its era.
    pub(super) era: u64,
    /// `merge.lua`.
    pub(super) merge: EraScript,
    /// `write.lua`.
    pub(super) write: EraScript,
    /// `forget.lua`.
    pub(super) forget: EraScript,
    /// Answers the era, where it is known.
    pub(super) seen: EraScript,
}

/// A script with an era in it.
#[derive(Debug)]
pub(super) struct EraScript {
    /// All of it.
    pub(super) text: String,
    /// The SHA-1 hash that `EVALSHA` takes.
    pub(super) hash: String,
}

impl EraScript {
    /// `nonce` makes it this root's own: when the process turns out to have changed while the script was loaded,
    /// nobody else knows it by its hash.
    fn new(era: u64, nonce: u64, body: &str) -> Self {
        let text = format!("local ERA, ERA_GAP = '{era}', {ERA_GAP} -- {nonce:016x}\n{body}");
        let hash = Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }
}

impl ServerProcess {
    /// Gets to know the process that serves now.
    pub(super) async fn meet(link: &mut RedisConnection, keys: &Keys) -> RedisResult<Self> {
        let id = link.process_id().await?;
        let mut give = cmd("EVAL");
        let least = by_clock(wall(), rand::random());
        give.arg(include_str!("servers.lua")).arg(1).arg(keys.servers()).arg(&id).arg(least).arg(ERA_GAP);
        let era = give.query_async(link).await?;
        let nonce = rand::random();
        let script = |body| EraScript::new(era, nonce, body);
        let (merge, write) = (
            script(concat!(
                include_str!("writing.lua"),
                include_str!("numbers.lua"),
                include_str!("merge.lua")
            )),
            script(concat!(include_str!("writing.lua"), include_str!("write.lua"))),
        );
        let forget = script(concat!(
            include_str!("writing.lua"),
            include_str!("numbers.lua"),
            include_str!("forget.lua")
        ));
        let seen = script("return ERA");
        for script in [&merge, &write, &forget, &seen] {
            link.load(&script.text).await?;
        }
        let process = Self { id, era, merge, write, forget, seen };
        if process.serves(link).await? {
            tracing::info!(era, "Redis serves as a process that is new here");
            return Ok(process);
        }
        Err(RedisError::from((
            ErrorKind::UnexpectedReturnType,
            "another Redis process has taken over just now",
        )))
    }

    /// Whether it still serves, and holds what it held when it was met: emptied, it is as good as another.
    pub(super) async fn serves_still(&self, link: &mut RedisConnection, keys: &Keys) -> RedisResult<bool> {
        if !self.serves(link).await? {
            return Ok(false);
        }
        let mut get = cmd("HGET");
        let era: Option<u64> = get.arg(keys.servers()).arg(&self.id).query_async(link).await?;
        Ok(era == Some(self.era))
    }

    /// Whether it still serves.
    pub(super) async fn serves(&self, link: &mut RedisConnection) -> RedisResult<bool> {
        Ok(link.process_id().await? == self.id)
    }
}
