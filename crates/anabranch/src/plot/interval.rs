//! Estimates with their error bars, one row each.

use super::axis::{Axis, Scale};
use super::frame::{Key, heading};
use super::line::rule_style;
use super::svg::{Anchor, GRID, INK, MUTED, Svg, series_colour, text_width};

/// One estimate.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// What was estimated.
    pub label: String,
    /// The estimate.
    pub value: f64,
    /// Half the length of its error bar; 0 for none.
    pub error: f64,
    /// Which colour of the palette it has.
    pub colour: usize,
    /// The number as text, set to the right of the row.
    pub text: String,
}

/// How estimates are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// As dots, over the range of the values.
    Dot,
    /// As bars from zero.
    Bar,
}

/// Estimates below each other over a common axis.
///
/// An estimate so far from the others that they would fall together is drawn as an arrow at the edge.
#[derive(Debug, Clone, PartialEq)]
pub struct Intervals {
    /// The heading.
    pub title: String,
    /// What the axis shows, with its unit.
    pub label: String,
    /// Dots or bars.
    pub mark: Mark,
    /// The estimates, from the top.
    pub rows: Vec<Interval>,
    /// Vertical reference lines with their names.
    pub rules: Vec<(String, f64)>,
}

const ROW: f64 = 30.0;

impl Intervals {
    /// The rows that decide the axis: all but those whose distance from the rest is over fifty times the rest's range.
    fn near(&self) -> Vec<&Interval> {
        let mut near: Vec<&Interval> = self.rows.iter().filter(|row| row.value.is_finite()).collect();
        near.sort_by(|a, b| a.value.total_cmp(&b.value));
        let range = |rows: &[&Interval]| {
            let ends = rows.iter().flat_map(|row| [row.value - row.error.abs(), row.value + row.error.abs()]);
            let ends = ends.chain(self.rules.iter().map(|rule| rule.1)).filter(|end| end.is_finite());
            let (low, high) = ends
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), end| (low.min(end), high.max(end)));
            high - low
        };
        while near.len() > 2 && self.mark == Mark::Dot {
            let (without_first, without_last) = (range(&near[1..]), range(&near[..near.len() - 1]));
            if without_first.min(without_last) * 50.0 > range(&near) {
                break;
            }
            near.remove(if without_first < without_last { 0 } else { near.len() - 1 });
        }
        near
    }

    fn axis(&self) -> Axis {
        let near = self.near();
        let ends = near.iter().flat_map(|row| [row.value - row.error.abs(), row.value + row.error.abs()]);
        let rules = self.rules.iter().map(|rule| rule.1);
        let zero = (self.mark == Mark::Bar).then_some(0.0);
        let axis = Axis::fit(self.label.clone(), Scale::Linear, ends.chain(rules).chain(zero));
        if self.mark == Mark::Dot {
            return axis;
        }
        // Bars stand on zero, with no margin behind it.
        let below = self.rows.iter().any(|row| row.value - row.error.abs() < 0.0)
            || self.rules.iter().any(|rule| rule.1 < 0.0);
        Axis { low: if below { axis.low } else { 0.0 }, ..axis }
    }

    /// The chart with `width` pixels between the labels and the numbers.
    pub fn svg(&self, width: f64) -> String {
        let axis = self.axis();
        let mut svg = Svg::default();
        let widest =
            |texts: &mut dyn Iterator<Item = &String>| texts.map(|text| text_width(text)).fold(0.0, f64::max);
        let left = widest(&mut self.rows.iter().map(|row| &row.label)) + 14.0;
        let right = widest(&mut self.rows.iter().map(|row| &row.text)) + 14.0;
        let legend: Vec<(Key, String)> = self
            .rules
            .iter()
            .enumerate()
            .map(|(index, (name, _))| (Key::Line(rule_style(index)), name.clone()))
            .collect();
        let top = heading(&mut svg, &self.title, &legend, left, width + right);
        let height = ROW * self.rows.len().max(1) as f64;
        let bottom = top + height;
        let at = |value: f64| left + width * axis.place(value);
        for (value, label) in axis.ticks((width / 80.0).clamp(2.0, 8.0) as usize) {
            svg.line((at(value), top), (at(value), bottom), &format!("stroke:{GRID};stroke-width:1"));
            svg.text((at(value), bottom + 16.0), Anchor::Middle, &format!("fill:{MUTED}"), &label);
        }
        svg.rect((left, top), (width, height), &format!("fill:none;stroke:{MUTED};stroke-width:1"));
        for (index, row) in self.rows.iter().enumerate() {
            let middle = top + ROW * (index as f64 + 0.5);
            svg.text((left - 8.0, middle + 4.0), Anchor::End, &format!("fill:{INK}"), &row.label);
            svg.text((left + width + 8.0, middle + 4.0), Anchor::Start, &format!("fill:{INK}"), &row.text);
            let place = axis.place(row.value);
            if (0.0..=1.0).contains(&place) {
                draw_row(&mut svg, self.mark, row, middle, at);
            } else if row.value.is_finite() {
                let (tip, back) = if place > 1.0 { (left + width - 4.0, -9.0) } else { (left + 4.0, 9.0) };
                let arrow = [(tip, middle), (tip + back, middle - 5.0), (tip + back, middle + 5.0)];
                svg.path(arrow, true, &format!("fill:{}", series_colour(row.colour)));
            }
        }
        for (index, (_, value)) in self.rules.iter().enumerate() {
            svg.path([(at(*value), top), (at(*value), bottom)], false, &rule_style(index));
        }
        let mut outer = bottom + 24.0;
        if !self.label.is_empty() {
            svg.text(
                (left + width / 2.0, bottom + 33.0),
                Anchor::Middle,
                &format!("fill:{MUTED}"),
                &self.label,
            );
            outer += 18.0;
        }
        let size = ((left + width + right).max(left + text_width(&self.title) * 1.06), outer);
        svg.finish(size, &format!("{}: {}", self.title, self.label))
    }
}

