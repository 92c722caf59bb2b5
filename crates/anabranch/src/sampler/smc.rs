//! Sequential Monte Carlo (Del Moral, Doucet and Jasra 2006): the paths of a chain, resampled by their weights on the way.
//!
//! ```text
//! w_t = gamma_t(s_t) / mu(s_0) prod_{r <= t} B_r(s_{r-1} | s_r) / F_r(s_r | s_{r-1}),      G_t = w_t / w_{t-1}
//! ESS = (sum W)^2 / sum W^2 < threshold N:   log Z += log mean W,   resample,   W = 1
//! log Z^ = sum of these and of the last log mean W,   E[Z^] = Z        gamma_T = R
//! ```
//!
//! The densities `gamma_t` of a chain pair are whatever its kernels are meant to reach ([`Transition::level`]), or learned state
//! flows: any of them leaves `Z^` unbiased, good ones make its variance small. A kernel that leaves `gamma_t` invariant has
//! `G_t = gamma_t(s_{t-1}) / gamma_{t-1}(s_{t-1})` before it moves: weights come first there, and what was resampled moves at once.
//!
//! Waste-free (Dau and Chopin 2022): `N / P` particles are drawn, and all `P` states of their walks are kept. With [`persistent`] sampling
//! the particles of all levels are.

pub mod persistent;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::array::weights::to_vec_f64;
use crate::chain::{Batch, Chain, Given, LogWeight, Resampling, Transition, double};
use crate::error::{Error, Failure, Problem, within};
use crate::math::log_sum_exp;
use crate::rng::{Noise, Purpose};

/// Rows that move together; also the unit of parallelism.
pub(super) const CHUNK: usize = 128;

/// When and how particles are resampled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Smc {
    /// Particles of one run.
    #[schemars(range(min = 2, max = 100_000_000))]
    pub particles: usize,
    /// Independent runs, over which log Z has its error.
    #[schemars(range(min = 1, max = 100_000))]
    pub repeats: usize,
    /// The scheme.
    pub resampling: Resampling,
    /// The share of their number below which the effective size of the particles makes them be resampled.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: f64,
    /// States of a walk that are kept at each kernel that leaves its density invariant; 1 keeps its end alone.
    #[schemars(range(min = 1))]
    pub waste_free: usize,
    /// Whether the particles of all earlier levels count at every next one, as draws of a mixture. They are resampled at each level then,
    /// and log Z is consistent, not unbiased.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub persistent: bool,
    /// Steps between two states of the particles that are written, from which `resume` goes on; 0 writes none.
    pub checkpoint_every: usize,
}

impl Default for Smc {
    fn default() -> Self {
        let resampling = Resampling::Systematic;
        Self {
            particles: 2000,
            repeats: 5,
            resampling,
            threshold: 0.5,
            waste_free: 1,
            persistent: false,
            checkpoint_every: 16,
        }
    }
}

impl Smc {
    /// Checks all values; they stand below `smc` in a recipe.
    ///
    /// # Errors
    /// The first one out of range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        within("smc.particles", self.particles as f64, 2.0, 1e8)?;
        within("smc.repeats", self.repeats as f64, 1.0, 1e5)?;
        within("smc.threshold", self.threshold, 0.0, 1.0)?;
        within("smc.waste_free", self.waste_free as f64, 1.0, 0.5 * self.particles as f64)?;
        if !self.particles.is_multiple_of(self.waste_free) {
            let found = format!("{} states of each walk of {} particles", self.waste_free, self.particles);
            return Err(Problem::new("smc.waste_free", found).allowed("a divisor of smc.particles").into());
        }
        if self.persistent && self.waste_free > 1 {
            let found = format!("it beside waste_free = {}", self.waste_free);
            return Err(Problem::new("smc.persistent", found).allowed("one of the two").into());
        }
        Ok(())
    }
}

