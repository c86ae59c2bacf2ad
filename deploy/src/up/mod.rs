//! `countree up`: every tier of a manifest on this machine, in one process, over real QUIC.

mod cluster;

use crate::arguments::UpArguments;
use crate::ending;
use crate::host;
use crate::report::Report;
use cluster::{LocalCluster, Nodes, Starter};
use countree_common::config::manifest::{BUILT_IN, Manifest};
use countree_common::shell::failure::Failure;
use countree_common::shell::folder::DataFolder;
use countree_common::shell::shutdown::Shutdown;
use std::path::Path;
use std::time::Duration;

/// HTTP requests that are still under way at the end get this long.
const HTTP_GRACE: Duration = Duration::from_secs(2);

impl UpArguments {
    /// What `countree` without a command runs.
    pub(crate) fn default_data() -> Self {
        Self { data: "./countree-data".into(), ..Self::default() }
    }
}

/// Runs until SIGINT or SIGTERM, and then drains.
pub(crate) async fn run(arguments: UpArguments, report: Report) -> Result<(), Failure> {
    let mut manifest = read_manifest(arguments.manifest.as_deref())?;
    if let Some(http) = arguments.http {
        manifest.http.listen = http;
    }
    let access = host::access(&manifest.auth)?;
    let listener = host::bind_http(manifest.http.listen).await?;
    let http = listener.local_addr()?;
    let folder = DataFolder::claim(&arguments.data, &manifest.cluster.name)?;

    let starter = Starter::new(&manifest, folder.path(), http, access)?;
    let stop = ending::on_signal();
    let mut nodes = Nodes::default();
    let started = ending::see_through(starter.start(&mut nodes, &stop), &stop).await;
    if !matches!(started, Some(Ok(()))) {
        nodes.stop().await;
        return started.filter(|_| !stop.has_begun()).unwrap_or(Ok(()));
    }
    let cluster = LocalCluster::of(starter, nodes);
    let web = Shutdown::new();
    let serving = crate::web::serve(listener, cluster.routes(), web.clone());
    let ready = tokio::select! {
        ready = cluster.ready() => ready,
        () = stop.begun() => Ok(()),
    };
    if ready.is_ok() && !stop.has_begun() {
        let url = format!("http://{http}");
        let value = serde_json::json!({ "ready": true, "http": url, "cluster": manifest.cluster.name });
        report.print(&value, || format!("ready: {url} (live page), events to {url}/v1/events"));
        stop.begun().await;
        tracing::info!("draining");
    }
    // Long-lived streams would keep the port open: they are ended by the nodes they come from.
    web.begin();
    cluster.stop().await;
    let _ = tokio::time::timeout(HTTP_GRACE, serving).await;
    ready
}

fn read_manifest(path: Option<&Path>) -> Result<Manifest, Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    let Some(path) = path else { return Manifest::parse(BUILT_IN, &environment).map_err(Failure::wrong) };
    let text =
        std::fs::read_to_string(path).map_err(|e| Failure::wrong(format!("{}: {e}", path.display())))?;
    Manifest::parse(&text, &environment).map_err(|e| Failure::wrong(format!("{}: {e}", path.display())))
}
