//! Training over its steps, from the lines of `metrics.jsonl`.

use super::page::figure;
use super::registry::describe;
use super::{Logged, Summary};
use crate::plot::{Axis, LineChart, Point, Scale, Series};

/// How many stretches a long curve is condensed to.
const STRETCHES: usize = 150;

/// The logged values of `key` over the steps; one that is not a finite number leaves a gap.
pub(super) fn curve(log: &[Logged], key: &str) -> Vec<Point> {
    let value =
        |line: &Logged| line.fields.get(key).map(|v| (line.step as f64, v.as_f64().unwrap_or(f64::NAN)));
    log.iter().filter_map(value).collect()
}

fn lowest(points: &[Point]) -> Option<Point> {
    points.iter().copied().filter(|point| point.1.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1))
}

const STEPS: &str = "optimiser steps";

/// The logged values of `key` over the trajectories drawn until then, where these were counted.
fn over_trajectories(log: &[Logged], key: &str) -> Option<Vec<Point>> {
    let number = |line: &Logged, key: &str| line.fields.get(key).and_then(serde_json::Value::as_f64);
    let point = |line: &&Logged| Some((number(line, "trajectories")?, number(line, key).unwrap_or(f64::NAN)));
    log.iter().filter(|line| line.fields.contains_key(key)).map(|line| point(&line)).collect()
}

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

fn chart(title: &str, [x_label, y_label]: [&str; 2], series: Vec<Series>, size: (f64, f64)) -> String {
    let scale = Axis::scale_for(series.iter().flat_map(|s| s.points.iter().map(|point| point.1)));
    LineChart::fitting(title, x_label, y_label, scale, series).svg(size.0, size.1)
}

/// Learning rates are read off against zero.
fn rate_chart(title: &str, [x_label, y_label]: [&str; 2], series: Vec<Series>, size: (f64, f64)) -> String {
    let rates = series.iter().flat_map(|s| s.points.iter().map(|point| point.1)).chain([0.0]);
    let y = Axis { low: 0.0, ..Axis::fit(y_label, Scale::Linear, rates) };
    let chart = LineChart::fitting(title, x_label, y_label, Scale::Linear, series);
    LineChart { y, remark: String::new(), ..chart }.svg(size.0, size.1)
}

/// The size of a curve, pixels.
const SIZE: (f64, f64) = (440.0, 190.0);

/// A curve that is condensed where it is long, and what is to be said of it: of its band, and of its lowest point if that is to be marked.
fn condensed(name: &str, colour: usize, points: &[Point], caption: &str, mark: bool) -> (Series, String) {
    let mut series = Series::condensed(name, colour, points, STRETCHES);
    let mut caption = caption.to_owned();
    if !series.band.is_empty() {
        caption.push_str(" Line: the mean over short stretches of steps; band: their range.");
    }
    if let Some(best) = lowest(points).filter(|_| mark) {
        series.marked = Some(best);
        caption.push_str(&format!(" Dot: the lowest, after {} steps.", best.0));
    }
    (series, caption)
}

/// Loss and validation score of one run, as far as they were logged: on one axis where they are the same quantity.
fn scores(run: &Summary) -> Vec<String> {
    let (loss, validation) = (curve(&run.log, "loss"), curve(&run.log, "validation"));
    let scored = "Of the averaged weights; lower is better.";
    if run.same_loss && !loss.is_empty() && !validation.is_empty() {
        let (loss, _) = condensed("training: rows or paths of a step", 0, &loss, "", false);
        let (validation, caption) = condensed("validation", 1, &validation, scored, true);
        let chart = chart("Training and validation", [STEPS, &run.validation], vec![loss, validation], SIZE);
        return vec![figure(&chart, &format!("Validation: {}{}", scored[..1].to_lowercase(), &caption[1..]))];
    }
    let both = [
        ("Training loss", "loss", loss, ("", false), 0),
        ("Validation score", run.validation.as_str(), validation, (scored, true), 1),
    ];
    let drawn = both.into_iter().filter(|(_, _, points, ..)| !points.is_empty());
    drawn
        .map(|(title, label, points, (caption, mark), colour)| {
            let (series, caption) = condensed("", colour, &points, caption, mark);
            figure(&chart(title, [STEPS, label], vec![series], SIZE), caption.trim())
        })
        .collect()
}

