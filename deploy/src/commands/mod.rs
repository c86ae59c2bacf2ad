//! One file per command that talks to a cluster.

mod apply;
mod audit;
mod backup;
mod drain;
mod export;
mod forget;
mod get;
mod health;
mod import;
mod keys;
mod plan;
mod replay;
mod reset;
mod send;
mod status;
mod store;
mod watch;

use crate::arguments::{Arguments, ClusterArguments, Command, UpArguments};
use crate::report::Report;
use crate::{single, up};
use clap::CommandFactory;
use countree_client::{ClientError, Cluster};
use countree_common::cluster::Tier;
use countree_common::shell::failure::Failure;
use countree_common::shell::http::{self, Answer, ErrorBody, HttpError, Server, Trust};
use countree_common::shell::telemetry;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// What to do where no cluster answers.
const WHERE: &str = "start one with 'countree up', or say which with --cluster or COUNTREE_URL";
/// What to do where the certificate of an `https://` address is not trusted.
const WHOSE: &str = "name the authority that signed it with --ca or COUNTREE_CA";
const OK: u16 = 200;
const ACCEPTED: u16 = 202;
const NOT_FOUND: u16 = 404;
const UNAVAILABLE: u16 = 503;
const IN_DOUBT: u16 = 409;
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Runs what the command line says.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let report = Report { json: arguments.json };
    let command = arguments.command.unwrap_or_else(|| Command::Up(UpArguments::default_data()));
    let is_server =
        matches!(command, Command::Up(_) | Command::Leaf(_) | Command::Root(_) | Command::Broadcast(_));
    telemetry::init(if is_server { "info" } else { "off" });
    match command {
        Command::Up(arguments) => up::run(arguments, report).await,
        Command::Leaf(arguments) => single::run(Tier::Leaf, arguments, report).await,
        Command::Root(arguments) => single::run(Tier::Root, arguments, report).await,
        Command::Broadcast(arguments) => single::run(Tier::Broadcast, arguments, report).await,
        Command::Send(arguments) => send::run(arguments, report).await,
        Command::Replay(arguments) => replay::run(arguments, report).await,
        Command::Get(arguments) => get::run(arguments, report).await,
        Command::Watch(arguments) => watch::run(arguments, report).await,
        Command::Reset(arguments) => reset::run(arguments, report).await,
        Command::Forget(arguments) => forget::run(arguments, report).await,
        Command::Status(cluster) => status::run(cluster, report).await,
        Command::Health(node) => health::run(node, report).await,
        Command::Audit(cluster) => audit::run(cluster, report).await,
        Command::Plan(arguments) => plan::run(arguments, report).await,
        Command::Apply(arguments) => apply::run(arguments, report).await,
        Command::Drain(arguments) => drain::run(arguments, report).await,
        Command::Backup(arguments) => backup::run(arguments, report).await,
        Command::Export(arguments) => export::run(arguments).await,
        Command::Import(arguments) => import::run(arguments, report).await,
        Command::Store(arguments) => store::run(arguments, report).await,
        Command::Token(arguments) => keys::token(&arguments, report),
        Command::Certs(arguments) => keys::certs(&arguments, report),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "countree", &mut std::io::stdout());
            Ok(())
        }
    }
}

impl ClusterArguments {
    async fn discover(&self) -> Result<Cluster, Failure> {
        let token = self.token.clone();
        let found = match self.read_ca()? {
            Some(ca) => Cluster::discover_trusting(&self.url, token, &ca).await,
            None => Cluster::discover(&self.url, token).await,
        };
        found.map_err(|e| match e {
            ClientError::NoCluster { .. } => Failure::failed(format!("{e}; {WHERE}")),
            ClientError::Untrusted { .. } => Failure::failed(format!("{e}; {WHOSE}")),
            e => Failure::failed(e),
        })
    }

    fn read_ca(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.ca else { return Ok(None) };
        let text = std::fs::read_to_string(path);
        text.map(Some).map_err(|e| Failure::usage(format!("--ca {}: {e}", path.display())))
    }

