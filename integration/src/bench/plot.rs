//! The picture: what a request costs more, against the number of rules, both axes logarithmic.

use std::fmt::Write as _;

use mesh_policy_testkit::scale::{Hit, Scenario};

use super::{candidate::Candidate, rounds::Group};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
/// More room on the left, for the longest number.
const MARGIN: f64 = 16.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 50.0;

/// Colours that stand out from white and from black.
const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #57606a } \
.title { font-size: 15px; font-weight: 600; fill: #24292f } \
.grid { stroke: #8c959f; stroke-opacity: .3 } \
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round } \
.native { stroke: #d4622a } .wasm { stroke: #2f81f7 } \
.dot.native { fill: #d4622a } .dot.wasm { fill: #2f81f7 } \
text.native { fill: #d4622a; stroke: none } text.wasm { fill: #2f81f7; stroke: none } \
.routes { stroke-dasharray: 7 5 } .dot { stroke: none } \
@media (prefers-color-scheme: dark) { text { fill: #9198a1 } .title { fill: #e6edf3 } }";

/// A line of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What stands at its end.
    pub label: String,
    /// Its classes: who decides, about what.
    pub class: String,
    /// Numbers of rules, and µs.
    pub points: Vec<(f64, f64)>,
}

/// The lines for these results: both engines for authorization and for routes, a request that meets the last rule,
/// measured when it was least disturbed.
pub fn series(groups: &[Group]) -> Vec<Series> {
    let mut all = Vec::new();
    for (candidate, word) in [(Candidate::Native, "Envoy's own"), (Candidate::Wasm, "mesh-policy")] {
        for scenario in [Scenario::Authz, Scenario::Routes] {
            let mut points: Vec<(f64, f64)> = groups
                .iter()
                .filter(|group| group.scenario == scenario)
                .filter_map(|group| {
                    let added = group.least_added(candidate, Hit::Last)?;
                    // Noise may leave nothing of a small figure, and a logarithm wants something.
                    Some((group.rules as f64, added.max(0.3)))
                })
                .collect();
            points.sort_by(|one, other| one.0.total_cmp(&other.0));
            if !points.is_empty() {
                let label = format!("{word}, {}", scenario.name());
                let class = format!("{} {}", candidate.key(), scenario.name());
                all.push(Series { label, class, points });
            }
        }
    }
    all
}

/// The picture as SVG; its text is the only thing that a reader of the source needs.
/// `doubtful` has it say that the machine was not quiet.
pub fn svg(series: &[Series], doubtful: bool) -> String {
    let points = || series.iter().flat_map(|series| &series.points);
    let rules = Decades::around(points().map(|point| point.0));
    let costs = Decades::around(points().map(|point| point.1));
    let x = |rules_: f64| LEFT + rules.place(rules_) * (WIDTH - LEFT - RIGHT);
    let y = |cost: f64| HEIGHT - BOTTOM - costs.place(cost) * (HEIGHT - TOP - BOTTOM);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{} 0 {} {HEIGHT}\" role=\"img\" \
         aria-label=\"Processor time that a request costs more, by the number of rules\">\n<style>{STYLE}</style>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"24\">Processor time added to a request that meets the last rule</text>\n",
        -MARGIN,
        WIDTH + MARGIN,
    );
    if doubtful {
        _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"42\">the machine was not quiet: docs/performance.md tells how far the rounds differed</text>"
        );
    }
    for decade in rules.all() {
        let at = x(decade);
        _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 20.0,
            grouped(decade),
        );
    }
    for decade in costs.all() {
        let at = y(decade);
        _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{} µs</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0,
            grouped(decade),
        );
    }
    _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">rules</text>",
        LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
        HEIGHT - 10.0
    );
    // Labels of lines that end close to each other are moved apart.
    let mut labels: Vec<(f64, &Series)> =
        series.iter().filter_map(|series| Some((y(series.points.last()?.1), series))).collect();
    labels.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut lowest = f64::MIN;
    for (at, _) in &mut labels {
        *at = at.max(lowest + 16.0);
        lowest = *at;
    }
    for (label_at, Series { label, class, points }) in labels {
        let path: Vec<String> =
            points.iter().map(|(rules, cost)| format!("{:.1},{:.1}", x(*rules), y(*cost))).collect();
        _ = writeln!(svg, "<polyline class=\"line {class}\" points=\"{}\"/>", path.join(" "));
        for (rules, cost) in points {
            _ = writeln!(
                svg,
                "<circle class=\"dot {class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"><title>{label}, {} rules: {cost:.2} µs</title></circle>",
                x(*rules),
                y(*cost),
                grouped(*rules),
            );
        }
        let end = points.last().map_or(LEFT, |point| x(point.0));
        _ = writeln!(
            svg,
            "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
            end + 10.0,
            label_at + 4.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// The powers of ten of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Decades {
    first: i32,
    last: i32,
}

impl Decades {
    /// Enough for these numbers.
    fn around(numbers: impl Iterator<Item = f64>) -> Self {
        let (mut first, mut last) = (i32::MAX, i32::MIN);
        for number in numbers {
            first = first.min(number.log10().floor() as i32);
            last = last.max(number.log10().ceil() as i32);
        }
        if first > last {
            return Self { first: 0, last: 1 };
        }
        Self { first, last: last.max(first + 1) }
    }

    fn all(self) -> impl Iterator<Item = f64> {
        (self.first..=self.last).map(|decade| 10f64.powi(decade))
    }

    /// From 0 at the begin of the axis to 1 at its end.
    fn place(self, number: f64) -> f64 {
        (number.log10() - f64::from(self.first)) / f64::from(self.last - self.first)
    }
}

/// `10 000`, `0.1`
fn grouped(number: f64) -> String {
    if number >= 1e4 {
        format!("{:.0} {:03.0}", (number / 1e3).floor(), number % 1e3)
    } else {
        format!("{number}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_from_corner_to_corner_when_it_spans_the_axes() {
        let one = Series {
            label: "one".to_owned(),
            class: "wasm authz".to_owned(),
            points: vec![(10.0, 1.0), (10_000.0, 1_000.0)],
        };
        let picture = svg(std::slice::from_ref(&one), false);
        assert!(picture.contains("points=\"70.0,350.0 570.0,50.0\""), "{picture}");
        assert!(picture.contains(">10 000</text>") && picture.contains(">1000 µs</text>"), "{picture}");
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    }

    #[test]
    fn labels_of_lines_that_meet_stand_apart() {
        let line = |label: &str| Series {
            label: label.to_owned(),
            class: String::new(),
            points: vec![(10.0, 5.0), (100.0, 5.0)],
        };
        let picture = svg(&[line("one"), line("other")], false);
        let heights: Vec<&str> = picture
            .lines()
            .filter(|text| text.starts_with("<text class=\"\""))
            .filter_map(|text| text.split("y=\"").nth(1)?.split('"').next())
            .collect();
        assert_eq!(heights.len(), 2);
        assert_ne!(heights[0], heights[1]);
    }

    #[test]
    fn nothing_measured_is_an_empty_frame() {
        assert!(svg(&[], false).contains("rules") && svg(&[], true).contains("not quiet"));
    }
}
