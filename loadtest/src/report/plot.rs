//! Draws line plots as SVG: a few curves over one axis, each linear or logarithmic.

use super::escape::escape;
use super::number::short;
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 48.0;
/// Lines of a linear axis's grid, about.
const LINES: f64 = 5.0;

/// One axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Linear, from 0 on.
    Linear,
    /// Powers of ten.
    Log,
    /// One in N: logarithmic, and labelled with percentiles.
    Rarity,
}

/// One line of the plot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A plot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plot {
    /// Its title.
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// Written behind the numbers of the upright axis.
    pub(crate) unit: &'static str,
    pub(crate) curves: Vec<Curve>,
}

/// The scale of one axis.
#[derive(Debug, Clone, Copy)]
struct Scale {
    axis: Axis,
    low: f64,
    high: f64,
}

impl Scale {
    fn around(axis: Axis, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((f64::INFINITY, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
        match axis {
            Axis::Linear => Self { axis, low: 0.0, high: if high > 0.0 { high * 1.05 } else { 1.0 } },
            Axis::Log | Axis::Rarity => {
                let low = low.clamp(1e-6, 1e18).log10();
                let high = high.clamp(1e-6, 1e18).log10();
                let (low, top) = if axis == Axis::Log { (low.floor(), high.ceil()) } else { (low, high) };
                Self { axis, low, high: top.max(low + 1.0) }
            }
        }
    }

    /// The position of a value on the axis, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let value = if self.axis == Axis::Linear { value } else { value.max(1e-6).log10() };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The positions of the grid lines, and their labels.
    fn ticks(&self) -> Vec<(f64, String)> {
        if self.axis == Axis::Linear {
            let raw = self.high / LINES;
            let power = 10f64.powf(raw.log10().floor());
            let step =
                [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|s| *s >= raw).unwrap_or(raw);
            let lines = (self.high / step) as u32;
            return (0..=lines).map(|n| f64::from(n) * step).map(|v| (v, short(v))).collect();
        }
        let powers = self.low.ceil() as i32..=self.high as i32;
        let label = |power: i32| match self.axis {
            Axis::Rarity => percentile(power),
            _ => short(10f64.powi(power)),
        };
        powers.map(|power| (10f64.powi(power), label(power))).collect()
    }
}

/// The percentile that leaves one in 10^`power` above it.
fn percentile(power: i32) -> String {
    match power {
        ..=0 => "fastest".into(),
        1 => "p90".into(),
        2 => "p99".into(),
        more => format!("p99.{}", "9".repeat(more as usize - 2)),
    }
}

impl Plot {
    /// The plot as markup.
    pub(crate) fn svg(&self) -> String {
        let points = || self.curves.iter().flat_map(|curve| curve.points.iter());
        if points().next().is_none() {
            return "<p>Nothing was measured.</p>".into();
        }
        let x = Scale::around(self.x, points().map(|p| p.0));
        let y = Scale::around(self.y, points().map(|p| p.1));
        let across = |value: f64| LEFT + x.share(value) * (WIDTH - LEFT - RIGHT);
        let up = |value: f64| HEIGHT - BOTTOM - y.share(value) * (HEIGHT - TOP - BOTTOM);
        let (title, unit) = (escape(&self.title), escape(self.unit));
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">");
        for (value, label) in y.ticks() {
            let at = up(value);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label} {unit}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0
            );
        }
        for (value, label) in x.ticks() {
            let at = across(value);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{}\"/>\
                 <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 20.0
            );
        }
        for (number, curve) in self.curves.iter().enumerate() {
            let places: Vec<_> =
                curve.points.iter().map(|(a, b)| format!("{:.1},{:.1}", across(*a), up(*b))).collect();
            let _ =
                write!(svg, "<polyline class=\"curve c{}\" points=\"{}\"/>", number % 4, places.join(" "));
            if curve.points.len() < 32 {
                for (a, b) in &curve.points {
                    let _ = write!(
                        svg,
                        "<circle class=\"dot c{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>",
                        number % 4,
                        across(*a),
                        up(*b)
                    );
                }
            }
            if self.curves.len() > 1 {
                let _ = write!(
                    svg,
                    "<text class=\"name c{}\" x=\"{}\" y=\"{}\">{}</text>",
                    number % 4,
                    LEFT + 12.0,
                    TOP + 16.0 * (number as f64 + 1.0),
                    escape(&curve.name)
                );
            }
        }
        svg + "</svg>"
    }
}

#[cfg(test)]
#[path = "plot_tests.rs"]
mod tests;
