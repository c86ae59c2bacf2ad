//! Runs `countree leaf|root|broadcast`: one node, in a container or as a child of `countree up`.

use crate::arguments::NodeArguments;
use crate::host;
use crate::node::{Running, Start};
use crate::node_name::ClaimedName;
use crate::own_address::OwnAddress;
use crate::report::Report;
use crate::shutdown;
use countree_common::cluster::{Node, Tier};
use countree_common::config::node::NodeConfig;
use countree_common::shell::failure::Failure;
use countree_common::shell::node::NodeOptions;
use countree_common::shell::shutdown::Shutdown;
use std::net::SocketAddr;
use std::sync::Arc;

/// Runs until SIGINT, SIGTERM, or a request to leave the cluster, and then drains.
pub(crate) async fn run(tier: Tier, arguments: NodeArguments, report: Report) -> Result<(), Failure> {
    let config = read_config(&arguments)?;
    if tier != Tier::Root && config.node.roots.is_empty() {
        return Err(Failure::usage("node.roots is missing: it takes the addresses of one or more roots"));
    }
    let own = OwnAddress::find(&config).await?;
    let claimed = ClaimedName::claim(tier, &config.node)?;
    let named = host::tier_of(&claimed.name)?;
    if named != tier {
        return Err(Failure::usage(format!(
            "node.name = {} names a {named} node, and this is a {tier}",
            claimed.name
        )));
    }
    let mut listening: Vec<_> = config.node.http.map(|address| ("node.http", address)).into_iter().collect();
    listening.extend(config.http.admin.map(|address| ("http.admin", address)));
    // Roots talk to nodes alone, which show certificates.
    listening.extend((tier != Tier::Root).then_some(("node.quic", config.node.quic)));
    host::check_exposure(&config.auth, &listening, arguments.insecure)?;
    let access = host::access(&config.auth)?;
    let identity = Arc::new(host::identity(&config.node.certificates, &claimed.name, tier)?);
    let stop = shutdown::on_signal();
    if arguments.with_parent {
        shutdown::follow_parent(stop.clone());
    }
    // Bound before the node joins: the cluster lists only addresses that answer.
    let listener = match config.node.http {
        Some(address) => Some(host::bind_http(address).await?),
        None => None,
    };
    let admin = match config.http.admin {
        Some(address) => Some(host::bind_http(address).await?),
        None => None,
    };
    let http = listener.as_ref().map(|l| l.local_addr()).transpose()?;
    let node = NodeOptions {
        cluster: config.cluster.name.clone(),
        name: claimed.name.clone(),
        quic: config.node.quic,
        advertise: own.advertise,
        http: http.map(|listening| own.seen_from_outside(listening)),
        identity,
        roots: config.node.roots.clone(),
        leave: stop.clone(),
    };
    let data = claimed.data.clone();
    let adopts = arguments.adopt;
    let start = Start { tier, config: &config, node, data, access: access.clone(), store: None, adopts };
    let node = match shutdown::finish_start(Running::start(start, &stop), &stop).await {
        Some(Ok(node)) => node,
        Some(Err(failure)) if !stop.has_begun() => return Err(failure),
        _ => return Ok(()),
    };
    let web = Shutdown::new();
    let router = node.router(&config, access);
    let seen: Vec<_> =
        [own.advertise, config.node.advertise, node.listed().http].into_iter().flatten().collect();
    let own_ips = || seen.iter().map(SocketAddr::ip).collect();
    let gate = |is_admin| config.http.gate(own_ips(), host::is_open(&config.auth), is_admin);
    if let Some(listener) = listener {
        crate::web::serve(listener, router.clone(), gate(false), web.clone());
    }
    if let Some(listener) = admin {
        crate::web::serve(listener, router, gate(true), web.clone());
    }
    if !stop.has_begun() {
        let Node { name, quic, http, .. } = node.listed();
        let value = serde_json::json!({ "ready": true, "node": name, "quic": quic, "http": http });
        report.print(&value, || format!("ready: {name} at {quic} (QUIC)"));
    }
    let changed = tokio::select! {
        () = stop.begun() => None,
        address = own.changed() => Some(address),
    };
    web.begin();
    node.stop().await;
    let Some(address) = changed else { return Ok(()) };
    let name = &claimed.name;
    Err(Failure::failed(format!("this machine is at {address} now: start {name} again, to be found there")))
}

fn read_config(arguments: &NodeArguments) -> Result<NodeConfig, Failure> {
    let text = match &arguments.config {
        None => String::new(),
        Some(path) => {
            std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?
        }
    };
    NodeConfig::parse(&text, &|name| std::env::var(name).ok()).map_err(Failure::usage)
}
