//! Paths of a posterior relative to its prior, both chains of the same kernels with weights of their own.
//!
//! ```text
//! P(path) ~ P_prior(path) R(x)^beta,      Z = E_prior[R(x)^beta]
//! log w = beta log R(x) + sum_r [log P_prior - log P_model]         the backward kernels cancel
//!
//! the model's paths     E[log w] <= log Z <= log mean exp log w      ELBO, importance-weighted log Z
//! the prior's paths     log mean R^beta                              the prior's own importance weights
//!                       sum_i R_i^beta log w_i / sum_i R_i^beta      over the posterior's paths: at least log Z (EUBO)
//! ```
//!
//! Venkatraman et al., "Amortizing intractable inference in diffusion models" (2024), eq. 8, where `log w` is constant. A stretch of
//! bijections is encoded again from its end by either chain.

use rayon::prelude::*;

use crate::array::weights::{to_vec, to_vec_f64};
use crate::chain::Given;
use crate::error::Failure;
use crate::math::{Estimate, log_sum_exp};
use crate::model::Model;
use crate::model::path::{Path, States};
use crate::rng::Noise;
use crate::target::{Target, log_density};

/// Paths drawn together; also the unit of parallelism.
const CHUNK: usize = 128;

/// A model beside its prior; both untracked.
#[derive(Clone, Copy)]
pub struct Relative<'a> {
    /// The prior.
    pub prior: &'a Model,
    /// The model of the posterior.
    pub model: &'a Model,
    /// The power of the likelihood R.
    pub beta: f64,
}

/// Paths with what both chains and the likelihood say of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RelativePaths {
    /// The ends, `[paths, dimension]`.
    pub ends: Vec<f32>,
    /// `beta log R(x)`, `[paths]`, nats.
    pub log_likelihoods: Vec<f64>,
    /// `log P_prior - log P_model` of the whole path, `[paths]`, nats.
    pub log_ratios: Vec<f64>,
}

impl RelativePaths {
    /// `log w`, `[paths]`, nats.
    pub fn log_weights(&self) -> Vec<f64> {
        self.log_likelihoods.iter().zip(&self.log_ratios).map(|(log_r, ratio)| log_r + ratio).collect()
    }
}

