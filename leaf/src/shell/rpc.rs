//! Answers the questions of other nodes.

use super::core_requests::{count_here, forget_here, reset_here};
use super::inputs::{CoreHandle, Input};
use super::questions::{flush_here, flush_topic};
use crate::machine::idempotency::verdict::Verdict;
use countree_common::shell::quic::StreamError;
use countree_common::shell::server::Greeted;
use countree_common::shell::shutdown::Shutdown;
use countree_common::wire::frame::FrameKind;
use countree_common::wire::keys::Remembered;
use countree_common::wire::rpc::{Counted, Question, Reply, Request, Submission, SubmitError};

/// Answers one question of another node.
pub(super) async fn answer(greeted: Greeted, core: &CoreHandle, leave: &Shutdown) -> Result<(), StreamError> {
    let Greeted { mut sender, mut receiver, .. } = greeted;
    let Some(Question { request, .. }) = receiver.message().await? else { return Ok(()) };
    let stopping = || Reply::Failed("the leaf is stopping".into());
    let reply = match request {
        Request::Ledgers => core.ask(Input::Ledgers).await.map_or_else(stopping, Reply::Ledgers),
        Request::ProbeTopics if core.tell(Input::AskAgain).await => Reply::Done,
        Request::ProbeTopics => stopping(),
        Request::Positions(stream) => {
            let positions = core.ask(|reply| Input::Positions { stream, reply }).await;
            positions.map_or_else(stopping, Reply::Positions)
        }
        Request::Flush { topic, by, read } => flush_here(core, topic, by, read).await,
        Request::FlushTopic { topic, read } => flush_topic(core, topic, read).await,
        Request::LookUpKeys { keys, epoch } => {
            core.ask(|reply| Input::Recall { keys, epoch, reply }).await.unwrap_or_else(stopping)
        }
        Request::AttemptOutcomes(attempts) => {
            core.ask(|reply| Input::Attempts { attempts, reply }).await.unwrap_or_else(stopping)
        }
        Request::NoteAttempt { keys, by } => {
            core.ask(|reply| Input::Note { keys, by, reply }).await.unwrap_or_else(stopping)
        }
        Request::Drain => {
            leave.begin();
            Reply::Done
        }
        Request::Reset(reset) => Reply::Submitted(reset_here(core, reset).await),
        Request::ForgetTopic(topic) => Reply::TopicForgotten(forget_here(core, topic).await),
        Request::Count(submission) => Reply::Counted(count_for_another(core, submission).await),
        Request::TakeOverKeys(keys) => take_over(core, keys).await,
        other => Reply::Failed(format!("a leaf does not answer {other:?}")),
    };
    sender.send(FrameKind::Message, &reply).await?;
    sender.finish();
    Ok(())
}

/// Counts what another leaf was sent.
async fn count_for_another(core: &CoreHandle, submission: Submission) -> Result<Counted, SubmitError> {
    Verdict::default().note(count_here(core, submission).await)
}

async fn take_over(core: &CoreHandle, keys: Vec<Remembered>) -> Reply {
    match core.ask(|reply| Input::Inherit { keys, reply }).await {
        Some(Ok(_)) => Reply::Done,
        Some(Err(e)) => Reply::Failed(e.to_string()),
        None => Reply::Failed("the leaf is stopping".into()),
    }
}
