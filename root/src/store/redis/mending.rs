//! Mends documents of which a merge was cut in two.
//!
//! A merge of many counters takes several writes, and a server that loses the end of its log may keep the first of
//! them. They hold what is left to be written, so that the next root that comes upon it finishes the merge. Earlier
//! releases did not write that: such a document is damaged, and can only be taken as it is.

use super::Redis;
use crate::store::StoreError;
use countree_common::key::Topic;
use redis::Script;
use std::sync::{Arc, PoisonError};

/// The result of mending a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mended {
    /// It was whole.
    Whole,
    /// The merge that was broken off is in it, whole.
    Finished,
    /// It is taken as it is, by the operator's word.
    Accepted,
    /// It is half, and nothing says what is missing. Nothing was changed.
    Half {
        /// The number that its version says.
        version: String,
    },
}

pub(super) fn script() -> Arc<Script> {
    Arc::new(Script::new(concat!(include_str!("writing.lua"), include_str!("mend.lua"))))
}

/// Whether a large merge was begun and not brought to its end.
fn has_redo(fields: &[(String, String)]) -> bool {
    fields.iter().any(|(field, _)| field == "redo")
}

impl Redis {
    /// Makes a document whole of which a merge was cut in two. If nobody knows the rest, the document is taken as it is
    /// where `accepts` says so.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn mend(&self, topic: &Topic, accepts: bool) -> Result<Mended, StoreError> {
        let mut call = self.mend.key(self.keys.topic(topic));
        call.arg(u8::from(accepts));
        let answer: String = call.invoke_async(&mut self.link.clone()).await?;
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).forget(topic);
        Ok(match answer.as_str() {
            "whole" => Mended::Whole,
            "finished" => Mended::Finished,
            "accepted" => Mended::Accepted,
            _ => Mended::Half { version: answer },
        })
    }

    /// A topic's fields, finished if they were half, and the era that they are served in.
    pub(super) async fn whole_fields(
        &self,
        topic: &Topic,
    ) -> Result<(Vec<(String, String)>, u64), StoreError> {
        let found = self.fields(topic).await?;
        if !has_redo(&found.0) {
            return Ok(found);
        }
        let mended = self.mend(topic, false).await?;
        tracing::info!(%topic, ?mended, "a merge had been cut in two");
        Ok(self.fields(topic).await?)
    }
}