impl Relative<'_> {
    /// `paths` forward paths of the model; path `i` from row `i` of `noise`. `None` where `seen`, which is told the paths of every
    /// finished chunk, answered that this is enough.
    ///
    /// # Errors
    /// If a kernel fails, or as [`log_density`].
    pub fn of_model(
        &self,
        target: &dyn Target,
        paths: usize,
        noise: &Noise,
        seen: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Option<RelativePaths>, Failure> {
        self.drawn(self.model, target, paths, noise, seen)
    }

    /// The same of the prior's paths.
    ///
    /// # Errors
    /// As [`Relative::of_model`].
    pub fn of_prior(
        &self,
        target: &dyn Target,
        paths: usize,
        noise: &Noise,
        seen: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Option<RelativePaths>, Failure> {
        self.drawn(self.prior, target, paths, noise, seen)
    }

    fn drawn(
        &self,
        by: &Model,
        target: &dyn Target,
        paths: usize,
        noise: &Noise,
        seen: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Option<RelativePaths>, Failure> {
        let starts: Vec<usize> = (0..paths).step_by(CHUNK).collect();
        let draw = |first: &usize| {
            let rows = CHUNK.min(paths - first);
            let noise = noise.from_row(*first);
            let states = States::draw(by, rows, &Given::nothing(), &noise)?;
            let scored = self.score(target, &states, &noise)?;
            Ok(seen(rows).then_some(scored))
        };
        let chunks: Result<Vec<_>, Failure> = starts.par_iter().map(draw).collect();
        let Some(chunks) = chunks?.into_iter().collect::<Option<Vec<RelativePaths>>>() else {
            return Ok(None);
        };
        let mut all = RelativePaths::default();
        for chunk in chunks {
            all.ends.extend(chunk.ends);
            all.log_likelihoods.extend(chunk.log_likelihoods);
            all.log_ratios.extend(chunk.log_ratios);
        }
        Ok(Some(all))
    }

    /// What both chains and the likelihood say of given states.
    ///
    /// # Errors
    /// If a kernel fails, or as [`log_density`].
    pub fn score(
        &self,
        target: &dyn Target,
        states: &States,
        noise: &Noise,
    ) -> Result<RelativePaths, Failure> {
        let none = Given::nothing();
        let log_density = to_vec_f64(log_density(target, states.end(), &none)?);
        let log_p = |model: &Model| {
            let (path, _) = Path::scored(model, states, &none, noise)?;
            let sum = path.forward.into_iter().reduce(|sum, term| sum + term).expect("the source's is there");
            Ok::<_, Failure>(to_vec_f64(sum))
        };
        let (prior, model) = (log_p(self.prior)?, log_p(self.model)?);
        Ok(RelativePaths {
            ends: to_vec(states.end().clone()),
            log_likelihoods: log_density.into_iter().map(|log_r| self.beta * log_r).collect(),
            log_ratios: prior.into_iter().zip(model).map(|(prior, model)| prior - model).collect(),
        })
    }
}

/// `sum w v / sum w`: the mean of `values` under the law that the weights make of that of the draws. Its error is that of the
/// delta method, `sqrt(sum (w (v - mean))^2) / sum w`.
///
/// # Panics
/// If there are none.
pub fn weighted_mean(log_weights: &[f64], values: &[f64]) -> Estimate {
    let log_sum = log_sum_exp(log_weights);
    // Of a draw without weight the value does not matter, be it a number or not.
    let weighed = || {
        let shares = log_weights.iter().map(|log_weight| (log_weight - log_sum).exp());
        shares.zip(values).filter(|(share, _)| *share > 0.0)
    };
    let value = weighed().map(|(share, value)| share * value).sum::<f64>();
    let square = weighed().map(|(share, v)| (share * (v - value)).powi(2)).sum::<f64>();
    Estimate { value, error: if log_weights.len() > 1 { square.sqrt() } else { f64::NAN } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::bijection::Standardise;
    use crate::model::flow::Flow;
    use crate::rng::Purpose;
    use crate::target::DiagonalGaussian;

    /// Prior N(1, 2^2), likelihood e^{c} N(x; -1, 1): posterior N(-3/5, 4/5), evidence e^c N(1; -1, 5). At the posterior every
    /// path weighs Z; from another model both ways of estimating it agree, and the bounds bracket it.
    #[test]
    fn gaussians() {
        let flow = |mean: f32, std: f32| {
            Model::new(vec![Box::new(Flow::new(1, vec![Box::new(Standardise::new(vec![mean], vec![std]))]))])
        };
        let likelihood = DiagonalGaussian { mean: vec![-1.0], std: vec![1.0], log_z: 0.7 };
        let exact = 0.7 - 0.5 * (2.0 * std::f64::consts::PI * 5.0).ln() - 0.5 * 4.0 / 5.0;
        let prior = flow(1.0, 2.0);
        let noise = Noise::new(3, Purpose::Source);
        let posterior = flow(-0.6, 0.8f32.sqrt());
        let relative = Relative { prior: &prior, model: &posterior, beta: 1.0 };
        let found = relative.of_model(&likelihood, 300, &noise, &|_| true).unwrap().unwrap();
        assert!(found.log_weights().iter().all(|log_w| (log_w - exact).abs() < 1e-4), "{exact}");
        let other = flow(-0.2, 1.1);
        let relative = Relative { model: &other, ..relative };
        let found = relative.of_model(&likelihood, 20_000, &noise, &|_| true).unwrap().unwrap();
        let by_model = crate::estimate::evidence(&found.log_weights());
        let drawn = relative.of_prior(&likelihood, 20_000, &noise, &|_| true).unwrap().unwrap();
        let by_prior = crate::estimate::evidence(&drawn.log_likelihoods);
        for found in [by_model.log_z, by_prior.log_z] {
            assert!((found.value - exact).abs() < 4.0 * found.error, "{found:?}, {exact}");
        }
        let upper = weighted_mean(&drawn.log_likelihoods, &drawn.log_weights());
        let lower = by_model.elbo;
        assert!(lower.value < exact - 0.01 && upper.value > exact + 0.01, "{lower:?} {exact} {upper:?}");
        // E_posterior[x].
        let ends: Vec<f64> = drawn.ends.iter().map(|x| f64::from(*x)).collect();
        let mean = weighted_mean(&drawn.log_likelihoods, &ends);
        assert!((mean.value + 0.6).abs() < 4.0 * mean.error && mean.error < 0.02, "{mean:?}");
        assert!(relative.of_model(&likelihood, 300, &noise, &|_| false).unwrap().is_none());
    }

    #[test]
    fn draws_without_weight_do_not_matter() {
        let found = weighted_mean(&[0.0, f64::NEG_INFINITY, 0.0], &[1.0, f64::NAN, 3.0]);
        assert_eq!(found.value, 2.0);
        assert!((found.error - 0.5f64.sqrt()).abs() < 1e-12);
    }
}
