//! The report of one run.

use serde_json::{Map, Value};

use super::metric::{count, duration, estimate, names, text, with_error};
use super::page::{facts, figure, fold, folded, note, page, row, section, warning};
use super::registry::{Description, describe, group};
use super::trust::warnings;
use super::verdict::verdict;
use super::{Summary, candidates, columns, curves, flow, particles, pictures};
use crate::plot::{Interval, Intervals, Mark, escape};

/// The report of one run as HTML.
pub fn run_page(run: &Summary) -> String {
    let heading = if run.title.is_empty() { &run.name } else { &run.title };
    let mut body = format!("<header>\n<h1>{}</h1>\n{}</header>\n", escape(heading), note(&about(run)));
    body.push_str(&headline(run));
    body.extend(verdict(&run.metrics).iter().map(|text| note(&format!("Verdict: {text}."))));
    body.extend(warnings(&run.metrics).iter().map(|text| warning(text)));
    body.extend(sandwich(run));
    if let Some(proposals) = &run.proposals {
        body.push_str(&section("Candidates", &candidates::shown(proposals)));
    }
    body.push_str(&match &run.flow {
        Some(flow) => flow::sections(flow),
        None => section("Samples", &samples(run)),
    });
    if !run.trajectory.is_empty() {
        let words = "The same paths at several places of the chain, from the source (0) to the target (1).";
        body.push_str(&section("Trajectories", &format!("{}{}", note(words), pictures::trajectory(run))));
    }
    let particles = particles::charts(&run.stages);
    if !particles.is_empty() {
        body.push_str(&section("Sequential Monte Carlo", &row(&particles)));
    }
    let training = curves::training(run);
    if !training.is_empty() {
        body.push_str(&section("Training", &row(&training)));
    }
    body.push_str(&section("All estimates", &estimates(run)));
    body.push_str(&section(
        "Recipe",
        &format!("{}{}", facts(&run.facts), folded("The resolved recipe", &run.recipe)),
    ));
    if !run.citations.is_empty() {
        body.push_str(&section(
            "Citations",
            &folded("BibTeX of the methods used", &run.citations.join("\n\n")),
        ));
    }
    page(&format!("{} \u{b7} anabranch", run.name), &body)
}

/// Samples beside what they are to resemble.
fn samples(run: &Summary) -> String {
    let axes = pictures::common_axes(&[run]);
    let mut samples = pictures::target(run, &axes, 44);
    samples.extend(pictures::samples(run, "Samples", &axes, 44));
    let mut shown = row(&samples);
    match columns::all(run) {
        Some(all) => shown.push_str(&all),
        None if run.dimension == 1 => shown.push_str(&row(&pictures::marginals(run, 1))),
        None => {}
    }
    shown
}

/// What matters most of what was measured, with what it is to be read beside.
pub(super) const HEADLINES: [(&str, &[&str]); 5] = [
    ("bits_per_dim", &["bits_per_dim_gaussian", "bits_per_dim_histogram"]),
    ("nll", &["nll_gaussian", "nll_independent", "nll_exact"]),
    ("tv", &[]),
    ("log_z", &["log_z_exact", "log_z_reference"]),
    ("elbo", &["log_z_exact", "log_z_prior"]),
];

/// What a quantity is called, and its unit.
fn in_units(described: &Description) -> String {
    match described.unit {
        "" => described.label.clone(),
        unit => format!("{}, {unit}", described.label),
    }
}

/// The number that matters most, large.
fn headline(run: &Summary) -> String {
    let measured = |name: &str| estimate(&run.metrics, name).is_some_and(|(value, _)| value.is_finite());
    let Some((name, beside)) = HEADLINES.into_iter().find(|(name, _)| measured(name)) else {
        return String::new();
    };
    let described = describe(name);
    let quantity = |name: &str| text(&run.metrics, name).unwrap_or_default();
    let others = beside.iter().filter(|name| measured(name));
    let others = others.map(|name| format!("{}: {}. ", describe(name).label, quantity(name)));
    format!(
        "<div class=\"headline\"><span class=\"value\">{}</span> <span class=\"label\">{}</span>\n{}</div>\n",
        escape(&quantity(name)),
        escape(&in_units(&described)),
        note(&format!("{}{}", others.collect::<String>(), described.meaning))
    )
}

/// The facts that identify a run.
pub(super) fn about(run: &Summary) -> String {
    format!(
        "{} \u{b7} seed {} \u{b7} {} steps \u{b7} {} parameters \u{b7} trained in {}",
        run.name,
        run.seed,
        count(run.steps),
        count(run.parameters),
        duration(run.seconds)
    )
}

/// All that was measured, by group.
fn estimates(run: &Summary) -> String {
    let all: Map<String, Value> =
        run.metrics.iter().chain(&run.timings).map(|(k, v)| (k.clone(), v.clone())).collect();
    let mut groups: Vec<(&str, String)> = Vec::new();
    for name in names(&all) {
        let described = describe(name);
        let line = format!(
            "<tr><th>{}<small>{}</small></th><td class=\"number\">{}</td></tr>\n",
            escape(&in_units(&described)),
            escape(described.meaning),
            escape(&text(&all, name).unwrap_or_default()),
        );
        match groups.iter_mut().find(|(heading, _)| *heading == group(name)) {
            Some((_, lines)) => lines.push_str(&line),
            None => groups.push((group(name), line)),
        }
    }
    if groups.is_empty() {
        return note("Nothing was measured.");
    }
    let table = |(heading, lines): (&str, String)| {
        let head = "<thead><tr><th></th><th class=\"number\">Value \u{b1} standard error</th></tr></thead>";
        fold(heading, &format!("<table class=\"measures\">{head}\n<tbody>\n{lines}</tbody></table>\n"))
    };
    groups.into_iter().map(table).collect()
}

/// The bounds on log Z around it.
fn sandwich(run: &Summary) -> Option<String> {
    let rows: Vec<Interval> =
        [("elbo", "ELBO"), ("log_z", "log Z"), ("log_z_smc", "log Z, resampled"), ("eubo", "EUBO")]
            .into_iter()
            .enumerate()
            .filter_map(|(colour, (name, label))| {
                let (value, error) = estimate(&run.metrics, name)?;
                Some(Interval {
                    label: label.to_owned(),
                    value,
                    error: error.unwrap_or(0.0),
                    colour,
                    text: with_error(value, error),
                })
            })
            .collect();
    if rows.len() < 2 {
        return None;
    }
    let exact = estimate(&run.metrics, "log_z_exact").filter(|found| found.0.is_finite());
    let rules = exact.map(|found| ("exact log Z".to_owned(), found.0)).into_iter().collect();
    let chart = Intervals {
        title: "Bounds on log Z".to_owned(),
        label: "nats".to_owned(),
        mark: Mark::Dot,
        rows,
        rules,
    };
    Some(figure(&chart.svg(480.0), "Error bars: one standard error."))
}
