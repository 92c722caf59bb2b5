//! Samples, data and trajectories as pictures: images as grids, points of the plane as clouds, anything else by its
//! first coordinates.

use super::columns::{label, marginal};
use super::page::{figure, note};
use super::{Frame, ImageShape, Reference, Summary};
use crate::plot::{
    Axis, Colours, HeatMap, ImageGrid, LineChart, Point, Scale, Scatter, Series, grey_levels, quantiles,
};

/// The colours of samples and of what they are to resemble.
const SAMPLES: usize = 0;
const DATA: usize = 1;

/// Images in a grid at most, and in a column of a trajectory.
const GRID: usize = 64;
/// Classes of which a grid shows samples, at most.
const CLASSES: usize = 12;
const STRIP: usize = 8;

/// The width of a cloud or a density, pixels.
const PANEL: f64 = 260.0;

/// Paths drawn as lines, where states have one dimension.
const LINES: usize = 60;

/// Clouds in a trajectory at most.
const CLOUDS: usize = 6;

/// The two coordinates that stand for all: the first ones, but for columns of words where two others are left.
fn pair(run: &Summary) -> [usize; 2] {
    let words = |index: &usize| run.words.get(index).is_some_and(|words| !words.is_empty());
    let mut others = (0..run.dimension).filter(|index| !words(index));
    match (others.next(), others.next()) {
        (Some(first), Some(second)) => [first, second],
        _ => [0, 1],
    }
}

/// Two coordinates of rows.
fn points(rows: &[f32], dimension: usize, [x, y]: [usize; 2]) -> Vec<Point> {
    rows.chunks_exact(dimension.max(2)).map(|row| (f64::from(row[x]), f64::from(row[y]))).collect()
}

/// Axes of equal length around all but the outermost of some points.
pub(super) fn square(points: &[Point], labels: [&str; 2]) -> (Axis, Axis) {
    let range = |values: &mut dyn Iterator<Item = f64>| quantiles(values, 0.002, 0.998).unwrap_or((0.0, 1.0));
    let x = range(&mut points.iter().map(|point| point.0));
    let y = range(&mut points.iter().map(|point| point.1));
    let span = (x.1 - x.0).max(y.1 - y.0);
    let half = if span > 0.0 { 0.55 * span } else { 1.0 };
    let axis = |(low, high): (f64, f64), label: &str| {
        let middle = 0.5 * low + 0.5 * high;
        Axis::new(label, Scale::Linear, middle - half, middle + half)
    };
    (axis(x, labels[0]), axis(y, labels[1]))
}

/// The axes on which data and samples of several runs on one target can be compared.
pub(super) fn common_axes(runs: &[&Summary]) -> (Axis, Axis) {
    let pair = runs.first().map_or([0, 1], |run| pair(run));
    let labels = pair.map(|index| runs.first().map_or(String::new(), |run| label(run, index)));
    let labels = labels.each_ref().map(String::as_str);
    if let Some(density) = runs.first().and_then(|run| run.density.as_ref()) {
        let axis = |k: usize| Axis::new(labels[k], Scale::Linear, density.low[k], density.high[k]);
        return (axis(0), axis(1));
    }
    let mut all = Vec::new();
    for run in runs {
        all.extend(points(&run.samples, run.dimension, pair));
        all.extend(run.reference.iter().flat_map(|reference| points(&reference.rows, run.dimension, pair)));
    }
    square(&all, labels)
}

/// By how much an image is enlarged to be about `side` screen pixels wide.
fn scale(shape: &ImageShape, side: usize) -> usize {
    (side / shape.width.max(shape.height).max(1)).clamp(1, 8)
}

/// The most images on a side of a grid: large ones are shown in smaller numbers.
fn most_on_a_side(shape: &ImageShape) -> usize {
    (1000 / (shape.height.max(shape.width) + 1)).clamp(1, 8)
}

fn grid(shape: &ImageShape, rows: &[f32]) -> ImageGrid {
    let side = most_on_a_side(shape);
    let images = rows.chunks_exact((shape.height * shape.width).max(1)).take((side * side).min(GRID));
    let tiles = images.map(|row| grey_levels(row, shape.low, shape.high)).collect();
    ImageGrid { height: shape.height, width: shape.width, columns: side, tiles }
}

/// The samples as one grid, where they are images; a column for each of the first classes, where they have such.
pub(super) fn sample_grid(run: &Summary) -> Option<ImageGrid> {
    let shape = run.image.as_ref()?;
    if run.classes.is_empty() {
        return Some(grid(shape, &run.samples));
    }
    let (pixels, side) = (shape.height * shape.width, most_on_a_side(shape));
    let columns = run.classes.iter().max().map_or(0, |last| last + 1).min(CLASSES);
    let of = |class: usize| (0..run.classes.len()).filter(move |row| run.classes[*row] == class);
    let own: Vec<Vec<usize>> = (0..columns).map(|class| of(class).take(side).collect()).collect();
    let tile = |row: usize, class: usize| match own[class].get(row) {
        Some(at) => grey_levels(&run.samples[at * pixels..][..pixels], shape.low, shape.high),
        None => vec![0; pixels],
    };
    let tiles = (0..side).flat_map(|row| (0..columns).map(move |class| (row, class)));
    let tiles = tiles.map(|(row, class)| tile(row, class)).collect();
    Some(ImageGrid { height: shape.height, width: shape.width, columns, tiles })
}

