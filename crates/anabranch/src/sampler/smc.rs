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
//! Waste-free (Dau and Chopin 2022): `N / P` particles are drawn, and all `P` states of their walks are kept.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::array::weights::to_vec_f64;
use crate::chain::{Batch, Chain, Given, LogWeight, Resampling, Transition, double};
use crate::error::{Error, Failure, Problem, within};
use crate::math::log_sum_exp;
use crate::rng::{Noise, Purpose};

/// Rows that move together; also the unit of parallelism.
const CHUNK: usize = 128;

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
}

impl Default for Smc {
    fn default() -> Self {
        let resampling = Resampling::Systematic;
        Self { particles: 2000, repeats: 5, resampling, threshold: 0.5, waste_free: 1 }
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
    pub info: Vec<(&'static str, f64)>,
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

/// `log gamma` of states behind a step, by its number; none where it is not known.
pub type Levels<'a, S> = dyn Fn(usize, &S, &Given) -> Result<Option<LogWeight>, Failure> + Sync + 'a;

/// Is shown the particles at each step, with the density that their weights count already.
pub type Observe<'a, S> = dyn FnMut(usize, &Population<S>, &[f64]) + 'a;

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
        log_reward: &(dyn Fn(&S, &Given) -> Result<LogWeight, Failure> + Sync),
        levels: &Levels<'_, S>,
        particles: usize,
        given: &Given,
        noise: &Noise,
    ) -> Result<Population<S>, Failure> {
        self.run_observed(chain, log_reward, levels, particles, given, noise, &mut |_, _, _| {})
    }

    /// [`Smc::run`], showing the particles before each step, by its number, with the density of each that its weight counts:
    /// `log gamma` where it is known.
    ///
    /// # Errors
    /// As [`Smc::run`].
    ///
    /// # Panics
    /// If there are no particles.
    #[allow(clippy::too_many_arguments)]
    pub fn run_observed<S: Batch + Send + Sync>(
        &self,
        chain: &Chain<'_, S>,
        log_reward: &(dyn Fn(&S, &Given) -> Result<LogWeight, Failure> + Sync),
        levels: &Levels<'_, S>,
        particles: usize,
        given: &Given,
        noise: &Noise,
        observe: &mut Observe<'_, S>,
    ) -> Result<Population<S>, Failure> {
        let states = chain.source.sample(particles, given, &noise.purpose(Purpose::Source))?;
        let current = to_vec_f64(double(chain.source.log_density(&states, given)?));
        let log_weights = vec![0.0; particles];
        let mut walk = Walk {
            smc: self,
            particles: Population {
                states,
                given: given.clone(),
                log_weights,
                log_z: 0.0,
                stages: Vec::new(),
            },
            current,
        };
        for (index, transition) in chain.transitions.iter().enumerate() {
            observe(index, &walk.particles, &walk.current);
            walk.step(index, transition.as_ref(), levels, noise)?;
        }
        let Walk { mut particles, current, .. } = walk;
        let reward = each(&particles.states, &particles.given, &|x, given| log_reward(x, given).map(Some))?;
        let reward = reward.expect("it is known");
        add(&mut particles.log_weights, &reward, &current);
        particles.log_z += log_mean(&particles.log_weights)?;
        Ok(particles)
    }
}

/// Particles on their way.
struct Walk<'a, S> {
    smc: &'a Smc,
    particles: Population<S>,
    /// The density of each state that its weight counts already, less what its steps since added: `log gamma` where it is known.
    current: Vec<f64>,
}

