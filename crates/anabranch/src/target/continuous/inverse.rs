//! A linear inverse problem whose posterior is known: a mixture seen through a map and noise (Hagemann, Hertrich, Steidl 2022, 7.1).
//!
//! ```text
//! x ~ (1 / K) sum_k N(m_k, v I),   m_k in [-1, 1]^d,      y = A x + s n,   A = diag(a / i),  i = 1, ..., d,   n ~ N(0, I)
//! R(x | y) = p(x) p(y | x)
//! x | y ~ sum_k w_k N(c_k, diag u),   1 / u_i = A_i^2 / s^2 + 1 / v,   c_ki = u_i (A_i y_i / s^2 + m_ki / v)
//! log w_k = sum_i [c_ki^2 / u_i - m_ki^2 / v] / 2 + constant
//! Z(y) = p(y) = (1 / K) sum_k prod_i N(y_i; A_i m_ki, A_i^2 v + s^2)
//! ```
//!
//! `y` is the condition, whose own law is `p(y)`. Coordinates with small `A_i` are told by the prior alone.

use std::f64::consts::TAU;
use std::sync::Arc;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::density::log_sum_exp_visit;
use super::entry::{Built, Entry, Result, check_dimension, shared};
use crate::environment::continuous::Domain;
use crate::math::{Dual, Real, log_sum_exp};
use crate::papers::CONDITIONAL_FLOWS;
use crate::rng::{Noise, Purpose, Stream};
use crate::target::{Failure, Target, within};

/// Rows that one task evaluates.
const CHUNK: usize = 64;

/// A mixture behind a diagonal map with noise.
#[derive(Debug, Clone)]
pub struct MixtureInverse {
    /// `m_k`, a row for each component.
    means: Arc<Vec<Vec<f64>>>,
    /// `v`.
    variance: f64,
    /// `A_i`.
    map: Vec<f64>,
    /// `s`.
    noise: f64,
}

/// A mixture behind a diagonal map with noise, as recipes name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MixtureInverseRecipe {
    /// The dimension, and that of the observation.
    pub dimension: usize,
    /// Components of the prior, whose means lie in [-1, 1]^dimension.
    pub components: usize,
    /// The standard deviation of a component.
    pub std: f64,
    /// The first entry of the map; the i-th is this over i.
    pub scale: f64,
    /// The standard deviation of the noise.
    pub noise: f64,
    /// The seed of the means.
    #[serde(default)]
    pub seed: u64,
}

impl Entry for MixtureInverseRecipe {
    fn formula(&self) -> String {
        let Self { components, noise, .. } = self;
        format!("mixture inverse: p(x) N(y; A x, {noise}^2 I), {components} components, y the condition")
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![CONDITIONAL_FLOWS]
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.dimension)
    }

    fn check(&self) -> Result<()> {
        check_dimension(self.dimension, 1)?;
        within("components", self.components as f64, 1.0, 1e5)?;
        [("std", self.std), ("scale", self.scale), ("noise", self.noise)]
            .into_iter()
            .try_for_each(|(key, value)| within(key, value, 1e-6, 1e6))
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        let Self { dimension, components, std, scale, noise, seed } = *self;
        shared(MixtureInverse::new([dimension, components], [std, scale, noise], seed))
    }
}

impl MixtureInverse {
    /// Of `components` means in `dimension` coordinates, drawn from `seed`; the prior's standard deviation `sqrt v`, the first entry `a`
    /// of the map, and the noise `s`.
    pub fn new([dimension, components]: [usize; 2], [std, scale, noise]: [f64; 3], seed: u64) -> Self {
        let uniforms = Noise::new(seed, Purpose::Target).uniform(components, dimension);
        let mean = |row: &[f32]| row.iter().map(|u| 2.0 * f64::from(*u) - 1.0).collect();
        Self {
            means: Arc::new(uniforms.chunks_exact(dimension).map(mean).collect()),
            variance: std * std,
            map: (1..=dimension).map(|i| scale / i as f64).collect(),
            noise,
        }
    }

