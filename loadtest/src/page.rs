//! The report: one page of HTML that opens without a network.

use crate::figures::Figures;
use crate::latency::Point;
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 48.0;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:light-dark(#1c2733,#e6edf3);--soft:light-dark(#5b6b7b,#93a4b5);\
--line:light-dark(#dfe5eb,#2c3744);--paper:light-dark(#fff,#10161d);--curve:light-dark(#0b66c3,#6cb6ff)}\
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:800px;\
margin:2rem auto;padding:0 1rem}h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}th{text-align:left;font-weight:500;color:var(--soft);width:9rem;\
vertical-align:top}td,th{padding:.3rem 0;border-bottom:1px solid var(--line)}td{font-variant-numeric:tabular-nums}\
svg{width:100%;height:auto}svg text{font-size:12px;fill:var(--soft)}.grid{stroke:var(--line)}.fault{stroke:var(--soft)}\
.curve{fill:none;stroke:var(--curve);stroke-width:2;stroke-linejoin:round}p{color:var(--soft)}";

/// The page: the figures, and how ack latency grows towards the slowest events.
pub(crate) fn page(figures: &Figures, curve: &[Point]) -> String {
    let verdict = if figures.exact { "every total is exact" } else { "the totals are NOT exact" };
    let body = format!(
        "<h2>Ack latency by percentile</h2>{}<p>Milliseconds from when an event was due, or handed to its \
         producer, to its ack. Every event of a batch is given the wait of the oldest in it, so none is shown \
         faster than it was. Both axes are logarithmic: each step to the right leaves a tenth of the events.</p>",
        plot(curve)
    );
    document(&format!("ingest, {verdict}"), &figures.rows(), &body)
}

/// Any measurement's page: its title, its figures, and below them `body`, which is markup.
pub(crate) fn document(title: &str, figures: &[(&str, String)], body: &str) -> String {
    let (mut rows, title) = (String::new(), escape(title));
    for (name, value) in figures {
        let _ = write!(rows, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(name), escape(value));
    }
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Countree: {title}</title>\
         <style>{STYLE}</style><h1>Countree: {title}</h1><table>{rows}</table>{body}</html>\n"
    )
}

/// Places points in the plot: rarity from left to right, milliseconds upwards, both logarithmic.
struct Scale {
    decades: f64,
    low: f64,
    high: f64,
}

impl Scale {
    /// Whole powers of ten around the points.
    fn around(curve: &[Point]) -> Self {
        let ms = || curve.iter().map(|point| point.ms.max(1e-3).log10());
        let low = ms().fold(f64::INFINITY, f64::min).floor();
        let high = ms().fold(f64::NEG_INFINITY, f64::max).ceil().max(low + 1.0);
        let rarest = curve.iter().map(|point| -point.slower.log10()).fold(1.0, f64::max);
        Self { decades: rarest, low, high }
    }

    fn x(&self, slower: f64) -> f64 {
        LEFT - slower.log10() / self.decades * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, ms: f64) -> f64 {
        let share = (ms.max(1e-3).log10() - self.low) / (self.high - self.low);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

fn plot(curve: &[Point]) -> String {
    if curve.is_empty() {
        return "<p>No event was acked.</p>".into();
    }
    let scale = Scale::around(curve);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Ack latency by percentile\">"
    );
    for power in scale.low as i32..=scale.high as i32 {
        let ms = 10f64.powi(power);
        let y = scale.y(ms);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{ms} ms</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0
        );
    }
    for power in 0..=scale.decades as i32 {
        let x = scale.x(0.1f64.powi(power));
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 20.0,
            percentile(power)
        );
    }
    let points: Vec<_> =
        curve.iter().map(|point| format!("{:.1},{:.1}", scale.x(point.slower), scale.y(point.ms))).collect();
    let _ = write!(svg, "<polyline class=\"curve\" points=\"{}\"/></svg>", points.join(" "));
    svg
}

/// The percentile that leaves one in 10^`power` above it.
fn percentile(power: i32) -> String {
    match power {
        0 => "fastest".into(),
        1 => "p90".into(),
        2 => "p99".into(),
        more => format!("p99.{}", "9".repeat(more as usize - 2)),
    }
}

/// Makes text safe to stand in markup.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
