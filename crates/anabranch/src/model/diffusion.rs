//! Diffusion models: a chain of Gaussian kernels whose backward half is fixed noise.
//!
//! Noise levels `0 .. N`, level `N` next to the source `N(0, I)`. With `z_j = alpha_j x + sigma_j eps`, `s` one level
//! below `t`, and `c = 1 - exp(gamma_s - gamma_t)`:
//!
//! ```text
//! backward  q(z_t | z_s)   = N( (alpha_t / alpha_s) z_s,  sigma_t^2 c )
//! forward   p(z_s | z_t)   = N( alpha_s m + sigma_s sqrt(1 - eta^2 c) e,  eta^2 sigma_s^2 c )
//! last      p(x | z_0),      q(z_0 | x) = N(alpha_0 x, sigma_0^2)
//! ```
//!
//! `m` and `e` are the network's estimates of signal and noise. `eta = 1` is the posterior `q(z_s | z_t, x = m)` of
//! DDPM (Ho et al. 2020) and VDM (Kingma et al. 2021, eq. 28..33); `eta = 0` is DDIM (Song et al. 2021, eq. 12).
//! Each step's KL is `1/2 expm1(gamma_t - gamma_s) |eps - e|^2`, in the limit of many levels
//! `1/2 gamma'(t) |eps - e|^2`.
//!
//! DDPM counts noisy states from `t = 1`, which is level 0 here: its `L_simple` draws `t` from `1 .. T` alike, the term of
//! `t = 1` standing for the last kernel. So a loss without that kernel's own term draws from all levels at which the chain
//! asks the network: the lowest too, where the last mean is the network's.

mod kernels;
pub mod recipe;

use std::sync::Arc;

use burn::tensor::{Tensor, activation};
use serde_json::json;

use super::denoiser::{Coefficient, Denoiser, Factors, Prediction};
use super::schedule::{LearnedGamma, Level, times};
use super::{Goal, Segment};
use crate::array::described::Described;
use crate::array::gate::Gate;
use crate::array::noising::{noised, squared_error};
use crate::array::weights::{Weights, matrix, sum_rows, to_vec};
use crate::chain::{Given, LogWeight, State, Transition};
use crate::kernel::law::{DiscretisedGaussian, Gaussian, Law, LogStd, level_centres, normal_like};
use crate::math::monotone_cubic;
use crate::rng::{Noise, Purpose};
use kernels::Place;

/// The noise schedule of a diffusion.
#[derive(Debug, Clone)]
pub enum NoiseSchedule {
    /// `gamma` at fixed levels, least noise first.
    Fixed(Vec<f64>),
    /// A learned curve, cut into `levels` steps where a chain is wanted.
    Learned {
        /// The curve.
        gamma: LearnedGamma,
        /// Steps of the chain. The simulation-free loss is that of continuous time; a simulated one learns the curve
        /// through these levels.
        levels: usize,
    },
}

impl NoiseSchedule {
    /// The levels of the chain, least noise first.
    pub fn levels(&self) -> Vec<Level> {
        match self {
            Self::Fixed(gammas) => {
                let last = (gammas.len() - 1).max(1) as f64;
                gammas.iter().enumerate().map(|(j, g)| Level { gamma: *g, time: j as f64 / last }).collect()
            }
            Self::Learned { gamma, levels } => {
                let times: Vec<f64> = (0..=*levels).map(|j| j as f64 / *levels as f64).collect();
                gamma.levels(&times)
            }
        }
    }

    /// `count` levels, at least 2, evenly spaced in `gamma` from the least to the most noise. Between fixed levels the
    /// network's time is a smooth monotone interpolation; along a learned curve it is a line in `gamma`.
    pub fn even(&self, count: usize) -> Vec<Level> {
        let known = match self {
            Self::Fixed(_) => self.levels(),
            Self::Learned { gamma, .. } => gamma.levels(&[0.0, 1.0]),
        };
        let (first, last) = (known[0].gamma, known[known.len() - 1].gamma);
        let (gammas, times): (Vec<f64>, Vec<f64>) = known.iter().map(|l| (l.gamma, l.time)).unzip();
        let at = |i: usize| {
            let share = i as f64 / (count - 1) as f64;
            let gamma = first * (1.0 - share) + last * share;
            Level { gamma, time: monotone_cubic(&gammas, &times, gamma) }
        };
        (0..count).map(at).collect()
    }
}

