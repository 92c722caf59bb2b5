//! Curves.

use super::Point;
use super::axis::{Axis, Scale};
use super::frame::{Frame, Key};
use super::svg::{MUTED, series_colour, series_dash};

/// One curve.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Its name in the legend; empty for none.
    pub name: String,
    /// Which colour of the palette it has.
    pub colour: usize,
    /// Its points in order; a point that is not finite interrupts it.
    pub points: Vec<Point>,
    /// The lower and upper edge of a band at each of the points; empty for none.
    pub band: Vec<Point>,
    /// A point to mark with a dot.
    pub marked: Option<Point>,
    /// Whether the line is thin and translucent, as one of many should be.
    pub thin: bool,
}

impl Series {
    /// A curve whose points are averaged in up to `buckets` stretches where there are more than twice as many, with
    /// the range in each stretch as its band.
    pub fn condensed(name: impl Into<String>, colour: usize, points: &[Point], buckets: usize) -> Self {
        let series = Self { name: name.into(), colour, ..Self::default() };
        if points.len() <= 2 * buckets.max(1) {
            // A lone point is no line, and is to be seen all the same.
            let marked = if points.len() == 1 { points.first().copied() } else { None };
            return Self { points: points.to_vec(), marked, ..series };
        }
        let (mut means, mut band) = (Vec::new(), Vec::new());
        for chunk in points.chunks(points.len().div_ceil(buckets.max(1))) {
            let n = chunk.len() as f64;
            means.push((chunk.iter().map(|p| p.0 / n).sum(), chunk.iter().map(|p| p.1 / n).sum()));
            band.push(
                chunk
                    .iter()
                    .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), p| (low.min(p.1), high.max(p.1))),
            );
        }
        Self { points: means, band, ..series }
    }
}

/// A chart of curves over one horizontal axis.
#[derive(Debug, Clone, PartialEq)]
pub struct LineChart {
    /// The heading.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis; what lies outside of it is cut off.
    pub y: Axis,
    /// The curves.
    pub series: Vec<Series>,
    /// Horizontal reference lines with their names.
    pub rules: Vec<(String, f64)>,
    /// A remark under the chart; empty for none.
    pub remark: String,
}

impl LineChart {
    /// A chart whose axes fit its curves; the vertical one ends at the outer hundredths of the values where a few lie
    /// far out, as a first loss does, and the remark says so.
    pub fn fitting(title: &str, x_label: &str, y_label: &str, scale: Scale, series: Vec<Series>) -> Self {
        let points = || series.iter().flat_map(|series| series.points.iter().copied());
        let values = || points().map(|point| point.1).filter(|v| scale == Scale::Linear || *v > 0.0);
        let x = Axis::fit(x_label, Scale::Linear, points().map(|point| point.0));
        let whole = Axis::fit(y_label, scale, values());
        let core = super::quantiles(values(), 0.01, 0.95);
        let (y, remark) = match core {
            Some((low, high))
                if scale == Scale::Linear && high > low && whole.high - whole.low > 6.0 * (high - low) =>
            {
                let margin = 0.5 * (high - low);
                let y = Axis {
                    low: (low - margin).max(whole.low),
                    high: (high + margin).min(whole.high),
                    ..whole
                };
                let outside = values().filter(|v| v.is_finite() && !(y.low..=y.high).contains(v)).count();
                let remark = match outside {
                    0 => String::new(),
                    1 => "1 value lies outside of the chart".to_owned(),
                    many => format!("{many} values lie outside of the chart"),
                };
                (y, remark)
            }
            _ => (whole, String::new()),
        };
        Self { title: title.to_owned(), x, y, series, rules: Vec::new(), remark }
    }

    /// The chart around a window of `width` times `height` pixels.
    pub fn svg(&self, width: f64, height: f64) -> String {
        let mut legend: Vec<(Key, String)> = Vec::new();
        for series in self.series.iter().filter(|series| !series.name.is_empty()) {
            legend.push((Key::Line(stroke(series.colour, 2.0)), series.name.clone()));
        }
        for (index, (name, _)) in self.rules.iter().enumerate() {
            legend.push((Key::Line(rule_style(index)), name.clone()));
        }
        let mut frame = Frame::new(&self.title, &legend, &self.x, &self.y, (width, height));
        frame.draw(|frame, svg| {
            for series in &self.series {
                let xs = || series.points.iter().map(|point| point.0);
                let lower = xs().zip(&series.band).map(|(x, band)| frame.at(x, band.0));
                let upper = xs().zip(&series.band).map(|(x, band)| frame.at(x, band.1));
                let outline: Vec<Point> =
                    lower.chain(upper.rev()).filter(|p| p.0.is_finite() && p.1.is_finite()).collect();
                let fill = format!("fill:{};fill-opacity:0.2;stroke:none", series_colour(series.colour));
                svg.path(outline, true, &fill);
            }
            for (index, (_, value)) in self.rules.iter().enumerate() {
                let y = frame.at(self.x.low, *value).1;
                svg.path([(0.0, y), (frame.size.0, y)], false, &rule_style(index));
            }
            for series in &self.series {
                let line = series.points.iter().map(|point| frame.at(point.0, point.1));
                let style = match (series.thin, series.points.len()) {
                    (true, _) => stroke(series.colour, 0.8) + ";stroke-opacity:0.45",
                    (false, ..=150) => stroke(series.colour, 1.8),
                    (false, _) => stroke(series.colour, 1.2),
                };
                svg.path(line, false, &style);
                if let Some((x, y)) = series.marked.map(|point| frame.at(point.0, point.1))
                    && x.is_finite()
                    && y.is_finite()
                {
                    svg.circle((x, y), 4.0, &format!("fill:{}", series_colour(series.colour)));
                }
            }
        });
        if !self.series.iter().any(|series| series.points.iter().any(|p| p.0.is_finite() && p.1.is_finite()))
        {
            frame.remark("no finite values");
        } else if !self.remark.is_empty() {
            frame.remark(&self.remark);
        }
        frame.finish(&format!("{} over {}", self.y.label, self.x.label))
    }
}

