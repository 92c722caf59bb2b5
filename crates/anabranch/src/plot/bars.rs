//! A few numbers by name, those of one name beside each other.

use super::axis::{Axis, Scale};
use super::frame::{Key, heading};
use super::svg::{Anchor, GRID, INK, MUTED, Svg, series_colour, text_width};

/// The numbers of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// The name.
    pub label: String,
    /// One number of each kind; what is not finite or negative is not drawn.
    pub values: Vec<f64>,
}

/// Horizontal bars from zero, the first row at the top.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// The heading.
    pub title: String,
    /// What the axis shows, with its unit.
    pub label: String,
    /// The names of the kinds, each with its colour of the palette.
    pub kinds: Vec<(String, usize)>,
    /// The rows.
    pub rows: Vec<Bar>,
}

/// The thickness of a bar, and the space between two rows, pixels.
const BAR: f64 = 7.0;
const GAP: f64 = 6.0;

impl Bars {
    /// The chart, its bars `width` pixels long at most.
    pub fn svg(&self, width: f64) -> String {
        let mut svg = Svg::default();
        let labels = self.rows.iter().map(|row| text_width(&row.label)).fold(0.0, f64::max) + 10.0;
        let legend: Vec<(Key, String)> = self
            .kinds
            .iter()
            .map(|(name, colour)| (Key::Square(format!("fill:{}", series_colour(*colour))), name.clone()))
            .collect();
        let top = heading(&mut svg, &self.title, &legend, 4.0, labels + width);
        let values = self.rows.iter().flat_map(|row| row.values.iter().copied()).chain([0.0]);
        let axis = Axis { low: 0.0, ..Axis::fit(self.label.clone(), Scale::Linear, values) };
        let row = BAR * self.kinds.len() as f64 + GAP;
        let bottom = top + row * self.rows.len() as f64;
        let at = |value: f64| labels + width * axis.place(value);
        for (value, label) in axis.ticks((width / 70.0) as usize) {
            svg.line((at(value), top), (at(value), bottom), &format!("stroke:{GRID};stroke-width:1"));
            svg.text((at(value), bottom + 15.0), Anchor::Middle, &format!("fill:{MUTED}"), &label);
        }
        for (index, bars) in self.rows.iter().enumerate() {
            let y = top + row * index as f64 + GAP / 2.0;
            let middle = y + (row - GAP) / 2.0 + 4.0;
            svg.text((labels - 6.0, middle), Anchor::End, &format!("fill:{INK}"), &bars.label);
            for (kind, value) in bars.values.iter().enumerate().filter(|(_, value)| **value > 0.0) {
                let Some((_, colour)) = self.kinds.get(kind) else { continue };
                let length = width * axis.place(value.min(axis.high));
                let corner = (labels, y + BAR * kind as f64);
                svg.rect(corner, (length, BAR - 1.0), &format!("fill:{}", series_colour(*colour)));
            }
        }
        svg.text(
            (labels + width / 2.0, bottom + 32.0),
            Anchor::Middle,
            &format!("fill:{MUTED}"),
            &self.label,
        );
        let size = (labels + width + 16.0, bottom + 40.0);
        svg.finish(size, &format!("{}: {} of {} names", self.title, self.label, self.rows.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_numbers() {
        let bar = |label: &str, values: &[f64]| Bar { label: label.to_owned(), values: values.to_vec() };
        let bars = Bars {
            title: "T".to_owned(),
            label: "probability".to_owned(),
            kinds: vec![("exact".to_owned(), 1), ("learned".to_owned(), 0)],
            rows: vec![bar("<a>", &[0.5, 0.25]), bar("b", &[0.0, f64::NAN, 3.0])],
        };
        let svg = bars.svg(200.0);
        let document = roxmltree::Document::parse(&svg).unwrap();
        let lengths: Vec<f64> = document
            .descendants()
            .filter(|node| node.has_tag_name("rect") && node.attribute("height") == Some("6"))
            .map(|node| node.attribute("width").unwrap().parse().unwrap())
            .collect();
        assert_eq!(
            lengths.len(),
            2,
            "zero, what is no number, and a number without a kind are not drawn: {svg}"
        );
        assert!((lengths[0] / lengths[1] - 2.0).abs() < 1e-3, "{lengths:?}");
        assert!(svg.contains("&lt;a&gt;") && svg.contains(">learned<"));
        let empty = Bars { rows: vec![], kinds: vec![], ..bars };
        assert!(!empty.svg(200.0).contains("NaN"));
    }
}
