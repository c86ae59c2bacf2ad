use super::*;
use countree_common::wire::producer::{BusyReason, EventError};

const COUNTED: Result<Counted, SubmitError> = Ok(Counted { is_replay: false });

fn refused(code: EventErrorCode) -> SubmitError {
    SubmitError::Refused(EventError { code, message: "it is not right".into(), index: Some(1) })
}

fn refusals() -> Vec<SubmitError> {
    vec![
        refused(EventErrorCode::TotalOverflow),
        SubmitError::Busy { reason: BusyReason::Overload, retry_after_ms: 100 },
        SubmitError::Away(Vec::new()),
        SubmitError::Unreachable,
        SubmitError::Draining,
        SubmitError::NotOwner { epoch: 3 },
        SubmitError::KeyLost,
    ]
}

#[test]
fn one_try_is_told_as_it_ended() {
    assert_eq!(Verdict::default().note(TryResult::Answer(COUNTED)), COUNTED);
    assert_eq!(Verdict::default().note(TryResult::Unreached), Err(SubmitError::Unreachable));
    assert_eq!(Verdict::default().note(TryResult::Silence), Err(SubmitError::InDoubt));
    for e in refusals() {
        assert_eq!(Verdict::default().note(TryResult::Answer(Err(e.clone()))), Err(e));
    }
}

#[test]
fn no_refusal_takes_back_what_may_have_been_counted_before() {
    for doubt in [TryResult::Silence, TryResult::Answer(Err(SubmitError::InDoubt))] {
        let mut verdict = Verdict::default();
        assert_eq!(verdict.note(doubt), Err(SubmitError::InDoubt));
        for e in refusals() {
            assert_eq!(verdict.note(TryResult::Answer(Err(e))), Err(SubmitError::InDoubt));
        }
        assert_eq!(verdict.note(TryResult::Unreached), Err(SubmitError::InDoubt));
        assert_eq!(
            verdict.note(TryResult::Answer(COUNTED)),
            COUNTED,
            "a repeat under its key says that it is counted"
        );
    }
}

#[test]
fn refusals_that_follow_each_other_leave_the_last() {
    let mut verdict = Verdict::default();
    assert_eq!(verdict.note(TryResult::Unreached), Err(SubmitError::Unreachable));
    let draining = || Err(SubmitError::Draining);
    assert_eq!(verdict.note(TryResult::Answer(draining())), draining());
}

#[test]
fn a_request_that_is_never_counted_is_in_no_doubt() {
    let mut verdict = Verdict::default();
    assert_eq!(verdict.note(TryResult::Silence), Err(SubmitError::InDoubt));
    let reused = || Err(refused(EventErrorCode::KeyReused));
    assert_eq!(verdict.note(TryResult::Answer(reused())), reused());
}
