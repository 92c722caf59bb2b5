//! Controlled diffusions from a simple process to an energy: the path integral sampler and denoising diffusion sampler.
//!
//! ```text
//! F_k(x' | x) = N(a_k x + v_k u(x, t_k),  v_k I)        B_k(x | x') = N(c_k x',  w_k I)
//! u(x, t) = NN_1(x, t) + NN_2(t) grad log R(x)          in units of a score
//! ```
//!
//! | reference | begins at | `a_k` | `v_k` | `c_k` | `w_k` |
//! |---|---|---|---|---|---|
//! | [`Reference::Brownian`] (Zhang and Chen 2022) | 0 | 1 | `s^2 / K` | `(k - 1) / k` | `c_k v_k` |
//! | [`Reference::OrnsteinUhlenbeck`] (Vargas et al. 2023) | `N(0, s^2 I)` | `sqrt(1 - b_k)` | `b_k s^2` | `a_k` | `v_k` |
//!
//! `B` is the reference run backward, so that without control the chain ends at `N(0, s^2 I)` and `log w` is exact in discrete time.
//! Brownian motion that begins at 0 has no step back to it: its first step is a draw around `v_1 u(0, t_1)`, a shift of the source's.
//! The Ornstein-Uhlenbeck process forgets most at first: `1 - b_k = exp(-2 T e_k)`, `e_k` in proportion to
//! `cos^4((k - 1) pi / 2 K)`, with sum 1, the schedule of Vargas et al. for a horizon `T`.
//!
//! The score is clipped to [-100, 100] and is a constant of the tape, as in both papers: no second derivative is asked for, and a
//! gradient through the states leaves out its share.

use std::sync::Arc;

pub mod recipe;

use burn::tensor::{Device, Tensor};

use super::drift::Drift;
use crate::array::weights::{Weights, matrix, to_vec};
use crate::chain::{Densities, Given, Score, State, Step, Transition};
use crate::error::Failure;
use crate::kernel::isotropic::Isotropic;
use crate::model::Segment;
use crate::network::Network;
use crate::network::embedding::sinusoidal;
use crate::rng::Noise;
use crate::target::Target;

/// What scores are clipped to.
const CLIP: f32 = 100.0;

/// The process without control.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reference {
    /// Brownian motion from 0.
    Brownian,
    /// An Ornstein-Uhlenbeck process in equilibrium, over the horizon `T`.
    OrnsteinUhlenbeck(f64),
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Numbers {
    /// `a_k`.
    kept: f64,
    /// `v_k`.
    variance: f64,
    /// `c_k`.
    back: f64,
    /// `w_k`.
    back_variance: f64,
}

impl Reference {
    /// The numbers of `steps` steps of a process of scale `std`.
    fn numbers(self, steps: usize, std: f64) -> Vec<Numbers> {
        let variance = std * std;
        match self {
            Self::Brownian => {
                let each = variance / steps as f64;
                let number = |k: usize| {
                    let back = k as f64 / (k + 1) as f64;
                    Numbers { kept: 1.0, variance: each, back, back_variance: back * each }
                };
                (0..steps).map(number).collect()
            }
            Self::OrnsteinUhlenbeck(horizon) => {
                let angle = |k: usize| std::f64::consts::FRAC_PI_2 * k as f64 / steps as f64;
                let shares: Vec<f64> = (0..steps).map(|k| angle(k).cos().powi(4)).collect();
                let whole: f64 = shares.iter().sum();
                let number = |share: f64| {
                    let left = -2.0 * horizon * share / whole;
                    let (kept, variance) = ((0.5 * left).exp(), -left.exp_m1() * variance);
                    Numbers { kept, variance, back: kept, back_variance: variance }
                };
                shares.into_iter().map(number).collect()
            }
        }
    }
}

/// What a network of time makes of the score.
#[derive(Debug, Clone)]
pub struct Guide {
    /// The energy.
    pub target: Arc<dyn Target>,
    /// `NN_2`: from an embedding of the time to a factor for each coordinate.
    pub gate: Network,
}

impl Guide {
    /// The clipped score, a constant.
    fn score(&self, x: &State, given: &Given) -> Result<State, Failure> {
        let [rows, columns] = x.dims();
        let points = to_vec(x.clone());
        let (mut values, mut scores) = (vec![0.0; rows], vec![0.0; points.len()]);
        self.target.log_rewards_with_scores(&points, &given.each(rows), &mut values, &mut scores)?;
        let clipped = scores.into_iter().map(|score| (score as f32).clamp(-CLIP, CLIP)).collect();
        Ok(matrix(clipped, columns, &x.device()))
    }

    /// `NN_2` at each of these times, `[times, dimension]`.
    fn factors(&self, times: &[f32]) -> Tensor<2> {
        let times = matrix(times.to_vec(), 1, &self.gate.weights().device());
        self.gate.apply(sinusoidal(times, self.gate.input()), None)
    }
}

/// A controlled diffusion.
#[derive(Debug, Clone)]
pub struct Controlled {
    /// Coordinates of states.
    pub dimension: usize,
    /// The process without control.
    pub reference: Reference,
    /// How many steps there are.
    pub steps: usize,
    /// The standard deviation of its ends.
    pub std: f32,
    /// `NN_1`.
    pub drift: Drift,
    /// What the control knows of the energy.
    pub guide: Option<Guide>,
}

