//! Decides the answer to a request that was sent more than once.

use countree_common::wire::producer::EventErrorCode;
use countree_common::wire::rpc::{Counted, SubmitError};

/// The end of one try to have a request counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TryResult {
    /// The leaf has answered.
    Answer(Result<Counted, SubmitError>),
    /// The leaf was never reached.
    Unreached,
    /// The leaf was asked, and has not answered: it may count the request, also later.
    Silence,
}

/// The verdict on a request, try by try. A request that one try may have counted stays in doubt until another says that
/// it is counted, or that such a request never is: any other refusal speaks for its own try alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    is_in_doubt: bool,
}

impl Verdict {
    /// Takes up another try; returns the client's answer if it is the last.
    ///
    /// # Errors
    /// When the request is not known to be counted.
    pub fn note(&mut self, result: TryResult) -> Result<Counted, SubmitError> {
        let answer = match result {
            TryResult::Answer(answer) => answer,
            TryResult::Unreached => Err(SubmitError::Unreachable),
            TryResult::Silence => Err(SubmitError::InDoubt),
        };
        self.is_in_doubt |= answer == Err(SubmitError::InDoubt);
        answer.map_err(|e| if self.is_in_doubt && !is_final(&e) { SubmitError::InDoubt } else { e })
    }
}

/// Whether the request itself is wrong, so that no try of it is ever counted. An overflow of a total is not final,
/// since totals change.
fn is_final(e: &SubmitError) -> bool {
    matches!(e, SubmitError::Refused(e) if e.code != EventErrorCode::TotalOverflow)
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
