//! All columns of a table: their correlations, their laws and those of every two of them, of data beside samples.

use super::page::{figure, fold, note, row};
use super::{Reference, Summary};
use crate::plot::{Axis, Bar, Bars, Colours, HeatMap, Histogram, ImageGrid, Layer, Scale, quantiles};

/// The colours of samples and of what they are to resemble.
const SAMPLES: usize = 0;
const DATA: usize = 1;

/// Columns that are shown, at most.
const MOST: usize = 256;

/// Columns that are shown together, each with each.
const TOGETHER: usize = 8;

/// Cells along a side of the picture of two columns, and pixels of a cell on the screen.
const CELLS: usize = 24;
const SCALE: usize = 2;

/// The width of a picture of all correlations, pixels.
const PANEL: f64 = 260.0;

/// What the column `index` is called: by the data, or as formulas call it.
pub(super) fn label(run: &Summary, index: usize) -> String {
    let subscript = |digit: char| char::from_u32(0x2080 + digit as u32 - '0' as u32).unwrap_or(digit);
    let unnamed = || format!("x{}", index.to_string().chars().map(subscript).collect::<String>());
    run.columns.get(index).cloned().unwrap_or_else(unnamed)
}

fn column(rows: &[f32], dimension: usize, index: usize) -> impl Iterator<Item = f64> + '_ {
    rows.chunks_exact(dimension.max(1)).map(move |row| f64::from(row[index]))
}

/// The most words of a column of which it is shown how often each comes.
const WORDS: usize = 16;

/// How often each word of a column comes, the most frequent first, in samples and in data.
fn shares(run: &Summary, index: usize, words: &[String]) -> String {
    let data = run.reference.as_ref().map(|reference| (reference.name.clone(), DATA, &reference.rows));
    let parts: Vec<(String, usize, &Vec<f32>)> =
        [("Samples".to_owned(), SAMPLES, &run.samples)].into_iter().chain(data).collect();
    let share = |rows: &[f32], word: usize| {
        let all = rows.len() / run.dimension.max(1);
        column(rows, run.dimension, index).filter(|value| *value == word as f64).count() as f64
            / all.max(1) as f64
    };
    let row = |(word, label): (usize, &String)| Bar {
        label: shortened(label),
        values: parts.iter().map(|(.., rows)| share(rows, word)).collect(),
    };
    let mut rows: Vec<Bar> = words.iter().enumerate().map(row).collect();
    rows.sort_by(|a, b| b.values.iter().sum::<f64>().total_cmp(&a.values.iter().sum()));
    rows.truncate(WORDS);
    let kinds = parts.into_iter().map(|(name, colour, _)| (name, colour)).collect();
    let label = match rows.len() < words.len() {
        true => format!("share of rows, {WORDS} of {} words", words.len()),
        false => "share of rows".to_owned(),
    };
    figure(&Bars { title: self::label(run, index), label, kinds, rows }.svg(180.0), "")
}

/// A word that leaves room for its bar.
fn shortened(word: &str) -> String {
    const LETTERS: usize = 20;
    match word.chars().count() > LETTERS {
        true => word.chars().take(LETTERS - 1).chain(['\u{2026}']).collect(),
        false => word.to_owned(),
    }
}

/// The law of one column, of data under that of samples.
pub(super) fn marginal(run: &Summary, index: usize) -> String {
    if let Some(words) = run.words.get(&index).filter(|words| !words.is_empty()) {
        return shares(run, index, words);
    }
    let layer = |name: &str, colour: usize, rows: &[f32]| Layer {
        name: name.to_owned(),
        colour,
        values: column(rows, run.dimension, index).collect(),
    };
    let data = run.reference.iter().map(|Reference { name, rows }| layer(name, DATA, rows));
    let layers = data.chain([layer("Samples", SAMPLES, &run.samples)]).collect();
    let histogram = Histogram { title: label(run, index), label: String::new(), layers };
    figure(&histogram.svg(250.0, 130.0), "")
}

/// The correlations of all columns, then the columns in groups, of a run whose states are neither images nor points of the plane.
pub(super) fn all(run: &Summary) -> Option<String> {
    if run.image.is_some() || run.dimension < 3 {
        return None;
    }
    let shown = run.dimension.min(MOST);
    let mut out = String::new();
    if shown < run.dimension {
        out.push_str(&note(&format!("The first {shown} of {} columns.", run.dimension)));
    }
    out.push_str(&fold("Correlations", &correlations(run, shown)));
    let starts: Vec<usize> = (0..shown).step_by(TOGETHER).collect();
    for first in starts {
        let group: Vec<usize> = (first..(first + TOGETHER).min(shown)).collect();
        let last = group.len() - 1;
        let heading = match last {
            0 => format!("Column {}", label(run, group[0])),
            _ => format!("Columns {} to {}", label(run, group[0]), label(run, group[last])),
        };
        let laws: Vec<String> = group.iter().map(|index| marginal(run, *index)).collect();
        out.push_str(&fold(&heading, &format!("{}{}", pairs(run, &group), row(&laws))));
    }
    Some(out)
}

/// Correlations of the first `count` columns of rows, row-major; no number where a column is constant.
fn correlation(rows: &[f32], dimension: usize, count: usize) -> Vec<f64> {
    let standard: Vec<Vec<f64>> = (0..count)
        .map(|index| {
            let values: Vec<f64> = column(rows, dimension, index).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let norm = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>().sqrt();
            values.iter().map(|value| (value - mean) / norm).collect()
        })
        .collect();
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    standard.iter().flat_map(|a| standard.iter().map(move |b| product(a, b))).collect()
}

