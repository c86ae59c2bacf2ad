//! Discovery of a cluster: its name, its CA and its nodes, from `GET /v1/cluster`, kept up to date.

use super::error::ClientError;
use super::requests::{Address, code, fetch, understand};
use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::document::TopicView;
use countree_common::key::{Item, Kind, Topic};
use countree_common::shell::http::{self, ClusterInfo, Trust};
use countree_common::shell::peers::Peers;
use countree_common::shell::quic::{self, Profile};
use countree_common::shell::tls::anonymous_tls;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

/// Interval of looks at the cluster's nodes.
const REFRESH: Duration = Duration::from_secs(3);
/// Interval of looks while a node can't be reached.
const REFRESH_IN_TROUBLE: Duration = Duration::from_millis(500);
/// Most nodes that are asked when the URL does not answer.
const OTHERS_ASKED: usize = 3;
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// Time limit of an answer, above the node's own.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A cluster that was found. Cheap to clone; keeps itself up to date for as long as a copy lives.
///
/// Viewers of one `Cluster` share a UDP socket, which belongs to the runtime that the first of them was
/// made in: a program with several runtimes discovers the cluster in each.
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    address: Address,
    token: Option<String>,
    name: NodeName,
    info: Mutex<ClusterInfo>,
    view: watch::Sender<Arc<ClusterView>>,
    trouble: Arc<Notify>,
    viewers: Mutex<Option<ViewerSide>>,
}

/// The connection settings of all viewers.
#[derive(Debug, Clone)]
struct ViewerSide {
    endpoint: quinn::Endpoint,
    config: quinn::ClientConfig,
    /// The CA that `config` trusts.
    ca: String,
}

impl Cluster {
    /// Asks the node at `url` (`host:port`, `http://host:port` or `https://host:port`, any node of the
    /// cluster) where the others are. `token` is shown to every node; clusters without authentication need
    /// none. An `https://` address has to have a certificate of a public authority;
    /// [`Cluster::discover_trusting`] takes others. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// When no cluster answers there, or it does not let this client in.
    pub async fn discover(url: &str, token: Option<String>) -> Result<Self, ClientError> {
        Self::discover_at(Address { url: url.to_owned(), trust: None }, token).await
    }

    /// [`Cluster::discover`], where the `https://` address has a certificate of the authorities in the PEM
    /// text `ca`, and of no others.
    ///
    /// # Errors
    /// As [`Cluster::discover`], and when `ca` holds no certificate.
    pub async fn discover_trusting(url: &str, token: Option<String>, ca: &str) -> Result<Self, ClientError> {
        let trust = Some(Trust::only(ca)?);
        Self::discover_at(Address { url: url.to_owned(), trust }, token).await
    }

    async fn discover_at(address: Address, token: Option<String>) -> Result<Self, ClientError> {
        let info = fetch(address.server(), token.as_deref()).await?;
        anonymous_tls(&info.ca)?;
        let inner = Arc::new(Inner {
            address,
            token,
            name: info.cluster.clone(),
            view: watch::Sender::new(Arc::new(info.view.clone())),
            info: Mutex::new(info),
            trouble: Arc::default(),
            viewers: Mutex::default(),
        });
        tokio::spawn(keep_up_to_date(Arc::downgrade(&inner), inner.trouble.clone()));
        Ok(Self { inner })
    }

    /// Returns the cluster's name.
    pub fn name(&self) -> &NodeName {
        &self.inner.name
    }

    /// Returns the nodes, as last heard.
    pub fn view(&self) -> Arc<ClusterView> {
        self.inner.view.borrow().clone()
    }

    /// Returns the last answer of `GET /v1/cluster`.
    pub fn info(&self) -> ClusterInfo {
        self.inner.info.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns a topic's totals, with all events that were acked before the call; `None` if nothing was ever
    /// counted in it.
    ///
    /// # Errors
    /// When the name is bad, or the cluster does not answer or let this client in.
    pub async fn get(&self, topic: &str) -> Result<Option<TopicView>, ClientError> {
        let topic = Topic::new(topic)?;
        let path = format!("/v1/topics/{}?wait=complete", http::path_segment(topic.as_str()));
        let answer = self.ask("GET", Tier::Broadcast, &path, None).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let view: TopicView = understand(&answer)?;
        Ok(Some(TopicView { is_snapshot: true, ..view }))
    }

    /// Sets a topic's totals to 0, or those of one item or kind. Events acked before are gone from them,
    /// later ones count. `key` makes a repeat harmless for 15 minutes: repeat under the same one after
    /// [`ClientError::InDoubt`].
    ///
    /// # Errors
    /// When a name is bad, or the cluster does not answer or let this client in.
    pub async fn reset(
        &self,
        topic: &str,
        item: Option<&str>,
        kind: Option<&str>,
        key: &str,
    ) -> Result<(), ClientError> {
        let topic = Topic::new(topic)?;
        let item =
            item.map(Item::new).transpose()?.map(|i| format!("item={}", http::path_segment(i.as_str())));
        let kind =
            kind.map(Kind::new).transpose()?.map(|k| format!("kind={}", http::path_segment(k.as_str())));
        let query: Vec<_> = item.into_iter().chain(kind).collect();
        let path = format!("/v1/topics/{}?{}", http::path_segment(topic.as_str()), query.join("&"));
        let answer = self.ask("DELETE", Tier::Leaf, &path, Some(key)).await?;
        understand::<serde::de::IgnoredAny>(&answer).map(|_| ())
    }

    /// Asks at the address where the cluster was found, and if that is a node of another tier, one of this
    /// tier.
    async fn ask(
        &self,
        method: &str,
        tier: Tier,
        path: &str,
        key: Option<&str>,
    ) -> Result<http::Answer, ClientError> {
        let bearer = self.inner.token.as_ref().map(|token| format!("Bearer {token}"));
        let bearer = bearer.iter().map(|bearer| ("authorization", bearer.as_str()));
        let headers: Vec<_> = bearer.chain(key.map(|key| ("idempotency-key", key))).collect();
        let ask = async |server: http::Server<'_>| {
            let answer = http::request_within(REQUEST_TIMEOUT, method, server, path, &headers, None).await;
            answer.map_err(ClientError::http)
        };
        let answer = ask(self.inner.address.server()).await?;
        let is_elsewhere = matches!(code(&answer).as_deref(), Some("no_such_route" | "method_not_allowed"))
            && self.inner.address.leads_to_nodes();
        match self.view().tier(tier).find_map(|node| node.http) {
            Some(address) if is_elsewhere => ask((&address.to_string()).into()).await,
            _ => Ok(answer),
        }
    }