/// What happened at a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The effective size of the weighted particles, as a share of their number.
    pub ess: f64,
    /// Whether they were resampled then.
    pub resampled: bool,
    /// `log Z^` of the level, nats.
    pub log_z: f64,
    /// The mean of what the kernel told, by name.
    pub info: Vec<(String, f64)>,
}

/// Weighted particles at the target.
#[derive(Debug, Clone)]
pub struct Population<S> {
    /// The particles.
    pub states: S,
    /// The condition of each.
    pub given: Given,
    /// Their log-weights since they were resampled last, `[particles]`, nats.
    pub log_weights: Vec<f64>,
    /// `log Z^`, nats.
    pub log_z: f64,
    /// What happened on the way, a stage for each step.
    pub stages: Vec<Stage>,
}

/// Particles on their way through a chain: all that a run goes on from.
#[derive(Debug, Clone)]
pub struct Walk<S> {
    /// The particles; a stage for each step that is behind them.
    pub particles: Population<S>,
    /// What is known of each, `[numbers][particles]`: the density that its weight counts already, less what its steps since added
    /// (`log gamma` where that is known); of a [`persistent`] run what its mixtures need.
    pub known: Vec<Vec<f64>>,
}

impl<S> Walk<S> {
    /// How many steps are behind the particles.
    pub fn steps(&self) -> usize {
        self.particles.stages.len()
    }
}

/// `log gamma` of states behind a step, by its number; none where it is not known.
pub type Levels<'a, S> = dyn Fn(usize, &S, &Given) -> Result<Option<LogWeight>, Failure> + Sync + 'a;

/// `log R` of states.
pub type Reward<'a, S> = dyn Fn(&S, &Given) -> Result<LogWeight, Failure> + Sync + 'a;

impl Smc {
    /// Walks `particles` particles through a chain towards `log R`, with densities on the way.
    ///
    /// # Errors
    /// If a kernel or a density fails; if all weights are 0.
    ///
    /// # Panics
    /// If there are no particles.
    pub fn run<S: Batch + Send + Sync>(
        &self,
        chain: &Chain<'_, S>,
        log_reward: &Reward<'_, S>,
        levels: &Levels<'_, S>,
        particles: usize,
        given: &Given,
        noise: &Noise,
    ) -> Result<Population<S>, Failure> {
        let mut walk = self.begin(chain, particles, given, noise)?;
        for _ in &chain.transitions {
            self.step(&mut walk, chain, levels, noise)?;
        }
        self.end(walk, log_reward)
    }

    /// `particles` particles at a chain's source.
    ///
    /// # Errors
    /// If the source fails.
    ///
    /// # Panics
    /// If there are no particles.
    pub fn begin<S: Batch>(
        &self,
        chain: &Chain<'_, S>,
        particles: usize,
        given: &Given,
        noise: &Noise,
    ) -> Result<Walk<S>, Failure> {
        let states = chain.source.sample(particles, given, &noise.purpose(Purpose::Source))?;
        let current = to_vec_f64(double(chain.source.log_density(&states, given)?));
        let log_weights = vec![0.0; particles];
        let given = given.clone();
        let particles = Population { states, given, log_weights, log_z: 0.0, stages: Vec::new() };
        Ok(Walk { particles, known: vec![current] })
    }

    /// The next step of a chain that is not at its end, with the noise of the run.
    ///
    /// # Errors
    /// As [`Smc::run`].
    ///
    /// # Panics
    /// If all steps are behind the particles.
    pub fn step<S: Batch + Send + Sync>(
        &self,
        walk: &mut Walk<S>,
        chain: &Chain<'_, S>,
        levels: &Levels<'_, S>,
        noise: &Noise,
    ) -> Result<(), Failure> {
        let index = walk.steps();
        let transition = chain.transitions[index].as_ref();
        let noise = noise.purpose(Purpose::Forward).step(index as u32);
        if self.persistent && transition.leaves_invariant() {
            let stage = persistent::step(self, walk, chain, &noise)?;
            walk.particles.stages.push(stage);
            return Ok(());
        }
        let first = transition.leaves_invariant();
        let mut stage = Stage { ess: 1.0, resampled: false, log_z: walk.particles.log_z, info: Vec::new() };
        if first {
            let level = |states: &S, given: &Given| transition.level(states, given);
            self.reweight(walk, &level, &mut stage, &noise, self.waste_free)?;
        }
        let walks = if first { self.waste_free } else { 1 };
        walk.advance(transition, walks, &mut stage, &noise)?;
        if !first {
            let level = |states: &S, given: &Given| levels(index, states, given);
            self.reweight(walk, &level, &mut stage, &noise, 1)?;
        }
        walk.particles.stages.push(stage);
        Ok(())
    }