/// What the chain ends in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Observation {
    /// A continuous state: `p(x | z_0) = N(mean, (sigma_0 / alpha_0)^2)`.
    Continuous,
    /// Integers `0 .. levels`, placed at their centres on [-1, 1]; `p(x | z_0)` is a discretised Gaussian.
    Levels(u32),
}

/// Where the mean of `p(x | z_0)` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastMean {
    /// `z_0 / alpha_0` (VDM): no network.
    Rescaled,
    /// The network's signal estimate at level 0 (DDPM).
    Denoised,
}

/// How the simulation-free loss weighs `|eps - e|^2`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weighting {
    /// The evidence lower bound.
    Bound,
    /// 1 for every level (Ho et al. 2020, eq. 14), the lowest among them where the last mean is denoised.
    Simple,
    /// `min(SNR, cap) / SNR` (Hang et al. 2023), over the same levels.
    MinSnr(f64),
}

/// A diffusion.
#[derive(Debug, Clone)]
pub struct Diffusion {
    /// What is known of the data.
    pub denoiser: Box<dyn Denoiser>,
    /// What the denoiser answers.
    pub prediction: Prediction,
    /// The noise levels.
    pub schedule: NoiseSchedule,
    /// What the chain ends in.
    pub observation: Observation,
    /// The mean of the last kernel.
    pub last_mean: LastMean,
    /// The training loss' weighting.
    pub weighting: Weighting,
}

impl Diffusion {
    /// Data on the scale the chain works on.
    pub fn scaled(&self, x: &State) -> State {
        match self.observation {
            Observation::Continuous => x.clone(),
            Observation::Levels(levels) => level_centres(x, levels),
        }
    }

    /// Signal and noise estimates from the denoiser's output. On data with levels the signal is kept within [-1, 1],
    /// where it lies: by every kernel of the chain and by every estimate of its bound, not by the training loss, whose
    /// gradient would vanish there.
    fn bounded_estimates(&self, output: State, z: &State, factors: &Factors) -> (State, State) {
        if self.observation == Observation::Continuous {
            let signal = self.prediction.signal(output.clone(), z, factors);
            return (signal, self.prediction.noise(output, z, factors));
        }
        let signal = self.prediction.signal(output, z, factors).clamp(-1.0, 1.0);
        let noise = factors.sigma.divide(z.clone() - factors.alpha.times(signal.clone()));
        (signal, noise)
    }

    /// Signal and noise estimates at a level.
    pub fn estimates(&self, z: &State, level: Level, given: &Given) -> (State, State) {
        self.estimates_at(z, &Place::from(level), given)
    }

    fn estimates_at(&self, z: &State, Place { factors, time, .. }: &Place, given: &Given) -> (State, State) {
        let time = match time {
            Coefficient::Shared(time) => Tensor::full([1, 1], *time, &z.device()),
            Coefficient::Each(time) => time.clone().expand([z.dims()[0], 1]),
        };
        let output = self.denoiser.output(z, time, factors, given);
        self.bounded_estimates(output, z, factors)
    }

    /// The noise estimate of a simulation-free term.
    fn local_noise(&self, output: State, z: &State, factors: &Factors, goal: Goal) -> State {
        match goal {
            Goal::Loss => self.prediction.noise(output, z, factors),
            Goal::Bound | Goal::ContinuousBound => self.bounded_estimates(output, z, factors).1,
        }
    }

    /// `-KL(q(z_N | x) | N(0, I))`, `[batch]`.
    fn prior_term(&self, scaled: &State, gamma: Tensor<2>) -> LogWeight {
        let columns = scaled.dims()[1] as f32;
        let variance = activation::sigmoid(gamma.clone());
        let signal = activation::sigmoid(-gamma.clone());
        let log_variance = activation::log_sigmoid(gamma);
        let shared = (variance - log_variance - 1.0) * columns;
        let each = sum_rows(scaled.clone().square()).unsqueeze_dim::<2>(1) * signal;
        ((shared + each) * -0.5).squeeze_dim(1)
    }