fn cloud(title: &str, points: Vec<Point>, colour: usize, axes: &(Axis, Axis)) -> Scatter {
    let (x, y) = axes.clone();
    Scatter { title: title.to_owned(), x, y, colour, points, diagonal: false, remark: true }
}

/// What the model is to resemble; images are about `side` screen pixels wide.
pub(super) fn target(run: &Summary, axes: &(Axis, Axis), side: usize) -> Vec<String> {
    let mut figures = Vec::new();
    if let Some(density) = &run.density {
        let map = HeatMap {
            title: "Target density".to_owned(),
            x: axes.0.clone(),
            y: axes.1.clone(),
            columns: density.cells,
            values: density.values.clone(),
            colours: Colours::Fitted,
            paths: Vec::new(),
            unit: "share of the largest".to_owned(),
            remark: String::new(),
        };
        figures.push(figure(&map.svg(PANEL, PANEL), ""));
    }
    let Some(Reference { name, rows }) = &run.reference else { return figures };
    match &run.image {
        Some(shape) => figures.push(figure(&grid(shape, rows).html(scale(shape, side), name), name)),
        None if run.dimension >= 2 => {
            figures.push(figure(
                &cloud(name, points(rows, run.dimension, pair(run)), DATA, axes).svg(PANEL, PANEL),
                "",
            ));
        }
        None => {}
    }
    figures
}

/// What the model draws; images are about `side` screen pixels wide.
pub(super) fn samples(run: &Summary, title: &str, axes: &(Axis, Axis), side: usize) -> Vec<String> {
    let caption =
        if run.classes.is_empty() { title.to_owned() } else { format!("{title}, a column for each class") };
    match (&run.image, sample_grid(run)) {
        (Some(shape), Some(grid)) => vec![figure(&grid.html(scale(shape, side), &caption), &caption)],
        _ if run.dimension >= 2 => {
            let points = points(&run.samples, run.dimension, pair(run));
            vec![figure(&cloud(title, points, SAMPLES, axes).svg(PANEL, PANEL), "")]
        }
        _ => Vec::new(),
    }
}

/// The laws of the first `most` coordinates, where states are neither images nor points of the plane.
pub(super) fn marginals(run: &Summary, most: usize) -> Vec<String> {
    if run.image.is_some() || run.dimension == 2 {
        return Vec::new();
    }
    (0..run.dimension.min(most)).map(|index| marginal(run, index)).collect()
}

/// The same paths at several places of the chain.
pub(super) fn trajectory(run: &Summary) -> String {
    if run.trajectory.iter().all(|frame| frame.dimension == 1) {
        return lines(&run.trajectory);
    }
    let mut groups = String::new();
    let mut hidden = 0;
    for stretch in run.trajectory.chunk_by(|a, b| a.dimension == b.dimension) {
        let dimension = stretch[0].dimension;
        match &run.image {
            Some(shape) if dimension == run.dimension => groups.push_str(&strips(stretch, shape)),
            _ if dimension >= 2 => groups.push_str(&clouds(stretch, run)),
            _ => hidden += stretch.len(),
        }
    }
    let remark = match hidden {
        0 => String::new(),
        1 => note("One state of a single dimension is left out."),
        many => note(&format!("{many} states of a single dimension are left out.")),
    };
    format!("<div class=\"row\">\n{groups}</div>\n{remark}")
}

/// Paths in one dimension over the chain.
fn lines(frames: &[Frame]) -> String {
    let paths = frames.iter().map(|frame| frame.values.len()).min().unwrap_or(0);
    let path = |index: usize| Series {
        points: frames.iter().map(|frame| (frame.place, f64::from(frame.values[index]))).collect(),
        thin: true,
        ..Series::default()
    };
    let series = (0..paths.min(LINES)).map(path).collect();
    let chart = LineChart::fitting("", "place in the chain", "state", Scale::Linear, series);
    figure(&chart.svg(560.0, 240.0), &format!("{} paths.", paths.min(LINES)))
}

fn moment(frame: &Frame) -> String {
    match frame.place {
        0.0 => "source".to_owned(),
        1.0 => "sample".to_owned(),
        place => format!("{place:.2}"),
    }
}

/// One column of images for each place (a row, if there is but one); all but the last on the scale of their own values.
fn strips(frames: &[Frame], shape: &ImageShape) -> String {
    let columns = if frames.len() == 1 { STRIP } else { 1 };
    let figures: String = frames
        .iter()
        .map(|frame| {
            let own = || quantiles(frame.values.iter().map(|v| f64::from(*v)), 0.01, 0.99);
            let (low, high) = match own() {
                Some((low, high)) if frame.place < 1.0 && !shape.fixed => (low as f32, high as f32),
                _ => (shape.low, shape.high),
            };
            let images = frame.values.chunks_exact((shape.height * shape.width).max(1)).take(STRIP);
            let tiles = images.map(|row| grey_levels(row, low, high)).collect();
            let strip = ImageGrid { height: shape.height, width: shape.width, columns, tiles };
            figure(&strip.html(scale(shape, 52), &format!("states, {}", moment(frame))), &moment(frame))
        })
        .collect();
    let remark = match frames.len() {
        0 | 1 => String::new(),
        _ if shape.fixed => note("Each row is one path."),
        _ => note("Each row is one path. Columns before the last are scaled to their own range of values."),
    };
    format!("<div><div class=\"strips\">\n{figures}</div>\n{remark}</div>\n")
}

