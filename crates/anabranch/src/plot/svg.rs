//! The SVG elements that charts are made of.

use std::fmt::Write;

/// Text with the five characters that mean something in XML replaced, and control characters that XML forbids left out.
///
/// ```
/// assert_eq!(anabranch::plot::escape("a < b & \"c\""), "a &lt; b &amp; &quot;c&quot;");
/// ```
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(character),
            '\u{FFFE}' | '\u{FFFF}' => {}
            other if other.is_control() => {}
            other => out.push(other),
        }
    }
    out
}

const SERIES: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#b8578e", "#b07d00", "#3a9bd6"];

/// The CSS colour of series `index`, told apart under colour blindness; the six colours repeat.
pub fn series_colour(index: usize) -> String {
    let place = index % SERIES.len();
    format!("var(--c{place},{})", SERIES[place])
}

/// The dash pattern that tells series apart which share a colour.
pub(super) fn series_dash(index: usize) -> &'static str {
    ["", "6 3", "2 3", "8 3 2 3"][(index / SERIES.len()) % 4]
}

pub(super) const INK: &str = "var(--ink,#1b1f24)";
pub(super) const MUTED: &str = "var(--muted,#57606a)";
pub(super) const GRID: &str = "var(--grid,#d8dee4)";

/// The height of a font in which text is set, pixels.
pub(super) const FONT: f64 = 12.0;

/// About how wide a text is in a sans-serif font of [`FONT`] pixels; rather too much than too little.
pub(super) fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * FONT * 0.58
}

/// A coordinate in pixels, with the hundredth as the last digit.
///
/// Nothing further out than 10^5 pixels can be seen, and renderers lose precision there.
fn pixels(value: f64) -> String {
    let value = if value.is_finite() { value.clamp(-1e5, 1e5) } else { 0.0 };
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Where a text's given point lies in it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing under way.
#[derive(Debug, Default)]
pub(super) struct Svg {
    body: String,
}

impl Svg {
    fn element(&mut self, name: &str, numbers: &[(&str, f64)], style: &str) {
        self.body.push('<');
        self.body.push_str(name);
        for (key, value) in numbers {
            // Writing to a string does not fail.
            let _ = write!(self.body, " {key}=\"{}\"", pixels(*value));
        }
        if !style.is_empty() {
            let _ = write!(self.body, " style=\"{}\"", escape(style));
        }
        self.body.push_str("/>");
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), style: &str) {
        self.element("line", &[("x1", from.0), ("y1", from.1), ("x2", to.0), ("y2", to.1)], style);
    }

    pub(super) fn rect(&mut self, corner: (f64, f64), size: (f64, f64), style: &str) {
        let numbers = [("x", corner.0), ("y", corner.1), ("width", size.0), ("height", size.1)];
        self.element("rect", &numbers, style);
    }

    pub(super) fn circle(&mut self, centre: (f64, f64), radius: f64, style: &str) {
        self.element("circle", &[("cx", centre.0), ("cy", centre.1), ("r", radius)], style);
    }

    /// Joins points by lines; a point that is not finite interrupts the path.
    pub(super) fn path(&mut self, points: impl IntoIterator<Item = (f64, f64)>, closed: bool, style: &str) {
        let mut data = String::new();
        let mut drawing = false;
        for (x, y) in points {
            if !(x.is_finite() && y.is_finite()) {
                drawing = false;
                continue;
            }
            let _ = write!(data, "{}{} {}", if drawing { 'L' } else { 'M' }, pixels(x), pixels(y));
            if !drawing {
                // A lone point between gaps is seen as a dot of the line's width.
                data.push_str("h0");
            }
            drawing = true;
        }
        if data.is_empty() {
            return;
        }
        if closed {
            data.push('Z');
        }
        let _ = write!(self.body, "<path d=\"{data}\" style=\"{}\"/>", escape(style));
    }

    pub(super) fn text(&mut self, at: (f64, f64), anchor: Anchor, style: &str, content: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = write!(
            self.body,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\" style=\"{}\">{}</text>",
            pixels(at.0),
            pixels(at.1),
            escape(style),
            escape(content)
        );
    }

    /// A text that reads upwards, centred at a point.
    pub(super) fn upward_text(&mut self, at: (f64, f64), style: &str, content: &str) {
        let (x, y) = (pixels(at.0), pixels(at.1));
        let _ = write!(
            self.body,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" transform=\"rotate(-90 {x} {y})\" style=\"{}\">{}</text>",
            escape(style),
            escape(content)
        );
    }

    pub(super) fn image(&mut self, corner: (f64, f64), size: (f64, f64), png: &[u8]) {
        let _ = write!(
            self.body,
            "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" href=\"data:image/png;base64,{}\"/>",
            pixels(corner.0),
            pixels(corner.1),
            pixels(size.0),
            pixels(size.1),
            super::base64(png)
        );
    }

    /// Elements that share a style.
    pub(super) fn group(&mut self, style: &str, draw: impl FnOnce(&mut Self)) {
        let _ = write!(self.body, "<g style=\"{}\">", escape(style));
        draw(self);
        self.body.push_str("</g>");
    }

    /// A window with its own origin; what lies outside of it is cut off.
    pub(super) fn window(&mut self, corner: (f64, f64), size: (f64, f64), draw: impl FnOnce(&mut Self)) {
        let _ = write!(
            self.body,
            "<svg x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" overflow=\"hidden\">",
            pixels(corner.0),
            pixels(corner.1),
            pixels(size.0),
            pixels(size.1)
        );
        draw(self);
        self.body.push_str("</svg>");
    }

    /// The whole picture. `label` is what a screen reader says.
    pub(super) fn finish(self, size: (f64, f64), label: &str) -> String {
        let (width, height) = (pixels(size.0.ceil()), pixels(size.1.ceil()));
        let label = escape(label);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\" aria-label=\"{label}\" style=\"max-width:100%;height:auto;font:{FONT}px system-ui,sans-serif\">{}</svg>",
            self.body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_cleaned() {
        assert_eq!(escape("<a href='x'>&</a>"), "&lt;a href=&#39;x&#39;&gt;&amp;&lt;/a&gt;");
        assert_eq!(escape("\u{0}a\u{1b}b\u{7f}\u{FFFF}\tc"), "ab\tc");
        assert_eq!(escape("\u{3b1} \u{2265} 0"), "\u{3b1} \u{2265} 0");
    }

    #[test]
    fn coordinates_are_short_and_finite() {
        let cases =
            [(1.0, "1"), (1.256, "1.26"), (-0.001, "0"), (0.5, "0.5"), (1e300, "100000"), (100.0, "100")];
        cases.iter().for_each(|(value, text)| assert_eq!(pixels(*value), *text));
        assert_eq!(pixels(f64::NAN), "0");
    }

    #[test]
    fn paths_have_gaps() {
        let mut svg = Svg::default();
        let points = [(0.0, 0.0), (1.0, 1.0), (f64::NAN, 2.0), (3.0, 3.0), (4.0, f64::INFINITY)];
        svg.path(points, false, "fill:none");
        assert_eq!(svg.body, "<path d=\"M0 0h0L1 1M3 3h0\" style=\"fill:none\"/>");
        let mut empty = Svg::default();
        empty.path([(f64::NAN, 0.0)], true, "");
        assert_eq!(empty.body, "");
    }
}
