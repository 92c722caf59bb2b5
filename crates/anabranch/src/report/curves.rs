//! Training over its steps, from the lines of `metrics.jsonl`.

use super::page::figure;
use super::registry::describe;
use super::{Logged, Summary};
use crate::plot::{Axis, LineChart, Point, Scale, Series};

/// How many stretches a long curve is condensed to.
const STRETCHES: usize = 150;

/// The logged values of `key` over the steps; one that is not a finite number leaves a gap.
fn curve(log: &[Logged], key: &str) -> Vec<Point> {
    let value =
        |line: &Logged| line.fields.get(key).map(|v| (line.step as f64, v.as_f64().unwrap_or(f64::NAN)));
    log.iter().filter_map(value).collect()
}

fn lowest(points: &[Point]) -> Option<Point> {
    points.iter().copied().filter(|point| point.1.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1))
}

const STEPS: &str = "optimiser steps";

/// The measures of a task that are drawn while it trains: title, key, label, caption.
const MEASURES: [(&str, &str, &str, &str); 7] = [
    ("Bits per dimension", "bits_per_dim", "bits/dim", "Of the validation split; lower is better."),
    ("Distance to R / Z", "tv", "total variation", "Over all states; 0 is exact."),
    ("ELBO", "elbo", "nats", "A lower bound on log Z, of forward paths."),
    ("EUBO", "eubo", "nats", "An upper bound on log Z, of backward paths from exact samples."),
    ("Error of log Z", "log_z_error", "nats", "Of the importance-weighted estimate."),
    ("Effective sample size", "ess", "fraction", "Of forward paths; 1 is perfect."),
    ("Modes found", "modes_found", "modes", "By a thousand samples."),
];

/// What is logged of every run, or stands beside a measure.
const LOGGED: [&str; 10] = [
    "loss",
    "validation",
    "gradient_norm",
    "learning_rate",
    "steps_per_second",
    "seconds",
    "trajectories",
    "step",
    // The validation score of data.
    "nll",
    // How many there are, whatever is found.
    "modes",
];

/// The measures of a task that have no words of their own above.
fn others(log: &[Logged]) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for (key, _) in log.iter().flat_map(|line| &line.fields).filter(|(_, value)| value.is_number()) {
        let known = LOGGED.contains(&key.as_str()) || MEASURES.iter().any(|measure| measure.1 == key);
        if !known && !key.ends_with("_se") && !found.contains(&key.as_str()) {
            found.push(key);
        }
    }
    found
}

fn chart(title: &str, y_label: &str, series: Vec<Series>, size: (f64, f64)) -> String {
    let scale = Axis::scale_for(series.iter().flat_map(|s| s.points.iter().map(|point| point.1)));
    LineChart::fitting(title, STEPS, y_label, scale, series).svg(size.0, size.1)
}

/// Learning rates are read off against zero.
fn rate_chart(title: &str, y_label: &str, series: Vec<Series>, size: (f64, f64)) -> String {
    let rates = series.iter().flat_map(|s| s.points.iter().map(|point| point.1)).chain([0.0]);
    let y = Axis { low: 0.0, ..Axis::fit(y_label, Scale::Linear, rates) };
    let chart = LineChart::fitting(title, STEPS, y_label, Scale::Linear, series);
    LineChart { y, remark: String::new(), ..chart }.svg(size.0, size.1)
}

/// Loss, validation score, gradient norm and learning rate of one run, as far as they were logged.
pub(super) fn training(run: &Summary) -> Vec<String> {
    let size = (440.0, 190.0);
    let mut figures = Vec::new();
    let mut add = |title: &str, key: &str, y_label: &str, colour: usize, caption: &str| {
        let points = curve(&run.log, key);
        if points.is_empty() {
            return;
        }
        let mut series = Series::condensed("", colour, &points, STRETCHES);
        let mut caption = caption.to_owned();
        if key == "learning_rate" {
            series.band.clear();
        }
        if !series.band.is_empty() {
            caption.push_str(" Line: the mean over short stretches of steps; band: their range.");
        }
        if key == "validation"
            && let Some(best) = lowest(&points)
        {
            series.marked = Some(best);
            caption.push_str(&format!(" Dot: the lowest, after {} steps.", best.0));
        }
        let draw = if key == "learning_rate" { rate_chart } else { chart };
        figures.push(figure(&draw(title, y_label, vec![series], size), caption.trim()));
    };
    add("Training loss", "loss", "loss", 0, "");
    add("Validation score", "validation", &run.validation, 1, "Of the averaged weights; lower is better.");
    for (title, key, y_label, caption) in MEASURES {
        add(title, key, y_label, 4, caption);
    }
    for key in others(&run.log) {
        let described = describe(key);
        add(&described.label, key, described.unit, 5, described.meaning);
    }
    add("Gradient norm", "gradient_norm", "norm", 2, "Of the whole gradient, before clipping.");
    add("Learning rate", "learning_rate", "rate", 3, "");
    figures
}

/// The validation scores of several runs in one chart, and their losses in another.
pub(super) fn together(runs: &[&Summary]) -> Vec<String> {
    let size = (440.0, 230.0);
    let several = |key: &str| -> Vec<Series> {
        let named = runs.iter().enumerate().map(|(colour, run)| {
            Series::condensed(run.name.clone(), colour, &curve(&run.log, key), STRETCHES)
        });
        named.filter(|series| !series.points.is_empty()).collect()
    };
    let mut figures = Vec::new();
    let (validation, loss) = (several("validation"), several("loss"));
    if !validation.is_empty() {
        let label = runs.first().map_or("", |run| &run.validation);
        let caption = "Of the averaged weights; lower is better.";
        figures.push(figure(&chart("Validation score", label, validation, size), caption));
    }
    if !loss.is_empty() {
        let caption =
            "Objectives differ in what they add up: only the shapes of these curves can be compared.";
        figures.push(figure(&chart("Training loss", "loss", loss, size), caption));
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(values: &[(u64, serde_json::Value)]) -> Vec<Logged> {
        let line = |(step, value): &(u64, serde_json::Value)| Logged {
            step: *step,
            fields: serde_json::Map::from_iter([("loss".to_owned(), value.clone())]),
        };
        values.iter().map(line).collect()
    }

    #[test]
    fn curves_keep_their_gaps() {
        let log = log(&[(1, 2.0.into()), (2, serde_json::Value::Null), (3, 1.0.into())]);
        let found = curve(&log, "loss");
        assert_eq!((found[0], found[2]), ((1.0, 2.0), (3.0, 1.0)));
        assert!(found[1].1.is_nan());
        assert_eq!(lowest(&found), Some((3.0, 1.0)));
        assert!(curve(&log, "validation").is_empty());
    }

    #[test]
    fn only_what_was_logged_is_drawn() {
        let run = Summary { log: log(&[(1, 2.0.into())]), ..Summary::default() };
        assert_eq!(training(&run).len(), 1);
        assert_eq!(training(&Summary::default()).len(), 0);
        assert_eq!(together(&[&run, &Summary::default()]).len(), 1);
        let mut more = run.clone();
        more.log[0].fields.insert("free_energy_rmse".to_owned(), 0.5.into());
        let drawn = training(&more);
        assert!(drawn.len() == 2 && drawn[1].contains("Error of free energies"), "{drawn:?}");
    }
}