/// Loss, validation score, measures of the task, gradient norm and learning rate of one run, as far as they were logged. Measures are
/// drawn over the trajectories that they took, where these were counted.
pub(super) fn training(run: &Summary) -> Vec<String> {
    let mut figures = scores(run);
    let mut measure = |title: &str, key: &str, y_label: &str, colour: usize, caption: &str| {
        let by_steps = || (STEPS, curve(&run.log, key));
        let (x_label, points) =
            over_trajectories(&run.log, key).map_or_else(by_steps, |points| ("trajectories", points));
        if !points.is_empty() {
            let (series, caption) = condensed("", colour, &points, caption, false);
            figures.push(figure(&chart(title, [x_label, y_label], vec![series], SIZE), caption.trim()));
        }
    };
    for (title, key, y_label, caption) in MEASURES {
        measure(title, key, y_label, 4, caption);
    }
    for key in others(&run.log) {
        let described = describe(key);
        measure(&described.label, key, described.unit, 5, described.meaning);
    }
    let norm = curve(&run.log, "gradient_norm");
    if !norm.is_empty() {
        let (series, caption) = condensed("", 2, &norm, "Of the whole gradient, before clipping.", false);
        figures.push(figure(&chart("Gradient norm", [STEPS, "norm"], vec![series], SIZE), &caption));
    }
    let rate = curve(&run.log, "learning_rate");
    if !rate.is_empty() {
        let mut series = Series::condensed("", 3, &rate, STRETCHES);
        series.band.clear();
        figures.push(figure(&rate_chart("Learning rate", [STEPS, "rate"], vec![series], SIZE), ""));
    }
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
        figures.push(figure(&chart("Validation score", [STEPS, label], validation, size), caption));
    }
    if !loss.is_empty() {
        let caption =
            "Objectives differ in what they add up: only the shapes of these curves can be compared.";
        figures.push(figure(&chart("Training loss", [STEPS, "loss"], loss, size), caption));
    }
    figures
}

/// The validation scores of all seeds, those of one name in one colour; nothing where none was logged.
pub(super) fn of_seeds<'a>(named: impl Iterator<Item = (&'a str, Vec<&'a [Point]>)>) -> String {
    let mut all = Vec::new();
    for (colour, (name, scores)) in named.enumerate() {
        let logged = scores.into_iter().filter(|scores| !scores.is_empty()).enumerate();
        all.extend(logged.map(|(index, scores)| {
            let series = Series::condensed(if index == 0 { name } else { "" }, colour, scores, STRETCHES);
            Series { band: Vec::new(), thin: true, ..series }
        }));
    }
    if all.is_empty() {
        return String::new();
    }
    let chart = chart("Validation score, every seed", [STEPS, "score"], all, (440.0, 230.0));
    figure(&chart, "A line for each seed; lower is better.")
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
        let mut scored = run.clone();
        scored.log[0].fields.insert("validation".to_owned(), 3.0.into());
        assert_eq!(training(&scored).len(), 2);
        scored.same_loss = true;
        let drawn = training(&scored);
        assert!(drawn.len() == 1 && drawn[0].contains("Training and validation"), "{drawn:?}");
        let mut counted = run.clone();
        counted.log[0].fields.insert("tv".to_owned(), 0.5.into());
        assert!(!training(&counted)[1].contains(">trajectories<"));
        counted.log[0].fields.insert("trajectories".to_owned(), 64.into());
        assert!(training(&counted)[1].contains(">trajectories<"));
        let mut more = run.clone();
        more.log[0].fields.insert("free_energy_rmse".to_owned(), 0.5.into());
        let drawn = training(&more);
        assert!(drawn.len() == 2 && drawn[1].contains("Error of free energies"), "{drawn:?}");
    }
}
