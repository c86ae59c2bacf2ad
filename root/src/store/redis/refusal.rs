//! Turns errors of Redis into errors of the store, with advice for the operator.

use crate::store::StoreError;
use countree_common::store::StoreId;
use redis::{ErrorKind, RedisError, ServerError};

/// Advice for the operator, by the first word of the server's answer.
const ADVICE: [(&str, &str); 15] = [
    ("READONLY", "it is a replica: point cluster.store at the primary, or promote this one"),
    ("LOADING", "it is reading its data from its disk: wait until it has"),
    ("MISCONF", "it could not write to its disk: make room there, mend what its log names, and run BGSAVE"),
    ("OOM", "its memory is full: raise maxmemory"),
    ("NOREPLICAS", "too few replicas follow it: bring them back, or lower min-replicas-to-write"),
    ("CLUSTERDOWN", "the Redis Cluster does not serve every slot: see redis-cli --cluster check"),
    ("MASTERDOWN", "it is a replica without its primary: point cluster.store at the primary"),
    ("TRYAGAIN", "its slots are on the move: wait until they have"),
    ("MOVED", "it is part of a Redis Cluster: write cluster.store as redis-cluster://HOST:PORT"),
    ("ASK", "its slots are on the move: wait until they have"),
    ("BUSY", "somebody's script holds it up: end that with SCRIPT KILL"),
    ("NOSCRIPT", "it lost the merge script again at once: let nobody run SCRIPT FLUSH"),
    ("NOAUTH", "it wants a password: write cluster.store as redis://USER:PASSWORD@HOST:PORT"),
    ("WRONGPASS", "it does not take the user and password in cluster.store: correct them"),
    (
        "NOPERM",
        "its user may do too little: ACL SETUSER NAME ~countree:* +@read +@write +@scripting +@connection +info",
    ),
];

/// The first word of an error of this crate's own: another store is there. Its id and that of the served one follow.
const OTHER: &str = "OTHERSTORE";

/// The error that says that the store `found` is there, and not the served one, `bound`.
pub(super) fn not_ours(found: StoreId, bound: StoreId) -> RedisError {
    RedisError::from((ErrorKind::Client, OTHER, format!("{OTHER} {found} {bound}")))
}

/// Reads an error of [`not_ours`], if it is one.
fn other_store(e: &RedisError) -> Option<StoreError> {
    let mut ids = e.detail()?.strip_prefix(OTHER)?.split_whitespace().map(|id| u128::from_str_radix(id, 16));
    let mut next = || Some(StoreId(ids.next()?.ok()?));
    Some(StoreError::Other { found: next()?, bound: next()? })
}

/// Whether the error is the one that begins with `word`.
pub(super) fn means(error: &ServerError, word: &str) -> bool {
    // Inside a script some errors have no word of their own, and Redis 6 wraps them all.
    let is_wrapped = |details: &str| {
        details.contains(&format!("-{word} "))
            || details.contains(&format!(": {word} "))
            || (word == "NOPERM" && details.contains("user executing the script can't"))
    };
    error.code() == word || (error.code() == "ERR" && error.details().is_some_and(is_wrapped))
}

/// Whether a Redis Cluster is moving what was asked for.
pub(super) fn is_on_the_move(e: &RedisError) -> bool {
    matches!(e.code(), Some("ASK" | "MOVED" | "TRYAGAIN"))
}

/// The store's error for an error of the server.
pub(super) fn refused(error: &ServerError) -> StoreError {
    let details = error.details().unwrap_or_default();
    if means(error, "DAMAGED") {
        return StoreError::Damaged(details.to_owned());
    }
    refusal(|word| means(error, word), format!("{} {details}", error.code()))
}

fn refusal(is: impl Fn(&str) -> bool, reason: String) -> StoreError {
    if is("WRONGTYPE") {
        return StoreError::Damaged(format!(
            "a topic or the registry is no hash: rename that key ({reason})"
        ));
    }
    match ADVICE.iter().find(|(word, _)| is(word)) {
        Some((_, advice)) => StoreError::Refused { reason, advice },
        None => StoreError::Failed(format!("Redis: {reason}")),
    }
}

impl From<RedisError> for StoreError {
    fn from(e: RedisError) -> Self {
        if e.is_timeout() {
            return Self::Silent;
        }
        if let Some(other) = other_store(&e) {
            return other;
        }
        match e.kind() {
            ErrorKind::Io => Self::Failed(format!("the connection to Redis broke ({e})")),
            ErrorKind::AuthenticationFailed => refusal(|word| word == "WRONGPASS", e.to_string()),
            _ => {
                let code = e.code().unwrap_or_default();
                let reason = e.detail().map_or_else(|| e.to_string(), |detail| format!("{code} {detail}"));
                refusal(|word| code == word, reason)
            }
        }
    }
}
