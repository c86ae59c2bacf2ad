//! Tests every kind of network cut under load: after the healing every event counts once.

use crate::host::{Cut, Host};
use crate::network::Network;
use crate::shared::command::run;
use crate::shared::load::Load;
use crate::shared::{BINARY, ask, eventually, get};
use countree_common::shell::membership::LEASE;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
/// The length of a cut that the cluster has to notice.
const LONG: Duration = LEASE.saturating_add(Duration::from_secs(2));
/// The length of a cut that the cluster should survive unnoticed.
const SHORT: Duration = Duration::from_secs(3);

struct Cluster {
    // In the order in which they have to end: programs before their hosts.
    roots: Vec<Host>,
    leaves: Vec<Host>,
    broadcasts: Vec<Host>,
    redis: Host,
    _network: Network,
}

impl Cluster {
    fn start(folder: &Path) -> Option<Self> {
        let mut network = Network::new()?;
        let certs = folder.join("certs");
        run(BINARY, &["certs", certs.to_str().unwrap()]).unwrap();
        let redis = Host::redis(&mut network, folder);
        let (mut roots, mut known) = (Vec::new(), Vec::<Ipv4Addr>::new());
        for number in 0..2 {
            let root = Host::node(&mut network, folder, &format!("root-{number}"), &redis, &[]);
            known.push(root.address());
            roots.push(root);
        }
        let mut tier = |tier: &str, count: usize| -> Vec<Host> {
            let names = (0..count).map(|number| format!("{tier}-{number}"));
            names.map(|name| Host::node(&mut network, folder, &name, &redis, &known)).collect()
        };
        let (leaves, broadcasts) = (tier("leaf", 3), tier("broadcast", 2));
        let cluster = Self { roots, leaves, broadcasts, redis, _network: network };
        cluster.whole();
        Some(cluster)
    }

    fn nodes(&self) -> impl Iterator<Item = &Host> {
        self.roots.iter().chain(&self.leaves).chain(&self.broadcasts)
    }

    /// The names of the nodes that this one knows to be live.
    fn known_to(&self, host: &Host) -> Result<BTreeSet<String>, String> {
        let view = ask(&host.url(), "/v1/cluster")?;
        let nodes = view["nodes"].as_array().ok_or("no nodes")?;
        Ok(nodes.iter().filter_map(|node| node["name"].as_str().map(str::to_owned)).collect())
    }

    /// Waits until every node does its work and knows every other.
    fn whole(&self) {
        let all: BTreeSet<_> = self.nodes().map(|host| host.name().to_owned()).collect();
        for host in self.nodes() {
            eventually(&format!("{} is ready and knows all", host.name()), PATIENCE, || {
                get(&host.url(), "/readyz")?;
                let known = self.known_to(host)?;
                if known == all { Ok(()) } else { Err(format!("it knows {known:?}")) }
            });
        }
    }

    /// Waits until a node is out of another's view.
    fn gone(&self, host: &Host, from: &Host) {
        eventually(&format!("{} is out", host.name()), PATIENCE, || match self.known_to(from)? {
            known if known.contains(host.name()) => Err(format!("{} knows {known:?}", from.name())),
            _ => Ok(()),
        });
    }
}

/// Holds a cut for a time, with load going on elsewhere, and heals it.
fn during(time: Duration, host: &Host, cut: Cut<'_>) {
    host.cut(cut);
    std::thread::sleep(time);
    host.heal();
}

#[test]
fn every_event_counts_once_whatever_is_cut_apart() {
    let folder = tempfile::tempdir().unwrap();
    let Some(cluster) = Cluster::start(folder.path()) else { return };
    let (roots, leaves, broadcasts) = (&cluster.roots, &cluster.leaves, &cluster.broadcasts);
    let all_roots: Vec<_> = roots.iter().collect();
    let others: Vec<_> = cluster.nodes().filter(|host| host.name() != leaves[2].name()).collect();
    // Read where nothing is cut.
    let url = broadcasts[1].url();
    let load = Load::start(&url);
    load.goes_on("before any cut");

    // A leaf that reaches no root is out of the view, and still answers producers with unanswered batches.
    leaves[0].cut(Cut::From(&all_roots));
    cluster.gone(&leaves[0], &broadcasts[1]);
    load.goes_on("a leaf apart from the roots");
    leaves[0].heal();
    // One apart from its producers too owes them answers until it is back.
    leaves[1].cut(Cut::FromAll);
    cluster.gone(&leaves[1], &broadcasts[1]);
    load.goes_on("a leaf apart from everything");
    leaves[1].heal();

    // A root without the store merges nothing; the other takes its topics once it is out.
    during(LONG, &roots[0], Cut::From(&[&cluster.redis]));
    load.goes_on("a root apart from the store");
    // Both roots without the store: leaves keep their events.
    roots.iter().for_each(|root| root.cut(Cut::From(&[&cluster.redis])));
    std::thread::sleep(SHORT);
    load.goes_on("no root has the store");
    roots.iter().for_each(Host::heal);

    // A broadcast node apart from everything: its viewers go elsewhere.
    broadcasts[0].cut(Cut::FromAll);
    cluster.gone(&broadcasts[0], &broadcasts[1]);
    broadcasts[0].heal();

    // One way: packets of a leaf to the roots are lost, then packets of the roots to it.
    during(LONG, &leaves[1], Cut::Towards(&all_roots));
    roots.iter().for_each(|root| root.cut(Cut::Towards(&[&leaves[1]])));
    std::thread::sleep(LONG);
    roots.iter().for_each(Host::heal);
    // A leaf that all nodes are apart from and producers are not.
    during(SHORT, &leaves[2], Cut::From(&others));
    // A link that loses a quarter of its packets.
    during(SHORT, &leaves[0], Cut::Loss(25));
    during(SHORT, &roots[1], Cut::Loss(25));

    cluster.whole();
    load.goes_on("after all cuts");
    load.finish(&url);
}