    /// `E log p(x | z_0)` by one draw of `z_0`, less `E log q`'s share that is not in the step terms: for a
    /// continuous state `p` is a density and the sum of all terms is a bound on `log p(x)`.
    fn last_term(
        &self,
        [x, scaled]: [&State; 2],
        gamma: Tensor<2>,
        given: &Given,
        noise: &Noise,
        goal: Goal,
    ) -> LogWeight {
        let eps = normal_like(scaled, noise);
        let alpha = activation::sigmoid(-gamma.clone()).sqrt();
        let sigma = activation::sigmoid(gamma.clone()).sqrt();
        let z = scaled.clone() * alpha.clone() + eps * sigma.clone();
        let mean = match self.last_mean {
            LastMean::Rescaled => z / alpha,
            LastMean::Denoised => {
                let factors = Factors { alpha: Coefficient::Each(alpha), sigma: Coefficient::Each(sigma) };
                let time = Tensor::zeros([1, 1], &z.device());
                let output = self.denoiser.output(&z, time, &factors, given);
                match goal {
                    Goal::Loss => self.prediction.signal(output, &z, &factors),
                    Goal::Bound | Goal::ContinuousBound => self.bounded_estimates(output, &z, &factors).0,
                }
            }
        };
        self.observed(mean, gamma).log_density(x)
    }

    /// `p(x | z_0)` around a mean: its standard deviation is `sigma_0 / alpha_0 = exp(gamma_0 / 2)`.
    fn observed(&self, mean: State, gamma: Tensor<2>) -> Box<dyn Law> {
        match self.observation {
            Observation::Continuous => Box::new(Gaussian { mean, log_std: LogStd::Each(spread(gamma, 0.5)) }),
            Observation::Levels(levels) => {
                Box::new(DiscretisedGaussian { mean, std: (gamma * 0.5).exp(), levels })
            }
        }
    }

    /// Step terms over given levels, one level per row.
    fn fixed_terms(
        &self,
        scaled: &State,
        levels: &[Level],
        given: &Given,
        noise: &Noise,
        goal: Goal,
    ) -> LogWeight {
        let [rows, columns] = scaled.dims();
        let steps = levels.len() - 1;
        let device = scaled.device();
        let column = |values: Vec<f32>| matrix(values, 1, &device);
        let alone = goal == Goal::Loss && self.weighting != Weighting::Bound;
        // Level 0 has no step of its own; what asks the network there is the last kernel.
        let lowest = usize::from(!alone || self.last_mean == LastMean::Rescaled);
        let count = levels.len() - lowest;
        let level = |u: f64| lowest + ((u * count as f64) as usize).min(count - 1);
        let drawn: Vec<usize> = times(rows, noise, goal).into_iter().map(level).collect();
        let of = |f: &dyn Fn(usize) -> f64| column(drawn.iter().map(|j| f(*j) as f32).collect());
        let (alpha, sigma) = (of(&|j| levels[j].alpha()), of(&|j| levels[j].sigma()));
        let eps = Arc::new(noise.purpose(Purpose::Local).normal(rows, columns));
        let z = noised(scaled.clone(), alpha.clone(), sigma.clone(), &eps);
        let factors = Factors { alpha: Coefficient::Each(alpha), sigma: Coefficient::Each(sigma) };
        let output = self.denoiser.output(&z, of(&|j| levels[j].time), &factors, given);
        let error = squared_error(self.local_noise(output, &z, &factors, goal), &eps);
        let weight = |j: usize| match (goal, self.weighting) {
            (Goal::Loss, Weighting::Simple) => 1.0,
            (Goal::Loss, Weighting::MinSnr(cap)) => (cap * levels[j].gamma.exp()).min(1.0),
            _ => 0.5 * steps as f64 * (levels[j].gamma - levels[j - 1].gamma).exp_m1(),
        };
        error * of(&|j| -weight(j)).squeeze_dim::<1>(1)
    }

