//! The report of several runs side by side.

use super::metric::{count, duration, estimate, names, text, with_error};
use super::page::{facts, figure, fold, folded, note, page, row, section};
use super::published::tables;
use super::registry::{Better, describe, group};
use super::repeats::{Variant, repeats_section};
use super::single::{HEADLINES, about};
use super::{Summary, curves, flow, pictures};
use crate::plot::{Interval, Intervals, Mark, escape};

/// The report of several runs side by side as HTML, with what is known of each over several seeds. Runs on different targets are compared
/// apart.
pub fn comparison_page(runs: &[Summary], variants: &[Variant]) -> String {
    let mut groups: Vec<Vec<&Summary>> = Vec::new();
    for run in runs {
        match groups.iter_mut().find(|group| group[0].target == run.target) {
            Some(group) => group.push(run),
            None => groups.push(vec![run]),
        }
    }
    let list: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let mut body = format!("<header>\n<h1>Comparison</h1>\n{}</header>\n", note(&list.join(" \u{b7} ")));
    let repeats = repeats_section(variants);
    if !repeats.is_empty() {
        body.push_str(&section("Side by side", &repeats));
    }
    for group in &groups {
        let members: Vec<&str> = group.iter().map(|run| run.name.as_str()).collect();
        let suffix = if groups.len() > 1 { format!(": {}", members.join(", ")) } else { String::new() };
        body.push_str(&compared(group, &suffix));
    }
    let recipes = runs.iter().map(|run| {
        let title = if run.title.is_empty() { &run.name } else { &run.title };
        let heading = format!("<h3>{}</h3>\n{}", escape(title), note(&about(run)));
        format!("{heading}{}{}", facts(&run.facts), folded("The resolved recipe", &run.recipe))
    });
    body.push_str(&section("Recipes", &recipes.collect::<String>()));
    let mut citations: Vec<&str> = Vec::new();
    for citation in runs.iter().flat_map(|run| &run.citations) {
        if !citations.contains(&citation.as_str()) {
            citations.push(citation);
        }
    }
    if !citations.is_empty() {
        body.push_str(&section("Citations", &folded("BibTeX of the methods used", &citations.join("\n\n"))));
    }
    page("Comparison \u{b7} anabranch", &body)
}

/// The sections on runs that share a target.
fn compared(runs: &[&Summary], suffix: &str) -> String {
    let mut out = section(&format!("Numbers{suffix}"), &numbers(runs));
    let papers = tables(runs);
    if !papers.is_empty() {
        out.push_str(&section(&format!("Papers{suffix}"), &papers));
    }
    let flows: Vec<(&str, &flow::Flow)> =
        runs.iter().filter_map(|run| Some((run.name.as_str(), run.flow.as_ref()?))).collect();
    let flows: Vec<_> = flows.into_iter().filter(|(_, flow)| !flow.law.learned.is_empty()).collect();
    if !flows.is_empty() {
        out.push_str(&section(&format!("Distribution of objects{suffix}"), &flow::side_by_side(&flows)));
    } else {
        out.push_str(&section(&format!("Samples{suffix}"), &samples(runs)));
    }
    let training = curves::together(runs);
    if !training.is_empty() {
        out.push_str(&section(&format!("Training{suffix}"), &row(&training)));
    }
    let paths: String = runs
        .iter()
        .filter(|run| !run.trajectory.is_empty())
        .map(|run| format!("<h3>{}</h3>\n{}", escape(&run.name), pictures::trajectory(run)))
        .collect();
    if !paths.is_empty() {
        let words = "The same paths at several places of the chain, from the source (0) to the target (1).";
        out.push_str(&section(&format!("Trajectories{suffix}"), &format!("{}{paths}", note(words))));
    }
    out.push_str(&section(&format!("All estimates{suffix}"), &estimates(runs)));
    out
}

/// What the runs are to resemble and what they draw.
fn samples(runs: &[&Summary]) -> String {
    let axes = pictures::common_axes(runs);
    let mut figures = pictures::target(runs[0], &axes, 26);
    figures.extend(runs.iter().flat_map(|run| pictures::samples(run, &run.name, &axes, 26)));
    let mut shown = row(&figures);
    for run in runs {
        let marginals = pictures::marginals(run, 3);
        if !marginals.is_empty() {
            shown.push_str(&format!("<h3>{}</h3>\n{}", escape(&run.name), row(&marginals)));
        }
    }
    shown
}

/// A row of a table: what a metric is called and means, and its value of each run, with whether that is among the best.
struct Measure {
    label: String,
    meaning: &'static str,
    cells: Vec<(String, bool)>,
}

