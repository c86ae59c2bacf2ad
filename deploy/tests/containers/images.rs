//! Builds images from this machine's own programs, without a registry.

use crate::shared::command::{feed, is_installed, run};
use crate::shared::{BINARY, ROOT};
use std::path::Path;

/// The images that compose.yaml takes, under names of the test's own; removed when this is dropped.
pub(crate) struct Images {
    pub(crate) countree: String,
    /// Redis, and the web server of the front proxy where there is one.
    pub(crate) others: String,
    pub(crate) has_front: bool,
}

impl Images {
    /// Builds them in a folder.
    pub(crate) fn build(folder: &Path, name: &str) -> Self {
        let has_front = is_installed("nginx");
        let images = Self { countree: format!("{name}-node"), others: format!("{name}-others"), has_front };
        let (node, others) = (folder.join("node"), folder.join("others"));
        collect(&node, &[BINARY]);
        let file = format!("{ROOT}/deploy/docker/Dockerfile");
        let node = node.to_str().unwrap();
        docker(&["build", "-q", "-f", &file, "--target", "collected", "-t", &images.countree, node]);

        let programs = ["redis-server", "redis-cli", "nginx"];
        let programs: Vec<_> = programs.iter().filter_map(|p| run("which", &[p]).ok()).collect();
        collect(&others, &programs.iter().map(String::as_str).collect::<Vec<_>>());
        let file = folder.join("Dockerfile");
        std::fs::write(&file, "FROM scratch\nCOPY root /\n").unwrap();
        let (file, others) = (file.to_str().unwrap(), others.to_str().unwrap());
        docker(&["build", "-q", "-f", file, "-t", &images.others, others]);
        images
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        for image in [&self.countree, &self.others] {
            let _ = run("docker", &["rmi", "-f", image]);
        }
    }
}

fn collect(folder: &Path, programs: &[&str]) {
    let script = format!("{ROOT}/deploy/docker/collect");
    let arguments = [&[script.as_str(), folder.to_str().unwrap()], programs].concat();
    feed("bash", &arguments, None).unwrap_or_else(|why| panic!("{why}"));
}

fn docker(arguments: &[&str]) {
    run("docker", arguments).unwrap_or_else(|why| panic!("{why}"));
}
