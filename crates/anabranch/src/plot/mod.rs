//! Pictures: a small writer of SVG and PNG, enough for a report that needs no network and no script.
//!
//! Every chart is plain data with one method that answers the SVG as a string:
//!
//! | chart | shows |
//! |---|---|
//! | [`LineChart`] | curves with legend, bands and reference lines; linear or logarithmic |
//! | [`Scatter`] | points of the plane, as translucent dots |
//! | [`HeatMap`] | a function, or the density of many points, on a grid |
//! | [`Bars`] | a few numbers of several kinds beside each other, by name |
//! | [`Layers`] | what flows along the edges of a directed acyclic graph |
//! | [`Histogram`] | one-dimensional densities, one over the other |
//! | [`Intervals`] | estimates with their error bars, as dots or bars, and reference lines |
//! | [`ImageGrid`] | grey images in rows and columns, as one PNG |
//!
//! Colours are CSS variables with fallbacks (`--ink`, `--muted`, `--grid`, `--c0` ... `--c5`): a page sets them for light
//! and dark mode, a file on its own uses the light ones. The series colours follow Okabe and Ito (2008), darkened or
//! lightened for their background, and can be told apart under every common colour blindness. Numbers that are not finite
//! leave gaps.

mod axis;
mod bars;
mod frame;
mod heat;
mod histogram;
mod image;
mod interval;
mod layers;
mod line;
mod scatter;
mod svg;

pub(crate) use axis::superscript;
pub use axis::{Axis, Scale, quantiles};
pub use bars::{Bar, Bars};
pub use heat::{Colours, HeatMap, diverging, viridis};
pub use histogram::{Histogram, Layer};
pub use image::{ImageGrid, base64, grey_levels};
pub use interval::{Interval, Intervals, Mark};
pub(crate) use layers::share;
pub use layers::{Layers, Link, Node};
pub use line::{LineChart, Series};
pub use scatter::Scatter;
pub use svg::{escape, series_colour};

/// A point of the plane.
pub type Point = (f64, f64);
