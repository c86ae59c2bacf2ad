//! Which leaf remembers an idempotency key. Leaves that are away count too: what they remember can't be
//! known elsewhere, and a guess could count a repeat a second time.

use countree_common::cluster::{NodeName, Tier};
use countree_common::ring::Ring;
use countree_common::shell::membership::Membership;
use countree_common::wire::rpc::{Reply, Request, SubmitError};
use std::sync::{Arc, Mutex, PoisonError};

/// The ring of all leaves that may remember keys, live or away, kept for as long as the view stays.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners {
    known: Arc<Mutex<Option<Known>>>,
}

#[derive(Debug, Clone)]
struct Known {
    epoch: u64,
    ring: Arc<Ring>,
    away: Arc<[NodeName]>,
}

impl Owners {
    /// The leaf that remembers a key.
    ///
    /// # Errors
    /// When it is away, or nobody can say who it is.
    pub(super) async fn owner(&self, membership: &Membership, key: u128) -> Result<NodeName, SubmitError> {
        let known = self.known(membership).await?;
        match known.ring.key_owner(key) {
            Some(owner) if known.away.contains(owner) => Err(SubmitError::Away(vec![owner.clone()])),
            Some(owner) => Ok(owner.clone()),
            None => Err(SubmitError::Unreachable),
        }
    }

    async fn known(&self, membership: &Membership) -> Result<Known, SubmitError> {
        let epoch = membership.view().borrow().epoch;
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().clone().filter(|known| known.epoch == epoch) {
            return Ok(known);
        }
        let Ok(Reply::Members { view, away }) = membership.ask_a_root(&Request::Members).await else {
            return Err(SubmitError::Unreachable);
        };
        let live = view.tier(Tier::Leaf).map(|leaf| leaf.name.clone());
        let ring = Arc::new(Ring::new(live.chain(away.iter().cloned())));
        let known = Known { epoch, ring, away: away.into() };
        *lock() = Some(known.clone());
        Ok(known)
    }
}
