//! The report: the figures, and how acks went on through the faults.

use crate::exact::clients::acks::STRETCH;
use crate::exact::result::outcome::Outcome;
use crate::report::escape::escape;
use crate::report::page;
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 32.0;
/// Points of the curve; stretches are summed up to that many.
const POINTS: usize = 600;

/// The page.
pub(in crate::exact) fn page(outcome: &Outcome) -> String {
    let figures = &outcome.figures;
    let verdict = if figures.exact { "every acked event counted once" } else { "NOT exact" };
    let mut wrong = String::new();
    for complaint in &figures.complaints {
        let _ = write!(wrong, "<p>Wrong: {}</p>", escape(complaint));
    }
    let body = format!(
        "{wrong}<h2>Acked events per second, and the faults</h2>{}<p>Each line from above is a fault: kill -9, \
         SIGSTOP or SIGTERM of one process.</p>",
        plot(outcome)
    );
    page::document(&format!("exact, {verdict}"), &figures.rows(), &body)
}

fn plot(outcome: &Outcome) -> String {
    let stretches = &outcome.acks_by_stretch;
    let per_point = stretches.len().div_ceil(POINTS).max(1);
    let point =
        |chunk: &[u64]| chunk.iter().sum::<u64>() as f64 / (chunk.len() as f64 * STRETCH.as_secs_f64());
    let rates: Vec<f64> = stretches.chunks(per_point).map(point).collect();
    let high = rates.iter().copied().fold(1.0, f64::max);
    let end = (stretches.len().max(1) as f64) * STRETCH.as_secs_f64();
    let x = |seconds: f64| LEFT + (seconds / end).min(1.0) * (WIDTH - LEFT - RIGHT);
    let y = |rate: f64| HEIGHT - BOTTOM - rate / high * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Acked events per second over time\">"
    );
    for share in [0.0, 0.5, 1.0] {
        let at = y(high * share);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{:.0}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0,
            high * share
        );
    }
    for entry in outcome.entries.iter().filter(|entry| entry.act.is_fault()) {
        let at = x(entry.after.as_secs_f64());
        let title = escape(&format!("{:?} {}", entry.act, entry.name));
        let _ = write!(
            svg,
            "<line class=\"fault\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{}\"><title>{title}</title></line>",
            TOP + 10.0
        );
    }
    let step = per_point as f64 * STRETCH.as_secs_f64();
    let places = rates.iter().enumerate();
    let points: Vec<_> =
        places.map(|(i, &rate)| format!("{:.1},{:.1}", x((i as f64 + 0.5) * step), y(rate))).collect();
    let _ = write!(
        svg,
        "<polyline class=\"curve\" points=\"{}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{end:.0} s</text></svg>",
        points.join(" "),
        WIDTH - RIGHT,
        HEIGHT - 8.0
    );
    svg
}
