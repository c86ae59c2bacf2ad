use super::*;
use countree_client::Tally;
use serde_json::Value;
use std::time::Duration;

const PERCENTILES: Percentiles = Percentiles { p50: 1.0, p90: 2.0, p99: 3.0, p999: 4.0, max: 5.0 };

fn figures(acked: u64, differences: Vec<Difference>) -> Figures {
    let plan = Plan {
        events: 1_000,
        keys: 10,
        topics: 2,
        exponent: 1.0,
        producers: 4,
        rate: None,
        seed: 1,
        prefix: "loadtest-1".into(),
    };
    let tally = Tally { sent: 1_000, acked, ..Tally::default() };
    let usage = |leaf: f64, root: f64| {
        let mut usage = Usage::default();
        usage.set("leaf-0", leaf);
        usage.set("root-0", root);
        usage
    };
    let round = Round {
        tally,
        elapsed: Duration::from_millis(500),
        merged: Duration::from_millis(600),
        used_acked: usage(0.1, 0.1),
        used: usage(0.1, 0.15),
        own: 0.3,
        log_bytes: Some(4_000),
    };
    Figures::new(&plan, round, PERCENTILES, None, differences)
}

fn difference() -> Difference {
    Difference { counter: Counter::new("t", "i", "like").unwrap(), expected: 5, counted: 4 }
}

#[test]
fn the_json_object_has_the_promised_members() {
    let value = serde_json::to_value(figures(1_000, vec![])).unwrap();
    let number = |name: &str| value.pointer(name).and_then(Value::as_f64).unwrap();
    for (name, expected) in [
        ("/events", 1e3),
        ("/acked", 1e3),
        ("/keys", 10.0),
        ("/zipf", 1.0),
        ("/producers", 4.0),
        ("/elapsed_s", 0.5),
        ("/events_per_s", 2e3),
        ("/server_core_s", 0.25),
        ("/events_per_core_s", 4e3),
        ("/events_per_leaf_core_s", 1e4),
        ("/server_parts_s/root-0", 0.15),
        ("/ack_ms/p50", 1.0),
        ("/ack_ms/p90", 2.0),
        ("/ack_ms/p99", 3.0),
        ("/ack_ms/p999", 4.0),
        ("/ack_ms/max", 5.0),
        ("/log_bytes", 4e3),
    ] {
        assert_eq!(number(name), expected, "{name}");
    }
    assert_eq!(value["exact"], Value::Bool(true));
}

#[test]
fn exact_takes_every_ack_and_every_total() {
    assert!(figures(1_000, vec![]).verdict().is_none());
    let lost = figures(999, vec![]);
    assert!(!lost.exact && lost.verdict().unwrap().contains("1 of 1000 events"));
    let wrong = figures(1_000, vec![difference()]);
    assert!(!wrong.exact && wrong.verdict().unwrap().contains("5 sent, 4 counted"));
}

#[test]
fn many_differences_are_counted_and_some_shown() {
    let wrong = figures(1_000, vec![difference(); 100]);
    assert_eq!((wrong.different_counters, wrong.differences.len()), (100, DIFFERENCES_SHOWN));
    assert!(crate::report::table(&wrong.rows(), "").contains("100 counters have other totals"));
}
