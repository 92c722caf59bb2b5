//! Noise schedules: how much signal is left at each level.
//!
//! ```text
//! z = alpha x + sigma eps,   alpha^2 + sigma^2 = 1,   gamma = -log SNR = log(sigma^2 / alpha^2)
//! alpha^2 = sigmoid(-gamma),  sigma^2 = sigmoid(gamma)
//! ```
//!
//! Fixed schedules are those of DDPM (linear betas, Ho et al. 2020) and of Nichol and Dhariwal (2021, cosine).
//! The learned one is that of variational diffusion models (Kingma et al. 2021, appendix H): a monotone network
//! between two learned end points. The bound depends on the end points only; the shape between them changes the
//! variance of its estimate, and is trained to lower it.

use burn::tensor::{Tensor, activation};

use super::Goal;
use crate::array::gate::Gate;
use crate::array::weights::{Weights, layout, matrix, to_vec};
use crate::rng::{Address, Noise, Purpose};

/// Signal and noise at one level, in f64.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// `-log SNR`.
    pub gamma: f64,
    /// The place in the noise range, 0 (least noise) to 1: what the network is told.
    pub time: f64,
}

impl Level {
    /// The factor of the signal.
    pub fn alpha(&self) -> f64 {
        sigmoid(-self.gamma).sqrt()
    }

    /// The standard deviation of the noise.
    pub fn sigma(&self) -> f64 {
        sigmoid(self.gamma).sqrt()
    }
}

