use super::*;

fn curve() -> Vec<Point> {
    [(1.0, 0.8), (0.1, 4.0), (0.01, 30.0), (0.001, 250.0)].map(|(slower, ms)| Point { slower, ms }).into()
}

#[test]
fn the_curve_stays_inside_the_plot_and_rises() {
    let (curve, scale) = (curve(), Scale::around(&curve()));
    let places: Vec<_> = curve.iter().map(|p| (scale.x(p.slower), scale.y(p.ms))).collect();
    assert!(places.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 > w[1].1));
    for (x, y) in places {
        assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y), "{x} {y}");
    }
}

#[test]
fn the_plot_needs_nothing_from_elsewhere_and_survives_little_data() {
    let svg = plot(&curve());
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"));
    assert!(!svg.contains("http") && !svg.contains("NaN") && !svg.contains("inf"));
    for points in [vec![], vec![Point { slower: 1.0, ms: 0.0 }], vec![Point { slower: 1.0, ms: 5.0 }; 2]] {
        assert!(!plot(&points).contains("NaN"));
    }
}

#[test]
fn percentiles_have_their_names() {
    assert_eq!([0, 1, 2, 3, 5].map(percentile), ["fastest", "p90", "p99", "p99.9", "p99.999"]);
}

#[test]
fn markup_in_text_is_text() {
    assert_eq!(escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
}
