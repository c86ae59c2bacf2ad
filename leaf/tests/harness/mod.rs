//! A leaf on real files and real QUIC, a root with a store in memory, and a producer. The leaf is that of
//! `super::shell`, so that the crate's own tests can stand on this too.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::disallowed_methods, reason = "polls against the clock")]

pub mod producer;
pub mod root;

use super::shell::{LeafConfig, LeafNode, LeafOptions, StartError};
use countree_common::cluster::{NodeName, Tier};
use countree_common::shell::access::Access;
use countree_common::shell::folder::FolderError;
use countree_common::shell::http::{self, Answer};
use countree_common::shell::identity::Authority;
use countree_common::shell::node::NodeOptions;
use countree_common::shell::shutdown::Shutdown;
use root::FakeRoot;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub const PATIENCE: Duration = Duration::from_secs(25);

pub fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("nothing came in time"))
}

pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "did not come true in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A root, and a data folder for a leaf.
pub struct Cluster {
    pub root: FakeRoot,
    pub authority: Authority,
    pub dir: TempDir,
}

impl Cluster {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(&dir.path().join("ca")).unwrap();
        let root = FakeRoot::start(&authority);
        Self { root, authority, dir }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("leaf")
    }

    pub fn options(&self, called: &str) -> LeafOptions {
        LeafOptions {
            node: NodeOptions {
                cluster: name("test"),
                name: name(called),
                quic: "127.0.0.1:0".parse().unwrap(),
                advertise: None,
                http: None,
                identity: Arc::new(self.authority.identity(&name(called), Tier::Leaf).unwrap()),
                roots: vec![self.root.address.into()],
                leave: Shutdown::new(),
            },
            adopts: false,
            data: self.data(),
            machine: LeafConfig {
                leaf: name(called),
                window: Duration::from_millis(20),
                retention: Duration::from_secs(60),
                horizon: Duration::from_secs(600),
                log_bytes: 1 << 30,
                segment_bytes: LeafConfig::SEGMENT_BYTES,
                capacity: 2_000_000,
            },
            access: Access::open(),
        }
    }

    pub async fn leaf(&self) -> Leaf {
        Leaf::start(self.options("leaf-0")).await.unwrap()
    }
}

/// A leaf on a runtime of its own, so that it can be killed.
pub struct Leaf {
    node: LeafNode,
    runtime: Runtime,
    pub quic: SocketAddr,
    pub http: String,
}

impl Leaf {
    pub async fn start(options: LeafOptions) -> Result<Self, StartError> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let started = Instant::now();
        let node = loop {
            let options = options.clone();
            let start = async move { LeafNode::start(options, &Shutdown::new()).await };
            match in_time(runtime.spawn(start)).await.unwrap() {
                Ok(node) => break node,
                // A leaf that was killed lets go of its folder once its last write is done.
                Err(StartError::Folder(FolderError::Held(_))) if started.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(e) => {
                    runtime.shutdown_background();
                    return Err(e);
                }
            }
        };
        let routes = node.routes();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let http = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, routes).await
        });
        Ok(Self { quic: node.node().quic, node, runtime, http })
    }

    /// Everything in memory is gone at once.
    pub fn kill(self) {
        drop(self.node);
        self.runtime.shutdown_background();
    }

    pub async fn stop(self) {
        in_time(self.runtime.spawn(self.node.stop())).await.unwrap();
        self.runtime.shutdown_background();
    }

    /// Returns once it goes by a view of this epoch or a later one.
    pub async fn sees(&self, epoch: u64) {
        let mut view = self.node.membership().view();
        in_time(view.wait_for(|view| view.epoch >= epoch)).await.unwrap();
    }

    pub fn trouble(&self) -> Option<String> {
        self.node.trouble()
    }

    pub async fn post(&self, headers: &[(&str, &str)], body: &str) -> Answer {
        http::request("POST", &self.http, "/v1/events", headers, Some(body.into())).await.unwrap()
    }
}
