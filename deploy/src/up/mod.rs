//! Runs `countree up`: every tier of a manifest on this machine, over real QUIC, in one process or one per node.

#![allow(clippy::disallowed_methods, reason = "running nodes needs timeouts")]

mod child;
mod children;
mod fleet;
mod http;
mod layout;
mod resizer;

use crate::arguments::UpArguments;
use crate::host;
use crate::report::Report;
use crate::resize::Sizes;
use crate::shutdown;
use countree_common::cluster::Tier;
use countree_common::config::manifest::{BUILT_IN, Manifest};
use countree_common::shell::failure::Failure;
use countree_common::shell::folder::DataFolder;
use countree_common::shell::shutdown::Shutdown;
use fleet::Fleet;
use layout::Layout;
use resizer::Resizer;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Time that HTTP requests get to finish at the end.
const HTTP_GRACE: Duration = Duration::from_secs(2);
/// Time until nodes that are not ready may need an operator: then the log says what is wrong, and again when that
/// changes.
const READY_TIMEOUT: Duration = Duration::from_secs(5);
const READY_POLL: Duration = Duration::from_millis(10);

impl UpArguments {
    /// The arguments of `countree` without a command.
    pub(crate) fn default_data() -> Self {
        Self { data: "./countree-data".into(), ..Self::default() }
    }
}

/// Runs until SIGINT or SIGTERM, and then drains.
pub(crate) async fn run(arguments: UpArguments, report: Report) -> Result<(), Failure> {
    let manifest = read_manifest(arguments.manifest.as_deref())?;
    let access = host::access(&manifest.auth)?;
    let listen = arguments.http.unwrap_or(manifest.http.listen);
    let (quic_host, rules) = (manifest.http.quic_host, manifest.http.rules.clone());
    let mut listening = vec![("http.listen", listen), ("http.quic_host", SocketAddr::new(quic_host, 0))];
    listening.extend(rules.admin.map(|address| ("http.admin", address)));
    host::check_exposure(&manifest.auth, &listening, arguments.insecure)?;
    let gate = |is_admin| rules.gate(vec![quic_host], host::is_open(&manifest.auth), is_admin);
    let gates = (gate(false), gate(true));
    let listener = host::bind_http(listen).await?;
    let address = listener.local_addr()?;
    let admin = match rules.admin {
        Some(address) => Some(host::bind_http(address).await?),
        None => None,
    };
    let admin_address = admin.as_ref().map(|listener| listener.local_addr()).transpose()?;
    let folder = DataFolder::claim(&arguments.data, &manifest.cluster.name)?;
    let name = manifest.cluster.name.clone();
    let fleet = Fleet::open(Layout::new(manifest, folder.path(), address, access)?, arguments.adopt).await?;

    let stop = shutdown::on_signal();
    let started = shutdown::finish_start(start(&fleet, &stop), &stop).await;
    if !matches!(started, Some(Ok(()))) {
        fleet.stop().await;
        return started.filter(|_| !stop.has_begun()).unwrap_or(Ok(()));
    }
    let web = Shutdown::new();
    let resizer = Resizer::new(fleet.clone(), stop.clone());
    let router = http::router(fleet.clone(), resizer.clone());
    let mut serving = vec![crate::web::serve(listener, router.clone(), gates.0, web.clone())];
    serving.extend(admin.map(|listener| crate::web::serve(listener, router, gates.1, web.clone())));
    tokio::select! {
        () = ready(&fleet) => {}
        () = stop.begun() => {}
    }
    if !stop.has_begun() {
        let url = format!("http://{address}");
        let value = serde_json::json!({ "ready": true, "http": url, "cluster": name,
            "admin": admin_address.map(|address| format!("http://{address}")) });
        report.print(&value, || format!("ready: {url} (live page), events to {url}/v1/events"));
        stop.begun().await;
        tracing::info!("draining");
    }
    resizer.ended().await;
    // Long-lived streams would keep the port open: the nodes that serve them end them.
    web.begin();
    fleet.stop().await;
    let _ = tokio::time::timeout(HTTP_GRACE, async {
        for serving in serving {
            let _ = serving.await;
        }
    })
    .await;
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

/// Returns once every node can do its work and, in one process, knows every other. Waits without a limit: an operator
/// may have to act first, for example acknowledge the store, and needs a running cluster for that.
async fn ready(fleet: &Fleet) {
    let quiet_until = tokio::time::Instant::now() + READY_TIMEOUT;
    let mut said = None;
    while let Some(problem) = http::problem(fleet).await {
        if tokio::time::Instant::now() > quiet_until && said.as_ref() != Some(&problem) {
            tracing::warn!("not ready yet: {problem}");
            said = Some(problem);
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
