//! Tests under load: every tier up and down by a number, and containers that are stopped, paused, killed and cut off.

use crate::project::{Project, Scale};
use crate::shared::load::Load;
use crate::shared::{ask, eventually};
use countree_common::shell::http;
use countree_common::shell::membership::LEASE;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than a lease: the cluster goes on without a node that is silent for this long.
const LONG: Duration = LEASE.saturating_add(Duration::from_secs(1));

/// Numbers of leaves, roots and broadcast nodes: each tier up and down by itself, and all at once.
const SCALES: [[usize; 3]; 6] = [[4, 1, 1], [2, 3, 1], [3, 1, 3], [1, 2, 1], [3, 1, 2], LAST];
const LAST: [usize; 3] = [2, 2, 2];

fn scale([leaf, root, broadcast]: [usize; 3]) -> Scale {
    Scale { leaf, root, broadcast }
}

#[test]
fn every_event_counts_once_while_containers_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let Some(project) = Project::new(folder.path()) else { return };
    project.up(scale([2, 1, 1]));
    // The first of each tier outlives every resize.
    let url = project.url("broadcast", 1);
    let load = Load::start(&url);
    load.goes_on("at first");

    for step in SCALES {
        let began = Instant::now();
        project.up(scale(step));
        load.goes_on(&format!("resized to {step:?} in {:.1?}", began.elapsed()));
    }
    project.order("stop", "leaf", 2);
    load.goes_on("a leaf has left");
    project.order("start", "leaf", 2);
    project.ready("leaf", 2);
    fares_badly(&project, &load, "kill", "start", &["leaf"]);
    fares_badly(&project, &load, "pause", "unpause", &["leaf", "root"]);
    // Leaves keep their events while the store is away.
    project.order("restart", "redis", 1);
    load.goes_on("the store restarted");
    cut_off(&project, &load, &url);
    load.finish(&url);
    if let Some(front) = project.front() {
        shows_the_page(&front);
    }
}

/// Disturbs the second container of each tier for longer than a lease, and undoes that.
fn fares_badly(project: &Project, load: &Load, down: &str, up: &str, services: &[&str]) {
    services.iter().for_each(|service| project.order(down, service, 2));
    std::thread::sleep(LONG);
    load.goes_on(&format!("{services:?} after {down}"));
    for service in services {
        project.order(up, service, 2);
        project.ready(service, 2);
    }
}

/// Takes a leaf and a broadcast node off the network, adds a root, which takes one of their addresses, and puts them
/// back: the view lists their new addresses.
fn cut_off(project: &Project, load: &Load, url: &str) {
    const SERVICES: [&str; 2] = ["leaf", "broadcast"];
    let addresses = || SERVICES.map(|service| project.url(service, 2));
    let were_at = addresses();
    SERVICES.iter().for_each(|service| project.network("disconnect", service, 2));
    std::thread::sleep(LONG);
    load.goes_on("a leaf and a broadcast node are cut off");
    let [leaves, roots, broadcasts] = LAST;
    project.scale("root", roots + 1);
    SERVICES.iter().for_each(|service| project.network("connect", service, 2));
    let are_at = addresses();
    assert_ne!(were_at, are_at, "no address has changed");
    eventually("the view lists their new addresses", TIMEOUT, || {
        let view = ask(url, "/v1/cluster")?;
        let nodes = view["nodes"].as_array().ok_or("no nodes")?;
        let listed: Vec<_> = nodes.iter().filter_map(|node| node["http"].as_str()).collect();
        let are_there = are_at.iter().all(|own| listed.iter().any(|address| own.ends_with(address)));
        let is_whole = nodes.len() == leaves + roots + 1 + broadcasts;
        if are_there && is_whole { Ok(()) } else { Err(format!("{are_at:?} are not in {listed:?}")) }
    });
    SERVICES.iter().for_each(|service| project.healthy(service, 2));
    load.goes_on("they are back");
}

/// One address serves the page, takes a like, and shows it.
fn shows_the_page(front: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let request =
        |method, path, body| runtime.block_on(http::request(method, front, path, &[], body)).unwrap();
    let page = request("GET", "/", None);
    assert_eq!((page.status, String::from_utf8_lossy(&page.body).contains("<html")), (200, true));
    let like = br#"{"topic":"front","item":"page","kind":"like"}"#.to_vec();
    assert_eq!(request("POST", "/v1/events", Some(like)).status, 202);
    eventually("the like is shown", TIMEOUT, || {
        let view = ask(front, "/v1/topics/front")?;
        if view["counts"]["page"]["like"] == 1 { Ok(()) } else { Err(view.to_string()) }
    });
}
