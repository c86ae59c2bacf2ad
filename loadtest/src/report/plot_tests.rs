use super::*;

fn plot(points: &[(f64, f64)], x: Axis, y: Axis) -> Plot {
    let curve = |name: &str| Curve { name: name.into(), points: points.to_vec() };
    Plot { title: "a < b".into(), x, y, unit: "ms", curves: vec![curve("one"), curve("two")] }
}

#[test]
fn scales_keep_their_numbers_inside_and_in_order() {
    let values = [1.0, 9.0, 120.0, 40_000.0];
    for axis in [Axis::Linear, Axis::Log, Axis::Rarity] {
        let scale = Scale::around(axis, values.into_iter());
        let places = values.map(|v| scale.share(v));
        assert!(places.windows(2).all(|w| w[0] < w[1]), "{axis:?}: {places:?}");
        assert!((0.0..=1.0).contains(&places[0]) && (0.0..=1.0).contains(&places[3]));
        assert!(scale.ticks().len() >= 3 && scale.ticks().len() <= 12);
    }
}

#[test]
fn a_plot_needs_nothing_from_elsewhere_and_survives_little_data() {
    for axis in [Axis::Linear, Axis::Log, Axis::Rarity] {
        for points in [&[(1.0, 0.8), (10.0, 4.0), (1e3, 250.0)][..], &[(1.0, 0.0)], &[(0.0, 5.0), (0.0, 5.0)]]
        {
            let svg = plot(points, axis, Axis::Log).svg();
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>") && svg.contains("a &lt; b"));
            assert!(!svg.contains("http") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
    assert!(!plot(&[], Axis::Linear, Axis::Log).svg().contains("svg"));
}

#[test]
fn percentiles_have_their_names() {
    assert_eq!([0, 1, 2, 3, 5].map(percentile), ["fastest", "p90", "p99", "p99.9", "p99.999"]);
}
