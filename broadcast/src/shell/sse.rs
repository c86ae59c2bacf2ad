//! Viewers over HTTP: Server-Sent Events.

use super::http_state::{HttpState, unavailable};
use super::input::BroadcastInput;
use super::sink::Inbox;
use super::viewer_registry::ViewerGuard;
use crate::machine::{Format, Since};
use axum::body::Body;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use countree_common::document::Version;
use countree_common::key::Topic;
use countree_common::limits::CONNECTIONS_PER_NODE;
use countree_common::shell::tasks;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// Interval of comments on a silent stream, which keep proxies from closing it and reveal clients that are
/// gone.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The wait of a browser before it reconnects, in milliseconds.
const RETRY: &str = "retry: 1000\n\n";

/// Answers with a stream of the topic's totals as they change.
///
/// `held` is the version that the client claims to have, if it can't send the header `Last-Event-ID`.
pub(super) async fn stream(
    state: &HttpState,
    topic: Topic,
    headers: &HeaderMap,
    held: Option<Version>,
) -> Response {
    if state.registry.present() >= CONNECTIONS_PER_NODE {
        return unavailable("this node has as many viewers as it can carry".into());
    }
    let mut since = last_event_id(headers).or(held).map_or(Since::Nothing, Since::Held);
    let mut ready = VecDeque::from([Bytes::from_static(RETRY.as_bytes())]);
    // A cached snapshot saves the core the work; the changes since then follow.
    if since == Since::Nothing
        && let Some(shared) = state.cache.snapshot(&topic)
    {
        since = Since::Sent(shared.version, shared.away);
        ready.push_back(shared.event);
    }
    let leaving = || unavailable("this node is leaving".into());
    let Some((guard, inbox)) = state.registry.admit(Format::Events, None).await else { return leaving() };
    let subscribe = BroadcastInput::Subscribe { viewer: guard.viewer, topic, since };
    if !guard.tell(subscribe).await {
        return leaving();
    }
    let events = Events { ready, inbox, next_heartbeat: Instant::now() + HEARTBEAT, _here: stay(guard) };
    let body = futures_util::stream::unfold(events, |mut events| async move {
        let bytes = events.next().await?;
        Some((Ok::<_, Infallible>(bytes), events))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Asks proxies not to hold events back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// Returns the version that a returning client claims to have, if any.
fn last_event_id(headers: &HeaderMap) -> Option<Version> {
    headers.get("last-event-id")?.to_str().ok()?.trim().parse().ok()
}

/// Ends the guard when the returned half is dropped, which is when the response is.
fn stay(guard: ViewerGuard) -> oneshot::Sender<Infallible> {
    let (here, gone) = oneshot::channel();
    tasks::spawn(async move {
        let _ = gone.await;
        guard.end().await;
    });
    here
}

/// A response's body. It takes no more from the core until its last event was taken, so a slow client's
/// changes stay in the core, and arrive as one newer event.
struct Events {
    ready: VecDeque<Bytes>,
    inbox: Inbox,
    next_heartbeat: Instant,
    _here: oneshot::Sender<Infallible>,
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        if self.ready.is_empty() {
            tokio::select! {
                chunks = self.inbox.chunks.recv() => self.ready.extend(chunks?),
                () = sleep_until(self.next_heartbeat) => {
                    self.ready.push_back(Bytes::from_static(b": still here\n\n"));
                }
            }
        }
        self.next_heartbeat = Instant::now() + HEARTBEAT;
        self.ready.pop_front()
    }
}
