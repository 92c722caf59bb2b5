//! The report of one run.

use super::metric::{count, duration, estimate, names, text, with_error};
use super::page::{facts, figure, folded, note, page, row, section};
use super::registry::describe;
use super::trust::warnings;
use super::{Summary, curves, flow, particles, pictures};
use crate::plot::{Interval, Intervals, Mark, escape};

/// The report of one run as HTML.
pub fn run_page(run: &Summary) -> String {
    let heading = if run.title.is_empty() { &run.name } else { &run.title };
    let mut body = format!("<header>\n<h1>{}</h1>\n{}</header>\n", escape(heading), note(&about(run)));
    let warnings: String = warnings(&run.metrics).iter().map(|warning| note(warning)).collect();
    let bounds = sandwich(run).unwrap_or_default();
    body.push_str(&section("Estimates", &format!("{warnings}{}{bounds}", estimates(run))));
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
    let marginals = pictures::marginals(run, 6);
    let mut shown = row(&samples);
    if !marginals.is_empty() {
        shown.push_str(&row(&marginals));
    }
    shown
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

fn estimates(run: &Summary) -> String {
    let line = |name: &&str| {
        let described = describe(name);
        format!(
            "<tr><th>{}</th><td class=\"number\">{}</td><td>{}</td><td class=\"muted\">{}</td></tr>\n",
            escape(&described.label),
            escape(&text(&run.metrics, name).unwrap_or_default()),
            escape(described.unit),
            escape(described.meaning)
        )
    };
    let lines: String = names(&run.metrics).iter().map(line).collect();
    if lines.is_empty() {
        return note("Nothing was measured.");
    }
    format!(
        "<div class=\"wide\"><table><thead><tr><th>Quantity</th><th class=\"number\">Value \u{b1} standard error</th><th>Unit</th>\
         <th>Meaning</th></tr></thead>\n<tbody>\n{lines}</tbody></table></div>\n"
    )
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
