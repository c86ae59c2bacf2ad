//! `countree up`: every tier of a manifest on this machine, over real QUIC, in one process or in one for each node.

#![allow(clippy::disallowed_methods, reason = "whoever runs nodes keeps time")]

mod child;
mod children;
mod fleet;
mod layout;
mod resizer;
mod site;

use crate::arguments::UpArguments;
use crate::ending;
use crate::host;
use crate::report::Report;
use crate::resize::Sizes;
use countree_common::cluster::Tier;
use countree_common::config::manifest::{BUILT_IN, Manifest};
use countree_common::shell::failure::Failure;
use countree_common::shell::folder::DataFolder;
use countree_common::shell::shutdown::Shutdown;
use fleet::Fleet;
use layout::Layout;
use resizer::Resizer;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// HTTP requests that are still under way at the end get this long.
const HTTP_GRACE: Duration = Duration::from_secs(2);
/// Nodes that are not ready after this long may need help: the log says what is wrong, and again when that changes.
const READY_PATIENCE: Duration = Duration::from_secs(5);
const READY_POLL: Duration = Duration::from_millis(10);

impl UpArguments {
    /// What `countree` without a command runs.
    pub(crate) fn default_data() -> Self {
        Self { data: "./countree-data".into(), ..Self::default() }
    }
}

/// Runs until SIGINT or SIGTERM, and then drains.
pub(crate) async fn run(arguments: UpArguments, report: Report) -> Result<(), Failure> {
    let manifest = read_manifest(arguments.manifest.as_deref())?;
    let access = host::access(&manifest.auth)?;
    let listener = host::bind_http(arguments.http.unwrap_or(manifest.http.listen)).await?;
    let http = listener.local_addr()?;
    let folder = DataFolder::claim(&arguments.data, &manifest.cluster.name)?;
    let name = manifest.cluster.name.clone();
    let fleet = Fleet::open(Layout::new(manifest, folder.path(), http, access)?, arguments.adopt).await?;

    let stop = ending::on_signal();
    let started = ending::see_through(start(&fleet, &stop), &stop).await;
    if !matches!(started, Some(Ok(()))) {
        fleet.stop().await;
        return started.filter(|_| !stop.has_begun()).unwrap_or(Ok(()));
    }
    let web = Shutdown::new();
    let resizer = Resizer::new(fleet.clone(), stop.clone());
    let serving = crate::web::serve(listener, site::router(fleet.clone(), resizer.clone()), web.clone());
    tokio::select! {
        () = ready(&fleet) => {}
        () = stop.begun() => {}
    }
    if !stop.has_begun() {
        let url = format!("http://{http}");
        let value = serde_json::json!({ "ready": true, "http": url, "cluster": name });
        report.print(&value, || format!("ready: {url} (live page), events to {url}/v1/events"));
        stop.begun().await;
        tracing::info!("draining");
    }
    resizer.ended().await;
    // Long-lived streams would keep the port open: they are ended by the nodes they come from.
    web.begin();
    fleet.stop().await;
    let _ = tokio::time::timeout(HTTP_GRACE, serving).await;
    Ok(())
}

/// Starts every node, roots first, since the others look for them.
async fn start(fleet: &Arc<Fleet>, stop: &Shutdown) -> Result<(), Failure> {
    let sizes = Sizes::of(fleet.layout().manifest());
    for tier in [Tier::Root, Tier::Leaf, Tier::Broadcast] {
        for name in sizes.names(tier)? {
            if stop.has_begun() {
                return Err(Failure::failed("stopped before every node had started"));
            }
            fleet.start(&name, stop).await?;
        }
        if tier == Tier::Leaf {
            fleet.drain_left_behind(stop).await?;
        }
    }
    Ok(())
}

/// Returns once every node can do its work and, in one process, knows every other. What stands in the way may take an
/// operator, such as a store that is to be acknowledged, and that takes a cluster that runs: so there is no end to it.
async fn ready(fleet: &Fleet) {
    let patience = tokio::time::Instant::now() + READY_PATIENCE;
    let mut said = None;
    while let Some(trouble) = site::trouble(fleet).await {
        if tokio::time::Instant::now() > patience && said.as_ref() != Some(&trouble) {
            tracing::warn!("not ready yet: {trouble}");
            said = Some(trouble);
        }
        tokio::time::sleep(READY_POLL).await;
    }
}

fn read_manifest(path: Option<&Path>) -> Result<Manifest, Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    let Some(path) = path else { return Manifest::parse(BUILT_IN, &environment).map_err(Failure::usage) };
    let text =
        std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
    Manifest::parse(&text, &environment).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))
}