impl<S: Batch + Send + Sync> Walk<'_, S> {
    fn step(
        &mut self,
        index: usize,
        transition: &dyn Transition<S>,
        levels: &Levels<'_, S>,
        noise: &Noise,
    ) -> Result<(), Failure> {
        let noise = noise.purpose(Purpose::Forward).step(index as u32);
        let first = transition.leaves_invariant();
        let mut stage = Stage { ess: 1.0, resampled: false, log_z: self.particles.log_z, info: Vec::new() };
        if first {
            self.reweight(
                &|states, given| transition.level(states, given),
                &mut stage,
                &noise,
                self.smc.waste_free,
            )?;
        }
        let walks = if first { self.smc.waste_free } else { 1 };
        self.advance(transition, walks, &mut stage, &noise)?;
        if !first {
            self.reweight(&|states, given| levels(index, states, given), &mut stage, &noise, 1)?;
        }
        self.particles.stages.push(stage);
        Ok(())
    }

    /// Carries the weights to a density, and resamples where too few of them count.
    fn reweight(
        &mut self,
        level: &Level<'_, S>,
        stage: &mut Stage,
        noise: &Noise,
        walks: usize,
    ) -> Result<(), Failure> {
        let Some(found) = each(&self.particles.states, &self.particles.given, level)? else { return Ok(()) };
        let Population { log_weights, log_z, .. } = &mut self.particles;
        add(log_weights, &found, &self.current);
        self.current = found;
        let (mean, count) = (log_mean(log_weights)?, log_weights.len());
        let doubled: Vec<f64> = log_weights.iter().map(|weight| 2.0 * weight).collect();
        stage.ess = (2.0 * log_sum_exp(log_weights) - log_sum_exp(&doubled)).exp() / count as f64;
        stage.log_z = *log_z + mean;
        if stage.ess >= self.smc.threshold && walks == 1 {
            return Ok(());
        }
        stage.resampled = true;
        *log_z += mean;
        let kept = count / walks;
        let places = self.smc.resampling.places(log_weights, kept, noise).expect("some have weight");
        log_weights.clear();
        log_weights.resize(kept, 0.0);
        self.current = places.iter().map(|place| self.current[*place as usize]).collect();
        self.particles.states = self.particles.states.select(&places);
        self.particles.given = self.particles.given.select(&places);
        Ok(())
    }

    /// Makes a step of all particles; of those that walk on and keep all states, several.
    fn advance(
        &mut self,
        transition: &dyn Transition<S>,
        walks: usize,
        stage: &mut Stage,
        noise: &Noise,
    ) -> Result<(), Failure> {
        let rows = self.particles.states.rows();
        let mut all = Vec::new();
        let mut told: Vec<(&'static str, f64)> = Vec::new();
        let moves = (walks - 1).max(1);
        let (mut states, mut current) = (self.particles.states.clone(), self.current.clone());
        if walks > 1 {
            all.push((states.clone(), current.clone()));
        }
        for walk in 0..moves {
            let noise = noise.from_row(walk * rows);
            let starts: Vec<usize> = (0..rows).step_by(CHUNK).collect();
            let step = |start: &usize| {
                let count = CHUNK.min(rows - start);
                let given = self.particles.given.range(*start, count);
                let from = states.range(*start, count);
                let step = transition.forward(from, &given, &noise.from_row(*start))?;
                Ok((step.state, to_vec_f64(double(step.log_ratio)), step.info))
            };
            let parts: Result<Vec<_>, Failure> = starts.par_iter().map(step).collect();
            let (mut moved, mut place) = (Vec::new(), 0);
            for (state, ratios, info) in parts? {
                for ratio in ratios {
                    current[place] -= ratio;
                    place += 1;
                }
                for (name, values) in info {
                    let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
                    match told.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, total)) => *total += sum,
                        None => told.push((name, sum)),
                    }
                }
                moved.push(state);
            }
            states = S::concat(moved);
            all.push((states.clone(), current.clone()));
        }
        stage.info = told.into_iter().map(|(name, sum)| (name, sum / (moves * rows) as f64)).collect();
        let (kept, densities): (Vec<S>, Vec<Vec<f64>>) = all.into_iter().unzip();
        let copies = kept.len();
        self.current = densities.concat();
        let Population { states, given, log_weights, .. } = &mut self.particles;
        *states = S::concat(kept);
        if copies > 1 {
            let every: Vec<u32> = (0..copies).flat_map(|_| 0..rows as u32).collect();
            *given = given.select(&every);
            *log_weights = every.iter().map(|row| log_weights[*row as usize]).collect();
        }
        Ok(())
    }
}

/// Adds `to - from` to log-weights; nothing comes back from a weight of 0.
fn add(log_weights: &mut [f64], to: &[f64], from: &[f64]) {
    for (weight, (to, from)) in log_weights.iter_mut().zip(to.iter().zip(from)) {
        let added = *weight + (to - from);
        *weight = if *weight == f64::NEG_INFINITY || added.is_nan() { f64::NEG_INFINITY } else { added };
    }
}

/// The log of the mean weight.
fn log_mean(log_weights: &[f64]) -> Result<f64, Failure> {
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
