//! The report: one page of HTML that opens without a network.

use super::Rows;
use super::escape::escape;
use super::plot::{Axis, Curve, Plot};
use crate::load::latency::Point;
use std::fmt::Write;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:light-dark(#1c2733,#e6edf3);--soft:light-dark(#5b6b7b,#93a4b5);\
--line:light-dark(#dfe5eb,#2c3744);--paper:light-dark(#fff,#10161d);--c0:light-dark(#0b66c3,#6cb6ff);\
--c1:light-dark(#c2410c,#fb923c);--c2:light-dark(#15803d,#4ade80);--c3:light-dark(#7e22ce,#c084fc);--curve:var(--c0)}\
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:800px;\
margin:2rem auto;padding:0 1rem}h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}th{text-align:left;font-weight:500;color:var(--soft);width:9rem;\
vertical-align:top}td,th{padding:.3rem 0;border-bottom:1px solid var(--line)}td{font-variant-numeric:tabular-nums}\
svg{width:100%;height:auto}svg text{font-size:12px;fill:var(--soft)}.grid{stroke:var(--line)}.fault{stroke:var(--soft)}\
.curve{fill:none;stroke:var(--curve);stroke-width:2;stroke-linejoin:round}\
.c1{--curve:var(--c1)}.c2{--curve:var(--c2)}.c3{--curve:var(--c3)}.dot{fill:var(--curve)}\
svg .name{fill:var(--curve)}p{color:var(--soft)}";

/// Any measurement's page: its title, its figures, and below them `body`, which is markup.
pub(crate) fn document(title: &str, figures: &Rows, body: &str) -> String {
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

/// Latency by percentile: each curve with its name, from its fastest to its slowest.
pub(crate) fn latency_plot(title: &str, curves: &[(String, Vec<Point>)]) -> String {
    let curve = |(name, points): &(String, Vec<Point>)| Curve {
        name: name.clone(),
        points: points.iter().map(|point| (1.0 / point.slower, point.ms)).collect(),
    };
    let curves = curves.iter().map(curve).collect();
    let plot = Plot { title: title.into(), x: Axis::Rarity, y: Axis::Log, unit: "ms", curves };
    format!(
        "<h2>{}</h2>{}<p>Both axes are logarithmic: each step to the right leaves a tenth of the events.</p>",
        escape(title),
        plot.svg()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_is_text() {
        assert_eq!(escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
        let page = document("a<b", &vec![("x", "1 < 2".into())], "<p>body</p>");
        assert!(page.contains("1 &lt; 2") && page.contains("a&lt;b") && page.contains("<p>body</p>"));
    }
}