/// What matters most of what was measured, as a picture and beside what it is to be read with; what it took.
fn numbers(runs: &[&Summary]) -> String {
    let measured = |name: &str| {
        runs.iter().any(|run| estimate(&run.metrics, name).is_some_and(|(value, _)| value.is_finite()))
    };
    let chosen = HEADLINES.into_iter().find(|(name, _)| measured(name));
    let mut out = chosen.and_then(|(name, beside)| headline(runs, name, beside)).unwrap_or_default();
    let mut rows: Vec<Measure> = chosen
        .into_iter()
        .flat_map(|(name, beside)| [name].into_iter().chain(beside.iter().copied()))
        .filter(|name| measured(name))
        .map(|name| measure(runs, name))
        .collect();
    let mut all = |label: &str, hint: &'static str, of: &dyn Fn(&Summary) -> String| {
        let cells = runs.iter().map(|run| (of(run), false)).collect();
        rows.push(Measure { label: label.to_owned(), meaning: hint, cells });
    };
    all("Parameters", "Trainable numbers.", &|run| count(run.parameters));
    all("Training steps", "Optimiser steps.", &|run| count(run.steps));
    all("Time to train", "Wall-clock time.", &|run| duration(run.seconds));
    out.push_str(&table(runs, rows));
    let legend = match runs.len() {
        1 => "Value \u{b1} standard error.",
        _ => {
            "Value \u{b1} standard error. Bold: the best of a row and what two standard errors do not tell from it, where better and worse \
             are defined and not all are alike."
        }
    };
    out + &note(legend)
}

/// All that was measured of any of the runs, by group.
fn estimates(runs: &[&Summary]) -> String {
    let mut seen: Vec<&str> = Vec::new();
    let mut groups: Vec<(&str, Vec<Measure>)> = Vec::new();
    for name in runs.iter().flat_map(|run| names(&run.metrics)) {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let row = measure(runs, name);
        match groups.iter_mut().find(|(heading, _)| *heading == group(name)) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((group(name), vec![row])),
        }
    }
    groups.into_iter().map(|(heading, rows)| fold(heading, &table(runs, rows))).collect()
}

/// The row of a metric.
fn measure(runs: &[&Summary], name: &str) -> Measure {
    let described = describe(name);
    let best = best(runs, name, described.better);
    let cell = |(index, run): (usize, &&Summary)| {
        (text(&run.metrics, name).unwrap_or_else(|| "\u{2013}".to_owned()), best.contains(&index))
    };
    let unit = if described.unit.is_empty() { String::new() } else { format!(" ({})", described.unit) };
    let cells = runs.iter().enumerate().map(cell).collect();
    Measure { label: format!("{}{unit}", described.label), meaning: described.meaning, cells }
}

/// Metrics in rows, runs in columns, the best of each row in bold.
fn table(runs: &[&Summary], rows: Vec<Measure>) -> String {
    let mut out = String::from("<div class=\"wide\"><table><thead><tr><th></th>");
    runs.iter().for_each(|run| out.push_str(&format!("<th class=\"number\">{}</th>", escape(&run.name))));
    out.push_str("</tr></thead>\n<tbody>\n");
    for Measure { label, meaning, cells } in rows {
        out.push_str(&format!("<tr><th title=\"{}\">{}</th>", escape(meaning), escape(&label)));
        for (cell, best) in cells {
            let class = if best { "number best" } else { "number" };
            out.push_str(&format!("<td class=\"{class}\">{}</td>", escape(&cell)));
        }
        out.push_str("</tr>\n");
    }
    out + "</tbody></table></div>\n"
}

/// Which runs have the best value of a metric, or one that two standard errors do not tell from it, if at least two have one and not all are
/// among the best.
fn best(runs: &[&Summary], name: &str, better: Better) -> Vec<usize> {
    let sign = match better {
        Better::Lower => 1.0,
        Better::Higher => -1.0,
        Better::Neither => return Vec::new(),
    };
    let values = runs.iter().enumerate().filter_map(|(index, run)| {
        let (value, error) = estimate(&run.metrics, name)?;
        value.is_finite().then_some((sign * value, error.unwrap_or(0.0), index))
    });
    let values: Vec<(f64, f64, usize)> = values.collect();
    let Some((lowest, own, _)) = values.iter().copied().min_by(|a, b| a.0.total_cmp(&b.0)) else {
        return Vec::new();
    };
    let among = values.iter().filter(|(value, error, _)| value - lowest <= 2.0 * own.hypot(*error));
    let best: Vec<usize> = among.map(|(_, _, index)| *index).collect();
    if best.len() < values.len() { best } else { Vec::new() }
}

/// The metric by which the runs are ranked, as a chart with what it is to be read beside as lines.
fn headline(runs: &[&Summary], name: &str, baselines: &[&str]) -> Option<String> {
    let described = describe(name);
    let rows = runs.iter().enumerate().filter_map(|(colour, run)| {
        let (value, error) = estimate(&run.metrics, name)?;
        let text = with_error(value, error);
        Some(Interval { label: run.name.clone(), value, error: error.unwrap_or(0.0), colour, text })
    });
    let rules = baselines.iter().filter_map(|baseline| {
        let value = runs.iter().find_map(|run| estimate(&run.metrics, baseline))?.0;
        value.is_finite().then(|| (describe(baseline).label, value))
    });
    let chart = Intervals {
        label: if described.unit.is_empty() { described.label.clone() } else { described.unit.to_owned() },
        title: described.label,
        // A bar from zero means something only where zero does.
        mark: if name == "bits_per_dim" { Mark::Bar } else { Mark::Dot },
        rows: rows.collect(),
        rules: rules.collect(),
    };
    let caption = match described.better {
        Better::Lower => "Error bars: one standard error. Lower is better.",
        Better::Higher => "Error bars: one standard error. Higher is better.",
        Better::Neither => "Error bars: one standard error.",
    };
    Some(figure(&chart.svg(480.0), caption))
}