impl Segment for Controlled {
    fn kind(&self) -> &'static str {
        "controlled"
    }

    fn inner_dimension(&self) -> usize {
        self.dimension
    }

    fn outer_dimension(&self) -> usize {
        self.dimension
    }

    fn steps(&self) -> usize {
        self.steps + usize::from(self.reference != Reference::Brownian)
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        let device = self.drift.weights().device();
        let times: Vec<f32> = (0..self.steps).map(|k| k as f32 / self.steps as f32).collect();
        let factors = self.guide.as_ref().map(|guide| guide.factors(&times));
        let control = |k: usize| Control {
            segment: self,
            time: times[k],
            factor: factors.as_ref().map(|all| all.clone().slice([k..k + 1, 0..self.dimension])),
        };
        let numbers = self.reference.numbers(self.steps, f64::from(self.std));
        let mut all: Vec<Box<dyn Transition + '_>> = Vec::with_capacity(self.steps + 1);
        let first = match self.reference {
            Reference::Brownian => {
                all.push(Box::new(Start { control: Some(control(0)), variance: numbers[0].variance }));
                1
            }
            Reference::OrnsteinUhlenbeck(_) => {
                all.push(Box::new(Start { control: None, variance: f64::from(self.std).powi(2) }));
                0
            }
        };
        for (k, numbers) in numbers.into_iter().enumerate().skip(first) {
            all.push(Box::new(ControlledStep::new(control(k), numbers, &device)));
        }
        all
    }

    fn weights(&self) -> Vec<&Weights> {
        let gate = self.guide.as_ref().map(|guide| guide.gate.weights());
        std::iter::once(self.drift.weights()).chain(gate).collect()
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        let gate = self.guide.as_mut().map(|guide| guide.gate.weights_mut());
        std::iter::once(self.drift.weights_mut()).chain(gate).collect()
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}

/// `u(., t_k)`.
struct Control<'a> {
    segment: &'a Controlled,
    time: f32,
    /// `NN_2(t_k)`, `[1, dimension]`.
    factor: Option<Tensor<2>>,
}

impl Control<'_> {
    /// `factor u(x, t_k)`.
    fn shift(&self, x: &State, given: &Given, factor: f64) -> Result<State, Failure> {
        let learned = self.segment.drift.at(x, self.time, given) * factor as f32;
        Ok(match (&self.segment.guide, &self.factor) {
            (Some(guide), Some(gate)) => learned + guide.score(x, given)? * (gate.clone() * factor as f32),
            _ => learned,
        })
    }
}

/// The source's draw on the scale of the process, around the shift of a first step if that begins at 0.
struct Start<'a> {
    control: Option<Control<'a>>,
    variance: f64,
}

impl Start<'_> {
    fn mean(&self, like: &State, given: &Given) -> Result<State, Failure> {
        let zero = Tensor::zeros(like.dims(), &like.device());
        match &self.control {
            Some(control) => control.shift(&zero, given, self.variance),
            None => Ok(zero),
        }
    }

    fn log_det(&self, like: &State) -> Tensor<1> {
        let [rows, columns] = like.dims();
        Tensor::full([rows], (0.5 * columns as f64 * self.variance.ln()) as f32, &like.device())
    }
}

impl Transition for Start<'_> {
    fn forward(&self, from: State, given: &Given, _: &Noise) -> Result<Step, Failure> {
        let log_det = self.log_det(&from);
        let mean = self.mean(&from, given)?;
        Ok(Step::of_ratio(from * self.variance.sqrt() as f32 + mean, log_det))
    }

    fn backward(&self, from: State, given: &Given, _: &Noise) -> Result<Step, Failure> {
        let log_det = -self.log_det(&from);
        let mean = self.mean(&from, given)?;
        Ok(Step::of_ratio((from - mean) * self.variance.sqrt().recip() as f32, log_det))
    }

    fn score(&self, _: &State, _: &State, _: &Given) -> Result<Score, Failure> {
        Ok(Score::Deterministic)
    }
}

/// One step of the process.
struct ControlledStep<'a> {
    control: Control<'a>,
    numbers: Numbers,
    spread: Isotropic,
    back: Isotropic,
}

impl<'a> ControlledStep<'a> {
    fn new(control: Control<'a>, numbers: Numbers, device: &Device) -> Self {
        let spread = Isotropic::fixed(numbers.variance.sqrt(), device);
        let back = Isotropic::fixed(numbers.back_variance.sqrt(), device);
        Self { control, numbers, spread, back }
    }

    fn forward_mean(&self, x: &State, given: &Given) -> Result<State, Failure> {
        let shift = self.control.shift(x, given, self.numbers.variance)?;
        Ok(x.clone() * self.numbers.kept as f32 + shift)
    }

    fn backward_mean(&self, x: &State) -> State {
        x.clone() * self.numbers.back as f32
    }
}

impl Transition for ControlledStep<'_> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let (to, forward) = self.spread.draw(self.forward_mean(&from, given)?, noise);
        let backward = self.back.log_density(&from, self.backward_mean(&to));
        Ok(Densities { forward, backward }.forward_step(to))
    }

    fn backward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let (to, backward) = self.back.draw(self.backward_mean(&from), noise);
        let forward = self.spread.log_density(&from, self.forward_mean(&to, given)?);
        Ok(Densities { forward, backward }.backward_step(to))
    }

    fn sample(&self, from: State, given: &Given, noise: &Noise) -> Result<State, Failure> {
        Ok(self.spread.draw(self.forward_mean(&from, given)?, noise).0)
    }

    fn score(&self, before: &State, after: &State, given: &Given) -> Result<Score, Failure> {
        let forward = self.spread.log_density(after, self.forward_mean(before, given)?);
        let backward = self.back.log_density(before, self.backward_mean(after));
        Ok(Score::Densities(Densities { forward, backward }))
    }
}