    fn dimension(&self) -> usize {
        self.map.len()
    }

    /// `log R(x | y)`, nats; writes its gradient by `x` where one is wanted.
    fn at<T: Real>(&self, x: &[T], y: &[f32], score: Option<&mut [T]>) -> T {
        let (d, v, s2) = (self.dimension() as f64, self.variance, self.noise * self.noise);
        let mut pull = vec![T::from(0.0); if score.is_some() { x.len() } else { 0 }];
        let term = |k: usize| {
            let square: T = x.iter().zip(&self.means[k]).map(|(x, m)| (*x - *m) * (*x - *m)).sum();
            square * (-0.5 / v)
        };
        let prior = log_sum_exp_visit(self.means.len(), term, |k, share| {
            for (pull, (x, m)) in pull.iter_mut().zip(x.iter().zip(&self.means[k])) {
                *pull += (-*x + *m) * share;
            }
        });
        let residual = |i: usize| -(x[i] * self.map[i]) + f64::from(y[i]);
        if let Some(score) = score {
            for (i, score) in score.iter_mut().enumerate() {
                *score = pull[i] / v + residual(i) * (self.map[i] / s2);
            }
        }
        let square: T = (0..x.len()).map(|i| residual(i) * residual(i)).sum();
        let constant = (self.means.len() as f64).ln() + 0.5 * d * ((TAU * v).ln() + (TAU * s2).ln());
        prior + square * (-0.5 / s2) - constant
    }

    /// `u_i`.
    fn posterior_variance(&self, i: usize) -> f64 {
        (self.map[i] * self.map[i] / (self.noise * self.noise) + 1.0 / self.variance).recip()
    }

    /// `c_ki`.
    fn posterior_mean(&self, k: usize, i: usize, y: f32) -> f64 {
        let told = self.map[i] * f64::from(y) / (self.noise * self.noise);
        self.posterior_variance(i) * (told + self.means[k][i] / self.variance)
    }

    /// `log w_k`, of weights that sum to `K Z(y)`.
    fn log_evidence(&self, k: usize, y: &[f32]) -> f64 {
        let terms = self.map.iter().zip(&self.means[k]).zip(y);
        let each = terms.map(|((a, m), y)| {
            let variance = a * a * self.variance + self.noise * self.noise;
            -0.5 * ((f64::from(*y) - a * m).powi(2) / variance + (TAU * variance).ln())
        });
        each.sum()
    }

    /// The component of a uniform among logarithms of weights.
    fn chosen(log_weights: &[f64], u: f64) -> usize {
        let sum = log_sum_exp(log_weights);
        let mut left = u;
        let found = log_weights.iter().position(|log_weight| {
            left -= (log_weight - sum).exp();
            left < 0.0
        });
        // The shares may add up to less than 1 by rounding.
        found.unwrap_or(log_weights.len() - 1)
    }

    /// A row of numbers for each row of `noise`.
    fn rows(
        count: usize,
        noise: &Noise,
        row: impl Fn(usize, &mut Stream<'_>) -> Vec<f64> + Sync,
    ) -> Vec<f32> {
        let rows: Vec<Vec<f64>> =
            (0..count).into_par_iter().map(|index| row(index, &mut noise.stream(index))).collect();
        rows.into_iter().flatten().map(|value| value as f32).collect()
    }
}

impl Target for MixtureInverse {
    fn log_rewards(
        &self,
        points: &[f32],
        conditions: &[f32],
        out: &mut [f64],
    ) -> std::result::Result<(), Failure> {
        let d = self.dimension();
        let chunks = points.par_chunks(CHUNK * d).zip(conditions.par_chunks(CHUNK * d));
        out.par_chunks_mut(CHUNK).zip(chunks).for_each(|(out, (points, conditions))| {
            let rows = points.chunks_exact(d).zip(conditions.chunks_exact(d));
            for (out, (x, y)) in out.iter_mut().zip(rows) {
                let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
                *out = self.at(&x, y, None);
            }
        });
        Ok(())
    }

