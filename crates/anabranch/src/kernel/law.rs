//! Laws of a batch: what a kernel draws from, one independent coordinate at a time.
//!
//! ```text
//! Gaussian              N(v; m, s^2)
//! Bernoulli             v in {0, 1}, logits a:            v log sigmoid(a) + (1 - v) log sigmoid(-a)
//! discretised logistic  v in 0..K, c_v = 2 (v + 1/2) / K - 1:
//!                       sigmoid((c_v + 1/K - m) / s) - sigmoid((c_v - 1/K - m) / s), open at both ends
//! discretised Gaussian  v in 0..K: softmax over v of -(c_v - m)^2 / (2 s^2)
//! cell                  uniform on [v, v + 1)
//! rounding              floor(y), a point mass
//! ```
//!
//! Integer data stand as floats `0, 1, ..., K - 1`. The discretised logistic is that of PixelCNN++ (Salimans
//! et al. 2017, eq. 2); the discretised Gaussian is the decoder of variational diffusion models (Kingma et
//! al. 2021, appendix G), which, unlike a difference of error functions in f32, sums to one in its far tails too.

use std::sync::Arc;

use burn::tensor::{Bool, Tensor, activation};

use crate::array::weights::{matrix, sum_rows, to_vec};
use crate::chain::{LogWeight, State};
use crate::rng::Noise;

/// A law over states `[batch, dimension]`, one row per trajectory.
pub trait Law {
    /// One draw per row.
    fn sample(&self, noise: &Noise) -> State;

    /// The log-density (or log-mass) of one value per row, summed over coordinates, `[batch]`, nats.
    fn log_density(&self, value: &State) -> LogWeight;
}

/// Standard normals in the shape and on the device of `like`.
pub fn normal_like(like: &State, noise: &Noise) -> State {
    let [rows, columns] = like.dims();
    matrix(noise.normal(rows, columns), columns, &like.device())
}

/// The spread of a [`Gaussian`].
#[derive(Debug, Clone)]
pub enum LogStd {
    /// One `log s` for all.
    Shared(f32),
    /// `log s` per coordinate, `[batch, dimension]` or `[1, dimension]`.
    Each(Tensor<2>),
}

/// Independent normals.
#[derive(Debug, Clone)]
pub struct Gaussian {
    /// `[batch, dimension]`.
    pub mean: State,
    /// The logarithm of the standard deviation.
    pub log_std: LogStd,
}

impl Gaussian {
    /// The standardised residual `(v - m) / s` and `sum log s` per row.
    fn residual(&self, value: &State) -> (State, LogWeight) {
        let [rows, columns] = self.mean.dims();
        let difference = value.clone() - self.mean.clone();
        match &self.log_std {
            LogStd::Shared(log_std) => {
                let sum = Tensor::full([rows], log_std * columns as f32, &difference.device());
                (difference * (-log_std).exp(), sum)
            }
            LogStd::Each(log_std) => {
                let sum = sum_rows(log_std.clone().expand([rows, columns]));
                (difference * (-log_std.clone()).exp(), sum)
            }
        }
    }
}

/// `log(2 pi) / 2`.
pub const HALF_LOG_TAU: f32 = 0.918_938_5;

impl Law for Gaussian {
    fn sample(&self, noise: &Noise) -> State {
        let eps = normal_like(&self.mean, noise);
        match &self.log_std {
            LogStd::Shared(log_std) => self.mean.clone() + eps * log_std.exp(),
            LogStd::Each(log_std) => self.mean.clone() + eps * log_std.clone().exp(),
        }
    }

    fn log_density(&self, value: &State) -> LogWeight {
        let columns = self.mean.dims()[1];
        let (residual, log_std) = self.residual(value);
        sum_rows(residual.square()) * -0.5 - log_std - HALF_LOG_TAU * columns as f32
    }
}

/// Independent coins.
#[derive(Debug, Clone)]
pub struct Bernoulli {
    /// The log-odds of 1, `[batch, dimension]`.
    pub logits: State,
}

impl Law for Bernoulli {
    fn sample(&self, noise: &Noise) -> State {
        let [rows, columns] = self.logits.dims();
        let uniform = matrix(noise.uniform(rows, columns), columns, &self.logits.device());
        uniform.lower(activation::sigmoid(self.logits.clone())).float()
    }

    fn log_density(&self, value: &State) -> LogWeight {
        let signed = self.logits.clone() * (value.clone() * 2.0 - 1.0);
        sum_rows(activation::log_sigmoid(signed))
    }
}