/// One cloud for each of a few places, all on the same axes.
fn clouds(frames: &[Frame], run: &Summary) -> String {
    let (dimension, last) = (frames[0].dimension, frames.len() - 1);
    let pair = if dimension == run.dimension { pair(run) } else { [0, 1] };
    let count = frames.len().min(CLOUDS);
    let shown: Vec<&Frame> = (0..count).map(|k| &frames[k * last / (count - 1).max(1)]).collect();
    let all: Vec<Point> = shown.iter().flat_map(|frame| points(&frame.values, dimension, pair)).collect();
    let axes = square(&all, ["", ""]);
    let clouds = shown
        .iter()
        .map(|frame| cloud(&moment(frame), points(&frame.values, dimension, pair), SAMPLES, &axes));
    let clouds: Vec<Scatter> = clouds.map(|cloud| Scatter { remark: false, ..cloud }).collect();
    let figures: String = clouds.iter().map(|cloud| figure(&cloud.svg(140.0, 140.0), "")).collect();
    let mut words = match (dimension == run.dimension, dimension) {
        (true, 2) => String::new(),
        (true, _) if pair != [0, 1] => {
            let [x, y] = pair.map(|index| label(run, index));
            format!("Two of {dimension} coordinates, {x} and {y}. ")
        }
        (true, _) => format!("The first two of {dimension} coordinates. "),
        (false, 2) => "Latent states of two dimensions. ".to_owned(),
        (false, _) => format!("The first two of {dimension} latent coordinates. "),
    };
    let outside: usize = clouds.iter().map(Scatter::outside).sum();
    if outside > 0 {
        words.push_str(&format!("{outside} of {} points lie outside.", all.len()));
    }
    let remark = if words.is_empty() { words } else { note(words.trim()) };
    format!("<div><div class=\"strips\">\n{figures}</div>\n{remark}</div>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_hold_almost_all_points_on_equal_scales() {
        let mut cloud: Vec<Point> =
            (0..1000).map(|i| (f64::from(i) / 100.0, f64::from(i % 10) / 10.0)).collect();
        cloud.push((1e9, f64::NAN));
        let (x, y) = square(&cloud, ["a", "b"]);
        assert!(((x.high - x.low) - (y.high - y.low)).abs() < 1e-9);
        assert!(x.low < 0.1 && x.high > 9.9 && x.high < 12.0, "{x:?}");
        assert!(y.low < 0.0 && y.high > 0.9);
        for nothing in [vec![], vec![(f64::NAN, f64::NAN)], vec![(3.0, 3.0); 4]] {
            let (x, y) = square(&nothing, ["", ""]);
            assert!(x.low < x.high && y.low < y.high);
        }
    }

    #[test]
    fn states_of_every_shape_have_their_picture() {
        let frame =
            |place: f64, dimension: usize| Frame { place, dimension, values: vec![0.5; 3 * dimension] };
        let shape = ImageShape { height: 2, width: 2, low: 0.0, high: 1.0, fixed: false };
        let trajectory_of = vec![frame(0.0, 1), frame(0.5, 3), frame(1.0, 4)];
        let run =
            Summary { dimension: 4, image: Some(shape), trajectory: trajectory_of, ..Summary::default() };
        let html = trajectory(&run);
        assert!(html.contains("One state of a single dimension is left out."));
        assert!(html.contains("first two of 3 latent coordinates") && html.contains("<img"));
        let plane =
            Summary { dimension: 2, trajectory: vec![frame(0.0, 2), frame(1.0, 2)], ..Summary::default() };
        let html = trajectory(&plane);
        assert!(html.contains(">source<") && html.contains(">sample<") && !html.contains("latent"));
    }

    #[test]
    fn one_dimension_has_histograms_only() {
        let reference = Reference { name: "data".to_owned(), rows: vec![0.0, 1.0, 2.5] };
        let run = Summary {
            dimension: 1,
            samples: vec![0.5, 1.5],
            reference: Some(reference),
            ..Summary::default()
        };
        let frame = |place: f64| Frame { place, dimension: 1, values: vec![0.0, 1.0, 2.0] };
        let moving = Summary { trajectory: vec![frame(0.0), frame(1.0)], ..run.clone() };
        assert!(trajectory(&moving).contains("3 paths."));
        let axes = common_axes(&[&run]);
        assert!(target(&run, &axes, 40).is_empty() && samples(&run, "s", &axes, 40).is_empty());
        assert_eq!(marginals(&run, 6).len(), 1);
    }
}
