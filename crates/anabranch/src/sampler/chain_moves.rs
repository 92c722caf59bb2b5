//! Back-and-forth moves of chains: the end of a path is taken apart and made anew.
//!
//! ```text
//! an energy    x  --P_B, k kernels-->  s  --P_F, k kernels-->  x'
//!              log ratio = [log R(x') + sum log P_B - log P_F]  -  [log R(x) + sum log P_B - log P_F]
//!
//! a posterior  s_0 .. s_{T-k} kept,  s_{T-k+1} .. x' by P_F of the model
//!              log ratio = log w(new path) - log w(old path),   log w = beta log R + sum [log P_prior - log P_F]
//! ```
//!
//! Accepted by Metropolis and Hastings, the first leaves `R / Z` invariant, and the second `P_prior(path) R(x)^beta / Z` over whole
//! paths, hence `prior(x) R(x)^beta / Z` at their ends, whatever the model; a good one moves far. Where `k` takes in all kernels
//! the source's draw is made anew, too, and the path weights alone decide. Stretches of bijections belong to the kernel before
//! them; `k` is drawn from all that begin with a draw, alike, without looking at the states.

use rayon::prelude::*;

use crate::array::weights::{matrix, to_vec, to_vec_f64};
use crate::chain::{Chain, Given, Score, State, double};
use crate::error::Failure;
use crate::estimate::relative::Relative;
use crate::model::Model;
use crate::model::path::States;
use crate::rng::{Noise, Purpose};
use crate::target::{Target, log_density};

/// Rows moved together; also the unit of parallelism.
const CHUNK: usize = 128;

/// What moves of a chain leave invariant.
#[derive(Clone, Copy)]
pub enum Invariant<'a> {
    /// `R / Z` of an energy, by a model.
    Energy {
        /// The model, untracked.
        model: &'a Model,
        /// The energy.
        target: &'a dyn Target,
    },
    /// The posterior of a prior.
    Posterior {
        /// The prior and the model.
        relative: Relative<'a>,
        /// The likelihood.
        target: &'a dyn Target,
    },
}

/// What came of moves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moved {
    /// The states, `[rows, dimension]`.
    pub rows: Vec<f32>,
    /// How many of all moves were accepted.
    pub accepted: usize,
}

/// The noise of move `index` of the rows of `noise`, apart from those of other moves and from the rows' own.
fn of_move(noise: &Noise, index: usize, first: usize) -> Noise {
    noise.from_row((index + 1) << 32).from_row(first)
}

/// Whether a move is accepted: `log ratio` against the row's own uniform.
fn accepts(log_ratio: f64, row: usize, noise: &Noise) -> bool {
    let u = (f64::from(noise.purpose(Purpose::Choice).words(row, 0)[0]) + 0.5) / 4_294_967_296.0;
    u.ln() < log_ratio
}

