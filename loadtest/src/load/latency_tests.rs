use super::*;
use std::time::Duration;

#[allow(clippy::disallowed_methods, reason = "acks carry instants")]
fn recorded(batches: &[(u64, u64)]) -> (AckLatency, Instant) {
    let (latency, start) = (AckLatency::new().unwrap(), Instant::now());
    for &(events, ms) in batches {
        let acked = start + Duration::from_millis(ms);
        latency.record(AckedBatch { events, first_queued: start, acked });
    }
    (latency, start)
}

fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 0.002 * b
}

#[test]
fn percentiles_weigh_batches_by_their_events() {
    let (latency, start) = recorded(&[(900, 10), (90, 20), (9, 40), (1, 80)]);
    let Percentiles { p50, p90, p99, p999, max } = latency.percentiles();
    for (found, ms) in [(p50, 10.0), (p90, 10.0), (p99, 20.0), (p999, 40.0), (max, 80.0)] {
        assert!(is_near(found, ms), "{found} is not {ms}");
    }
    assert_eq!(latency.last_ack(), Some(start + Duration::from_millis(80)));
}

#[test]
fn a_new_beginning_forgets() {
    let (latency, _) = recorded(&[(5, 10)]);
    latency.begin();
    assert_eq!(latency.percentiles().max, 0.0);
    assert_eq!(latency.last_ack(), None);
}

#[test]
fn waits_beyond_the_scale_are_kept_at_its_end() {
    let (latency, _) = recorded(&[(1, 0), (1, 3_600_000)]);
    assert!(latency.percentiles().max >= 600_000.0);
}

#[test]
fn the_curve_rises_up_to_the_rarest_event() {
    let (latency, _) = recorded(&[(900, 10), (90, 20), (9, 40), (1, 80)]);
    let curve = latency.curve();
    assert!(curve.windows(2).all(|w| w[0].slower > w[1].slower && w[0].ms <= w[1].ms));
    assert_eq!(curve.first().map(|p| p.slower), Some(1.0));
    assert_eq!(curve.last().map(|p| p.slower), Some(0.001));
}