    /// Step terms in continuous time, with the shape of the schedule trained on their variance.
    fn learned_terms(
        &self,
        scaled: &State,
        gamma: &LearnedGamma,
        given: &Given,
        noise: &Noise,
        goal: Goal,
    ) -> LogWeight {
        let [rows, columns] = scaled.dims();
        let times: Vec<f32> = times(rows, noise, goal).into_iter().map(|u| u as f32).collect();
        let gate = Gate::default();
        let gating = (goal == Goal::Loss).then_some(&gate);
        let at = gamma.at(matrix(times, 1, &scaled.device()), gating);
        let alpha = activation::sigmoid(-at.gamma.clone()).sqrt();
        let sigma = activation::sigmoid(at.gamma).sqrt();
        let eps = Arc::new(noise.purpose(Purpose::Local).normal(rows, columns));
        let z = noised(scaled.clone(), alpha.clone(), sigma.clone(), &eps);
        let factors = Factors { alpha: Coefficient::Each(alpha), sigma: Coefficient::Each(sigma) };
        let output = self.denoiser.output(&z, at.time, &factors, given);
        let error = squared_error(self.local_noise(output, &z, &factors, goal), &eps);
        let terms = error * at.slope.squeeze_dim(1) * -0.5;
        if gating.is_some() {
            let values = to_vec(terms.clone().detach());
            // Relative to the mean, so that the shape's learning rate does not depend on the loss' scale.
            let mean = values.iter().sum::<f32>() / rows as f32;
            gate.set(values.iter().map(|value| 2.0 * value / mean).collect());
        }
        terms
    }
}

/// `factor * gamma`, as a log-standard-deviation `[1, 1]`.
fn spread(gamma: Tensor<2>, factor: f32) -> Tensor<2> {
    gamma * factor
}

impl Segment for Diffusion {
    fn kind(&self) -> &'static str {
        "diffusion"
    }

    fn inner_dimension(&self) -> usize {
        self.denoiser.dimension()
    }

    fn outer_dimension(&self) -> usize {
        self.denoiser.dimension()
    }

    fn steps(&self) -> usize {
        match &self.schedule {
            NoiseSchedule::Fixed(gammas) => gammas.len(),
            NoiseSchedule::Learned { levels, .. } => levels + 1,
        }
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        match &self.schedule {
            NoiseSchedule::Learned { gamma, levels } if gamma.weights().is_tracked() => {
                self.tracked_transitions(gamma, *levels)
            }
            schedule => self.transitions_over(&schedule.levels(), 1.0),
        }
    }

    fn local(&self, x: &State, given: &Given, noise: &Noise, goal: Goal) -> Option<LogWeight> {
        let scaled = self.scaled(x);
        let (steps, ends) = match &self.schedule {
            NoiseSchedule::Learned { gamma, .. } if goal != Goal::Bound => {
                (self.learned_terms(&scaled, gamma, given, noise, goal), gamma.ends())
            }
            schedule => {
                let levels = schedule.levels();
                let end = |level: &Level| Tensor::full([1, 1], level.gamma as f32, &x.device());
                let ends = [end(&levels[0]), end(&levels[levels.len() - 1])];
                (self.fixed_terms(&scaled, &levels, given, noise, goal), ends)
            }
        };
        if goal == Goal::Loss && self.weighting != Weighting::Bound {
            return Some(steps);
        }
        let [first, last] = ends;
        let noise = noise.purpose(Purpose::Backward);
        let reconstruction = self.last_term([x, &scaled], first, given, &noise, goal);
        Some(steps + self.prior_term(&scaled, last) + reconstruction)
    }

    fn weights(&self) -> Vec<&Weights> {
        let mut weights = self.denoiser.weights();
        if let NoiseSchedule::Learned { gamma, .. } = &self.schedule {
            weights.push(gamma.weights());
        }
        weights
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        let mut weights = self.denoiser.weights_mut();
        if let NoiseSchedule::Learned { gamma, .. } = &mut self.schedule {
            weights.push(gamma.weights_mut());
        }
        weights
    }

    fn is_local(&self) -> bool {
        true
    }

    fn as_diffusion(&self) -> Option<&Diffusion> {
        Some(self)
    }

    fn described(&self) -> Option<Vec<(Described, usize)>> {
        let levels = self.schedule.levels();
        let (gammas, times): (Vec<f64>, Vec<f64>) = levels.iter().map(|l| (l.gamma, l.time)).unzip();
        let (prediction, centres) = match &self.prediction {
            Prediction::Noise => ("noise", None),
            Prediction::Signal => ("signal", None),
            Prediction::Velocity => ("velocity", None),
            Prediction::Score => ("score", None),
            Prediction::Levels(centres) => ("levels", Some(centres.to_vec())),
        };
        let settings = json!({
            "gammas": gammas,
            "times": times,
            "prediction": prediction,
            "centres": centres,
            "levels": match self.observation { Observation::Continuous => 0, Observation::Levels(levels) => levels },
            "denoised": self.last_mean == LastMean::Denoised,
            "network": self.denoiser.described()?,
        });
        Some(vec![(Described::new("diffusion", settings), self.steps())])
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}
