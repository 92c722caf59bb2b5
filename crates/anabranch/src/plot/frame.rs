//! What surrounds the points of a chart: title, legend, axes with ticks and labels.

use super::axis::Axis;
use super::svg::{Anchor, FONT, GRID, INK, MUTED, Svg, text_width};

/// How a legend shows an entry.
#[derive(Debug, Clone)]
pub(super) enum Key {
    /// A piece of line of this style.
    Line(String),
    /// A filled square of this style.
    Square(String),
}

const TITLE: f64 = 22.0;
const LEGEND_ROW: f64 = 18.0;

/// Title and legend from the top of a drawing downwards; answers the height they took.
pub(super) fn heading(svg: &mut Svg, title: &str, legend: &[(Key, String)], left: f64, width: f64) -> f64 {
    let mut bottom = 4.0;
    if !title.is_empty() {
        svg.text((left, bottom + 12.0), Anchor::Start, &format!("fill:{INK};font-weight:600"), title);
        bottom += TITLE;
    }
    let mut x = left;
    for (index, (key, name)) in legend.iter().enumerate() {
        let needed = 26.0 + text_width(name) + 14.0;
        if index > 0 && x + needed > left + width {
            x = left;
            bottom += LEGEND_ROW;
        }
        let middle = bottom + LEGEND_ROW / 2.0;
        match key {
            Key::Line(style) => svg.line((x, middle), (x + 20.0, middle), style),
            Key::Square(style) => svg.rect((x + 5.0, middle - 5.0), (10.0, 10.0), style),
        }
        svg.text((x + 26.0, middle + 4.0), Anchor::Start, &format!("fill:{INK}"), name);
        x += needed;
    }
    if !legend.is_empty() {
        bottom += LEGEND_ROW + 4.0;
    }
    bottom
}

/// A chart's frame, and the map from values to pixels of its inner window.
pub(super) struct Frame {
    svg: Svg,
    corner: (f64, f64),
    /// The size of the inner window, pixels.
    pub(super) size: (f64, f64),
    x: Axis,
    y: Axis,
    outer: (f64, f64),
    title: String,
}

impl Frame {
    /// Draws everything but the points around an inner window of `size` pixels.
    pub(super) fn new(title: &str, legend: &[(Key, String)], x: &Axis, y: &Axis, size: (f64, f64)) -> Self {
        let mut svg = Svg::default();
        let y_ticks = y.ticks((size.1 / 45.0).clamp(2.0, 8.0) as usize);
        let x_ticks = uncrowded(x, size.0);
        let widest = y_ticks.iter().map(|(_, label)| text_width(label)).fold(0.0, f64::max);
        let upward = if y.label.is_empty() { 0.0 } else { 18.0 };
        let left = (upward + widest + 10.0).max(if y.label.is_empty() { 24.0 } else { 56.0 });
        let top = heading(&mut svg, title, legend, left, size.0).max(8.0);
        let corner = (left, top);
        let bottom = top + size.1;
        let thin = format!("stroke:{GRID};stroke-width:1");
        let small = format!("fill:{MUTED}");
        for (value, label) in &y_ticks {
            let at = top + size.1 * (1.0 - y.place(*value));
            svg.line((left, at), (left + size.0, at), &thin);
            svg.text((left - 6.0, at + 4.0), Anchor::End, &small, label);
        }
        for (value, label) in &x_ticks {
            let at = left + size.0 * x.place(*value);
            svg.line((at, top), (at, bottom), &thin);
            svg.text((at, bottom + 16.0), Anchor::Middle, &small, label);
        }
        svg.rect(corner, size, &format!("fill:none;stroke:{MUTED};stroke-width:1"));
        if !y.label.is_empty() {
            svg.upward_text((12.0, top + size.1 / 2.0), &small, &y.label);
        }
        let mut height = bottom + 22.0;
        if !x.label.is_empty() {
            svg.text((left + size.0 / 2.0, bottom + 33.0), Anchor::Middle, &small, &x.label);
            height += 18.0;
        }
        // Half of the last label may stand out to the right, and a title may be wider than the window.
        let right = x_ticks
            .last()
            .map_or(0.0, |(value, label)| size.0 * (x.place(*value) - 1.0) + text_width(label) / 2.0);
        let width = (left + size.0 + right.max(0.0) + 6.0).max(left + text_width(title) * 1.06);
        Self {
            svg,
            corner,
            size,
            x: x.clone(),
            y: y.clone(),
            outer: (width, height),
            title: title.to_owned(),
        }
    }

    /// The pixel of a value within the inner window; not finite where it has no place.
    pub(super) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (self.size.0 * self.x.place(x), self.size.1 * (1.0 - self.y.place(y)))
    }

    /// Whether a point lies within the window.
    pub(super) fn holds(&self, x: f64, y: f64) -> bool {
        (0.0..=1.0).contains(&self.x.place(x)) && (0.0..=1.0).contains(&self.y.place(y))
    }

    /// Draws into the inner window; what lies outside of it is cut off.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&Self, &mut Svg)) {
        let mut svg = std::mem::take(&mut self.svg);
        svg.window(self.corner, self.size, |inner| draw(self, inner));
        self.svg = svg;
    }

    /// Draws beside the window, in the coordinates of the whole picture, and makes room to the right.
    pub(super) fn beside(&mut self, room: f64, draw: impl FnOnce(&mut Svg, (f64, f64))) {
        draw(&mut self.svg, (self.corner.0 + self.size.0, self.corner.1));
        self.outer.0 = self.outer.0.max(self.corner.0 + self.size.0 + room);
    }

    /// A remark in small letters under the chart.
    pub(super) fn remark(&mut self, text: &str) {
        let y = self.outer.1 + FONT;
        self.svg.text((self.corner.0, y), Anchor::Start, &format!("fill:{MUTED};font-size:11px"), text);
        self.outer.1 += FONT + 6.0;
        self.outer.0 = self.outer.0.max(self.corner.0 + text_width(text));
    }

    /// The picture. `label` is what a screen reader says after the title.
    pub(super) fn finish(self, label: &str) -> String {
        let label = if self.title.is_empty() { label.to_owned() } else { format!("{}: {label}", self.title) };
        self.svg.finish(self.outer, &label)
    }
}

/// As many ticks as have room for their labels, at most eight.
fn uncrowded(axis: &Axis, width: f64) -> Vec<(f64, String)> {
    let fits = |ticks: &[(f64, String)]| {
        ticks.windows(2).all(|pair| {
            let distance = width * (axis.place(pair[1].0) - axis.place(pair[0].0));
            distance > (text_width(&pair[0].1) + text_width(&pair[1].1)) / 2.0 + 10.0
        })
    };
    let mut ticks = (2..=8).rev().map(|wanted| axis.ticks(wanted));
    ticks.find(|ticks| fits(ticks)).unwrap_or_else(|| axis.ticks(1).into_iter().take(1).collect())
}
