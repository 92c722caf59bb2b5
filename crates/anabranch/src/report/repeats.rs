//! The same recipe under several seeds, beside others on the same rows.
//!
//! ```text
//! over seeds     mean and s, the standard deviation of single runs
//! difference     d_i = mean over seeds of (nll of row i) - (that of the first recipe);   mean of d_i over rows
//!                error^2 = s(d_i)^2 / rows + s(mean d of a seed)^2 / seeds
//! ```
//!
//! Seeds whose held-out rows are the same are averaged row by row, and others stand side by side. Differences are of the same rows, so what
//! makes some rows harder than others for every model is not in their error.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::curves::{curve, of_seeds};
use super::gather::read_log;
use super::metric::{estimate, names, with_error};
use super::page::note;
use super::registry::describe;
use crate::data;
use crate::error::{Error, Problem, Result};
use crate::math::Estimate;
use crate::plot::{Point, escape};
use crate::recipe::saved::{SCORES, SUMMARY};

/// A recipe, or one of its variants, with the runs of its seeds.
#[derive(Debug, Clone)]
pub struct Variant {
    /// What it is called.
    pub label: String,
    /// Its runs.
    pub runs: Vec<Repeat>,
}

/// A run of one seed.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// The seed.
    pub seed: u64,
    /// What was measured.
    pub metrics: Map<String, Value>,
    /// The validation score over the steps of training.
    pub validation: Vec<Point>,
    /// How likely each held-out row is, where the target is data.
    scores: Option<RowScores>,
}

#[derive(Debug, Clone)]
struct RowScores {
    /// The checksum of the rows.
    fingerprint: u32,
    nlls: Vec<f64>,
}

impl Repeat {
    /// The run in a directory that was evaluated, with `result` as its `result.json` has it.
    ///
    /// # Errors
    /// If its files are damaged.
    pub fn read(directory: &Path, result: &Value) -> Result<Self> {
        let text = |name: &str| match std::fs::read_to_string(directory.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &directory.join(name), error)),
        };
        let scores = match (text(SUMMARY)?, text(SCORES)?) {
            (Some(summary), Some(scores)) => {
                let place = directory.join(SUMMARY).display().to_string();
                let summary = data::Summary::parse(&place, &summary)?;
                let reported = if summary.rows[2] > 0 { 2 } else { 0 };
                let nlls = nlls(&directory.join(SCORES), &scores)?;
                Some(RowScores { fingerprint: summary.fingerprints[reported], nlls })
            }
            _ => None,
        };
        Ok(Self {
            seed: result["seed"].as_u64().unwrap_or_default(),
            metrics: result["metrics"].as_object().cloned().unwrap_or_default(),
            validation: curve(&read_log(&directory.join("metrics.jsonl"))?, "validation"),
            scores,
        })
    }
}

/// The column `nll` of a file of scores, which is the second.
fn nlls(path: &Path, text: &str) -> Result<Vec<f64>> {
    let number = |line: &str| line.split(',').nth(1)?.parse::<f64>().ok();
    let damaged =
        || Problem::new(path.display().to_string(), "a damaged file").allowed("it as the run wrote it");
    text.lines().skip(1).map(|line| number(line).ok_or_else(|| damaged().into())).collect()
}

/// The mean of a metric over the seeds of a variant, and the standard deviation of single runs where there are two or more.
pub fn spread(variant: &Variant, name: &str) -> Option<(f64, Option<f64>)> {
    let values: Vec<f64> =
        variant.runs.iter().filter_map(|run| Some(estimate(&run.metrics, name)?.0)).collect();
    if values.is_empty() {
        return None;
    }
    let Estimate { value, error } = Estimate::mean(&values);
    Some((value, error.is_finite().then(|| error * (values.len() as f64).sqrt())))
}