fn draw_row(svg: &mut Svg, mark: Mark, row: &Interval, middle: f64, at: impl Fn(f64) -> f64) {
    let colour = series_colour(row.colour);
    if mark == Mark::Bar {
        let (from, to) = (at(row.value.min(0.0)), at(row.value.max(0.0)));
        svg.rect((from, middle - 9.0), (to - from, 18.0), &format!("fill:{colour};fill-opacity:0.55"));
    }
    if row.error.is_finite() && row.error > 0.0 {
        let (low, high) = (at(row.value - row.error), at(row.value + row.error));
        let style = format!("stroke:{};stroke-width:1.5", if mark == Mark::Bar { INK } else { &colour });
        svg.line((low, middle), (high, middle), &style);
        svg.line((low, middle - 5.0), (low, middle + 5.0), &style);
        svg.line((high, middle - 5.0), (high, middle + 5.0), &style);
    }
    if mark == Mark::Dot {
        svg.circle((at(row.value), middle), 4.0, &format!("fill:{colour}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values with their errors.
    type Pairs<'a> = &'a [(f64, f64)];

    fn intervals(mark: Mark, values: Pairs<'_>, rules: &[f64]) -> Intervals {
        let rows = values.iter().enumerate().map(|(colour, (value, error))| Interval {
            label: format!("row {colour}"),
            value: *value,
            error: *error,
            colour,
            text: format!("{value}"),
        });
        Intervals {
            title: "t".to_owned(),
            label: "bits".to_owned(),
            mark,
            rows: rows.collect(),
            rules: rules.iter().map(|rule| ("r".to_owned(), *rule)).collect(),
        }
    }

    #[test]
    fn bars_stand_on_zero() {
        let chart = intervals(Mark::Bar, &[(2.0, 0.1), (4.0, 0.0)], &[5.0]);
        let axis = chart.axis();
        assert!(axis.low == 0.0 && axis.high >= 5.0);
        assert!(intervals(Mark::Bar, &[(-2.0, 0.1), (4.0, 0.0)], &[]).axis().low < -2.1);
        let dots = intervals(Mark::Dot, &[(2.0, 0.1), (4.0, 0.0)], &[]).axis();
        assert!(dots.low > 1.5 && dots.high < 4.5);
    }

    #[test]
    fn a_far_estimate_becomes_an_arrow() {
        let chart = intervals(Mark::Dot, &[(-0.13, 0.03), (-0.02, 0.01), (4.7e11, 3e11)], &[0.0]);
        let axis = chart.axis();
        assert!(axis.low > -0.2 && axis.high < 0.1, "{axis:?}");
        let svg = chart.svg(200.0);
        assert_eq!((svg.matches("<circle").count(), svg.matches('Z').count()), (2, 1));
        let even = intervals(Mark::Dot, &[(0.0, 0.1), (1.0, 0.1), (30.0, 0.1)], &[]);
        assert!(even.axis().high > 30.0);
    }

    #[test]
    fn degenerate_estimates_are_drawn() {
        let nan = f64::NAN;
        let cases: [(Pairs<'_>, &[f64]); 5] = [
            (&[], &[]),
            (&[(1.0, 0.0)], &[]),
            (&[(nan, nan), (1.0, nan)], &[nan]),
            (&[(0.0, 0.0)], &[0.0]),
            (&[(f64::INFINITY, 1.0)], &[]),
        ];
        for (values, rules) in cases {
            for mark in [Mark::Bar, Mark::Dot] {
                let svg = intervals(mark, values, rules).svg(200.0);
                let document =
                    roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}\n{svg}"));
                let bad = document
                    .descendants()
                    .flat_map(|node| node.attributes())
                    .any(|a| a.value().contains("NaN"));
                assert!(!bad, "{svg}");
            }
        }
    }
}