    /// Returns the nodes; the receiver follows changes.
    pub(super) fn watch_view(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.inner.view.subscribe()
    }

    /// Reports that a node does not answer at its address, so that the nodes are looked up soon.
    pub(super) fn report_trouble(&self) {
        self.inner.trouble.notify_one();
    }

    /// Takes over a node's view of the cluster.
    pub(super) fn learn(&self, view: &ClusterView) {
        self.inner.learn(view, false);
    }

    /// Makes connections for one producer.
    pub(super) fn producer_peers(&self) -> Result<Peers, ClientError> {
        let config = quic::client_config(anonymous_tls(&self.info().ca)?, Profile::Bulk)?;
        Ok(self.peers(endpoint()?, config))
    }

    /// Makes connections for one viewer. The socket is shared, the connections are not: datagrams of two
    /// viewers on one could not be told apart.
    pub(super) fn viewer_peers(&self) -> Result<Peers, ClientError> {
        // A cluster that was set up anew has another CA.
        let ca = self.info().ca;
        let mut viewers = self.inner.viewers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = viewers.take();
        let side = match known {
            Some(side) if side.ca == ca => side,
            other => ViewerSide {
                config: quic::client_config(anonymous_tls(&ca)?, Profile::Fanout)?,
                endpoint: other.map_or_else(endpoint, |side| Ok(side.endpoint))?,
                ca,
            },
        };
        let peers = self.peers(side.endpoint.clone(), side.config.clone());
        *viewers = Some(side);
        Ok(peers)
    }

    fn peers(&self, endpoint: quinn::Endpoint, config: quinn::ClientConfig) -> Peers {
        Peers::new(endpoint, config, self.inner.name.clone(), None, self.inner.token.clone())
    }
}

impl Inner {
    /// Takes over a newer view; while a node can't be reached, any different one, since the cluster may have
    /// been set up anew.
    fn learn(&self, view: &ClusterView, in_trouble: bool) {
        self.view.send_if_modified(|known| {
            let is_news = view.epoch > known.epoch || in_trouble && *view != **known;
            if is_news {
                *known = Arc::new(view.clone());
            }
            is_news
        });
    }

    async fn refresh(&self, in_trouble: bool) {
        let others = if self.address.leads_to_nodes() { OTHERS_ASKED } else { 0 };
        let others: Vec<_> = self.view.borrow().nodes.iter().filter_map(|n| n.http).take(others).collect();
        let others: Vec<_> = others.iter().map(|address| format!("http://{address}")).collect();
        for server in std::iter::once(self.address.server()).chain(others.iter().map(Into::into)) {
            let answer = timeout(ASK_TIMEOUT, fetch(server, self.token.as_deref())).await;
            if let Ok(Ok(info)) = answer
                && info.cluster == self.name
            {
                self.learn(&info.view, in_trouble);
                *self.info.lock().unwrap_or_else(PoisonError::into_inner) = info;
                return;
            }
        }
    }
}

async fn keep_up_to_date(cluster: Weak<Inner>, trouble: Arc<Notify>) {
    loop {
        let in_trouble = timeout(REFRESH, trouble.notified()).await.is_ok();
        let Some(cluster) = cluster.upgrade() else { return };
        cluster.refresh(in_trouble).await;
        drop(cluster);
        sleep(REFRESH_IN_TROUBLE).await;
    }
}

/// Opens a socket for IPv4 and IPv6, or for IPv4 if there is no other.
fn endpoint() -> Result<quinn::Endpoint, ClientError> {
    quic::endpoint((Ipv6Addr::UNSPECIFIED, 0).into(), None)
        .or_else(|_| quic::endpoint((Ipv4Addr::UNSPECIFIED, 0).into(), None))
        .map_err(|e| ClientError::Socket(e.to_string()))
}