/// By how much rows are less likely to a variant than to another, in nats a row, on the same rows; `None` where there are none that both
/// have seen under one seed.
pub fn difference(variant: &Variant, other: &Variant) -> Option<Estimate> {
    let mut groups: BTreeMap<u32, Vec<Vec<f64>>> = BTreeMap::new();
    for run in &variant.runs {
        let own = run.scores.as_ref()?;
        let theirs = other.runs.iter().find(|other| other.seed == run.seed)?.scores.as_ref()?;
        if own.fingerprint != theirs.fingerprint || own.nlls.len() != theirs.nlls.len() {
            return None;
        }
        let differences = own.nlls.iter().zip(&theirs.nlls).map(|(own, theirs)| own - theirs).collect();
        groups.entry(own.fingerprint).or_default().push(differences);
    }
    let averaged = |seeds: &Vec<Vec<f64>>| -> Vec<f64> {
        let row = |row: usize| seeds.iter().map(|seed| seed[row]).sum::<f64>() / seeds.len() as f64;
        (0..seeds[0].len()).map(row).collect()
    };
    let rows: Vec<f64> = groups.values().flat_map(averaged).collect();
    let seeds: Vec<f64> = groups.values().flatten().map(|seed| Estimate::mean(seed).value).collect();
    if rows.len() < 2 {
        return None;
    }
    let of_rows = Estimate::mean(&rows);
    let of_seeds = if seeds.len() > 1 { Estimate::mean(&seeds).error } else { 0.0 };
    Some(Estimate { error: of_rows.error.hypot(of_seeds), ..of_rows })
}

/// The names of all metrics of which seeds have a mean, in order.
fn measured(variants: &[Variant]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in variants.iter().flat_map(|variant| &variant.runs).flat_map(|run| names(&run.metrics)) {
        if !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    found
}

/// Means and standard deviations over seeds, and differences to the first variant, for a file.
pub fn repeats_json(variants: &[Variant]) -> Value {
    let of = |variant: &Variant| {
        let metrics: Map<String, Value> = measured(std::slice::from_ref(variant))
            .into_iter()
            .filter_map(|name| {
                let (mean, sd) = spread(variant, &name)?;
                Some((name, json!({ "mean": mean, "sd": sd })))
            })
            .collect();
        let difference = difference(variant, &variants[0]).filter(|_| variant.label != variants[0].label);
        json!({
            "label": variant.label,
            "seeds": variant.runs.iter().map(|run| run.seed).collect::<Vec<_>>(),
            "metrics": metrics,
            "nll_difference": difference.map(|found| found.value),
            "nll_difference_se": difference.map(|found| found.error),
        })
    };
    variants.iter().map(of).collect()
}

/// A line for each run: what it is called, its seed, and every metric with its error.
pub fn repeats_csv(variants: &[Variant]) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for name in variants.iter().flat_map(|variant| &variant.runs).flat_map(|run| run.metrics.keys()) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let mut out = format!("recipe,seed,{}\n", columns.join(","));
    for variant in variants {
        for run in &variant.runs {
            let label = match variant.label.contains([',', '"']) {
                true => format!("\"{}\"", variant.label.replace('"', "\"\"")),
                false => variant.label.clone(),
            };
            out += &format!("{label},{}", run.seed);
            for name in &columns {
                let value = run.metrics.get(*name).and_then(Value::as_f64);
                out += &value.map_or_else(|| ",".to_owned(), |value| format!(",{value}"));
            }
            out.push('\n');
        }
    }
    out
}

/// What variants differ by on the same rows, a line for each but the first.
pub fn differences(variants: &[Variant]) -> Vec<String> {
    let Some((first, others)) = variants.split_first() else { return Vec::new() };
    let line = |other: &Variant| {
        let found = difference(other, first)?;
        let by = with_error(found.value.abs(), Some(found.error));
        let (a, b) = (&other.label, &first.label);
        Some(match found.value.abs() > 2.0 * found.error {
            true if found.value < 0.0 => {
                format!("{a} is better than {b}: by {by} nats a row, on the same rows")
            }
            true => format!("{a} is worse than {b}: by {by} nats a row, on the same rows"),
            false => format!("{a} and {b} are not told apart: {by} nats a row, on the same rows"),
        })
    };
    let mut lines: Vec<String> = others.iter().filter_map(line).collect();
    let fingerprint = |variant: &Variant| Some(variant.runs.first()?.scores.as_ref()?.fingerprint);
    let apart = others.iter().filter(|other| match (fingerprint(other), fingerprint(first)) {
        (Some(a), Some(b)) => a != b,
        _ => false,
    });
    lines.extend(apart.map(|other| {
        format!("{} is scored on other rows than {}: their numbers do not compare", other.label, first.label)
    }));
    lines
}

