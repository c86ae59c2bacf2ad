//! End-to-end tests of a real broadcast node, between a fake root and viewers of both kinds.

#![cfg(feature = "shell")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed")]

mod fake_root;
mod http;
mod quic;
mod viewer;

use countree_broadcast::shell::{BroadcastNode, BroadcastOptions};
use countree_common::cluster::{NodeName, Tier};
use countree_common::key::Topic;
use countree_common::shell::access::Access;
use countree_common::shell::identity::Authority;
use countree_common::shell::node::NodeOptions;
use countree_common::shell::shutdown::Shutdown;
use fake_root::FakeRoot;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(20);

fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

/// Fails the test when it takes too long.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, future).await.unwrap_or_else(|_| panic!("still waiting for {what}"))
}

/// A root, a broadcast node, and its HTTP.
struct House {
    root: FakeRoot,
    node: BroadcastNode,
    http: SocketAddr,
    ca: String,
    _certificates: tempfile::TempDir,
}

impl House {
    async fn open() -> Self {
        Self::open_for(Access::open()).await
    }

    async fn open_for(access: Access) -> Self {
        let certificates = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(certificates.path()).unwrap();
        let root = FakeRoot::start(&authority).await;
        let identity = authority.identity(&name("broadcast-0"), Tier::Broadcast).unwrap();
        let options = BroadcastOptions {
            node: NodeOptions {
                cluster: name("test"),
                name: name("broadcast-0"),
                quic: "127.0.0.1:0".parse().unwrap(),
                advertise: None,
                http: None,
                identity: Arc::new(identity),
                roots: vec![root.address.into()],
                leave: Shutdown::new(),
            },
            tick: TICK,
            access,
        };
        let node = soon("the node to start", BroadcastNode::start(options, &Shutdown::new())).await.unwrap();
        assert_eq!(node.trouble(), None);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        let routes = node.routes();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let ca = authority.certificate_pem().to_owned();
        Self { root, node, http, ca, _certificates: certificates }
    }

    fn quic(&self) -> SocketAddr {
        self.node.node().quic
    }

    fn metrics(&self) -> String {
        let mut page = countree_common::shell::metrics::Page::default();
        self.node.metrics(&mut page);
        page.into_text()
    }

    fn metric(&self, name: &str) -> f64 {
        let text = self.metrics();
        let line = text.lines().find(|l| l.starts_with(&format!("{name}{{node=\"broadcast-0\"}} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit(' ').next().unwrap().parse().unwrap()
    }

    async fn until_metric(&self, name: &str, is: impl Fn(f64) -> bool) {
        soon(name, async {
            while !is(self.metric(name)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}
