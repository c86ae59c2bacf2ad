//! Reaches nodes in processes of their own over HTTP: passes requests on, reads readiness and metrics.

use super::fleet::Fleet;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use countree_common::shell::http::{self, Answer, ErrorBody, error};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

const OK: u16 = 200;
/// Longer than a node takes for any answer, with its own waits for a body and for other nodes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(22);

/// Passes a request on to a node, and streams its answer back.
///
/// The port that it came to has judged host and origin; the node sees this process ask.
pub(super) async fn pass_on(node: SocketAddr, mut request: Request) -> Response {
    request.headers_mut().remove(header::ORIGIN);
    // An address is good as a header's value.
    if let Ok(host) = HeaderValue::from_str(&node.to_string()) {
        request.headers_mut().insert(header::HOST, host);
    }
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(path);
    }
    let changes = !request.method().is_safe();
    let not_there = |e: String| {
        let message = format!("the node at {node} does not answer ({e}): nothing was counted; repeat it");
        error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message, None)
    };
    let stream = match TcpStream::connect(node).await {
        Ok(stream) => stream,
        Err(e) => return not_there(e.to_string()),
    };
    let (mut sender, connection) = match hyper::client::conn::http1::handshake(TokioIo::new(stream)).await {
        Ok(opened) => opened,
        Err(e) => return not_there(e.to_string()),
    };
    tokio::spawn(connection);
    let why = match tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request)).await {
        Ok(Ok(answer)) => return answer.map(Body::new).into_response(),
        Ok(Err(e)) => format!("the node broke off ({e})"),
        Err(_) => format!("the node at {node} does not answer within {} s", ANSWER_TIMEOUT.as_secs()),
    };
    if changes {
        let message = format!(
            "{why}: it may be counted or not; repeat it under the same Idempotency-Key or ids, and only so"
        );
        return error(StatusCode::CONFLICT, "in_doubt", message, None);
    }
    error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", format!("{why}: repeat it"), None)
}

async fn ask(node: SocketAddr, path: &str) -> Option<Answer> {
    http::request("GET", &format!("http://{node}"), path, &[], None).await.ok()
}

/// The reason that some node can't do its work; `None` when all can.
pub(super) async fn problem(fleet: &Fleet) -> Option<String> {
    for (name, http) in fleet.children() {
        let Some(http) = http else {
            return Some(format!("{name} does not run, and is being started again"));
        };
        match ask(http, "/readyz").await {
            Some(answer) if answer.status == OK => {}
            Some(answer) => {
                let why = serde_json::from_slice::<ErrorBody>(&answer.body).map(|body| body.error.message);
                return Some(format!("{name}: {}", why.unwrap_or_else(|_| "not ready".into())));
            }
            None => return Some(format!("{name} does not answer")),
        }
    }
    None
}

/// Merges all nodes' metrics into one page.
pub(super) async fn metrics(fleet: &Fleet) -> String {
    let mut pages = Vec::new();
    for http in fleet.children().into_iter().filter_map(|(_, http)| http) {
        let page = ask(http, "/metrics").await.map(|answer| answer.body);
        pages.extend(page.and_then(|page| String::from_utf8(page.to_vec()).ok()));
    }
    merged(&pages)
}

/// Merges pages in the Prometheus text format into one with each metric family once.
fn merged(pages: &[String]) -> String {
    let mut families: BTreeMap<&str, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
    for page in pages {
        let mut family = "";
        for line in page.lines() {
            let about = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
            if let Some(about) = about {
                family = about.split(' ').next().unwrap_or_default();
            }
            let (heads, samples) = families.entry(family).or_default();
            match about {
                Some(_) if heads.contains(&line) => {}
                Some(_) => heads.push(line),
                None => samples.push(line),
            }
        }
    }
    let lines = families.into_values().flat_map(|(heads, samples)| heads.into_iter().chain(samples));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_of_several_nodes_stands_once() {
        let page = |node: u32| {
            let family = |name: &str| {
                format!("# HELP {name} What.\n# TYPE {name} gauge\n{name}{{node=\"{node}\"}} 7\n")
            };
            family("a") + &family("b")
        };
        let both = merged(&[page(1), page(2)]);
        let expected = ["a", "b"].map(|name| {
            format!(
                "# HELP {name} What.\n# TYPE {name} gauge\n{name}{{node=\"1\"}} 7\n{name}{{node=\"2\"}} 7\n"
            )
        });
        assert_eq!(both, expected.concat());
    }
}