impl Invariant<'_> {
    fn model(&self) -> &Model {
        match self {
            Self::Energy { model, .. } => model,
            Self::Posterior { relative, .. } => relative.model,
        }
    }

    /// `moves` moves of so many rows that the model draws first: row `i` from row `i` of `noise`. `None` where `seen`, which is
    /// told the rows of every move, answered that this is enough.
    ///
    /// # Errors
    /// If a kernel fails, or as [`log_density`].
    pub fn from_model(
        &self,
        rows: usize,
        moves: usize,
        noise: &Noise,
        seen: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Option<Moved>, Failure> {
        let starts = self.starts()?;
        let first_rows: Vec<usize> = (0..rows).step_by(CHUNK).collect();
        let run = |first: &usize| {
            let count = CHUNK.min(rows - first);
            let states = States::draw(self.model(), count, &Given::nothing(), &noise.from_row(*first))?;
            self.chunk(states, *first, moves, &starts, noise, seen)
        };
        joined(first_rows.par_iter().map(run).collect())
    }

    /// The same from given rows of an energy, `[rows, dimension]`.
    ///
    /// # Errors
    /// As [`Invariant::from_model`].
    ///
    /// # Panics
    /// Of a posterior, which is one over whole paths.
    pub fn from_rows(
        &self,
        x: &[f32],
        moves: usize,
        noise: &Noise,
        seen: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Option<Moved>, Failure> {
        assert!(matches!(self, Self::Energy { .. }), "a posterior over paths moves from paths");
        let (starts, dimension) = (self.starts()?, self.model().dimension());
        let run = |(index, chunk): (usize, &[f32])| {
            let states = States(vec![matrix(chunk.to_vec(), dimension, &self.model().device())]);
            self.chunk(states, index * CHUNK, moves, &starts, noise, seen)
        };
        joined(x.par_chunks(CHUNK * dimension).enumerate().map(run).collect())
    }

    /// The indices of the kernels that are a draw, with the source as `None`.
    fn starts(&self) -> Result<Vec<Option<usize>>, Failure> {
        let (none, noise) = (Given::nothing(), Noise::new(0, Purpose::Source));
        let states = States::draw(self.model(), 1, &none, &noise)?.0;
        let mut starts = vec![None];
        for (index, transition) in self.model().chain().transitions.iter().enumerate() {
            let score = transition.score(&states[index], &states[index + 1], &none)?;
            starts.extend((!matches!(score, Score::Deterministic)).then_some(Some(index)));
        }
        Ok(starts)
    }

    /// All moves of a chunk, whose first row is row `first`.
    fn chunk(
        &self,
        states: States,
        first: usize,
        moves: usize,
        starts: &[Option<usize>],
        noise: &Noise,
        seen: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Option<Moved>, Failure> {
        let chain = self.model().chain();
        // The same for all rows, whatever chunk they are in.
        let start = |index: usize| {
            starts[of_move(noise, index, 0).purpose(Purpose::Choice).step(1).below(0, starts.len())]
        };
        let (mut accepted, rows) = (0, states.end().dims()[0]);
        match *self {
            Self::Energy { target, .. } => {
                let mut x = states.end().clone();
                let mut log_rewards = to_vec_f64(log_density(target, &x, &Given::nothing())?);
                for index in 0..moves {
                    let noise = of_move(noise, index, first);
                    let (moved, count) = regrown(&chain, target, x, &mut log_rewards, start(index), &noise)?;
                    (x, accepted) = (moved, accepted + count);
                    if !seen(rows) {
                        return Ok(None);
                    }
                }
                Ok(Some(Moved { rows: to_vec(x), accepted }))
            }
            Self::Posterior { relative, target } => {
                let mut states = states;
                let mut log_weights = relative.score(target, &states, noise)?.log_weights();
                for index in 0..moves {
                    let noise = of_move(noise, index, first);
                    let proposed = branched(&chain, &states, start(index), &noise)?;
                    let found = relative.score(target, &proposed, &noise)?.log_weights();
                    let accept: Vec<bool> = found
                        .iter()
                        .zip(&log_weights)
                        .enumerate()
                        .map(|(row, (new, old))| accepts(new - old, row, &noise))
                        .collect();
                    let pairs = states.0.into_iter().zip(proposed.0);
                    states = States(pairs.map(|(old, new)| chosen(old, new, &accept)).collect());
                    for ((old, new), accept) in log_weights.iter_mut().zip(found).zip(&accept) {
                        *old = if *accept { new } else { *old };
                    }
                    accepted += accept.iter().filter(|accept| **accept).count();
                    if !seen(rows) {
                        return Ok(None);
                    }
                }
                Ok(Some(Moved { rows: to_vec(states.end().clone()), accepted }))
            }
        }
    }
}

fn joined(chunks: Result<Vec<Option<Moved>>, Failure>) -> Result<Option<Moved>, Failure> {
    let Some(chunks) = chunks?.into_iter().collect::<Option<Vec<Moved>>>() else { return Ok(None) };
    let mut all = Moved::default();
    for chunk in chunks {
        all.rows.extend(chunk.rows);
        all.accepted += chunk.accepted;
    }
    Ok(Some(all))
}

/// One move of an energy's rows: the kernels from `start` on are undone and done again, with the source's draw where there is no
/// start. Answers where the rows are, and how many were accepted.
fn regrown(
    chain: &Chain<'_>,
    target: &dyn Target,
    x: State,
    log_rewards: &mut [f64],
    start: Option<usize>,
    noise: &Noise,
) -> Result<(State, usize), Failure> {
    let none = Given::nothing();
    let stretch = start.unwrap_or(0)..chain.transitions.len();
    let mut ratio = vec![0.0; log_rewards.len()];
    let mut add = |terms: Vec<f64>, sign: f64| {
        ratio.iter_mut().zip(terms).for_each(|(ratio, term)| *ratio += sign * term);
    };
    let mut state = x.clone();
    for index in stretch.clone().rev() {
        let noise = noise.purpose(Purpose::Backward).step(index as u32);
        let step = chain.transitions[index].backward(state, &none, &noise)?;
        add(to_vec_f64(double(step.log_ratio)), 1.0);
        state = step.state;
    }
    if start.is_none() {
        add(to_vec_f64(double(chain.source.log_density(&state, &none)?)), 1.0);
        state = chain.source.sample(log_rewards.len(), &none, &noise.purpose(Purpose::Source))?;
        add(to_vec_f64(double(chain.source.log_density(&state, &none)?)), -1.0);
    }
    for index in stretch {
        let noise = noise.purpose(Purpose::Forward).step(index as u32);
        let step = chain.transitions[index].forward(state, &none, &noise)?;
        add(to_vec_f64(double(step.log_ratio)), 1.0);
        state = step.state;
    }
    let found = to_vec_f64(log_density(target, &state, &none)?);
    let mut accept = vec![false; ratio.len()];
    for (row, accept) in accept.iter_mut().enumerate() {
        *accept = accepts(ratio[row] + found[row] - log_rewards[row], row, noise);
        if *accept {
            log_rewards[row] = found[row];
        }
    }
    let count = accept.iter().filter(|accept| **accept).count();
    Ok((chosen(x, state, &accept), count))
}

/// Paths with the same states before `start`, and the model's own draws from there on.
fn branched(
    chain: &Chain<'_>,
    states: &States,
    start: Option<usize>,
    noise: &Noise,
) -> Result<States, Failure> {
    let none = Given::nothing();
    let mut path = match start {
        Some(start) => states.0[..=start].to_vec(),
        None => {
            let rows = states.end().dims()[0];
            vec![chain.source.sample(rows, &none, &noise.purpose(Purpose::Source))?]
        }
    };
    for (index, transition) in chain.transitions.iter().enumerate().skip(start.unwrap_or(0)) {
        let noise = noise.purpose(Purpose::Forward).step(index as u32);
        let last = path.last().expect("a path has a source").clone();
        path.push(transition.sample(last, &none, &noise)?);
    }
    Ok(States(path))
}

/// The rows of `new` where they were accepted, else those of `old`.
fn chosen(old: State, new: State, accept: &[bool]) -> State {
    let (columns, device) = (old.dims()[1], old.device());
    let (mut rows, new) = (to_vec(old), to_vec(new));
    for (row, _) in accept.iter().enumerate().filter(|(_, accept)| **accept) {
        let place = row * columns..(row + 1) * columns;
        rows[place.clone()].copy_from_slice(&new[place]);
    }
    matrix(rows, columns, &device)
}