fn stroke(colour: usize, width: f64) -> String {
    let dash = series_dash(colour);
    let dash = if dash.is_empty() { String::new() } else { format!(";stroke-dasharray:{dash}") };
    format!(
        "fill:none;stroke:{};stroke-width:{width};stroke-linejoin:round;stroke-linecap:round{dash}",
        series_colour(colour)
    )
}

pub(super) fn rule_style(index: usize) -> String {
    let dash = ["6 4", "2 3", "9 3 2 3", "12 4"][index % 4];
    format!("fill:none;stroke:{MUTED};stroke-width:1.5;stroke-dasharray:{dash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[Point]) -> String {
        let series = Series { name: "a & b".to_owned(), points: points.to_vec(), ..Series::default() };
        LineChart::fitting("<t>", "x", "y", Scale::Linear, vec![series]).svg(300.0, 200.0)
    }

    #[test]
    fn degenerate_curves_are_drawn() {
        let nan = f64::NAN;
        let cases: [&[Point]; 6] = [
            &[],
            &[(1.0, 2.0)],
            &[(0.0, 3.0), (1.0, 3.0)],
            &[(nan, nan)],
            &[(0.0, nan), (1.0, 1.0), (2.0, f64::INFINITY)],
            &[(0.0, 1e300), (1.0, -1e300)],
        ];
        for points in cases {
            let svg = chart(points);
            roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{points:?}: {error}\n{svg}"));
            assert!(!svg.contains("NaN") && !svg.contains("inf\""), "{svg}");
            assert!(svg.contains("a &amp; b") && svg.contains("&lt;t&gt;"));
        }
        assert!(chart(&[(nan, nan)]).contains("no finite values"));
    }

    #[test]
    fn long_curves_are_condensed_to_means_and_ranges() {
        let points: Vec<Point> =
            (0..1000).map(|i| (f64::from(i), if i % 2 == 0 { 1.0 } else { 3.0 })).collect();
        let series = Series::condensed("", 0, &points, 100);
        assert_eq!((series.points.len(), series.band.len()), (100, 100));
        assert!(series.points.iter().all(|p| (p.1 - 2.0).abs() < 1e-12));
        assert!((series.points[0].0 - 4.5).abs() < 1e-12);
        assert!(series.band.iter().all(|band| *band == (1.0, 3.0)));
        assert_eq!(Series::condensed("", 0, &points[..1], 100).marked, Some((0.0, 1.0)));
        let short = Series::condensed("", 0, &points[..200], 100);
        assert_eq!((short.points.len(), short.band.len()), (200, 0));
    }

    #[test]
    fn a_far_first_value_does_not_flatten_the_rest() {
        let mut points: Vec<Point> = (0..100).map(|i| (f64::from(i), -1.0 - 0.01 * f64::from(i))).collect();
        points[0].1 = 1e6;
        let series = Series { points, ..Series::default() };
        let chart = LineChart::fitting("", "", "", Scale::Linear, vec![series]);
        assert!(chart.y.high < 0.0 && chart.y.low < -1.9, "{:?}", chart.y);
        assert_eq!(chart.remark, "1 value lies outside of the chart");
    }

    #[test]
    fn a_line_goes_where_its_axis_says() {
        let series = Series { points: vec![(0.0, 0.0), (10.0, 100.0)], ..Series::default() };
        let x = Axis::new("x", Scale::Linear, 0.0, 10.0);
        let y = Axis::new("y", Scale::Linear, 0.0, 100.0);
        let chart = LineChart {
            title: String::new(),
            x,
            y,
            series: vec![series],
            rules: vec![("r".to_owned(), 50.0)],
            remark: String::new(),
        };
        let svg = chart.svg(200.0, 100.0);
        assert!(svg.contains("M0 100h0L200 0"), "{svg}");
        assert!(svg.contains("M0 50h0L200 50"), "{svg}");
    }
}
