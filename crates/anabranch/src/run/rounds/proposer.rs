//! Proposers without a model: random moves, and children of the best objects.
//!
//! ```text
//! random    from the source, each possible move and stopping alike
//! genetic   x_i = a_i for i < k, b_i for i >= k,   a, b the better ones of two parents each;   then about so many cells are changed
//! ```
//!
//! The genetic one is Holland's, with tournaments of two, one-point crossover and mutation; its parents are the best of all objects with a
//! score, and none is proposed twice. Brindle, "Genetic algorithms for function optimization" (1981), for tournaments.

use std::collections::HashSet;

use crate::environment::{Cell, Environment};
use crate::error::{Problem, Result};
use crate::rng::Noise;

/// Draws for each object that is wanted, at most, before fewer are answered.
const ATTEMPTS: usize = 1000;

/// Different objects, at most `count`, that are not `known`, `[.., cells]`: draw `i` from row `i` of `noise`.
fn different(
    count: usize,
    known: &HashSet<&[Cell]>,
    mut draw: impl FnMut(usize) -> Option<Vec<Cell>>,
) -> Vec<Vec<Cell>> {
    let mut found: Vec<Vec<Cell>> = Vec::new();
    let mut seen: HashSet<Vec<Cell>> = HashSet::new();
    for row in 0..count.saturating_mul(ATTEMPTS) {
        if found.len() == count {
            break;
        }
        if let Some(object) = draw(row)
            && !known.contains(&object[..])
            && seen.insert(object.clone())
        {
            found.push(object);
        }
    }
    found
}

/// Objects by random moves.
pub(super) fn random(
    environment: &dyn Environment,
    count: usize,
    known: &HashSet<&[Cell]>,
    noise: &Noise,
) -> Vec<Vec<Cell>> {
    let mut mask = vec![false; environment.moves()];
    different(count, known, |row| {
        let mut numbers = noise.stream(row);
        let mut state = vec![0; environment.cells()];
        environment.source(&mut state);
        for _ in 0..=environment.longest() {
            environment.allowed(&state, &mut mask);
            let moves: Vec<usize> = (0..mask.len()).filter(|action| mask[*action]).collect();
            let object = environment.is_object(&state);
            let choices = moves.len() + usize::from(object);
            let choice = (numbers.uniform() * choices as f64) as usize;
            match moves.get(choice) {
                Some(action) => environment.apply(&mut state, *action),
                None => return object.then_some(state),
            };
        }
        None
    })
}

/// Children of `parents`, objects from the best to the worst. Their cells have `values`, ascending.
///
/// # Errors
/// If there are fewer than two parents.
pub(super) fn genetic(
    environment: &dyn Environment,
    parents: &[&[Cell]],
    mutations: f64,
    count: usize,
    known: &HashSet<&[Cell]>,
    noise: &Noise,
) -> Result<Vec<Vec<Cell>>> {
    if parents.len() < 2 {
        let found = format!("{} objects with a score", parents.len());
        return Err(Problem::new("rounds.proposer", found).allowed("two or more parents").into());
    }
    let cells = environment.cells();
    // What each cell may become: what it is in any parent, and all that lies between.
    let range = |cell: usize| {
        let values = parents.iter().map(|parent| parent[cell]);
        values.fold((Cell::MAX, 0), |(low, high), value| (low.min(value), high.max(value)))
    };
    let lowest = (0..cells).map(|cell| range(cell).0).min().unwrap_or(0);
    let highest = (0..cells).map(|cell| range(cell).1).max().unwrap_or(0);
    let rate = mutations / cells as f64;
    Ok(different(count, known, |row| {
        let mut numbers = noise.stream(row);
        let mut below = |bound: usize| ((numbers.uniform() * bound as f64) as usize).min(bound - 1);
        // Of two the one of the lower rank.
        let [a, b] = [0; 2].map(|_| parents[below(parents.len()).min(below(parents.len()))]);
        let cut = below(cells + 1);
        let mut child: Vec<Cell> = a[..cut].iter().chain(&b[cut..]).copied().collect();
        for cell in &mut child {
            if numbers.uniform() < rate {
                let side = f64::from(highest - lowest) + 1.0;
                *cell = lowest + ((numbers.uniform() * side) as Cell).min(highest - lowest);
            }
        }
        environment.is_object(&child).then_some(child)
    }))
}
