//! Real redis-servers of the test's own, each in a new folder and on a free port.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::disallowed_methods, reason = "waits for a process, against the clock")]

use countree_common::config::manifest::StoreUrl;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(15);

pub struct RedisServer {
    child: Child,
    port: u16,
    dir: TempDir,
    options: Vec<String>,
}

/// A TCP port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A free port that leaves room for a cluster's bus, 10,000 higher.
fn server_port() -> u16 {
    loop {
        let port = free_port();
        if port < 55_000 {
            return port;
        }
    }
}

impl RedisServer {
    /// Starts one; `None`, and a word about it, where Redis is not installed.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts one with more options.
    pub fn start_with(options: &[&str]) -> Option<Self> {
        Self::launch(tempfile::tempdir().unwrap(), options)
    }

    /// Starts one that finds these files, and keeps its changes in an AOF.
    pub fn start_on(dir: TempDir) -> Option<Self> {
        Self::launch(dir, &["--appendonly", "yes"])
    }

    /// Starts one that is a whole Redis Cluster by itself.
    pub fn start_cluster() -> Option<Self> {
        let server = Self::start_cluster_node()?;
        server.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        server.wait_for(&["CLUSTER", "INFO"], "cluster_state:ok");
        Some(server)
    }

    /// Starts one that has to be given its slots.
    pub fn start_cluster_node() -> Option<Self> {
        Self::launch(tempfile::tempdir().unwrap(), &["--cluster-enabled", "yes"])
    }

    fn launch(dir: TempDir, options: &[&str]) -> Option<Self> {
        let options: Vec<_> = options.iter().map(|o| (*o).to_owned()).collect();
        let port = server_port();
        let Some(child) = spawn(port, dir.path(), &options) else {
            // Past the harness, which keeps to itself what a test prints that does not fail.
            let _ = std::io::Write::write_all(&mut std::io::stdout(), b"\nskipped: no redis-server\n");
            return None;
        };
        let mut server = Self { child, port, dir, options };
        while !server.is_up() {
            // Somebody else has taken the port meanwhile.
            server.port = server_port();
            server.start_again();
        }
        Some(server)
    }

    /// Waits until it answers; `false` when it has ended instead.
    fn is_up(&mut self) -> bool {
        let own = format!("process_id:{}\r", self.child.id());
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            if self.command(&["INFO", "server"]).contains(&own) && self.command(&["PING"]).contains("PONG") {
                return true;
            }
            assert!(Instant::now() < deadline, "redis-server does not come up");
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Kills it as kill -9 does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again after a [`kill`](Self::kill), where it was; does not wait for it.
    pub fn start_again(&mut self) {
        self.child = spawn(self.port, self.dir.path(), &self.options).unwrap();
    }

    /// Starts it again and waits until it answers.
    pub fn revive(&mut self) {
        self.start_again();
        assert!(self.is_up(), "the server ended by itself");
    }

    /// Sends it a signal: `STOP`, `CONT`.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
    }

    /// Waits until what a command prints has a word in it.
    pub fn wait_for(&self, command: &[&str], word: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let printed = self.command(command);
            if printed.contains(word) {
                return;
            }
            assert!(Instant::now() < deadline, "{command:?} never says {word}: {printed}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The file that the AOF grows in.
    pub fn aof(&self) -> PathBuf {
        growing_aof(self.dir())
    }

    pub fn url(&self) -> StoreUrl {
        format!("redis://127.0.0.1:{}", self.port).parse().unwrap()
    }

    pub fn cluster_url(&self) -> StoreUrl {
        format!("redis-cluster://127.0.0.1:{}", self.port).parse().unwrap()
    }

    /// The output of redis-cli.
    pub fn command(&self, words: &[&str]) -> String {
        let output =
            Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Like [`command`](Self::command), for a command that is answered OK.
    pub fn order(&self, words: &[&str]) {
        let answer = self.command(words);
        assert!(answer.contains("OK"), "{words:?}: {answer}");
    }
}

fn spawn(port: u16, dir: &Path, options: &[String]) -> Option<Child> {
    let port = port.to_string();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0"]);
    command.arg("--dir").arg(dir).args(options).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().ok()
}

/// The file that the AOF of a server in `dir` grows in.
pub fn growing_aof(dir: &Path) -> PathBuf {
    // Before Redis 7 there is only one.
    let only = dir.join("appendonly.aof");
    if only.exists() {
        return only;
    }
    let files = std::fs::read_dir(dir.join("appendonlydir")).unwrap().map(|entry| entry.unwrap().path());
    let mut growing: Vec<_> = files.filter(|file| file.to_string_lossy().ends_with(".incr.aof")).collect();
    assert_eq!(growing.len(), 1, "{growing:?}");
    growing.remove(0)
}

/// A copy of a folder and the folders in it.
pub fn copy_of(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_into(dir, copy.path());
    copy
}

fn copy_into(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_into(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
