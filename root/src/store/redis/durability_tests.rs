use super::*;

fn text(text: &str) -> Value {
    Value::BulkString(text.into())
}

fn confirmed(count: i64) -> Value {
    Value::Array(vec![Value::Int(count), Value::Int(0)])
}

fn fsync(setting: &str) -> Value {
    Value::Array(vec![text("appendfsync"), text(setting)])
}

fn role(role: &str, replicas: usize) -> Value {
    Value::Array(vec![text(role), Value::Int(7), Value::Array(vec![Value::Array(Vec::new()); replicas])])
}

#[test]
fn only_a_lone_primary_that_fsyncs_before_it_answers_is_durable() {
    let judged = |wait, setting, role| judge(&[wait, fsync(setting), role]);
    assert_eq!(judged(confirmed(1), "always", role("master", 0)), Ok(()));
    assert_eq!(judged(confirmed(0), "always", role("master", 0)), Err(Forgetful::Late));
    assert_eq!(judged(confirmed(1), "everysec", role("master", 0)), Err(Forgetful::Lazy));
    assert_eq!(judged(confirmed(1), "always", role("master", 1)), Err(Forgetful::Replicated));
    assert_eq!(judged(confirmed(1), "always", role("slave", 0)), Err(Forgetful::Replicated));
}

#[test]
fn what_a_server_does_not_tell_is_not_taken_for_granted() {
    assert_eq!(judge(&[]), Err(Forgetful::Silent));
    assert_eq!(judge(&[confirmed(1), Value::Nil, role("master", 0)]), Err(Forgetful::Silent));
    assert_eq!(judge(&[confirmed(1), fsync("always"), Value::Nil]), Err(Forgetful::Silent));
    assert_eq!(judge(&[Value::Nil, fsync("always"), role("master", 0)]), Err(Forgetful::Late));
}

#[test]
fn a_server_that_does_not_confirm_is_not_asked_each_time() {
    let durability = Durability::default();
    assert!(durability.is_asked());
    assert!(!durability.is_asked(), "one is enough");
    assert!(durability.learn(&[confirmed(1), fsync("always"), role("master", 0)]));
    assert!(durability.is_asked() && durability.is_asked(), "a server that confirms is asked each time");
    assert!(!durability.learn(&[confirmed(0), fsync("always"), role("master", 0)]));
    assert!(!durability.is_asked());
}