    /// The particles of a walk behind the last step, weighted for `R`.
    ///
    /// # Errors
    /// If the density fails; if all weights are 0.
    pub fn end<S: Batch + Send + Sync>(
        &self,
        walk: Walk<S>,
        log_reward: &Reward<'_, S>,
    ) -> Result<Population<S>, Failure> {
        if walk.known.len() > 1 {
            return persistent::end(walk);
        }
        let Walk { mut particles, known } = walk;
        let reward = each(&particles.states, &particles.given, &|x, given| log_reward(x, given).map(Some))?;
        add(&mut particles.log_weights, &reward.expect("it is known"), &known[0]);
        particles.log_z += log_mean(&particles.log_weights)?;
        Ok(particles)
    }

    /// Carries the weights to a density, and resamples where too few of them count.
    fn reweight<S: Batch + Send + Sync>(
        &self,
        walk: &mut Walk<S>,
        level: &Level<'_, S>,
        stage: &mut Stage,
        noise: &Noise,
        walks: usize,
    ) -> Result<(), Failure> {
        let Some(found) = each(&walk.particles.states, &walk.particles.given, level)? else { return Ok(()) };
        let Population { log_weights, log_z, .. } = &mut walk.particles;
        add(log_weights, &found, &walk.known[0]);
        walk.known[0] = found;
        let (mean, count) = (log_mean(log_weights)?, log_weights.len());
        stage.ess = effective(log_weights);
        stage.log_z = *log_z + mean;
        if stage.ess >= self.threshold && walks == 1 {
            return Ok(());
        }
        stage.resampled = true;
        *log_z += mean;
        let kept = count / walks;
        let places = self.resampling.places(log_weights, kept, noise).expect("some have weight");
        log_weights.clear();
        log_weights.resize(kept, 0.0);
        walk.known[0] = places.iter().map(|place| walk.known[0][*place as usize]).collect();
        walk.particles.states = walk.particles.states.select(&places);
        walk.particles.given = walk.particles.given.select(&places);
        Ok(())
    }
}

impl<S: Batch + Send + Sync> Walk<S> {
    /// Makes a step of all particles; of those that walk on and keep all states, several.
    fn advance(
        &mut self,
        transition: &dyn Transition<S>,
        walks: usize,
        stage: &mut Stage,
        noise: &Noise,
    ) -> Result<(), Failure> {
        let Population { states, given, log_weights, .. } = &mut self.particles;
        let rows = states.rows();
        let moves = (walks - 1).max(1);
        let (mut all, mut told) = (Vec::new(), Vec::new());
        let mut current = self.known[0].clone();
        if walks > 1 {
            all.push((states.clone(), current.clone()));
        }
        for walk in 0..moves {
            let from = all.last().map_or(&*states, |(last, _)| last);
            let (to, ratios) = moved(transition, from, given, &noise.from_row(walk * rows), &mut told)?;
            current.iter_mut().zip(ratios).for_each(|(current, ratio)| *current -= ratio);
            all.push((to, current.clone()));
        }
        stage.info = told.into_iter().map(|(name, sum)| (name, sum / (moves * rows) as f64)).collect();
        let (kept, densities): (Vec<S>, Vec<Vec<f64>>) = all.into_iter().unzip();
        let copies = kept.len();
        self.known[0] = densities.concat();
        *states = S::concat(kept);
        if copies > 1 {
            let every: Vec<u32> = (0..copies).flat_map(|_| 0..rows as u32).collect();
            *given = given.select(&every);
            *log_weights = every.iter().map(|row| log_weights[*row as usize]).collect();
        }
        Ok(())
    }
}