    /// The JSON at `path`; an error answer becomes its message.
    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.understand(path, self.get(path).await?)
    }

    /// [`ClusterArguments::read`] of what may take a while.
    async fn read_within<T: DeserializeOwned>(&self, limit: Duration, path: &str) -> Result<T, Failure> {
        self.understand(path, self.request_within(limit, "GET", path, None, None).await?)
    }

    /// [`ClusterArguments::read`], asking again while the cluster says that it can't answer just now.
    async fn read_patiently<T: DeserializeOwned>(
        &self,
        path: &str,
        patience: Duration,
    ) -> Result<T, Failure> {
        self.request_patiently("GET", path, None, patience).await
    }

    /// Repeats a request, which has to be harmless, while the cluster says that it can't do it just now.
    async fn request_patiently<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        id: Option<&str>,
        patience: Duration,
    ) -> Result<T, Failure> {
        let asking = || self.request(method, path, id, None);
        self.understand(path, patiently(patience, Absent::Refused, asking).await?)
    }

    /// Posts a body, which has to be harmless when it is repeated, until the cluster is there and can take it.
    async fn post_patiently<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &[u8],
        patience: Duration,
    ) -> Result<T, Failure> {
        let posting = || self.request("POST", path, None, Some(body.to_vec()));
        self.understand(path, patiently(patience, Absent::Awaited, posting).await?)
    }

    fn understand<T: DeserializeOwned>(&self, path: &str, answer: Answer) -> Result<T, Failure> {
        if ![OK, ACCEPTED].contains(&answer.status) {
            let message = serde_json::from_slice::<ErrorBody>(&answer.body).map(|b| b.error.message);
            let bare = |_| format!("{}{path} answers {}", self.url, answer.status);
            return Err(Failure::failed(message.unwrap_or_else(bare)));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|e| Failure::failed(format!("{}{path} answers what is not of its form: {e}", self.url)))
    }

    async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.request("GET", path, None, None).await
    }

    /// Sends a request; its answer may be an error.
    async fn request(
        &self,
        method: &str,
        path: &str,
        id: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Failure> {
        self.request_within(http::HTTP_TIMEOUT, method, path, id, body).await
    }

    /// [`ClusterArguments::request`] with a time limit of its own.
    async fn request_within(
        &self,
        limit: Duration,
        method: &str,
        path: &str,
        id: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Failure> {
        let bearer = self.token.as_ref().map(|t| format!("Bearer {t}"));
        let bearer = bearer.iter().map(|b| ("authorization", b.as_str()));
        let headers: Vec<_> = bearer.chain(id.map(|id| ("idempotency-key", id))).collect();
        let trust = self.read_ca()?.map(|ca| Trust::only(&ca)).transpose()?;
        let server = Server { url: &self.url, trust: trust.as_ref() };
        http::request_within(limit, method, server, path, &headers, body).await.map_err(|e| match e {
            HttpError::Tls { .. } => Failure::failed(format!("{e}; {WHOSE}")),
            HttpError::Url(_) | HttpError::Unreachable { .. } => Failure::failed(format!("{e}; {WHERE}")),
        })
    }
}

/// What is done about a cluster that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absent {
    /// It may come back.
    Awaited,
    /// It won't, or the address is wrong.
    Refused,
}

/// Asks again while the answer is that it can't be had just now. When `patience` is over, the next answer is the last.
async fn patiently<A: Future<Output = Result<Answer, Failure>>>(
    patience: Duration,
    absent: Absent,
    ask: impl Fn() -> A,
) -> Result<Answer, Failure> {
    let asking = async {
        loop {
            match ask().await {
                Ok(answer) if ![UNAVAILABLE, IN_DOUBT].contains(&answer.status) => return Ok(answer),
                Err(e) if absent == Absent::Refused => return Err(e),
                Ok(_) | Err(_) => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
    };
    match tokio::time::timeout(patience, asking).await {
        Ok(answer) => answer,
        Err(_) => ask().await,
    }
}
