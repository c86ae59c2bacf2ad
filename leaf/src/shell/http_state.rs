//! Holds what the HTTP routes share.

use super::inputs::CoreHandle;
use super::owners::Owners;
use countree_common::cluster::NodeName;
use countree_common::shell::access::Access;
use countree_common::shell::membership::Membership;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Bodies that are read at once, and then requests that are counted at once; more are shed.
const REQUESTS: usize = 256;

/// Handed to every route.
#[derive(Debug, Clone)]
pub(super) struct HttpState {
    pub(super) me: NodeName,
    pub(super) core: CoreHandle,
    pub(super) membership: Membership,
    pub(super) access: Access,
    /// A permit for each body that is being read.
    pub(super) bodies: Arc<Semaphore>,
    /// A permit for each request that is being counted.
    pub(super) requests: Arc<Semaphore>,
    pub(super) owners: Owners,
}

impl HttpState {
    pub(super) fn new(me: NodeName, core: CoreHandle, membership: Membership, access: Access) -> Self {
        Self {
            me,
            core,
            membership,
            access,
            bodies: Arc::new(Semaphore::new(REQUESTS)),
            requests: Arc::new(Semaphore::new(REQUESTS)),
            owners: Owners::default(),
        }
    }
}
