//! `countree leaf|root|broadcast`: one node, for containers, and for `countree up` with a process for each node.

use crate::arguments::NodeArguments;
use crate::ending;
use crate::host;
use crate::node::{Running, Start};
use crate::place::Place;
use crate::report::Report;
use countree_common::cluster::{Node, Tier};
use countree_common::config::node::NodeConfig;
use countree_common::shell::failure::Failure;
use countree_common::shell::node::NodeOptions;
use countree_common::shell::shutdown::Shutdown;
use std::sync::Arc;

/// Runs until SIGINT, SIGTERM, or until it is asked to leave the cluster, and then drains.
pub(crate) async fn run(tier: Tier, arguments: NodeArguments, report: Report) -> Result<(), Failure> {
    let config = read_config(&arguments)?;
    if tier != Tier::Root && config.node.roots.is_empty() {
        return Err(Failure::usage("node.roots is missing: it takes the addresses of one or more roots"));
    }
    let place = Place::find(tier, &config).await?;
    let named = host::tier_of(&place.name)?;
    if named != tier {
        return Err(Failure::usage(format!(
            "node.name = {} names a {named} node, and this is a {tier}",
            place.name
        )));
    }
    let access = host::access(&config.auth)?;
    let identity = Arc::new(host::identity(&config.node.certificates, &place.name, tier)?);
    let stop = ending::on_signal();
    if arguments.with_parent {
        ending::with_parent(stop.clone());
    }
    // Taken before the node joins: the cluster lists only addresses that are there.
    let listener = match config.node.http {
        Some(address) => Some(host::bind_http(address).await?),
        None => None,
    };
    let http = listener.as_ref().map(|l| l.local_addr()).transpose()?;
    let node = NodeOptions {
        cluster: config.cluster.name.clone(),
        name: place.name.clone(),
        quic: config.node.quic,
        advertise: place.advertise,
        http: http.map(|listening| place.seen_from_outside(listening)),
        identity,
        roots: config.node.roots.clone(),
        leave: stop.clone(),
    };
    let data = place.data.clone();
    let adopts = arguments.adopt;
    let start = Start { tier, config: &config, node, data, access: access.clone(), store: None, adopts };
    let node = match ending::see_through(Running::start(start, &stop), &stop).await {
        Some(Ok(node)) => node,
        Some(Err(failure)) if !stop.has_begun() => return Err(failure),
        _ => return Ok(()),
    };
    let web = Shutdown::new();
    if let Some(listener) = listener {
        crate::web::serve(listener, node.router(&config, access), web.clone());
    }
    if !stop.has_begun() {
        let Node { name, quic, http, .. } = node.listed();
        let value = serde_json::json!({ "ready": true, "node": name, "quic": quic, "http": http });
        report.print(&value, || format!("ready: {name} at {quic} (QUIC)"));
    }
    let moved = tokio::select! {
        () = stop.begun() => None,
        address = place.moved() => Some(address),
    };
    web.begin();
    node.stop().await;
    let Some(address) = moved else { return Ok(()) };
    let name = &place.name;
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
