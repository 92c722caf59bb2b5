//! What papers print of a target, beside what runs found.
//!
//! `data/published.toml` holds tables of papers as facts. A table is of the targets that it names, with all their keys.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::Summary;
use super::metric::{estimate, with_error};
use super::page::note;
use crate::plot::escape;
use crate::target::continuous::PointTargetRecipe;

/// One table of a paper, of one target.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Where it stands.
    paper: String,
    /// Under which conditions its numbers were found.
    protocol: String,
    /// The targets that it is of.
    targets: Vec<PointTargetRecipe>,
    /// What the numbers are.
    metric: Metric,
    values: Vec<Printed>,
}

/// What papers print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Metric {
    LogZ,
    /// The absolute error of log Z.
    LogZError,
    Elbo,
}

/// One number of a table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Printed {
    method: String,
    value: f64,
    error: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct File {
    table: Vec<Table>,
}

static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| {
    let text = include_str!("../../../../data/published.toml");
    toml::from_str::<File>(text).expect("the tables are read by a test").table
});

impl Metric {
    fn label(self) -> &'static str {
        match self {
            Self::LogZ => "log Z",
            Self::LogZError => "|log Z - exact|",
            Self::Elbo => "ELBO",
        }
    }

    /// What a run has of it: by which estimate, the value, and its standard error.
    fn of(self, run: &Summary) -> Vec<(&'static str, f64, Option<f64>)> {
        let found =
            |name: &'static str| estimate(&run.metrics, name).map(|(value, error)| (name, value, error));
        if self == Self::Elbo {
            return found("elbo").into_iter().collect();
        }
        let all = ["log_z_smc", "log_z"].into_iter().filter_map(found);
        if self == Self::LogZ {
            return all.collect();
        }
        let exact =
            ["log_z_exact", "log_z_reference"].into_iter().find_map(|name| estimate(&run.metrics, name));
        let Some((exact, _)) = exact else { return Vec::new() };
        all.map(|(name, value, error)| (name, (value - exact).abs(), error)).collect()
    }
}

/// Runs of one target with a paper's table of it.
struct Beside<'a> {
    table: &'a Table,
    /// `(method, value with error)`, the paper's first.
    rows: Vec<(String, String)>,
}

/// Every table of a paper that is of the target of some of the runs, with their numbers below its own.
fn beside(runs: &[&Summary]) -> Vec<Beside<'static>> {
    let energy = |run: &Summary| {
        let target: Value = serde_json::from_str(&run.target).ok()?;
        target.get("energy").cloned()
    };
    let of_runs: Vec<Option<Value>> = runs.iter().map(|run| energy(run)).collect();
    let with_ours = |table: &'static Table| {
        let targets: Vec<Value> =
            table.targets.iter().filter_map(|target| serde_json::to_value(target).ok()).collect();
        let ours: Vec<(String, String)> = runs
            .iter()
            .zip(&of_runs)
            .filter(|(_, energy)| energy.as_ref().is_some_and(|energy| targets.contains(energy)))
            .flat_map(|(run, _)| {
                let line = |(name, value, error)| (format!("{}: {name}", run.name), with_error(value, error));
                table.metric.of(run).into_iter().map(line)
            })
            .collect();
        let printed = table.values.iter().map(|row| (row.method.clone(), with_error(row.value, row.error)));
        (!ours.is_empty()).then(|| Beside { table, rows: printed.chain(ours).collect() })
    };
    TABLES.iter().filter_map(with_ours).collect()
}

/// The tables of papers beside the numbers of runs, as text; empty where none is of their targets.
pub fn published(runs: &[Summary]) -> String {
    let all: Vec<&Summary> = runs.iter().collect();
    let text = |found: &Beside<'_>| {
        let width = found.rows.iter().map(|(method, _)| method.chars().count()).max().unwrap_or(0);
        let lines = found.rows.iter().map(|(method, value)| {
            let value = value.replace('\u{b1}', "+-").replace('\u{2212}', "-");
            format!("  {method}{}  {value}\n", " ".repeat(width - method.chars().count()))
        });
        let Table { paper, protocol, metric, .. } = found.table;
        format!("\n{} of {paper}: {protocol}\n{}", metric.label(), lines.collect::<String>())
    };
    beside(&all).iter().map(text).collect()
}

/// The same as HTML.
pub(super) fn tables(runs: &[&Summary]) -> String {
    let html = |found: &Beside<'_>| {
        let line = |(index, (method, value)): (usize, &(String, String))| {
            let ours = if index >= found.table.values.len() { "number best" } else { "number" };
            format!("<tr><th>{}</th><td class=\"{ours}\">{}</td></tr>\n", escape(method), escape(value))
        };
        let rows: String = found.rows.iter().enumerate().map(line).collect();
        let Table { paper, protocol, metric, .. } = found.table;
        let head = format!("<h3>{}: {}</h3>\n{}", escape(metric.label()), escape(paper), note(protocol));
        format!("{head}<div class=\"wide\"><table><tbody>\n{rows}</tbody></table></div>\n")
    };
    beside(runs).iter().map(html).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_of_papers_are_of_targets_that_a_recipe_can_name() {
        for table in TABLES.iter() {
            assert!(!table.targets.is_empty() && !table.values.is_empty(), "{}", table.paper);
            for target in &table.targets {
                target.check("energy").expect("a target");
            }
            assert!(table.values.iter().all(|row| row.value.is_finite()), "{}", table.paper);
        }
    }

    #[test]
    fn runs_stand_below_the_papers_of_their_own_target() {
        let run = |energy: Value, exact: f64| Summary {
            name: "mine".to_owned(),
            target: json!({ "kind": "energy", "energy": energy }).to_string(),
            metrics: json!({ "log_z": exact - 0.5, "log_z_se": 0.25, "log_z_exact": exact, "elbo": -1.0 })
                .as_object()
                .cloned()
                .unwrap_or_default(),
            ..Summary::default()
        };
        let text = published(&[run(json!({ "kind": "many-well", "dimension": 32 }), 164.7)]);
        assert!(text.contains("Sendera") && text.contains("FAB"), "{text}");
        assert!(text.contains("  mine: log_z") && text.contains("0.50 +- 0.25"), "{text}");
        assert_eq!(published(&[run(json!({ "kind": "many-well", "dimension": 6 }), 30.9)]), "");
    }
}