fn correlations(run: &Summary, count: usize) -> String {
    let axis = || Axis::new("column, from 0", Scale::Whole, -0.5, count as f64 - 0.5);
    let map = |title: &str, values: Vec<f64>| {
        let map = HeatMap {
            title: title.to_owned(),
            x: axis(),
            y: axis(),
            columns: count,
            values,
            colours: Colours::Signed,
            paths: Vec::new(),
            unit: "correlation".to_owned(),
            remark: String::new(),
        };
        figure(&map.svg(PANEL, PANEL), "")
    };
    let drawn = correlation(&run.samples, run.dimension, count);
    let mut maps = Vec::new();
    if let Some(Reference { name, rows }) = &run.reference {
        let known = correlation(rows, run.dimension, count);
        let difference = drawn.iter().zip(&known).map(|(drawn, known)| drawn - known).collect();
        maps.push(map(name, known));
        maps.push(map("Samples", drawn));
        maps.push(map("Samples \u{2212} data", difference));
    } else {
        maps.push(map("Samples", drawn));
    }
    let names: Vec<String> = (0..count).map(|index| format!("{index} {}", label(run, index))).collect();
    let names = if run.columns.is_empty() { String::new() } else { note(&format!("{}.", names.join(", "))) };
    format!("{}{names}", row(&maps))
}

/// The law of every two columns of a group as one picture: of data below the diagonal, of samples above it.
fn pairs(run: &Summary, group: &[usize]) -> String {
    let data = run.reference.as_ref().map_or(&run.samples, |reference| &reference.rows);
    let range = |index: &usize| {
        let all = column(data, run.dimension, *index).chain(column(&run.samples, run.dimension, *index));
        quantiles(all, 0.01, 0.99).unwrap_or((0.0, 1.0))
    };
    let ranges: Vec<(f64, f64)> = group.iter().map(range).collect();
    let tile = |at: usize| {
        let (upward, across) = (at / group.len(), at % group.len());
        if upward == across {
            return vec![255; CELLS * CELLS];
        }
        let rows = if upward > across { data } else { &run.samples };
        let values = |at: usize| {
            let range = ranges[at];
            column(rows, run.dimension, group[at]).map(move |value| cell(value, range))
        };
        let mut counts = vec![0.0f64; CELLS * CELLS];
        for (x, y) in values(across).zip(values(upward)) {
            if let (Some(x), Some(y)) = (x, y) {
                counts[(CELLS - 1 - y) * CELLS + x] += 1.0;
            }
        }
        let most = counts.iter().copied().fold(1.0, f64::max);
        counts.iter().map(|count| (255.0 * (1.0 - (count / most).sqrt())).round() as u8).collect()
    };
    if group.len() < 2 {
        return String::new();
    }
    let grid = ImageGrid {
        height: CELLS,
        width: CELLS,
        columns: group.len(),
        tiles: (0..group.len() * group.len()).map(tile).collect(),
    };
    let names: Vec<String> = group.iter().map(|index| label(run, *index)).collect();
    let which = if run.reference.is_some() { "data below the diagonal, samples above it" } else { "samples" };
    let caption = format!(
        "Every two columns, {which}; from left to right and from top to bottom {}.",
        names.join(", ")
    );
    figure(&grid.html(SCALE, "the densities of every two columns"), &caption)
}

/// The cell of a value in a range, a little widened, if it lies there.
fn cell(value: f64, (low, high): (f64, f64)) -> Option<usize> {
    let margin = if high > low { 0.05 * (high - low) } else { 0.5 };
    let place = (value - low + margin) / (high - low + 2.0 * margin) * CELLS as f64;
    (0.0..CELLS as f64).contains(&place).then_some(place as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_are_those_of_the_columns() {
        // The second column is the first one turned over, the third is constant.
        let rows = [1.0, -2.0, 5.0, 2.0, -4.0, 5.0, 4.0, -8.0, 5.0];
        let found = correlation(&rows, 3, 3);
        assert!((found[0] - 1.0).abs() < 1e-12 && (found[1] + 1.0).abs() < 1e-12 && found[2].is_nan());
    }

    #[test]
    fn every_column_is_reached() {
        let samples: Vec<f32> = (0..20 * 19).map(|i| ((i * 7) % 31) as f32).collect();
        let columns: Vec<String> = (0..19).map(|index| format!("c{index}")).collect();
        let reference = Some(Reference { name: "Held-out data".to_owned(), rows: samples.clone() });
        let run = Summary { dimension: 19, samples, columns, reference, ..Summary::default() };
        let page = all(&run).expect("a table");
        (0..19).for_each(|index| assert!(page.contains(&format!(">c{index}<")), "{index}"));
        assert!(page.contains("Columns c8 to c15") && page.contains("Samples \u{2212} data"));
        assert_eq!(label(&Summary::default(), 12), "x\u{2081}\u{2082}");
        assert!(all(&Summary { dimension: 2, ..Summary::default() }).is_none());
    }

    #[test]
    fn cells_hold_their_range() {
        assert_eq!(cell(0.0, (0.0, 1.0)), Some(1));
        assert_eq!(cell(3.0, (3.0, 3.0)), Some(CELLS / 2));
        assert_eq!((cell(2.0, (0.0, 1.0)), cell(f64::NAN, (0.0, 1.0))), (None, None));
    }
}
