//! One curve: the quantity that grows, and the cost at each size.

use crate::report::Rows;
use crate::report::escape::escape;
use crate::report::number::short;
use crate::report::plot::{Axis, Curve, Plot};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The measures of a size, each with its unit.
pub(super) type Measure = (&'static str, &'static str);

/// One size.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Point {
    pub(super) size: f64,
    /// The value of each measure.
    pub(super) costs: BTreeMap<&'static str, f64>,
}

/// One curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Growth {
    /// The quantity that grows.
    pub(super) growing: &'static str,
    pub(super) points: Vec<Point>,
    #[serde(skip)]
    pub(super) measures: Vec<Measure>,
    /// Totals that were not exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) complaint: Option<String>,
}

impl Growth {
    /// Starts empty.
    pub(super) fn new(growing: &'static str, measures: &[Measure]) -> Self {
        Self { growing, points: Vec::new(), measures: measures.to_vec(), complaint: None }
    }

    /// Adds a size, with its costs in the order of the measures; those that are unknown are left out.
    pub(super) fn add(&mut self, size: f64, costs: &[Option<f64>], complaint: Option<String>) {
        let names = self.measures.iter().map(|(name, _)| *name);
        let costs = names.zip(costs).filter_map(|(name, cost)| Some((name, (*cost)?))).collect();
        self.points.push(Point { size, costs });
        self.complaint = self.complaint.take().or(complaint.map(|c| format!("{} {size}: {c}", self.growing)));
    }

    /// Formats it for people.
    pub(super) fn table(&self) -> String {
        let mut text = format!("{}\n", self.growing);
        for point in &self.points {
            let _ = write!(text, "  {:>8}", short(point.size));
            for (name, unit) in &self.measures {
                let cost = point.costs.get(name).map_or("?".into(), |cost| short(*cost));
                let _ = write!(text, "   {name} {cost} {unit}");
            }
            text.push('\n');
        }
        text
    }

    /// A plot for each unit.
    pub(super) fn plots(&self) -> String {
        let mut by_unit: Vec<(&'static str, Vec<Curve>)> = Vec::new();
        for (name, unit) in &self.measures {
            let points = self.points.iter().filter_map(|p| Some((p.size, *p.costs.get(name)?)));
            let points: Vec<_> = points.collect();
            let curve = Curve { name: (*name).to_owned(), points };
            if curve.points.is_empty() {
                continue;
            }
            match by_unit.iter_mut().find(|(known, _)| known == unit) {
                Some((_, curves)) => curves.push(curve),
                None => by_unit.push((unit, vec![curve])),
            }
        }
        let mut markup = String::new();
        for (unit, curves) in by_unit {
            let names: Vec<_> = curves.iter().map(|curve| curve.name.clone()).collect();
            let title = format!("{} by {}", names.join(", "), self.growing);
            let few = self.points.iter().all(|point| point.size <= 16.0);
            let x = if few { Axis::Linear } else { Axis::Log };
            let plot = Plot { title: title.clone(), x, y: Axis::Linear, unit, curves };
            let _ = write!(markup, "<h2>{}</h2>{}", escape(&title), plot.svg());
        }
        markup
    }
}

/// All curves.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Outcome {
    pub(super) curves: Vec<Growth>,
    /// Every total at every size is what was sent.
    pub(super) exact: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) complaint: Option<String>,
}

impl Outcome {
    /// No further curve comes.
    pub(super) fn conclude(&mut self) {
        self.complaint = self.curves.iter().find_map(|growth| growth.complaint.clone());
        self.exact = self.complaint.is_none();
    }

    /// The figures in words and numbers.
    pub(super) fn rows(&self) -> Rows {
        let names: Vec<_> = self.curves.iter().map(|growth| growth.growing).collect();
        let exact = if self.exact { "yes: every total at every size".into() } else { "NO".to_owned() };
        vec![("curves", names.join(", ")), ("exact", exact)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_costs_are_left_out_and_the_first_complaint_stays() {
        let mut growth = Growth::new("counters", &[("time", "s"), ("memory", "bytes"), ("more", "s")]);
        growth.add(1e3, &[Some(1.0), None, Some(2.0)], None);
        growth.add(1e4, &[Some(2.0), Some(50.0), Some(3.0)], Some("wrong".into()));
        growth.add(1e5, &[Some(2.0), Some(50.0), None], Some("also".into()));
        assert_eq!(growth.points[0].costs.len(), 2);
        assert_eq!(growth.complaint.as_deref(), Some("counters 10000: wrong"));
        assert!(growth.table().contains("memory ? bytes"));
        assert_eq!(growth.plots().matches("<svg").count(), 2);
        let mut outcome = Outcome { curves: vec![growth], ..Outcome::default() };
        outcome.conclude();
        assert!(!outcome.exact);
    }
}
