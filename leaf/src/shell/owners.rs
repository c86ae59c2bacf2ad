//! Finds the leaf to ask about an idempotency key: the key's owner by the view at hand. Whether the key may be taken
//! there is the machine's to decide.

use countree_common::cluster::{ClusterView, NodeName};
use countree_common::ring::Ring;
use countree_common::shell::membership::Membership;
use countree_common::wire::rpc::SubmitError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The most owners that a request is sent to, as they change.
pub(super) const TRIES: usize = 4;
/// A view that has not come by then comes too late for the request.
const VIEW_TIMEOUT: Duration = Duration::from_secs(1);
/// The time that a leaf with an older view has to catch up.
const CATCH_UP: Duration = Duration::from_millis(200);

/// The ring of the leaves that remember keys, kept for as long as the view stays.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners {
    cached: Arc<Mutex<Option<CachedRing>>>,
}

#[derive(Debug)]
struct CachedRing {
    epoch: u64,
    ring: Arc<Ring>,
}

impl Owners {
    /// The leaf that remembers a key.
    ///
    /// # Errors
    /// When it is away, or nobody does.
    pub(super) fn owner(&self, view: &ClusterView, key: u128) -> Result<NodeName, SubmitError> {
        match self.ring(view).key_owner(key) {
            Some(owner) if view.node(owner).is_none() => Err(SubmitError::Away(vec![owner.clone()])),
            Some(owner) => Ok(owner.clone()),
            None => Err(SubmitError::Unreachable),
        }
    }

    fn ring(&self, view: &ClusterView) -> Arc<Ring> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some(CachedRing { epoch, ring }) if *epoch == view.epoch => ring.clone(),
            _ => {
                let ring = Arc::new(Ring::new(view.keys.owners.iter().cloned()));
                *cached = Some(CachedRing { epoch: view.epoch, ring: ring.clone() });
                ring
            }
        }
    }
}

/// A leaf has refused a key by its view of this epoch: returns once both may have the same.
pub(super) async fn agree(membership: &Membership, epoch: u64) {
    let mut view = membership.view();
    if view.borrow().epoch < epoch {
        // The sender lives as long as the membership.
        let _ = tokio::time::timeout(VIEW_TIMEOUT, view.wait_for(|view| view.epoch >= epoch)).await;
    } else {
        tokio::time::sleep(CATCH_UP).await;
    }
}
