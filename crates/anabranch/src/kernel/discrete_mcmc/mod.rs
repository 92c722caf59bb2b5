//! Markov chain Monte Carlo on categories: each kernel leaves an unnormalised law `gamma` of `sites` coordinates with `values` values
//! each invariant.
//!
//! | kernel | proposal | accepted |
//! |---|---|---|
//! | [`CategoricalKernel::Gibbs`] | every site after the other from its law given all others | always |
//! | [`CategoricalKernel::BlockGibbs`] | hidden units given the state, the state given them | always |
//! | [`CategoricalKernel::RandomFlip`] | a site and another value of it, all alike | `min(1, gamma(y) / gamma(x))` |
//! | [`CategoricalKernel::GibbsWithGradients`] | a site and a value by `exp(d(x)_{iv} / 2)` | `min(1, gamma(y) q(x given y) / (gamma(x) q(y given x)))` |
//!
//! with `d(x)_{iv} = log gamma(x, x_i = v) - log gamma(x)`, or what a gradient says of it to first order: the acceptance corrects either
//! (Grathwohl et al. 2021, "Oops I took a gradient", eqs. 5 and 6; Zanella 2020).
//!
//! A scan of sites is invariant and not reversible: its reversal visits them in the other order, which is what a step backward does. All
//! others are reversible. Either way the ratio of a step is that of `gamma` at its two ends, as for kernels on points ([`super::mcmc`]).

mod informed;
mod lattice;
mod scan;

use burn::tensor::{DType, Tensor, TensorData};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use lattice::LatticeGibbs;
pub use scan::{SpinScan, sweep};

use crate::array::weights::{matrix, to_vec};
use crate::chain::{Given, LogWeight, Score, State, Step, Transition};
use crate::error::Failure;
use crate::rng::{Noise, Purpose, Stream};

/// An unnormalised law of categories. States are `[rows, sites]`, each coordinate below `values`. Nats.
pub trait CategoricalDensity: Send + Sync {
    /// How many coordinates a state has.
    fn sites(&self) -> usize;

    /// How many values each of them has.
    fn values(&self) -> usize;

    /// Writes `log gamma` of each state, `[rows]`.
    fn log_density(&self, states: &[u8], out: &mut [f64]);

    /// Writes `log gamma(x, x_site = v) - log gamma(x)` of each state, `[rows, values]`.
    fn changes_at(&self, states: &[u8], site: usize, out: &mut [f64]) {
        let (sites, values) = (self.sites(), self.values());
        let (near, count) = (neighbours(states, [sites, values], [site, 1]), states.len() / sites);
        let mut here = vec![0.0; count];
        self.log_density(states, &mut here);
        self.log_density(&near, out);
        for (out, here) in out.chunks_exact_mut(values).zip(here) {
            out.iter_mut().for_each(|out| *out -= here);
        }
    }

    /// Writes the same of every site, `[rows, sites, values]`.
    fn changes(&self, states: &[u8], out: &mut [f64]) {
        let (sites, values) = (self.sites(), self.values());
        let near = neighbours(states, [sites, values], [0, sites]);
        let mut here = vec![0.0; states.len() / sites];
        self.log_density(states, &mut here);
        self.log_density(&near, out);
        for (out, here) in out.chunks_exact_mut(sites * values).zip(here) {
            out.iter_mut().for_each(|out| *out -= here);
        }
    }

    /// Writes what proposals take for [`CategoricalDensity::changes`], `[rows, sites, values]`: these, or what a gradient says of them.
    fn estimates(&self, states: &[u8], out: &mut [f64]) {
        self.changes(states, out);
    }

