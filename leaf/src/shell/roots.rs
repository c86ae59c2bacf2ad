//! Keeps one conversation with each root, and opens it again whenever it breaks.

use super::inputs::{CoreHandle, Input, OUTBOX};
use countree_common::cluster::{Node, NodeName, Tier};
use countree_common::cut::CounterSum;
use countree_common::shell::membership::Membership;
use countree_common::shell::peers::PeerError;
use countree_common::shell::quic::StreamError;
use countree_common::shell::shutdown::Shutdown;
use countree_common::shell::tasks;
use countree_common::store::StoreId;
use countree_common::wire::frame::FrameKind;
use countree_common::wire::hello::Conversation;
use countree_common::wire::uplink::{FromRoot, ToRoot};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const RECONNECT: Duration = Duration::from_millis(200);

/// Numbers conversations, so that the end of one is not taken for the end of the next.
static LINKS: AtomicU64 = AtomicU64::new(0);

/// Keeps a conversation with every root of the view, until `shutdown`.
pub(super) async fn run(
    membership: Membership,
    core: CoreHandle,
    store: Option<StoreId>,
    shutdown: Shutdown,
) {
    let mut views = membership.view();
    let mut confirmations = membership.confirmations();
    let mut links: BTreeMap<NodeName, (Node, JoinHandle<()>)> = BTreeMap::new();
    loop {
        let view = views.borrow_and_update().clone();
        core.tell(Input::View(view.clone())).await;
        links.retain(|name, (node, task)| {
            let stays = view.node(name) == Some(&*node);
            if !stays {
                task.abort();
            }
            stays
        });
        for root in
            view.tier(Tier::Root).filter(|root| !links.contains_key(&root.name)).cloned().collect::<Vec<_>>()
        {
            let link = keep(membership.clone(), root.clone(), core.clone(), store);
            links.insert(root.name.clone(), (root, tasks::spawn(link)));
        }
        tokio::select! {
            changed = views.changed() => if changed.is_err() { break },
            confirmed = confirmations.changed() => if confirmed.is_err() || !core.tell(Input::Confirmed).await { break },
            () = shutdown.begun() => break,
        }
    }
    links.into_values().for_each(|(_, task)| task.abort());
}

/// Tells the core that a root is lost, however its task ends.
struct LinkGuard {
    core: CoreHandle,
    root: NodeName,
    link: u64,
}

impl Drop for LinkGuard {
    fn drop(&mut self) {
        let (core, root, link) = (self.core.clone(), self.root.clone(), self.link);
        // Without a runtime the whole node is going down.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            tasks::spawn_on(&runtime, async move { core.tell(Input::RootLost { root, link }).await });
        }
    }
}

async fn keep(membership: Membership, root: Node, core: CoreHandle, store: Option<StoreId>) {
    let mut said = None;
    loop {
        match converse(&membership, &root, &core, store).await {
            Ok(()) => tracing::debug!(root = %root.name, "the root has ended the conversation"),
            Err(PeerError::Stream(StreamError::Refused(refusal))) => {
                if said.as_ref() != Some(&refusal.message) {
                    tracing::error!(root = %root.name, "the root takes nothing from this leaf: {refusal}");
                    said = Some(refusal.message);
                }
            }
            Err(e) => tracing::debug!(root = %root.name, "no conversation with the root: {e}"),
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn converse(
    membership: &Membership,
    root: &Node,
    core: &CoreHandle,
    store: Option<StoreId>,
) -> Result<(), PeerError> {
    let peers = membership.peers();
    let (mut sender, mut receiver, _) =
        peers.open(root.name.as_str(), root.quic, Conversation::Uplink).await?;
    if let Some(store) = store {
        sender.send(FrameKind::Message, &ToRoot::<Vec<CounterSum>>::Store(store)).await?;
    }
    let (outbox, mut messages) = mpsc::channel(OUTBOX);
    let link = LINKS.fetch_add(1, Ordering::Relaxed);
    core.tell(Input::RootConnected { root: root.name.clone(), link, outbox }).await;
    let _guard = LinkGuard { core: core.clone(), root: root.name.clone(), link };
    let send = async {
        while let Some(message) = messages.recv().await {
            sender.send_body(FrameKind::Message, message).await?;
        }
        Ok::<_, StreamError>(())
    };
    let receive = async {
        while let Some(message) = receiver.message::<FromRoot>().await? {
            core.tell(Input::Root(root.name.clone(), message)).await;
        }
        Ok::<_, StreamError>(())
    };
    tokio::select! {
        result = send => result?,
        result = receive => result?,
    }
    Ok(())
}
