//! The report of several runs side by side.

use super::metric::{count, duration, estimate, names, text, with_error};
use super::page::{facts, figure, folded, note, page, row, section};
use super::published::tables;
use super::registry::{Better, describe};
use super::repeats::{Variant, repeats_section};
use super::single::about;
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
    let mut out = section(
        &format!("Numbers{suffix}"),
        &format!("{}{}", table(runs), headline(runs).unwrap_or_default()),
    );
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

/// Metrics in rows, runs in columns, the best of each row in bold.
fn table(runs: &[&Summary]) -> String {
    let mut rows: Vec<&str> = Vec::new();
    for name in runs.iter().flat_map(|run| names(&run.metrics)) {
        if !rows.contains(&name) {
            rows.push(name);
        }
    }
    let mut out = String::from("<div class=\"wide\"><table><thead><tr><th></th>");
    runs.iter().for_each(|run| out.push_str(&format!("<th class=\"number\">{}</th>", escape(&run.name))));
    out.push_str("</tr></thead>\n<tbody>\n");
    let mut line = |label: &str, hint: &str, cells: Vec<(String, bool)>| {
        out.push_str(&format!("<tr><th title=\"{}\">{}</th>", escape(hint), escape(label)));
        for (cell, best) in cells {
            let class = if best { "number best" } else { "number" };
            out.push_str(&format!("<td class=\"{class}\">{}</td>", escape(&cell)));
        }
        out.push_str("</tr>\n");
    };
    for name in rows {
        let described = describe(name);
        let best = best(runs, name, described.better);
        let cell = |(index, run): (usize, &&Summary)| {
            (text(&run.metrics, name).unwrap_or_else(|| "\u{2013}".to_owned()), best.contains(&index))
        };
        let unit = if described.unit.is_empty() { String::new() } else { format!(" ({})", described.unit) };
        line(
            &format!("{}{unit}", described.label),
            described.meaning,
            runs.iter().enumerate().map(cell).collect(),
        );
    }
    line("Parameters", "Trainable numbers.", runs.iter().map(|run| (count(run.parameters), false)).collect());
    line("Training steps", "Optimiser steps.", runs.iter().map(|run| (count(run.steps), false)).collect());
    line(
        "Time to train",
        "Wall-clock time.",
        runs.iter().map(|run| (duration(run.seconds), false)).collect(),
    );
    out.push_str("</tbody></table></div>\n");
    if runs.len() == 1 {
        return out + &note("Value \u{b1} standard error.");
    }
    out + &note(
        "Value \u{b1} standard error. Bold: the best of a row and what two standard errors do not tell from it, where better and worse are \
         defined and not all are alike.",
    )
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

/// The metric by which the runs are ranked, as a chart with the baselines as lines.
fn headline(runs: &[&Summary]) -> Option<String> {
    let has = |name: &&str| runs.iter().any(|run| estimate(&run.metrics, name).is_some());
    let name = ["bits_per_dim", "nll", "elbo"].into_iter().find(has)?;
    let described = describe(name);
    let rows = runs.iter().enumerate().filter_map(|(colour, run)| {
        let (value, error) = estimate(&run.metrics, name)?;
        let text = with_error(value, error);
        Some(Interval { label: run.name.clone(), value, error: error.unwrap_or(0.0), colour, text })
    });
    let baselines: &[&str] = match name {
        "bits_per_dim" => &["bits_per_dim_gaussian", "bits_per_dim_histogram"],
        "nll" => &["nll_exact"],
        _ => &["log_z_exact"],
    };
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
