//! Runs compose.yaml as a project of the test, and acts on its containers.

use crate::images::Images;
use crate::shared::command::{is_installed, run, run_in, skip};
use crate::shared::{ROOT, eventually, get};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const READY: Duration = Duration::from_secs(60);
/// Lines of each container's log that are printed when a test has failed.
const LAST_WORDS: &str = "12";

/// The number of containers of each tier.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) leaf: usize,
    pub(crate) root: usize,
    pub(crate) broadcast: usize,
}

/// Containers, networks and volumes, which are removed when this is dropped.
pub(crate) struct Project {
    name: String,
    images: Images,
}

impl Project {
    /// Builds the images; nothing runs yet. `None`, noted as skipped, where there is no engine.
    pub(crate) fn new(folder: &Path) -> Option<Self> {
        let has_compose = compose_command().is_some();
        if !has_compose || !is_installed("redis-server") || run("docker", &["info"]).is_err() {
            skip("containers (needs a running Docker Engine, Compose, and redis-server for an image)");
            return None;
        }
        let name = format!("countree-test-{}", std::process::id());
        let images = Images::build(folder, &name);
        if !images.has_front {
            skip("the front proxy of compose.yaml (no nginx for an image)");
        }
        Some(Self { name, images })
    }

    /// `docker compose up --scale …`: returns when every node that is meant to be there is ready.
    pub(crate) fn up(&self, scale: Scale) {
        let Scale { leaf, root, broadcast } = scale;
        let (leaves, roots, broadcasts) =
            (format!("leaf={leaf}"), format!("root={root}"), format!("broadcast={broadcast}"));
        let up = ["up", "-d", "--no-build", "--scale", &leaves, "--scale", &roots, "--scale", &broadcasts];
        let services: &[&str] = if self.images.has_front { &[] } else { &["leaf", "root", "broadcast"] };
        self.compose(&[&up, services].concat()).unwrap_or_else(|why| panic!("{why}"));
        for (service, count) in [("leaf", leaf), ("root", root), ("broadcast", broadcast)] {
            let running = self.ids(service).len();
            assert_eq!(running, count, "{service} containers");
            (1..=count).for_each(|number| self.ready(service, number));
        }
    }

    /// Brings one tier to another size, and leaves all others as they are.
    pub(crate) fn scale(&self, service: &str, count: usize) {
        let scale = format!("{service}={count}");
        let up = ["up", "-d", "--no-build", "--no-deps", "--no-recreate", "--scale", &scale, service];
        self.compose(&up).unwrap_or_else(|why| panic!("{why}"));
        (1..=count).for_each(|number| self.ready(service, number));
    }

    /// Waits until the node in the container says that it is ready.
    pub(crate) fn ready(&self, service: &str, number: usize) {
        eventually(&format!("{service} {number} is ready"), READY, || {
            get(&self.url(service, number), "/readyz")
        });
    }

    /// Waits until the engine calls the container healthy, by the image's own check.
    pub(crate) fn healthy(&self, service: &str, number: usize) {
        eventually(&format!("{service} {number} is healthy"), READY, || {
            match self.tell("inspect", service, number, &["--format", "{{.State.Health.Status}}"])? {
                status if status == "healthy" => Ok(()),
                status => Err(status),
            }
        });
    }

    /// `docker COMMAND CONTAINER ARGUMENTS…`
    pub(crate) fn tell(
        &self,
        command: &str,
        service: &str,
        number: usize,
        arguments: &[&str],
    ) -> Result<String, String> {
        run("docker", &[&[command, &self.container(service, number)], arguments].concat())
    }

    /// [`Project::tell`], which has to succeed.
    pub(crate) fn order(&self, command: &str, service: &str, number: usize) {
        self.tell(command, service, number, &[]).unwrap_or_else(|why| panic!("{why}"));
    }

    /// Takes the container off the project's network, or puts it back: `disconnect`, `connect`.
    pub(crate) fn network(&self, verb: &str, service: &str, number: usize) {
        let (network, container) = (format!("{}_default", self.name), self.container(service, number));
        run("docker", &["network", verb, &network, &container]).unwrap_or_else(|why| panic!("{why}"));
    }

    /// The HTTP address of a container, reached from this machine.
    pub(crate) fn url(&self, service: &str, number: usize) -> String {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = self.tell("inspect", service, number, &["--format", format]).unwrap();
        format!("http://{address}:8080")
    }

    /// The address of the front proxy on this machine, where there is one.
    pub(crate) fn front(&self) -> Option<String> {
        let port = || self.compose(&["port", "front", "8080"]).unwrap_or_else(|why| panic!("{why}"));
        self.images.has_front.then(|| format!("http://{}", port()))
    }

    /// The containers of a service that run, or are paused.
    fn ids(&self, service: &str) -> Vec<String> {
        let label = format!("label=com.docker.compose.service={service}");
        self.listed(&["-q", "--filter", &label])
    }

    fn container(&self, service: &str, number: usize) -> String {
        let service = format!("label=com.docker.compose.service={service}");
        let number = format!("label=com.docker.compose.container-number={number}");
        let found = self.listed(&["-a", "-q", "--filter", &service, "--filter", &number]);
        found.first().cloned().unwrap_or_else(|| panic!("no container has {service} and {number}"))
    }

    fn listed(&self, filter: &[&str]) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.name);
        let ids = run("docker", &[&["ps", "--filter", &project], filter].concat()).unwrap();
        ids.lines().map(str::to_owned).collect()
    }

    fn compose(&self, arguments: &[&str]) -> Result<String, String> {
        let (program, first) = compose_command().ok_or("no Compose")?;
        let file = format!("{ROOT}/compose.yaml");
        let mut command = Command::new("timeout");
        command.args(["-k", "5", "120", program]).args(first).args(["-p", &self.name, "-f", &file]);
        // A free port on the host, so that the test disturbs nobody.
        command
            .args(arguments)
            .env("COUNTREE_PORT", "127.0.0.1:")
            .env("COUNTREE_IMAGE", &self.images.countree);
        for variable in ["COUNTREE_REDIS_IMAGE", "COUNTREE_FRONT_IMAGE"] {
            command.env(variable, &self.images.others);
        }
        run_in(&mut command, None)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.compose(&["ps"]).unwrap_or_else(|why| why));
            println!(
                "{}",
                self.compose(&["logs", "--no-color", "--tail", LAST_WORDS]).unwrap_or_else(|why| why)
            );
        }
        if let Err(why) = self.compose(&["down", "--volumes", "--remove-orphans", "--timeout", "1"]) {
            println!("{why}");
        }
    }
}

/// Compose is a plugin of docker, or a program of its own.
fn compose_command() -> Option<(&'static str, &'static [&'static str])> {
    if run("docker", &["compose", "version"]).is_ok() {
        return Some(("docker", &["compose"]));
    }
    is_installed("docker-compose").then_some(("docker-compose", &[]))
}
