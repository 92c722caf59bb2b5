//! One-dimensional densities, one over the other.

use super::Point;
use super::axis::{Axis, Scale, quantiles};
use super::frame::{Frame, Key};
use super::svg::series_colour;

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Its name in the legend.
    pub name: String,
    /// Which colour of the palette it has.
    pub colour: usize,
    /// Its values.
    pub values: Vec<f64>,
}

/// Samples of one coordinate as densities over common bins.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// The heading.
    pub title: String,
    /// What the values are.
    pub label: String,
    /// The samples.
    pub layers: Vec<Layer>,
}

impl Histogram {
    /// The bins' common edges: from the 0.5 % to the 99.5 % quantile of all samples, a little wider; one bin per integer
    /// where all values are integers of a short range.
    fn edges(&self) -> Vec<f64> {
        let values = || self.layers.iter().flat_map(|layer| layer.values.iter().copied());
        let Some((lowest, highest)) = quantiles(values(), 0.0, 1.0) else { return vec![0.0, 1.0] };
        let integers = values().all(|value| !value.is_finite() || value.fract() == 0.0);
        if integers && highest - lowest <= 64.0 {
            let count = (highest - lowest) as usize + 1;
            return (0..=count).map(|k| lowest - 0.5 + k as f64).collect();
        }
        let core = quantiles(values(), 0.005, 0.995).unwrap_or((lowest, highest));
        let axis = Axis::fit("", Scale::Linear, [core.0, core.1]);
        let smallest = self.layers.iter().map(|layer| layer.values.len()).min().unwrap_or(0) as f64;
        let count = (2.0 * smallest.cbrt()).clamp(5.0, 60.0) as usize;
        (0..=count).map(|k| axis.low + (axis.high - axis.low) * k as f64 / count as f64).collect()
    }

    /// The chart around a window of `width` times `height` pixels.
    pub fn svg(&self, width: f64, height: f64) -> String {
        let edges = self.edges();
        let densities: Vec<Vec<f64>> =
            self.layers.iter().map(|layer| density(&layer.values, &edges)).collect();
        let top = densities.iter().flatten().copied().fold(0.0, f64::max);
        let x = Axis::new(self.label.clone(), Scale::Linear, edges[0], edges[edges.len() - 1]);
        let y = Axis::new("density", Scale::Linear, 0.0, if top > 0.0 { 1.08 * top } else { 1.0 });
        let square = |layer: &Layer| {
            let colour = series_colour(layer.colour);
            Key::Square(format!("fill:{colour};fill-opacity:0.35;stroke:{colour};stroke-width:1.5"))
        };
        let legend: Vec<(Key, String)> =
            self.layers.iter().filter(|l| !l.name.is_empty()).map(|l| (square(l), l.name.clone())).collect();
        let mut frame = Frame::new(&self.title, &legend, &x, &y, (width, height));
        frame.draw(|frame, svg| {
            for (layer, heights) in self.layers.iter().zip(&densities) {
                let steps = edges
                    .windows(2)
                    .zip(heights)
                    .flat_map(|(edge, height)| [frame.at(edge[0], *height), frame.at(edge[1], *height)]);
                let foot = |edge: f64| std::iter::once(frame.at(edge, 0.0));
                let outline: Vec<Point> =
                    foot(edges[0]).chain(steps).chain(foot(edges[edges.len() - 1])).collect();
                let colour = series_colour(layer.colour);
                svg.path(
                    outline,
                    false,
                    &format!("fill:{colour};fill-opacity:0.25;stroke:{colour};stroke-width:1.5"),
                );
            }
        });
        frame.finish(&format!("density of {}", self.label))
    }
}

/// The share of the values in each bin over its width; values beyond the edges count in the total.
fn density(values: &[f64], edges: &[f64]) -> Vec<f64> {
    let mut heights = vec![0.0; edges.len() - 1];
    let finite = values.iter().filter(|value| value.is_finite());
    let total = finite.clone().count().max(1) as f64;
    for value in finite {
        let bin = edges.partition_point(|edge| edge <= value);
        // The last edge belongs to the last bin.
        let bin = if *value == edges[edges.len() - 1] { edges.len() - 1 } else { bin };
        if (1..edges.len()).contains(&bin) {
            heights[bin - 1] += 1.0 / (total * (edges[bin] - edges[bin - 1]));
        }
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(samples: &[&[f64]]) -> Histogram {
        let layers = samples.iter().enumerate().map(|(colour, values)| Layer {
            name: format!("s{colour}"),
            colour,
            values: values.to_vec(),
        });
        Histogram { title: "t".to_owned(), label: "x".to_owned(), layers: layers.collect() }
    }

    #[test]
    fn densities_integrate_to_the_share_within() {
        let edges = [0.0, 1.0, 3.0];
        assert_eq!(density(&[0.0, 0.5, 1.0, 3.0, 7.0, f64::NAN], &edges), [0.4, 0.2]);
        assert_eq!(density(&[], &edges), [0.0, 0.0]);
    }

    #[test]
    fn integers_get_a_bin_each() {
        let edges = histogram(&[&[0.0, 2.0, 2.0], &[1.0, 3.0]]).edges();
        assert_eq!(edges, [-0.5, 0.5, 1.5, 2.5, 3.5]);
    }

    #[test]
    fn degenerate_samples_are_drawn() {
        let cases: [&[&[f64]]; 6] =
            [&[], &[&[]], &[&[1.5]], &[&[2.5; 9], &[]], &[&[f64::NAN]], &[&[1e300, -1e300, 0.5]]];
        for samples in cases {
            let svg = histogram(samples).svg(100.0, 60.0);
            roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{samples:?}: {error}"));
            assert!(!svg.contains("NaN"), "{svg}");
        }
    }
}
