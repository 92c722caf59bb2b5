//! Heat maps, in the colours of viridis: even steps of lightness, readable in every kind of colour blindness.

use super::Point;
use super::axis::{Axis, Scale};
use super::frame::Frame;
use super::image::encode;
use super::svg::{Anchor, MUTED, text_width};

/// Eleven evenly spaced colours of viridis (Smith, van der Walt 2015).
const VIRIDIS: [[u8; 3]; 11] = [
    [68, 1, 84],
    [72, 36, 117],
    [65, 68, 135],
    [53, 95, 141],
    [42, 120, 142],
    [33, 145, 140],
    [34, 168, 132],
    [68, 191, 112],
    [122, 209, 81],
    [189, 223, 38],
    [253, 231, 37],
];

/// The colour at `share` from 0 (dark) to 1 (bright); what is not a number is dark.
pub fn viridis(share: f64) -> [u8; 3] {
    let place = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) } * (VIRIDIS.len() - 1) as f64;
    let index = (place.floor() as usize).min(VIRIDIS.len() - 2);
    let part = place - index as f64;
    let mix = |channel: usize| {
        let (a, b) = (f64::from(VIRIDIS[index][channel]), f64::from(VIRIDIS[index + 1][channel]));
        (a + part * (b - a)).round() as u8
    };
    [mix(0), mix(1), mix(2)]
}

/// The colour at `share` from 0 (blue) over 0.5 (pale) to 1 (red); what is not a number is pale.
pub fn diverging(share: f64) -> [u8; 3] {
    let place = if share.is_nan() { 0.0 } else { 2.0 * share.clamp(0.0, 1.0) - 1.0 };
    let end: [f64; 3] = if place < 0.0 { [5.0, 80.0, 158.0] } else { [178.0, 44.0, 18.0] };
    let pale = [246.0, 245.0, 242.0];
    [0, 1, 2]
        .map(|channel: usize| (pale[channel] + place.abs() * (end[channel] - pale[channel])).round() as u8)
}

/// Which colours numbers have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Colours {
    /// Viridis from the lowest number to the highest.
    Fitted,
    /// Viridis between these two, as several maps share them.
    Between(f64, f64),
    /// From blue below zero to red above it.
    Signed,
}

/// Pixels of a picture from which on smoothing is not seen.
const CRISP: usize = 120;

/// Numbers on an even grid over the plane.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// The heading.
    pub title: String,
    /// The horizontal axis, linear: the grid's columns divide it evenly.
    pub x: Axis,
    /// The vertical axis, linear: the grid's rows divide it evenly.
    pub y: Axis,
    /// How many columns the grid has.
    pub columns: usize,
    /// Row-major values, the first row at the lower end of the vertical axis.
    pub values: Vec<f64>,
    /// Which colours they have.
    pub colours: Colours,
    /// Paths to draw over the map.
    pub paths: Vec<Vec<Point>>,
    /// What the values are.
    pub unit: String,
    /// A remark under the chart; empty for none.
    pub remark: String,
}

impl HeatMap {
    /// The number of points in each cell of a grid of `cells` by `cells`.
    pub fn density(points: &[Point], x: Axis, y: Axis, cells: usize) -> Self {
        let cells = cells.max(1);
        let mut values = vec![0.0; cells * cells];
        for (px, py) in points {
            let (px, py) = (x.place(*px), y.place(*py));
            if (0.0..=1.0).contains(&px) && (0.0..=1.0).contains(&py) {
                let cell = |place: f64| ((place * cells as f64) as usize).min(cells - 1);
                values[cell(py) * cells + cell(px)] += 1.0;
            }
        }
        Self {
            title: String::new(),
            x,
            y,
            columns: cells,
            values,
            colours: Colours::Fitted,
            paths: Vec::new(),
            unit: "points per cell".to_owned(),
            remark: String::new(),
        }
    }