    fn has_scores(&self) -> bool {
        true
    }

    fn log_rewards_with_scores(
        &self,
        points: &[f32],
        conditions: &[f32],
        out: &mut [f64],
        scores: &mut [f64],
    ) -> std::result::Result<(), Failure> {
        let d = self.dimension();
        let chunks = points.par_chunks(CHUNK * d).zip(conditions.par_chunks(CHUNK * d));
        let written = out.par_chunks_mut(CHUNK).zip(scores.par_chunks_mut(CHUNK * d));
        written.zip(chunks).for_each(|((out, scores), (points, conditions))| {
            let rows = points.chunks_exact(d).zip(conditions.chunks_exact(d));
            for ((out, score), (x, y)) in out.iter_mut().zip(scores.chunks_exact_mut(d)).zip(rows) {
                let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
                *out = self.at(&x, y, Some(score));
            }
        });
        Ok(())
    }

    fn has_curvature(&self) -> bool {
        true
    }

    fn score_derivatives(
        &self,
        points: &[f32],
        conditions: &[f32],
        directions: &[f64],
        out: &mut [f64],
    ) -> std::result::Result<(), Failure> {
        let d = self.dimension();
        let chunks = points.par_chunks(d).zip(conditions.par_chunks(d)).zip(directions.par_chunks(d));
        out.par_chunks_mut(d).zip(chunks).for_each(|(out, ((x, y), along))| {
            let dual = |(x, v): (&f32, &f64)| Dual::<1> { value: f64::from(*x), slopes: [*v] };
            let x: Vec<Dual<1>> = x.iter().zip(along).map(dual).collect();
            let mut score = vec![Dual::<1>::from(0.0); d];
            self.at(&x, y, Some(&mut score));
            out.iter_mut().zip(&score).for_each(|(to, slope)| [*to] = slope.slopes);
        });
        Ok(())
    }

    fn condition_width(&self) -> usize {
        self.dimension()
    }

    fn log_z(&self, condition: &[f32]) -> Option<f64> {
        let all: Vec<f64> = (0..self.means.len()).map(|k| self.log_evidence(k, condition)).collect();
        (condition.len() == self.dimension()).then(|| log_sum_exp(&all) - (all.len() as f64).ln())
    }

    fn draw_given(&self, conditions: &[f32], noise: &Noise) -> Option<Vec<f32>> {
        let d = self.dimension();
        Some(Self::rows(conditions.len() / d, noise, |row, stream| {
            let y = &conditions[row * d..(row + 1) * d];
            let weights: Vec<f64> = (0..self.means.len()).map(|k| self.log_evidence(k, y)).collect();
            let k = Self::chosen(&weights, stream.uniform());
            let coordinate = |i: usize| {
                self.posterior_mean(k, i, y[i]) + self.posterior_variance(i).sqrt() * stream.normal()
            };
            (0..d).map(coordinate).collect()
        }))
    }

