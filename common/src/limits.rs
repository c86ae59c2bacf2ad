//! The bound of every name, frame, table and queue. `GET /v1/cluster` lists those a user can meet.

use serde::{Deserialize, Serialize};

/// Longest topic name, in bytes of UTF-8.
pub const TOPIC_BYTES: usize = 128;
/// Longest item name, in bytes of UTF-8.
pub const ITEM_BYTES: usize = 128;
/// Longest kind name, in bytes of UTF-8.
pub const KIND_BYTES: usize = 32;
/// Longest node or cluster name, in bytes; both are DNS labels, since TLS checks them as such.
pub const NODE_NAME_BYTES: usize = 63;
/// Longest idempotency key or event id, in bytes.
pub const IDEMPOTENCY_KEY_BYTES: usize = 256;

/// The largest whole number that every JSON reader holds exactly, beside its neighbours: JavaScript's
/// `Number.MAX_SAFE_INTEGER`. Totals beyond it are also shown as text.
pub const EXACT_MAX: i64 = (1 << 53) - 1;
/// Largest |delta| of one event.
pub const DELTA_MAX: i64 = EXACT_MAX;
/// A leaf refuses an event that could take a total past this; the range left above it (to 2^63) is
/// the room for what other leaves have accepted and not yet merged.
pub const TOTAL_MAX: i64 = 1 << 62;
/// From here on roots send a total to all leaves with each merge, so that they can keep to [`TOTAL_MAX`].
pub const TOTAL_NEAR_LIMIT: i64 = 1 << 60;
/// Largest Σ|δ| that one leaf holds unmerged, over all its counters; many leaves share the room above
/// [`TOTAL_MAX`].
pub const UNMERGED_MAX: i64 = 1 << 60;
/// Totals near [`TOTAL_MAX`] that a node remembers; beyond it only the store checks the range.
pub const NEAR_LIMIT_COUNTERS: usize = 65_536;

/// Largest frame body, in bytes. A stream that claims more is closed before anything is allocated.
pub const FRAME_BYTES: usize = 1 << 20;
/// Events in one batch.
pub const BATCH_EVENTS: usize = 65_536;
/// Events in one HTTP request.
pub const HTTP_EVENTS: usize = 10_000;
/// HTTP request body, in bytes.
pub const HTTP_BODY_BYTES: usize = 4 << 20;
/// Names that one producer connection may define before it has to reset its dictionary.
pub const NAMES_PER_CONNECTION: usize = 16 << 20;

/// Names that all producers of one leaf may have defined together.
pub const NAMES_PER_LEAF: usize = 64 << 20;

/// Counters that one leaf holds in memory.
pub const COUNTERS_PER_LEAF: usize = 16 << 20;
/// Sessions that one leaf remembers; beyond it `Open` is refused until old ones expire.
pub const SESSIONS_PER_LEAF: usize = 65_536;
/// Idempotency keys that one leaf remembers; beyond it keyed requests are shed.
pub const IDEMPOTENCY_KEYS_PER_LEAF: usize = 2 << 20;
/// Idempotency keys that one leaf hands to another in one message.
pub const KEYS_PER_MESSAGE: usize = 65_536;
/// Sessions in one message to a root.
pub const SESSIONS_PER_MESSAGE: usize = 65_536;
/// Resets that one leaf works on at once.
pub const RESETS_PER_LEAF: usize = 64;
/// Flush requests that wait in one leaf.
pub const FLUSHES_PER_LEAF: usize = 1_024;
/// Connections that one node accepts.
pub const CONNECTIONS_PER_NODE: usize = 100_000;
/// Handshakes that one node runs at once; above it new ones are asked to prove their address.
pub const HANDSHAKES_PER_NODE: usize = 256;
/// Bytes of received frames that wait for a leaf's core; above it QUIC flow control holds producers back.
pub const INGEST_QUEUE_BYTES: usize = 64 << 20;
/// Unacked bytes of log that wait for the disk; above it a leaf sheds.
pub const LOG_QUEUE_BYTES: usize = 64 << 20;

/// Largest frame body between nodes, in bytes: room for one cut of [`COUNTERS_PER_CUT`] with the longest
/// names.
pub const NODE_FRAME_BYTES: usize = 16 << 20;
/// Cuts in one frame from a leaf to a root, and in one merge into the store.
pub const CUTS_PER_MERGE: usize = 1_024;
/// A window ends early once one topic has this many changed counters.
pub const WINDOW_COUNTERS_PER_TOPIC: usize = 16_384;
/// Counters in one cut: what a window may hold, and one batch on top, since a cut ends between records.
pub const COUNTERS_PER_CUT: usize = WINDOW_COUNTERS_PER_TOPIC + BATCH_EVENTS;
/// Cuts that wait in a root for the store; above it leaves have to repeat them later.
pub const CUTS_QUEUED_PER_ROOT: usize = 65_536;

/// Topics that one viewer connection watches.
pub const TOPICS_PER_VIEWER: usize = 256;
/// Topics that one broadcast node holds.
pub const TOPICS_PER_BROADCAST: usize = 1 << 20;
/// Payload of one update datagram, in bytes: fits the smallest path QUIC allows (RFC 9000, 14.1).
pub const DATAGRAM_BYTES: usize = 1_150;

/// Items that are split over several leaves at once.
pub const SPLITS_PER_CLUSTER: usize = 256;
/// Past sets of owners of idempotency keys that a cluster remembers; beyond them, earlier keys are answered
/// with 409.
pub const KEY_HISTORY: usize = 256;
/// Nodes in one cluster.
pub const NODES_PER_CLUSTER: usize = 1_024;
/// Largest number of nodes of one tier that a manifest may ask for.
pub const REPLICAS_MAX: u32 = 256;

/// The limits that users meet, as `GET /v1/cluster` shows them.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct PublicLimits {
    /// [`TOPIC_BYTES`]
    pub topic_bytes: usize,
    /// [`ITEM_BYTES`]
    pub item_bytes: usize,
    /// [`KIND_BYTES`]
    pub kind_bytes: usize,
    /// [`DELTA_MAX`]
    pub delta_max: i64,
    /// [`TOTAL_MAX`]
    pub total_max: i64,
    /// [`FRAME_BYTES`]
    pub frame_bytes: usize,
    /// [`BATCH_EVENTS`]
    pub batch_events: usize,
    /// [`HTTP_EVENTS`]
    pub http_events: usize,
    /// [`HTTP_BODY_BYTES`]
    pub http_body_bytes: usize,
    /// [`IDEMPOTENCY_KEY_BYTES`]
    pub idempotency_key_bytes: usize,
    /// [`TOPICS_PER_VIEWER`]
    pub topics_per_viewer: usize,
    /// [`DATAGRAM_BYTES`]
    pub datagram_bytes: usize,
}

/// The limits in force.
pub const PUBLIC: PublicLimits = PublicLimits {
    topic_bytes: TOPIC_BYTES,
    item_bytes: ITEM_BYTES,
    kind_bytes: KIND_BYTES,
    delta_max: DELTA_MAX,
    total_max: TOTAL_MAX,
    frame_bytes: FRAME_BYTES,
    batch_events: BATCH_EVENTS,
    http_events: HTTP_EVENTS,
    http_body_bytes: HTTP_BODY_BYTES,
    idempotency_key_bytes: IDEMPOTENCY_KEY_BYTES,
    topics_per_viewer: TOPICS_PER_VIEWER,
    datagram_bytes: DATAGRAM_BYTES,
};
