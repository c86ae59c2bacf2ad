//! Resizes the running cluster to another manifest, one step after another, while events flow.

use super::fleet::Fleet;
use crate::resize::{Action, Resize, Sizes, State, Step, steps};
use countree_common::config::Manifest;
use countree_common::config::section::ConfigError;
use countree_common::shell::failure::Failure;
use countree_common::shell::shutdown::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// The reason that a manifest is refused. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The manifest is invalid.
    #[error(transparent)]
    Bad(#[from] ConfigError),
    /// It differs in a setting that can't change while the cluster runs.
    #[error(
        "{0} can't be changed while the cluster runs, only replicas can: stop it, and start it with this manifest"
    )]
    Fixed(String),
    /// Another resize is under way.
    #[error("a resize is under way: wait for its end")]
    Busy,
    /// The steps could not be planned.
    #[error("{0}")]
    Failed(String),
}

/// Resizes a fleet, one resize at a time.
#[derive(Clone)]
pub(super) struct Resizer {
    fleet: Arc<Fleet>,
    state: Arc<watch::Sender<Resize>>,
    /// Held while a resize is decided on.
    deciding: Arc<Mutex<()>>,
    stop: Shutdown,
}

impl Resizer {
    /// Makes a resizer. Once `stop` begins, a resize ends after the step that is under way.
    pub(super) fn new(fleet: Arc<Fleet>, stop: Shutdown) -> Self {
        Self { fleet, state: Arc::new(watch::Sender::new(Resize::default())), deciding: Arc::default(), stop }
    }

    /// The progress of the last resize.
    pub(super) fn state(&self) -> Resize {
        self.state.borrow().clone()
    }

    /// Returns once no resize is under way.
    pub(super) async fn ended(&self) {
        // The sender lives as long as `self`.
        let _ = self.state.subscribe().wait_for(|state| !state.running).await;
    }

    /// Plans the steps to this manifest, and changes nothing.
    pub(super) fn plan(&self, text: &str) -> Result<Resize, Refused> {
        let wanted = self.read(text)?;
        let steps = steps(&self.fleet.running(), &Sizes::of(&wanted));
        let steps = steps.map_err(|e| Refused::Failed(e.message().to_owned()))?;
        Ok(Resize { running: false, failed: None, steps })
    }

    /// Begins a resize to this manifest.
    pub(super) fn begin(&self, text: &str) -> Result<Resize, Refused> {
        let _deciding: MutexGuard<'_, ()> = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state.borrow().running || self.stop.has_begun() {
            return Err(Refused::Busy);
        }
        let begun = Resize { running: true, ..self.plan(text)? };
        self.state.send_replace(begun.clone());
        let resizer = self.clone();
        tokio::spawn(async move { resizer.run().await });
        Ok(begun)
    }

    /// Parses a manifest and refuses settings that a running cluster can't change.
    fn read(&self, text: &str) -> Result<Manifest, Refused> {
        // With the environment, as this process's own manifest was read, except replicas, which the new one decides.
        let environment = |name: &str| {
            if name.ends_with("_REPLICAS") { None } else { std::env::var(name).ok() }
        };
        let wanted = Manifest::parse(text, &environment)?;
        let own = self.fleet.layout().manifest().resized_like(&wanted);
        let different = [
            ("cluster.name", own.cluster.name != wanted.cluster.name),
            ("cluster.store", own.cluster.store != wanted.cluster.store),
            ("cluster.window", own.cluster.window != wanted.cluster.window),
            ("cluster.processes", own.cluster.processes != wanted.cluster.processes),
            ("[leaf]", own.leaf != wanted.leaf),
            ("[root]", own.root != wanted.root),
            ("[broadcast]", own.broadcast != wanted.broadcast),
            ("[http]", own.http != wanted.http),
            ("[auth]", own.auth != wanted.auth),
        ];
        let names: Vec<_> =
            different.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
        if names.is_empty() { Ok(wanted) } else { Err(Refused::Fixed(names.join(", "))) }
    }

    async fn run(&self) {
        let steps = self.state().steps;
        for (at, step) in steps.iter().enumerate() {
            if self.stop.has_begun() {
                self.fail("the cluster is stopping");
                break;
            }
            self.note(at, State::Running, 0.0);
            tracing::info!(node = %step.node, "resizing: {:?}", step.action);
            let begun = Instant::now();
            let done = self.step(step).await;
            let state = if done.is_ok() { State::Done } else { State::Failed };
            self.note(at, state, begun.elapsed().as_secs_f64());
            if let Err(e) = done {
                tracing::error!(node = %step.node, "the resize ends here: {}", e.message());
                self.fail(e.message());
                break;
            }
        }
        self.state.send_modify(|state| state.running = false);
    }

    async fn step(&self, step: &Step) -> Result<(), Failure> {
        match step.action {
            Action::Start => self.fleet.start(&step.node, &self.stop).await,
            Action::Drain => {
                self.fleet.drain(&step.node).await;
                Ok(())
            }
        }
    }

    fn note(&self, at: usize, to: State, seconds: f64) {
        self.state.send_modify(|resize| {
            if let Some(step) = resize.steps.get_mut(at) {
                (step.state, step.seconds) = (to, seconds);
            }
        });
    }

    fn fail(&self, why: &str) {
        self.state.send_modify(|state| state.failed = Some(why.to_owned()));
    }
}