/// A step of every row, chunk by chunk, with the log-ratio of each; what the kernel tells is added to the sums `told`.
pub(super) fn moved<S: Batch + Send + Sync>(
    transition: &dyn Transition<S>,
    states: &S,
    given: &Given,
    noise: &Noise,
    told: &mut Vec<(String, f64)>,
) -> Result<(S, Vec<f64>), Failure> {
    let rows = states.rows();
    let starts: Vec<usize> = (0..rows).step_by(CHUNK).collect();
    let step = |start: &usize| {
        let count = CHUNK.min(rows - start);
        let from = states.range(*start, count);
        let step = transition.forward(from, &given.range(*start, count), &noise.from_row(*start))?;
        Ok((step.state, to_vec_f64(double(step.log_ratio)), step.info))
    };
    let parts: Result<Vec<_>, Failure> = starts.par_iter().map(step).collect();
    let (mut to, mut ratios) = (Vec::new(), Vec::with_capacity(rows));
    for (state, own, info) in parts? {
        to.push(state);
        ratios.extend(own);
        for (name, values) in info {
            let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
            match told.iter_mut().find(|(known, _)| known == name) {
                Some((_, total)) => *total += sum,
                None => told.push((name.to_owned(), sum)),
            }
        }
    }
    Ok((S::concat(to), ratios))
}

/// The effective size of weighted particles, as a share of their number.
pub(super) fn effective(log_weights: &[f64]) -> f64 {
    let doubled: Vec<f64> = log_weights.iter().map(|weight| 2.0 * weight).collect();
    (2.0 * log_sum_exp(log_weights) - log_sum_exp(&doubled)).exp() / log_weights.len() as f64
}

/// Adds `to - from` to log-weights; nothing comes back from a weight of 0.
fn add(log_weights: &mut [f64], to: &[f64], from: &[f64]) {
    for (weight, (to, from)) in log_weights.iter_mut().zip(to.iter().zip(from)) {
        let added = *weight + (to - from);
        *weight = if *weight == f64::NEG_INFINITY || added.is_nan() { f64::NEG_INFINITY } else { added };
    }
}

/// The log of the mean weight.
pub(super) fn log_mean(log_weights: &[f64]) -> Result<f64, Failure> {
    let sum = log_sum_exp(log_weights);
    if sum.is_finite() {
        return Ok(sum - (log_weights.len() as f64).ln());
    }
    let found = format!("of {} particles none has weight", log_weights.len());
    Err(Problem::new("sampler", found)
        .allowed("more particles, or more steps from the source to the target")
        .into())
}

/// A number of each of some states, where there is one.
type Level<'a, S> = dyn Fn(&S, &Given) -> Result<Option<LogWeight>, Failure> + Sync + 'a;

/// A number of every row, chunk by chunk.
fn each<S: Batch + Send + Sync>(
    states: &S,
    given: &Given,
    level: &Level<'_, S>,
) -> Result<Option<Vec<f64>>, Failure> {
    let rows = states.rows();
    let starts: Vec<usize> = (0..rows).step_by(CHUNK).collect();
    let ask = |start: &usize| -> Result<Option<Vec<f64>>, Failure> {
        let count = CHUNK.min(rows - start);
        let found = level(&states.range(*start, count), &given.range(*start, count))?;
        Ok(found.map(|found| to_vec_f64(double(found))))
    };
    let parts: Result<Vec<Option<Vec<f64>>>, Failure> = starts.par_iter().map(ask).collect();
    Ok(parts?.into_iter().collect::<Option<Vec<_>>>().map(|parts| parts.concat()))
}
