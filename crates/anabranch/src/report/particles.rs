//! Particles on their way through a chain, from the lines of `smc.csv`.

use super::page::figure;
use crate::plot::{Axis, LineChart, Scale, Series};

/// The columns of `smc.csv`, each with its name; empty where there is none.
pub type Stages = Vec<(String, Vec<f64>)>;

/// Reads a table of numbers with a header; a cell that is none is no number.
pub(super) fn read(text: &str) -> Stages {
    let mut lines = text.lines();
    let names = lines.next().unwrap_or_default().split(',').map(str::to_owned);
    let mut columns: Stages = names.map(|name| (name, Vec::new())).collect();
    for line in lines {
        let cells = line.split(',').map(|cell| cell.parse().unwrap_or(f64::NAN));
        columns.iter_mut().zip(cells).for_each(|((_, column), cell)| column.push(cell));
    }
    columns
}

/// What is drawn: column, title, vertical axis, caption.
const CHARTS: [(&str, &str, &str, &str); 5] = [
    (
        "ess",
        "Effective sample size",
        "fraction",
        "Of the weighted particles at each step, before they are resampled.",
    ),
    ("log_z", "log Z so far", "nats", "Of the density that each step leads to."),
    ("place", "Ladder", "place", "How far each density lies on the way from the base (0) to the target (1)."),
    ("acceptance", "Acceptance", "fraction", "Of the proposals of each step."),
    ("divergence", "Divergences", "per particle", "Proposals at which the density was no number."),
];

/// The charts of a run's particles.
pub(super) fn charts(stages: &Stages) -> Vec<String> {
    let column = |name: &str| stages.iter().find(|(known, _)| known == name).map(|(_, values)| values);
    let draw = |(name, title, label, caption): &(&str, &str, &str, &str)| {
        let values = column(name)?;
        let points: Vec<(f64, f64)> =
            values.iter().enumerate().map(|(step, value)| ((step + 1) as f64, *value)).collect();
        let nothing =
            values.iter().all(|value| !value.is_finite() || (*name == "divergence" && *value == 0.0));
        if nothing {
            return None;
        }
        let series = Series { points, ..Series::default() };
        let chart = LineChart::fitting(title, "steps of the chain", label, Scale::Linear, vec![series]);
        let chart = match *name {
            "log_z" => chart,
            _ => LineChart {
                y: Axis::fit(*label, Scale::Linear, values.iter().copied().chain([0.0, 1.0])),
                ..chart
            },
        };
        Some(figure(&chart.svg(440.0, 190.0), caption))
    };
    CHARTS.iter().filter_map(draw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_measured_is_drawn() {
        let stages = read("step,ess,acceptance,divergence\n1,1,,\n2,0.5,0.7,0\n3,0.25,0.6,0\n");
        assert_eq!(stages[1], ("ess".to_owned(), vec![1.0, 0.5, 0.25]));
        assert!(stages[2].1[0].is_nan() && stages[2].1[1] == 0.7);
        assert_eq!(charts(&stages).len(), 2);
        assert!(charts(&read("")).is_empty());
    }
}