/// The centre of level `v` of `levels` on [-1, 1]: `2 (v + 1/2) / levels - 1`.
pub fn level_centres(value: &State, levels: u32) -> State {
    (value.clone() + 0.5) * (2.0 / levels as f32) - 1.0
}

/// The centres of all `levels` levels on [-1, 1].
pub fn centres(levels: u32) -> Arc<[f32]> {
    (0..levels).map(|level| (2 * level + 1) as f32 / levels as f32 - 1.0).collect()
}

/// The level whose cell holds a point of [-1, 1]; points outside go to the end levels.
pub fn nearest_level(point: State, levels: u32) -> State {
    ((point + 1.0) * (levels as f32 / 2.0)).floor().clamp(0.0, (levels - 1) as f32)
}

/// A logistic cut into the cells of `levels` levels.
#[derive(Debug, Clone)]
pub struct DiscretisedLogistic {
    /// Location on [-1, 1], `[batch, dimension]`.
    pub mean: State,
    /// Log-scale, `[batch, dimension]` or `[1, dimension]`.
    pub log_scale: Tensor<2>,
    /// The number of levels `K`.
    pub levels: u32,
}

impl Law for DiscretisedLogistic {
    fn sample(&self, noise: &Noise) -> State {
        let [rows, columns] = self.mean.dims();
        let uniform = matrix(noise.uniform(rows, columns), columns, &self.mean.device());
        let logistic = uniform.clone().log() - (-uniform + 1.0).log();
        nearest_level(self.mean.clone() + logistic * self.log_scale.clone().exp(), self.levels)
    }

    fn log_density(&self, value: &State) -> LogWeight {
        let levels = self.levels;
        let inverse_scale = (-self.log_scale.clone()).exp().expand(self.mean.dims());
        let centred = level_centres(value, levels) - self.mean.clone();
        let upper = (centred.clone() + 1.0 / levels as f32) * inverse_scale.clone();
        let lower = (centred - 1.0 / levels as f32) * inverse_scale.clone();
        // sigmoid(u) - sigmoid(l) = e^u (1 - e^{l - u}) / ((1 + e^u)(1 + e^l)), without cancellation.
        let width = inverse_scale * (2.0 / levels as f32);
        let inside = upper.clone() + log_one_minus_exp_neg(width)
            - activation::softplus(upper.clone(), 1.0)
            - activation::softplus(lower.clone(), 1.0);
        let first = value.clone().lower_elem(0.5);
        let last = value.clone().greater_elem(levels as f32 - 1.5);
        let log_mass = inside
            .mask_where(first, activation::log_sigmoid(upper))
            .mask_where(last, -activation::softplus(lower, 1.0));
        sum_rows(log_mass)
    }
}

impl DiscretisedLogistic {
    /// The derivatives of the log-mass of each coordinate by its mean and by its log-scale, `[batch, dimension]` each, as operations
    /// that can be differentiated again.
    ///
    /// ```text
    /// u, l = (c_v +- 1/K - m) / s,  w = u - l
    /// d / d m = -(1 - sigmoid(u) - sigmoid(l)) / s,      d / d log s = l sigmoid(l) - u sigmoid(-u) - w / (e^w - 1)
    /// ```
    pub fn slopes(&self, value: &State) -> [State; 2] {
        let levels = self.levels;
        let inverse_scale = (-self.log_scale.clone()).exp().expand(self.mean.dims());
        let centred = level_centres(value, levels) - self.mean.clone();
        let upper = (centred.clone() + 1.0 / levels as f32) * inverse_scale.clone();
        let lower = (centred - 1.0 / levels as f32) * inverse_scale.clone();
        let width = (inverse_scale.clone() * (2.0 / levels as f32)).clamp_max(80.0);
        let (above, below) = (activation::sigmoid(-upper.clone()), activation::sigmoid(lower.clone()));
        let small = width.clone().lower_elem(1e-2);
        let series = width.clone() * (width.clone() * (1.0 / 12.0) - 0.5) + 1.0;
        let direct = width.clone() / (width.clamp_min(1e-2).exp() - 1.0);
        let share = direct.mask_where(small, series);
        let first = value.clone().lower_elem(0.5);
        let last = value.clone().greater_elem(levels as f32 - 1.5);
        let of_upper = -upper * above.clone();
        let of_lower = lower * below.clone();
        let by_mean =
            (below.clone() - above.clone()).mask_where(first.clone(), -above).mask_where(last.clone(), below);
        let by_scale = (of_upper.clone() + of_lower.clone() - share)
            .mask_where(first, of_upper)
            .mask_where(last, of_lower);
        [by_mean * inverse_scale, by_scale]
    }
}