/// Means and standard deviations over seeds as a table of a page; empty where there is one seed alone.
pub fn repeats_section(variants: &[Variant]) -> String {
    let lines: String = differences(variants).iter().map(|line| note(line)).collect();
    if variants.iter().all(|variant| variant.runs.len() < 2) {
        return lines;
    }
    let heads = variants.iter().map(|variant| {
        format!("<th class=\"number\">{} ({} seeds)</th>", escape(&variant.label), variant.runs.len())
    });
    let rows = measured(variants).into_iter().map(|name| {
        let described = describe(&name);
        let cells = variants.iter().map(|variant| {
            let cell =
                spread(variant, &name).map_or("\u{2013}".to_owned(), |(mean, sd)| with_error(mean, sd));
            format!("<td class=\"number\">{}</td>", escape(&cell))
        });
        format!(
            "<tr><th title=\"{}\">{}</th>{}</tr>\n",
            escape(described.meaning),
            escape(&described.label),
            cells.collect::<String>()
        )
    });
    let curves = variants.iter().map(|variant| {
        let scores = variant.runs.iter().map(|run| &run.validation[..]).collect();
        (variant.label.as_str(), scores)
    });
    format!(
        "{lines}<div class=\"wide\"><table><thead><tr><th></th>{}</tr></thead>\n<tbody>\n{}</tbody></table></div>\n{}{}",
        heads.collect::<String>(),
        rows.collect::<String>(),
        note("Mean \u{b1} standard deviation of single runs, over seeds."),
        of_seeds(curves)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(label: &str, runs: &[(u64, u32, &[f64])]) -> Variant {
        let repeat = |(seed, fingerprint, nlls): &(u64, u32, &[f64])| {
            let mean = Estimate::mean(nlls);
            let metrics = json!({ "nll": mean.value, "nll_se": mean.error });
            Repeat {
                seed: *seed,
                metrics: metrics.as_object().cloned().unwrap(),
                validation: vec![(0.0, mean.value + 1.0), (10.0, mean.value)],
                scores: Some(RowScores { fingerprint: *fingerprint, nlls: nlls.to_vec() }),
            }
        };
        Variant { label: label.to_owned(), runs: runs.iter().map(repeat).collect() }
    }

    /// Rows of very different difficulty, on which one model is always a little better: their means do not tell, the pairs do.
    #[test]
    fn pairs_tell_what_means_do_not() {
        let hard = [1.0, 20.0, 5.0, 40.0];
        let shifted = |by: f64| hard.map(|value| value + by);
        let first = variant("a", &[(0, 7, &hard), (1, 7, &shifted(0.02))]);
        let second = variant("b", &[(0, 7, &shifted(-0.5)), (1, 7, &shifted(-0.52))]);
        let found = difference(&second, &first).unwrap();
        // Differences of -0.5 and -0.54: the rows agree, the seeds differ by .02.
        assert!((found.value + 0.52).abs() < 1e-12 && (found.error - 0.02).abs() < 1e-12, "{found:?}");
        assert!(differences(&[first.clone(), second.clone()])[0].starts_with("b is better than a: by 0.520"));
        assert!(differences(&[second, first])[0].starts_with("a is worse than b"));
    }

    #[test]
    fn other_rows_are_not_compared() {
        let [a, b] = [("a", 7), ("b", 8)].map(|(label, rows)| variant(label, &[(0, rows, &[1.0, 2.0])]));
        assert!(difference(&b, &a).is_none());
        assert_eq!(differences(&[a, b]), ["b is scored on other rows than a: their numbers do not compare"]);
    }

    /// Seeds that draw rows of their own stand side by side.
    #[test]
    fn rows_of_other_seeds_stand_side_by_side() {
        let a = variant("a", &[(0, 1, &[1.0, 2.0]), (1, 2, &[5.0, 6.0])]);
        let b = variant("b", &[(0, 1, &[2.0, 3.0]), (1, 2, &[6.0, 7.0])]);
        let found = difference(&b, &a).unwrap();
        assert_eq!((found.value, found.error), (1.0, 0.0));
        let (mean, sd) = spread(&a, "nll").unwrap();
        assert!((mean - 3.5).abs() < 1e-12 && (sd.unwrap() - 8f64.sqrt()).abs() < 1e-12);
        assert!(spread(&a, "elbo").is_none());
        let page = repeats_section(&[a.clone(), b.clone()]);
        assert!(page.contains("Validation score, every seed"), "{page}");
        let csv = repeats_csv(&[a.clone(), b]);
        assert!(csv.starts_with("recipe,seed,nll,nll_se\na,0,1.5,") && csv.lines().count() == 5, "{csv}");
        assert_eq!(repeats_json(&[a])[0]["metrics"]["nll"]["mean"], json!(3.5));
    }
}
