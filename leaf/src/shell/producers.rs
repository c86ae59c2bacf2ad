//! Holds producers' conversations: frames in to the core, answers out.

use super::inputs::{CoreHandle, Input, OUTBOX, ToProducer};
use crate::machine::ConnectionId;
use countree_common::limits;
use countree_common::shell::quic::{FrameReceiver, FrameSender, StreamError};
use countree_common::shell::server::{Greeted, refuse};
use countree_common::shell::tasks;
use countree_common::wire::frame::{FrameError, FrameKind};
use countree_common::wire::hello::RefusalCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};

/// A producer that has not taken the leaf's last messages by then does not get them.
const LAST_MESSAGES_TIMEOUT: Duration = Duration::from_secs(1);

/// The state that the conversations of one leaf share.
#[derive(Debug, Clone)]
pub(super) struct ProducerConversations {
    core: CoreHandle,
    queue: Arc<Semaphore>,
    next_connection: Arc<AtomicU64>,
    held: Arc<watch::Sender<usize>>,
}

/// A conversation that is held.
struct OpenConversation(Arc<watch::Sender<usize>>);

impl Drop for OpenConversation {
    fn drop(&mut self) {
        self.0.send_modify(|held| *held -= 1);
    }
}

impl ProducerConversations {
    pub(super) fn new(core: CoreHandle) -> Self {
        let queue = Arc::new(Semaphore::new(limits::INGEST_QUEUE_BYTES));
        Self { core, queue, next_connection: Arc::default(), held: Arc::default() }
    }

    /// Returns once no conversation is left: the core has ended, but its last messages may still be on their way.
    pub(super) async fn ended(&self) {
        // The sender lives as long as `self`.
        let ended = async { drop(self.held.subscribe().wait_for(|held| *held == 0).await) };
        let _ = tokio::time::timeout(LAST_MESSAGES_TIMEOUT, ended).await;
    }

    /// Holds one conversation to its end.
    pub(super) async fn converse(&self, greeted: Greeted) -> Result<(), StreamError> {
        let connection = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
        self.held.send_modify(|held| *held += 1);
        let _held = OpenConversation(self.held.clone());
        let Greeted { sender, mut receiver, .. } = greeted;
        let (outbox, messages) = mpsc::channel(OUTBOX);
        if !self.core.tell(Input::Connected { connection, outbox }).await {
            refuse(sender, RefusalCode::Unavailable, "the leaf is stopping".into()).await;
            return Ok(());
        }
        let mut answers = tasks::spawn(answer(sender, messages));
        let result = tokio::select! {
            result = self.take_frames(connection, &mut receiver) => Some(result),
            // The core has cut the producer off, or the stream is gone.
            sender = &mut answers => {
                if let Ok(Some(mut sender)) = sender {
                    sender.finish();
                    let _ = tokio::time::timeout(LAST_MESSAGES_TIMEOUT, sender.flushed()).await;
                }
                None
            }
        };
        self.core.tell(Input::Disconnected { connection }).await;
        let Some(result) = result else { return Ok(()) };
        if let Ok(Some(sender)) = answers.await
            && let Err(e) = &result
        {
            refuse(sender, RefusalCode::Malformed, e.to_string()).await;
        }
        result
    }

    async fn take_frames(
        &self,
        connection: ConnectionId,
        receiver: &mut FrameReceiver,
    ) -> Result<(), StreamError> {
        while let Some(frame) = receiver.next().await? {
            let input = match frame.kind {
                FrameKind::Message => {
                    Input::Message { connection, message: frame.decode(FrameKind::Message)? }
                }
                FrameKind::Batch => {
                    // While too much waits for the core, nothing is read, and QUIC holds the producer back.
                    let share = u32::try_from(frame.body.len()).unwrap_or(u32::MAX);
                    let permit = self.queue.clone().acquire_many_owned(share).await;
                    let permit = permit.map_err(|_| StreamError::Ended)?;
                    Input::Batch { connection, body: frame.body, permit }
                }
                got => return Err(FrameError::Unexpected { got, expected: FrameKind::Batch }.into()),
            };
            if !self.core.tell(input).await {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Sends what the core says; gives the way back when the core has nothing more to say.
async fn answer(mut sender: FrameSender, mut messages: mpsc::Receiver<ToProducer>) -> Option<FrameSender> {
    while let Some(message) = messages.recv().await {
        match message {
            ToProducer::Message(message) => sender.send(FrameKind::Message, &message).await.ok()?,
            ToProducer::Close(refusal) => {
                refuse(sender, refusal.code, refusal.message).await;
                return None;
            }
        }
    }
    Some(sender)
}
