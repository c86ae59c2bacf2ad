//! A real redis-server for one test, gone with it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::disallowed_methods, reason = "waits for a process, against the clock")]

use countree_common::config::manifest::StoreUrl;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub struct RedisServer {
    child: Child,
    port: u16,
    _dir: TempDir,
}

/// A TCP port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl RedisServer {
    /// Starts one; `None`, and a word about it, where Redis is not installed.
    pub fn start() -> Option<Self> {
        Self::launch(free_port(), &[])
    }

    /// Starts one that is a whole Redis Cluster by itself.
    pub fn start_cluster() -> Option<Self> {
        // The cluster's bus listens 10,000 ports higher.
        let port = (0..100).map(|_| free_port()).find(|port| *port < 55_000)?;
        let server = Self::launch(port, &["--cluster-enabled", "yes"])?;
        server.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        server.wait_for(&["CLUSTER", "INFO"], "cluster_state:ok");
        Some(server)
    }

    fn launch(port: u16, more: &[&str]) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.arg("--dir").arg(dir.path()).args(more).stdout(Stdio::null());
        let Ok(child) = command.spawn() else {
            println!("skipped: no redis-server");
            return None;
        };
        let server = Self { child, port, _dir: dir };
        server.wait_for(&["PING"], "PONG");
        Some(server)
    }

    fn wait_for(&self, command: &[&str], word: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.command(command).contains(word) {
            assert!(Instant::now() < deadline, "redis-server does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn url(&self) -> StoreUrl {
        format!("redis://127.0.0.1:{}", self.port).parse().unwrap()
    }

    pub fn cluster_url(&self) -> StoreUrl {
        format!("redis-cluster://127.0.0.1:{}", self.port).parse().unwrap()
    }

    /// What redis-cli prints.
    pub fn command(&self, words: &[&str]) -> String {
        let output =
            Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