    /// The chart with its colour bar around a window of `width` times `height` pixels.
    pub fn svg(&self, width: f64, height: f64) -> String {
        let finite = self.values.iter().copied().filter(|value| value.is_finite());
        let (lowest, highest) = match self.colours {
            Colours::Fitted => {
                (finite.clone().fold(f64::INFINITY, f64::min), finite.fold(f64::NEG_INFINITY, f64::max))
            }
            Colours::Between(low, high) => (low, high),
            Colours::Signed => {
                let largest = finite.fold(0.0, |largest: f64, value| largest.max(value.abs()));
                (-largest, largest)
            }
        };
        let colour = if self.colours == Colours::Signed { diverging } else { viridis };
        let bar = if lowest < highest {
            Axis::new(self.unit.clone(), Scale::Linear, lowest, highest)
        } else {
            Axis::fit(self.unit.clone(), Scale::Linear, [lowest])
        };
        let columns = self.columns.max(1);
        let rows = self.values.len() / columns;
        // Viewers smooth between pixels: a coarse grid has several for each of its cells.
        let zoom = (CRISP / columns.max(1)).max(1);
        let upside_down = self.values.chunks_exact(columns).rev();
        let pixels: Vec<u8> = upside_down
            .flat_map(|row| {
                let cells = row.iter().flat_map(|value| colour(bar.place(*value)).repeat(zoom));
                cells.collect::<Vec<u8>>().repeat(zoom)
            })
            .collect();
        let mut frame = Frame::new(&self.title, &[], &self.x, &self.y, (width, height));
        if rows > 0 {
            let png = encode(columns * zoom, rows * zoom, png::ColorType::Rgb, &pixels);
            frame.draw(|frame, svg| {
                svg.image((0.0, 0.0), frame.size, &png);
                for path in &self.paths {
                    let points = || path.iter().map(|point| frame.at(point.0, point.1));
                    for (colour, width) in [("#000000", 3.5), ("#ffffff", 1.6)] {
                        let style =
                            format!("fill:none;stroke:{colour};stroke-width:{width};stroke-linejoin:round;stroke-opacity:0.85");
                        svg.path(points(), false, &style);
                    }
                    if let Some(end) = points().next_back().filter(|end| end.0.is_finite() && end.1.is_finite()) {
                        svg.circle(end, 3.5, "fill:#ffffff;stroke:#000000");
                    }
                }
            });
        }
        let ticks = bar.ticks((height / 50.0).clamp(2.0, 6.0) as usize);
        let widest = ticks.iter().map(|(_, label)| text_width(label)).fold(0.0, f64::max);
        let ramp: Vec<u8> = (0..64).rev().flat_map(|step| colour(f64::from(step) / 63.0)).collect();
        frame.beside(34.0 + widest + 20.0, |svg, (right, top)| {
            svg.image((right + 10.0, top), (12.0, height), &encode(1, 64, png::ColorType::Rgb, &ramp));
            for (value, label) in &ticks {
                let y = top + height * (1.0 - bar.place(*value));
                svg.line((right + 22.0, y), (right + 26.0, y), &format!("stroke:{MUTED}"));
                svg.text((right + 29.0, y + 4.0), Anchor::Start, &format!("fill:{MUTED}"), label);
            }
            svg.upward_text(
                (right + 34.0 + widest + 10.0, top + height / 2.0),
                &format!("fill:{MUTED}"),
                &self.unit,
            );
        });
        if !self.remark.is_empty() {
            frame.remark(&self.remark);
        }
        frame.finish(&format!("{} on a grid of {rows} by {columns}", self.unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis() -> Axis {
        Axis::new("", Scale::Linear, 0.0, 4.0)
    }

    #[test]
    fn densities_count_points_in_their_cells() {
        let points = [(0.5, 0.5), (0.7, 0.2), (3.9, 0.1), (4.0, 4.0), (9.0, 1.0), (f64::NAN, 1.0)];
        let map = HeatMap::density(&points, axis(), axis(), 2);
        assert_eq!(map.values, [2.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn colours_run_from_end_to_end() {
        assert_eq!(viridis(-1.0), [68, 1, 84]);
        assert_eq!(viridis(f64::NAN), [68, 1, 84]);
        assert_eq!(viridis(0.5), [33, 145, 140]);
        assert_eq!(viridis(2.0), [253, 231, 37]);
        let lightness = |share: f64| {
            let [r, g, b] = viridis(share).map(f64::from);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        assert!(
            (0..100).all(|i| lightness(f64::from(i + 1) / 100.0) > lightness(f64::from(i) / 100.0) - 1.0)
        );
    }

    #[test]
    fn signed_colours_are_pale_at_zero_and_shared_ones_keep_their_ends() {
        assert_eq!(diverging(0.5), [246, 245, 242]);
        assert_eq!((diverging(0.0), diverging(1.0)), ([5, 80, 158], [178, 44, 18]));
        let map = |colours, values| HeatMap { colours, values, ..HeatMap::density(&[], axis(), axis(), 2) };
        let shared = map(Colours::Between(0.0, 8.0), vec![0.0, 1.0, 2.0, 3.0]).svg(80.0, 200.0);
        assert!(shared.contains(">8</text>") && shared.contains(">0</text>"), "{shared}");
        let signed = map(Colours::Signed, vec![-3.0, 0.0, 0.5, f64::NAN]).svg(80.0, 200.0);
        assert!(signed.contains(">\u{2212}2</text>") && signed.contains(">2</text>"), "{signed}");
    }

    #[test]
    fn paths_are_drawn_to_their_ends() {
        let paths = vec![vec![(0.0, 0.0), (0.0, 2.0), (2.0, 2.0)], vec![]];
        let svg = HeatMap { paths, ..HeatMap::density(&[], axis(), axis(), 2) }.svg(80.0, 80.0);
        assert!(svg.contains("M0 80h0L0 40L40 40") && svg.contains("cx=\"40\" cy=\"40\""), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 1);
    }

    #[test]
    fn degenerate_maps_are_drawn() {
        for values in [vec![], vec![1.0; 4], vec![f64::NAN; 4], vec![0.0, 1.0, f64::INFINITY, -1.0]] {
            let map = HeatMap { values, ..HeatMap::density(&[], axis(), axis(), 2) };
            let svg = map.svg(80.0, 80.0);
            roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}\n{svg}"));
            assert!(!svg.contains("NaN"), "{svg}");
        }
    }
}
