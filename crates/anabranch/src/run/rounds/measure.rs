//! What rounds come to: the best objects with a score, and how far apart they are.

use crate::environment::{Cell, Environment, mean_distance};
use crate::target::{Direction, ScoreTable};

/// What is known after a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoundMeasures {
    /// How many scores were asked for so far.
    pub calls: usize,
    /// The best score.
    pub best: f64,
    /// The mean score of the best objects, and their mean distance from each other.
    pub top: (f64, f64),
    /// The mean score of the round's own objects and their mean distance; of the first table where there was no round yet.
    pub batch: (f64, f64),
}

/// Of the tables after each round, with `top` of the best objects.
pub fn measures(
    tables: &[ScoreTable],
    environment: &dyn Environment,
    direction: Direction,
    top: usize,
) -> Vec<RoundMeasures> {
    let quality = |table: &ScoreTable, places: &[usize]| {
        let objects: Vec<&[Cell]> = places.iter().map(|place| table.object(*place)).collect();
        let mean = places.iter().map(|place| table.scores[*place]).sum::<f64>() / places.len().max(1) as f64;
        (mean, mean_distance(environment, &objects))
    };
    let mut before = 0;
    let of = |table: &ScoreTable| {
        let order = table.order(direction);
        // New objects stand behind those of the table before.
        let new: Vec<usize> = (before..table.len()).collect();
        before = table.len();
        RoundMeasures {
            calls: table.measured() - tables[0].measured(),
            best: order.first().map_or(f64::NAN, |place| table.scores[*place]),
            top: quality(table, &order[..top.min(order.len())]),
            batch: quality(table, &new),
        }
    };
    tables.iter().map(of).collect()
}
