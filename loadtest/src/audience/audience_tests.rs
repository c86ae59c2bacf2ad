use super::*;

#[test]
fn every_change_counts_from_when_it_was_due_also_when_skipped() {
    let (seen, start) = (Seen::new(2).unwrap(), now());
    let ms = Duration::from_millis;
    seen.saw(0, 5, start);
    assert_eq!(seen.deliveries().deliveries, 0);
    seen.begin(ChangeSchedule::new(start, ms(100), 5, 3));
    // The first change 10 ms late; then the second and third at once, 110 and 10 ms late.
    seen.saw(0, 6, start + ms(10));
    seen.saw(0, 8, start + ms(210));
    let delivered = seen.deliveries();
    assert_eq!((delivered.deliveries, delivered.steps_back), (2, 0));
    let Percentiles { p50, max, .. } = delivered.staleness_ms;
    assert!((p50 - 10.0).abs() < 0.1 && (max - 110.0).abs() < 0.5, "{p50} {max}");
    assert_eq!((seen.behind(8), seen.is_beyond(8), seen.is_beyond(7)), (1, false, true));
}

#[test]
fn a_lower_total_is_a_step_back() {
    let (seen, start) = (Seen::new(1).unwrap(), now());
    seen.begin(ChangeSchedule::new(start, Duration::from_millis(100), 0, 9));
    seen.saw(0, 3, start);
    seen.saw(0, 2, start);
    assert_eq!(seen.deliveries().steps_back, 1);
    assert_eq!(seen.behind(3), 0);
}

#[test]
fn a_pulse_knows_its_own_changes_alone() {
    let start = now();
    let schedule = ChangeSchedule::new(start, Duration::from_millis(50), 1, 2);
    let due = |total| schedule.due(total).map(|due| due - start);
    assert_eq!([1, 2, 3, 4].map(due), [None, Some(Duration::ZERO), Some(Duration::from_millis(50)), None]);
    assert_eq!(schedule.last(), 3);
}