    fn draw_conditions(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        Some(Self::rows(count, noise, |_, stream| {
            let k = Self::chosen(&vec![0.0; self.means.len()], stream.uniform());
            let coordinate = |(a, m): (&f64, &f64)| {
                let x = m + self.variance.sqrt() * stream.normal();
                a * x + self.noise * stream.normal()
            };
            self.map.iter().zip(&self.means[k]).map(coordinate).collect()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Estimate;

    fn problem() -> MixtureInverse {
        MixtureInverse::new([3, 4], [0.3, 0.7, 0.4], 5)
    }

    fn log_r(target: &MixtureInverse, x: &[f32], y: &[f32]) -> f64 {
        let mut out = [0.0];
        target.log_rewards(x, y, &mut out).unwrap();
        out[0]
    }

    /// `R(x | y) / Z(y)` is the posterior mixture: their ratio is 1 at any point.
    #[test]
    fn the_posterior_is_the_mixture_it_is_said_to_be() {
        let target = problem();
        let noise = Noise::new(3, Purpose::Condition);
        let ys = target.draw_conditions(5, &noise).unwrap();
        let xs = target.draw_given(&ys, &noise.purpose(Purpose::Target)).unwrap();
        for (y, x) in ys.chunks(3).zip(xs.chunks(3)) {
            let weights: Vec<f64> = (0..4).map(|k| target.log_evidence(k, y)).collect();
            let sum = log_sum_exp(&weights);
            let component = |k: usize| -> f64 {
                let square = |i: usize| {
                    let variance = target.posterior_variance(i);
                    let gap = f64::from(x[i]) - target.posterior_mean(k, i, y[i]);
                    -0.5 * (gap * gap / variance + (TAU * variance).ln())
                };
                weights[k] - sum + (0..3).map(square).sum::<f64>()
            };
            let posterior = log_sum_exp(&(0..4).map(component).collect::<Vec<f64>>());
            let found = log_r(&target, x, y) - target.log_z(y).unwrap();
            assert!((found - posterior).abs() < 1e-10, "{found}, {posterior}");
        }
    }

    /// Scores and Hessian-vector products are those of differences.
    #[test]
    fn derivatives_are_those_of_differences() {
        let target = problem();
        let (x, y, v) = ([0.3f32, -0.2, 0.5], [0.1f32, 0.4, -0.3], [0.7, -1.1, 0.4]);
        let scored = |x: &[f32]| {
            let (mut out, mut score) = ([0.0], [0.0; 3]);
            target.log_rewards_with_scores(x, &y, &mut out, &mut score).unwrap();
            score
        };
        let score = scored(&x);
        let h = 1.0 / 256.0;
        for i in 0..3 {
            let at = |step: f32| {
                let mut x = x;
                x[i] += step;
                log_r(&target, &x, &y)
            };
            let slope = (at(h) - at(-h)) / f64::from(2.0 * h);
            assert!((slope - score[i]).abs() < 1e-2 * (1.0 + slope.abs()), "{i}: {slope}, {score:?}");
        }
        let mut product = [0.0; 3];
        target.score_derivatives(&x, &y, &v, &mut product).unwrap();
        let moved = |sign: f32| -> Vec<f32> { (0..3).map(|i| x[i] + sign * h * v[i] as f32).collect() };
        let (up, down) = (scored(&moved(1.0)), scored(&moved(-1.0)));
        for i in 0..3 {
            let slope = (up[i] - down[i]) / f64::from(2.0 * h);
            assert!((slope - product[i]).abs() < 2e-2 * (1.0 + slope.abs()), "{i}: {slope}, {product:?}");
        }
    }

    /// Conditions have the law `p(y)`, and pairs the joint one: `E[y] = A E[x]`, `E[x y]` over pairs.
    #[test]
    fn pairs_have_the_joint_law() {
        let target = problem();
        let (n, noise) = (40_000, Noise::new(8, Purpose::Condition));
        let ys = target.draw_conditions(n, &noise).unwrap();
        let xs = target.draw_given(&ys, &noise.purpose(Purpose::Target)).unwrap();
        for i in 0..3 {
            let prior_mean = target.means.iter().map(|m| m[i]).sum::<f64>() / 4.0;
            let prior_square = target.means.iter().map(|m| m[i] * m[i]).sum::<f64>() / 4.0 + target.variance;
            let of = |value: &dyn Fn(f64, f64) -> f64| {
                let pairs = xs.chunks(3).zip(ys.chunks(3));
                Estimate::mean(
                    &pairs.map(|(x, y)| value(f64::from(x[i]), f64::from(y[i]))).collect::<Vec<f64>>(),
                )
            };
            for (found, exact) in [
                (of(&|x, _| x), prior_mean),
                (of(&|x, _| x * x), prior_square),
                (of(&|_, y| y), target.map[i] * prior_mean),
                (of(&|x, y| x * y), target.map[i] * prior_square),
            ] {
                assert!((found.value - exact).abs() < 4.5 * found.error, "{i}: {found:?}, {exact}");
            }
        }
    }
}