/// `log(1 - e^{-w})` for `w > 0`, by `expm1`'s series where `w` is small.
pub(crate) fn log_one_minus_exp_neg(width: Tensor<2>) -> Tensor<2> {
    let small = width.clone().lower_elem(1e-2);
    let series = width.clone() * (width.clone() * (width.clone() * (1.0 / 6.0) - 0.5) + 1.0);
    let direct = -(-width.clamp_min(1e-2)).exp() + 1.0;
    direct.mask_where(small, series).log()
}

/// A Gaussian evaluated at the centres of `levels` levels and normalised over them.
#[derive(Debug, Clone)]
pub struct DiscretisedGaussian {
    /// Location on [-1, 1], `[batch, dimension]`.
    pub mean: State,
    /// The common standard deviation, `[1, 1]`, on the scale of [-1, 1].
    pub std: Tensor<2>,
    /// The number of levels `K`.
    pub levels: u32,
}

impl DiscretisedGaussian {
    /// `-(c_k - m)^2 / (2 s^2)` for every level `k`, `[batch, dimension, levels]`.
    fn logits(&self) -> Tensor<3> {
        let [rows, columns] = self.mean.dims();
        let levels = self.levels as usize;
        let grid = matrix(centres(self.levels).to_vec(), levels, &self.mean.device()).reshape([1, 1, levels]);
        let inverse: Tensor<3> = self.std.clone().recip().reshape([1, 1, 1]);
        let distance = (self.mean.clone().reshape([rows, columns, 1]) - grid) * inverse;
        distance.square() * -0.5
    }
}

impl Law for DiscretisedGaussian {
    fn sample(&self, noise: &Noise) -> State {
        // The Gumbel-free inverse of the distribution function: one uniform per coordinate.
        let [rows, columns] = self.mean.dims();
        let masses = activation::softmax(self.logits(), 2);
        let uniform = noise.uniform(rows, columns);
        let masses = to_vec(masses);
        let levels = self.levels as usize;
        let values = uniform.iter().zip(masses.chunks_exact(levels)).map(|(&u, masses)| {
            let mut sum = 0.0;
            let passed = masses.iter().position(|mass| {
                sum += mass;
                u < sum
            });
            // The sum may round to less than 1: the last level that has a mass. Masses that are no numbers have none.
            let level = passed.or_else(|| masses.iter().rposition(|mass| *mass > 0.0));
            level.map_or(f32::NAN, |level| level as f32)
        });
        matrix(values.collect(), columns, &self.mean.device())
    }

    fn log_density(&self, value: &State) -> LogWeight {
        let [rows, columns] = self.mean.dims();
        let logits = self.logits();
        let largest = logits.clone().max_dim(2).detach();
        let log_sum = (logits - largest.clone()).exp().sum_dim(2).log() + largest;
        let distance = (self.mean.clone() - level_centres(value, self.levels)) * self.std.clone().recip();
        sum_rows(distance.square() * -0.5 - log_sum.reshape([rows, columns]))
    }
}

/// 0 for each row, and `-inf` where one of its coordinates is out of a law's reach.
fn impossible(outside: Tensor<2, Bool>) -> LogWeight {
    let inside = Tensor::<2>::zeros(outside.dims(), &outside.device());
    sum_rows(inside.mask_fill(outside, f32::NEG_INFINITY))
}

/// Uniform on the unit cell above each integer; integers up to 2^23, beyond which f32 has no number between two of them.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The integers, `[batch, dimension]`.
    pub floor: State,
}

impl Law for Cell {
    fn sample(&self, noise: &Noise) -> State {
        let [rows, columns] = self.floor.dims();
        let uniform = noise.uniform(rows, columns);
        // Rounding may lift v + u to v + 1 in f32, and above 2047 even v + 0.9999: stay below.
        let inside = |(v, u): (f32, f32)| (v + u).min(v + (1.0 - 1e-4)).min((v + 1.0).next_down());
        let values = to_vec(self.floor.clone()).into_iter().zip(uniform).map(inside).collect();
        matrix(values, columns, &self.floor.device())
    }

    fn log_density(&self, value: &State) -> LogWeight {
        impossible(value.clone().floor().not_equal(self.floor.clone()))
    }
}

/// The point mass at a given value.
#[derive(Debug, Clone)]
pub struct PointMass {
    /// `[batch, dimension]`.
    pub value: State,
}

impl Law for PointMass {
    fn sample(&self, _noise: &Noise) -> State {
        self.value.clone()
    }

    fn log_density(&self, value: &State) -> LogWeight {
        impossible(value.clone().not_equal(self.value.clone()))
    }
}