    /// Draws every site of each state from its law given all others, the first one first, or the last one first.
    fn scan(&self, states: &mut [u8], streams: &mut [Stream<'_>], reversed: bool) {
        scan::sweep(self, states, streams, reversed);
    }

    /// Draws hidden units given each state, and the state given them; answers whether there are such.
    fn through_hidden(&self, _states: &mut [u8], _streams: &mut [Stream<'_>]) -> bool {
        false
    }
}

impl<D: CategoricalDensity + ?Sized> CategoricalDensity for Box<D> {
    fn sites(&self) -> usize {
        (**self).sites()
    }

    fn values(&self) -> usize {
        (**self).values()
    }

    fn log_density(&self, states: &[u8], out: &mut [f64]) {
        (**self).log_density(states, out);
    }

    fn changes_at(&self, states: &[u8], site: usize, out: &mut [f64]) {
        (**self).changes_at(states, site, out);
    }

    fn changes(&self, states: &[u8], out: &mut [f64]) {
        (**self).changes(states, out);
    }

    fn estimates(&self, states: &[u8], out: &mut [f64]) {
        (**self).estimates(states, out);
    }

    fn scan(&self, states: &mut [u8], streams: &mut [Stream<'_>], reversed: bool) {
        (**self).scan(states, streams, reversed);
    }

    fn through_hidden(&self, states: &mut [u8], streams: &mut [Stream<'_>]) -> bool {
        (**self).through_hidden(states, streams)
    }
}

/// The states with each of `count` sites from `first` on at each value, `[rows, count, values, sites]`.
pub(crate) fn neighbours(states: &[u8], [sites, values]: [usize; 2], [first, count]: [usize; 2]) -> Vec<u8> {
    let mut near = Vec::with_capacity(states.len() * count * values);
    for state in states.chunks_exact(sites) {
        for site in first..first + count {
            for value in 0..values {
                near.extend_from_slice(state);
                let at = near.len() - sites + site;
                near[at] = value as u8;
            }
        }
    }
    near
}

/// States that are moved together; also the unit of parallelism.
const CHUNK: usize = 32;

/// A kernel on categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CategoricalKernel {
    /// Every site after the other, from its law given all others.
    Gibbs,
    /// Hidden units given the state, then the state given them.
    BlockGibbs,
    /// A site and another value of it, all alike, accepted or not.
    RandomFlip,
    /// A site and another value of it by what the change is worth, accepted or not.
    GibbsWithGradients,
}

impl CategoricalKernel {
    /// Moves every state of `[rows, sites]` so many times, row `i` by the words of row `i` of `noise`, and answers the mean chance of
    /// acceptance of each; in the order of the kernel's reversal where `reversed`.
    ///
    /// # Panics
    /// As [`CategoricalKernel::step`].
    pub fn walk(
        self,
        density: &dyn CategoricalDensity,
        states: &mut [u8],
        moves: usize,
        noise: &Noise,
        reversed: bool,
    ) -> Vec<f32> {
        let sites = density.sites();
        let mut acceptance = vec![0.0; states.len() / sites];
        let chunks = states.par_chunks_mut(CHUNK * sites).zip(acceptance.par_chunks_mut(CHUNK)).enumerate();
        chunks.for_each(|(index, (states, acceptance))| {
            let rows = index * CHUNK..index * CHUNK + acceptance.len();
            let mut streams: Vec<Stream<'_>> = rows.map(|row| noise.stream(row)).collect();
            for _ in 0..moves {
                self.step(density, states, &mut streams, reversed, acceptance);
            }
            acceptance.iter_mut().for_each(|sum| *sum /= moves as f32);
        });
        acceptance
    }

    /// Moves every state of `[rows, sites]` once, with a stream of words for each, and adds each move's chance of acceptance to
    /// `acceptance`, `[rows]`; in the order of the kernel's reversal where `reversed`.
    ///
    /// # Panics
    /// If it draws hidden units of a law that has none.
    pub fn step(
        self,
        density: &dyn CategoricalDensity,
        states: &mut [u8],
        streams: &mut [Stream<'_>],
        reversed: bool,
        acceptance: &mut [f32],
    ) {
        match self {
            Self::Gibbs => {
                density.scan(states, streams, reversed);
                acceptance.iter_mut().for_each(|sum| *sum += 1.0);
            }
            Self::BlockGibbs => {
                assert!(density.through_hidden(states, streams), "the law has hidden units");
                acceptance.iter_mut().for_each(|sum| *sum += 1.0);
            }
            Self::RandomFlip => informed::step(density, states, streams, false, acceptance),
            Self::GibbsWithGradients => informed::step(density, states, streams, true, acceptance),
        }
    }
}

/// A value drawn by a uniform on (0, 1) from masses `exp(log_mass)`, which it overwrites.
pub(crate) fn drawn(log_masses: &mut [f64], uniform: f64) -> usize {
    let largest = log_masses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for mass in log_masses.iter_mut() {
        sum += (*mass - largest).exp();
        *mass = sum;
    }
    let at = uniform * sum;
    log_masses.iter().position(|upto| at < *upto).unwrap_or(log_masses.len() - 1)
}

/// States of the chain engine as categories, `[rows, sites]`.
pub fn bytes(state: &State) -> Vec<u8> {
    to_vec(state.clone().detach()).into_iter().map(|value| value as u8).collect()
}

/// Moves of a kernel as a step of a chain.
pub struct CategoricalMoves<D> {
    /// The law that stays.
    pub density: D,
    /// How it moves.
    pub kernel: CategoricalKernel,
    /// How often.
    pub moves: usize,
}

impl<D: CategoricalDensity> CategoricalMoves<D> {
    fn step(&self, from: &State, noise: &Noise, reversed: bool) -> Step {
        let [rows, sites] = from.dims();
        let (noise, mut states) = (noise.purpose(Purpose::Choice), bytes(from));
        let (mut before, mut after) = (vec![0.0; rows], vec![0.0; rows]);
        self.density.log_density(&states, &mut before);
        let acceptance = self.kernel.walk(&self.density, &mut states, self.moves, &noise, reversed);
        self.density.log_density(&states, &mut after);
        let ratio = before.iter().zip(&after).map(|(before, after)| before - after).collect();
        let values = states.into_iter().map(f32::from).collect();
        let state = matrix(values, sites, &from.device());
        Step::of_ratio(state, numbers(ratio, from)).with_info(vec![("acceptance", acceptance)])
    }

    fn log_density(&self, x: &State) -> LogWeight {
        let mut out = vec![0.0; x.dims()[0]];
        self.density.log_density(&bytes(x), &mut out);
        numbers(out, x)
    }
}

/// `[rows]`, f64, where a state lies.
fn numbers(values: Vec<f64>, beside: &State) -> LogWeight {
    let rows = values.len();
    Tensor::from_data(TensorData::new(values, [rows]), (&beside.device(), DType::F64))
}

impl<D: CategoricalDensity> Transition for CategoricalMoves<D> {
    fn forward(&self, from: State, _: &Given, noise: &Noise) -> Result<Step, Failure> {
        Ok(self.step(&from, noise, false))
    }

    fn backward(&self, from: State, _: &Given, noise: &Noise) -> Result<Step, Failure> {
        Ok(self.step(&from, noise, true))
    }

    fn score(&self, before: &State, after: &State, _: &Given) -> Result<Score, Failure> {
        Ok(Score::Ratio(self.log_density(before) - self.log_density(after)))
    }

    fn level(&self, state: &State, _: &Given) -> Result<Option<LogWeight>, Failure> {
        Ok(Some(self.log_density(state)))
    }

    fn leaves_invariant(&self) -> bool {
        true
    }
}
