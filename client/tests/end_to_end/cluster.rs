//! A cluster of fakes: a CA, a view, and the HTTP answer that contains both.

use countree_common::cluster::{ClusterView, Node, NodeName, Tier};
use countree_common::limits;
use countree_common::shell::http::ClusterInfo;
use countree_common::shell::identity::Authority;
use countree_common::shell::quic::{self, Profile, StreamError};
use countree_common::shell::server::{Greeted, Policy, serve};
use countree_common::shell::shutdown::Shutdown;
use countree_common::wire::hello::{Conversation, Hello};
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub(crate) const TOKEN: &str = "let me in";

pub(crate) struct FakeCluster {
    pub(crate) url: String,
    name: NodeName,
    authority: Authority,
    view: Arc<Mutex<ClusterView>>,
    _certificates: tempfile::TempDir,
}

impl FakeCluster {
    pub(crate) async fn start() -> Self {
        let certificates = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(certificates.path()).unwrap();
        let name = NodeName::new("test").unwrap();
        let view = Arc::new(Mutex::new(ClusterView { epoch: 1, nodes: Vec::new(), ..Default::default() }));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ca = authority.certificate_pem().to_owned();
        tokio::spawn(answer(listener, name.clone(), ca, view.clone()));
        Self { url, name, authority, view, _certificates: certificates }
    }

    pub(crate) async fn discover(&self) -> countree_client::Cluster {
        countree_client::Cluster::discover(&self.url, Some(TOKEN.into())).await.unwrap()
    }

    /// Starts a node and lists it, in place of any of its name.
    pub(crate) fn start_node<F, Fut>(&self, name: &str, tier: Tier, handle: F) -> FakeNode
    where
        F: Fn(Greeted) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), StreamError>> + Send + 'static,
    {
        let name = NodeName::new(name).unwrap();
        let tls = self.authority.identity(&name, tier).unwrap().server_tls().unwrap();
        let config = quic::server_config(tls, Profile::Bulk).unwrap();
        let endpoint = quic::endpoint((Ipv4Addr::LOCALHOST, 0).into(), Some(config)).unwrap();
        let conversations: &'static [Conversation] =
            if tier == Tier::Leaf { &[Conversation::Produce] } else { &[Conversation::Watch] };
        let admission = Arc::new(|hello: &Hello| match hello.token.as_deref() {
            Some(TOKEN) => Ok(()),
            _ => Err("no token".to_owned()),
        });
        let policy = Policy { cluster: self.name.clone(), tier, conversations, admission };
        let shutdown = Shutdown::new();
        tokio::spawn(serve(endpoint.clone(), policy, shutdown.clone(), handle));
        self.list(name, tier, endpoint.local_addr().unwrap());
        FakeNode { endpoint, shutdown }
    }

    fn list(&self, name: NodeName, tier: Tier, quic: SocketAddr) {
        let mut view = self.view.lock().unwrap();
        let old = view.nodes.iter().position(|n| n.name == name).map(|at| view.nodes.remove(at));
        let incarnation = old.map_or(1, |n| n.incarnation + 1);
        view.nodes.push(Node { name, tier, quic, http: None, incarnation });
        view.epoch += 1;
    }

    pub(crate) fn unlist(&self, name: &str) {
        let mut view = self.view.lock().unwrap();
        view.nodes.retain(|n| n.name.as_str() != name);
        view.epoch += 1;
    }
}

/// A running node.
pub(crate) struct FakeNode {
    endpoint: quinn::Endpoint,
    shutdown: Shutdown,
}

impl FakeNode {
    /// Breaks all its connections and frees its port.
    pub(crate) fn kill(self) {
        self.shutdown.begin();
        self.endpoint.close(0u32.into(), b"killed");
    }
}

async fn answer(listener: TcpListener, cluster: NodeName, ca: String, view: Arc<Mutex<ClusterView>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let info = ClusterInfo {
            cluster: cluster.clone(),
            view: view.lock().unwrap().clone(),
            ca: ca.clone(),
            certificate_hash: None,
            limits: limits::PUBLIC,
        };
        let body = serde_json::to_string(&info).unwrap();
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        // Requests are small: the first read has all of one.
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all((head + &body).as_bytes()).await;
    }
}

/// Waits until a condition is true, for 20 s at most.
pub(crate) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within 20 s");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits for a future, for 20 s at most.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap()
}