/// A uniform per row. For a loss one is shared by the batch and spread over it, `(u + i / batch) mod 1` (Kingma et al. 2021,
/// appendix I.1). Of a bound every row has its own, so that its estimate depends on its own address alone, and the row's draws are
/// spread: `(u + v_k) mod 1` with van der Corput's `v_k = 0, 1/2, 1/4, 3/4, 1/8, ...` (the bits of `k` behind the point, reversed).
pub(super) fn times(rows: usize, noise: &Noise, goal: Goal) -> Vec<f64> {
    let noise = noise.purpose(Purpose::Time);
    if goal != Goal::Loss {
        let draws: Vec<(u64, u64)> =
            (0..rows).map(|row| Address::draw_and_row(noise.trajectory(row))).collect();
        let own = noise.of_trajectories(draws.iter().map(|(_, row)| *row).collect()).uniform(rows, 1);
        let turn = |draw: u64| draw.reverse_bits() as f64 / 2f64.powi(64);
        return draws.iter().zip(own).map(|((draw, _), u)| (f64::from(u) + turn(*draw)).fract()).collect();
    }
    let offset = f64::from(noise.uniform(1, 1)[0]);
    (0..rows).map(|row| (offset + row as f64 / rows as f64).fract()).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `gamma` at `levels` noise levels of DDPM's linear schedule: betas from 1e-4 to 0.02 for 1000 levels, both
/// multiplied by `1000 / levels` otherwise (Nichol and Dhariwal 2021).
pub fn linear(levels: usize) -> Vec<f64> {
    let scale = 1000.0 / levels as f64;
    let (first, last) = (1e-4 * scale, (0.02 * scale).min(0.999));
    let step = (last - first) / (levels.max(2) - 1) as f64;
    gammas((0..levels).map(|i| (first + step * i as f64).min(0.999)))
}

/// `gamma` at `levels` noise levels, evenly spaced from `first` to `last`: a log-SNR that falls along a line.
pub fn log_linear(levels: usize, first: f64, last: f64) -> Vec<f64> {
    let step = (last - first) / (levels.max(2) - 1) as f64;
    (0..levels).map(|i| first + step * i as f64).collect()
}

/// `gamma` at `levels` noise levels of the cosine schedule, betas capped at 0.999 (Nichol and Dhariwal 2021).
pub fn cosine(levels: usize) -> Vec<f64> {
    let f = |t: f64| ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
    let at = |i: usize| f(i as f64 / levels as f64);
    gammas((0..levels).map(|i| (1.0 - at(i + 1) / at(i)).min(0.999)))
}

fn gammas(betas: impl Iterator<Item = f64>) -> Vec<f64> {
    betas
        .scan(0.0, |log_signal, beta| {
            *log_signal += (-beta).ln_1p();
            // gamma = log((1 - A) / A) with A the product of 1 - beta.
            Some((-f64::exp_m1(*log_signal)).ln() - *log_signal)
        })
        .collect()
}

/// A learned monotone `gamma(t)`, `t` in [0, 1].
///
/// ```text
/// gamma(t) = g_0 + (g_1 - g_0) (n(t) - n(0)) / (n(1) - n(0)),
/// n(t)     = e^a t + sum_j e^{c_j} sigmoid(e^{b_j} t + d_j)
/// ```
#[derive(Debug, Clone)]
pub struct LearnedGamma {
    hidden: usize,
    weights: Weights,
}

/// `gamma(t)` and its derivative for a batch of times, `[batch, 1]` each.
pub struct GammaAt {
    /// `gamma(t)`.
    pub gamma: Tensor<2>,
    /// `d gamma / dt`.
    pub slope: Tensor<2>,
    /// `(gamma(t) - g_0) / (g_1 - g_0)`: what the network is told.
    pub time: Tensor<2>,
}

impl LearnedGamma {
    /// Linear between `first` (least noise) and `last`, with `hidden` units to bend it.
    pub fn new(name: impl Into<String>, first: f32, last: f32, hidden: usize, seed: u64) -> Self {
        let slots = layout([
            ("ends", vec![2]),
            ("linear", vec![1]),
            ("inner", vec![hidden]),
            ("shift", vec![hidden]),
            ("outer", vec![hidden]),
        ]);
        let mut values = vec![0.0; slots[4].range.end];
        values[..2].copy_from_slice(&[first, last]);
        let uniform = Noise::new(seed, Purpose::Weights).step(u32::MAX).uniform(1, hidden);
        for (j, u) in uniform.iter().enumerate() {
            values[slots[2].range.start + j] = 2.0;
            values[slots[3].range.start + j] = -7.4 * u;
            values[slots[4].range.start + j] = (0.1 / hidden as f32).ln();
        }
        Self { hidden, weights: Weights::new(name, slots, values) }
    }

    /// The trainable numbers.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The trainable numbers, to update.
    pub fn weights_mut(&mut self) -> &mut Weights {
        &mut self.weights
    }

    /// The end points `g_0` and `g_1`, `[1, 1]` each.
    pub fn ends(&self) -> [Tensor<2>; 2] {
        let ends = self.weights.matrix("ends");
        [ends.clone().slice([0..1, 0..1]), ends.slice([0..1, 1..2])]
    }

    /// `gamma` at each of `times`, untracked.
    pub fn levels(&self, times: &[f64]) -> Vec<Level> {
        let mut frozen = self.clone();
        frozen.weights.freeze();
        let times_f32: Vec<f32> = times.iter().map(|t| *t as f32).collect();
        let at = frozen.at(matrix(times_f32, 1, &frozen.weights.device()), None);
        let (gamma, time) = (to_vec(at.gamma), to_vec(at.time));
        gamma.iter().zip(&time).map(|(g, t)| Level { gamma: f64::from(*g), time: f64::from(*t) }).collect()
    }

    /// `gamma`, its slope and the network's time at `times`, `[batch, 1]`.
    ///
    /// With a gate, the end points learn from the loss as it is, while the gradient that reaches the shape between
    /// them passes through the gate.
    pub fn at(&self, times: Tensor<2>, gate: Option<&Gate>) -> GammaAt {
        let rows = times.dims()[0];
        let positive = |name: &str| self.weights.matrix(name).exp();
        let (linear, inner, outer) = (positive("linear"), positive("inner"), positive("outer"));
        let shift = self.weights.matrix("shift");
        let bend = |t: Tensor<2>| -> (Tensor<2>, Tensor<2>) {
            let unit = activation::sigmoid(t.clone().matmul(inner.clone()) + shift.clone());
            let rate = unit.clone() * (-unit.clone() + 1.0) * inner.clone() * outer.clone();
            let value = t * linear.clone() + (unit * outer.clone()).sum_dim(1);
            (value, rate.sum_dim(1) + linear.clone())
        };
        let device = times.device();
        let (start, _) = bend(Tensor::zeros([1, 1], &device));
        let (end, _) = bend(Tensor::ones([1, 1], &device));
        let (value, rate) = bend(times);
        let span = end - start.clone();
        let (mut time, mut slope) = ((value - start) / span.clone(), rate / span);
        if let Some(gate) = gate {
            (time, slope) = (gate.apply(time), gate.apply(slope));
        }
        let [first, last] = self.ends();
        let range = last - first.clone();
        debug_assert_eq!(time.dims(), [rows, 1]);
        GammaAt { gamma: time.clone() * range.clone() + first, slope: slope * range, time }
    }

    /// How many units bend the curve.
    pub fn hidden(&self) -> usize {
        self.hidden
    }
}
