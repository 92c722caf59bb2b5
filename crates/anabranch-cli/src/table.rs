//! Numbers as tables for people.

use serde_json::{Map, Value};

/// Four decimals, and where these would be zeros alone, four digits.
fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 { format!("{value:.3e}") } else { format!("{value:.4}") }
}

/// Metrics in rows, runs in columns, `value +- standard error`.
pub fn table(runs: &[(&str, &Value)]) -> String {
    let empty = Map::new();
    let metrics = |value: &'_ Value| value["metrics"].as_object().cloned().unwrap_or_else(|| empty.clone());
    let mut names: Vec<String> = Vec::new();
    for (_, value) in runs {
        names.extend(metrics(value).keys().filter(|name| !name.ends_with("_se")).cloned());
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let mut rows = vec![heading(&runs.iter().map(|(name, _)| *name).collect::<Vec<_>>())];
    for name in names {
        let cells = runs.iter().map(|(_, value)| {
            let metrics = metrics(value);
            let error = metrics.get(&format!("{name}_se")).and_then(Value::as_f64);
            // JSON has no number for what is not finite.
            cell(metrics.get(&name).map(|value| (value.as_f64().unwrap_or(f64::NAN), error)))
        });
        rows.push(std::iter::once(name.clone()).chain(cells).collect());
    }
    // Rounds of several runs have no such numbers of their own.
    let there = |key: &&str| runs.iter().any(|(_, value)| value.get(key).is_some());
    for key in ["parameters", "seconds"].into_iter().filter(there) {
        let cells = runs.iter().map(|(_, value)| number(value[key].as_f64().unwrap_or(f64::NAN)));
        rows.push(
            std::iter::once(key.to_owned())
                .chain(cells.map(|c| c.trim_end_matches(".0000").to_owned()))
                .collect(),
        );
    }
    aligned(&rows[usize::from(runs.len() == 1)..])
}

/// A value, and what stands behind its sign.
pub type Cell = (f64, Option<f64>);

/// Metrics `names` in rows below columns of these labels; `found` answers the value in a column, and what stands behind its sign.
pub fn table_of(labels: &[&str], names: &[String], found: &dyn Fn(&str, usize) -> Option<Cell>) -> String {
    let mut rows = vec![heading(labels)];
    for name in names {
        let cells = (0..labels.len()).map(|column| cell(found(name, column)));
        rows.push(std::iter::once(name.clone()).chain(cells).collect());
    }
    aligned(&rows)
}

fn heading(labels: &[&str]) -> Vec<String> {
    std::iter::once(String::new()).chain(labels.iter().map(|label| (*label).to_owned())).collect()
}

fn cell(found: Option<Cell>) -> String {
    match found {
        Some((value, _)) if !value.is_finite() => "not finite".to_owned(),
        Some((value, Some(error))) => format!("{} +- {}", number(value), number(error)),
        Some((value, None)) => number(value),
        None => "-".to_owned(),
    }
}

/// Rows of as many cells, each column as wide as its widest cell.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..columns).map(|c| rows.iter().map(|row| row[c].len()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_tell_small_lost_and_missing_numbers_apart() {
        let run = |metrics: Value| json!({ "metrics": metrics, "parameters": 12, "seconds": 0.25 });
        let first = run(json!({ "nll": 1.5, "nll_se": 0.0001, "mmd": -2.5e-6, "ess": null }));
        let second = run(json!({ "nll": -300.0, "log_z": 0.0 }));
        let expected = "\
            a                   b\n\
            nll         1.5000 +- 1.000e-4  -300.0000\n\
            mmd         -2.500e-6           -\n\
            ess         not finite          -\n\
            log_z       -                   0.0000\n\
            parameters  12                  12\n\
            seconds     0.2500              0.2500\n";
        assert_eq!(table(&[("a", &first), ("b", &second)]).trim_start(), expected);
        assert!(table(&[("", &second)]).starts_with("nll"), "one run needs no heading");
    }
}
