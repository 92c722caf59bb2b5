//! Points of the plane.

use super::Point;
use super::axis::Axis;
use super::frame::Frame;
use super::heat::HeatMap;
use super::svg::{MUTED, series_colour};

/// How many points are drawn one by one; more are shown as their density.
const DOTS: usize = 2500;

/// A cloud of points.
#[derive(Debug, Clone, PartialEq)]
pub struct Scatter {
    /// The heading.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// Which colour of the palette the points have.
    pub colour: usize,
    /// The points; those that are not finite or lie outside of the axes are not drawn.
    pub points: Vec<Point>,
    /// Whether the diagonal of equal numbers is drawn.
    pub diagonal: bool,
    /// Whether a remark says how many are not drawn.
    pub remark: bool,
}

impl Scatter {
    /// The chart around a window of `width` times `height` pixels: translucent dots, or a density map where there are
    /// more than 2500.
    pub fn svg(&self, width: f64, height: f64) -> String {
        let remark = match self.outside() {
            count if count > 0 && self.remark => {
                format!("{count} of {} points lie outside", self.points.len())
            }
            _ => String::new(),
        };
        if self.points.len() > DOTS {
            let cells = (width / 4.0).clamp(8.0, 100.0) as usize;
            let mut map = HeatMap::density(&self.points, self.x.clone(), self.y.clone(), cells);
            map.title.clone_from(&self.title);
            map.remark = remark;
            return map.svg(width, height);
        }
        let mut frame = Frame::new(&self.title, &[], &self.x, &self.y, (width, height));
        // Fewer points are drawn larger and more solid.
        let n = self.points.len().max(1) as f64;
        let radius = (width * 0.14 / n.sqrt()).clamp(1.1, 3.5);
        let opacity = (14.0 / n.sqrt()).clamp(0.4, 0.85);
        let style = format!("fill:{};fill-opacity:{opacity:.2}", series_colour(self.colour));
        frame.draw(|frame, svg| {
            if self.diagonal {
                let (low, high) = (self.x.low.max(self.y.low), self.x.high.min(self.y.high));
                let ends = [frame.at(low, low), frame.at(high, high)];
                svg.path(
                    ends,
                    false,
                    &format!("fill:none;stroke:{MUTED};stroke-width:1;stroke-dasharray:4 3"),
                );
            }
            svg.group(&style, |svg| {
                for point in self.points.iter().filter(|p| frame.holds(p.0, p.1)) {
                    svg.circle(frame.at(point.0, point.1), radius, "");
                }
            });
        });
        if !remark.is_empty() {
            frame.remark(&remark);
        }
        frame.finish(&format!("{} points", self.points.len()))
    }

    /// How many points are not drawn.
    pub fn outside(&self) -> usize {
        let within = |axis: &Axis, value: f64| (0.0..=1.0).contains(&axis.place(value));
        self.points.iter().filter(|point| !(within(&self.x, point.0) && within(&self.y, point.1))).count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::axis::Scale;
    use super::*;

    fn scatter(points: Vec<Point>) -> Scatter {
        let axis = Axis::new("", Scale::Linear, -1.0, 1.0);
        Scatter {
            title: String::new(),
            x: axis.clone(),
            y: axis,
            colour: 1,
            points,
            diagonal: false,
            remark: true,
        }
    }

    #[test]
    fn dots_within_the_axes_are_drawn_and_the_others_counted() {
        let points = vec![(0.0, 0.0), (1.0, -1.0), (3.0, 0.0), (f64::NAN, 0.0)];
        let svg = scatter(points).svg(100.0, 100.0);
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("cx=\"50\" cy=\"50\"") && svg.contains("cx=\"100\" cy=\"100\""), "{svg}");
        assert!(svg.contains("2 of 4 points lie outside"));
        assert!(roxmltree::Document::parse(&scatter(vec![]).svg(100.0, 100.0)).is_ok());
    }

    #[test]
    fn diagonals_join_equal_numbers() {
        let axis = |low, high| Axis::new("", Scale::Linear, low, high);
        let (x, y) = (axis(-1.0, 1.0), axis(0.0, 2.0));
        let svg = Scatter { x, y, diagonal: true, ..scatter(vec![]) }.svg(100.0, 100.0);
        assert!(svg.contains("M50 100h0L100 50"), "{svg}");
        assert!(!scatter(vec![]).svg(100.0, 100.0).contains("<path"));
    }

    #[test]
    fn many_points_become_a_density() {
        let points: Vec<Point> = (0..DOTS + 1).map(|i| (i as f64 / DOTS as f64 - 0.5, 0.0)).collect();
        let svg = scatter(points).svg(100.0, 100.0);
        assert!(!svg.contains("<circle") && svg.contains("data:image/png;base64,"));
        roxmltree::Document::parse(&svg).unwrap();
    }
}
