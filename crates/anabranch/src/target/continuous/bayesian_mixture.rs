//! The posterior of a Bayesian mixture's means, the allocations summed out.
//!
//! ```text
//! mu_k ~ N(0, v),   c_i ~ uniform on 1 .. K,   x_i ~ N(mu_{c_i}, 1)
//! log R(mu)  = sum_k log N(mu_k; 0, v) + sum_i log (1/K sum_k N(x_i; mu_k, 1))
//! score      = -mu_k / v + sum_i phi_ik (x_i - mu_k),   phi_ik = N(x_i; mu_k, 1) / sum_j N(x_i; mu_j, 1)
//! (H u)_k    = -u_k / v + sum_i phi_ik (a_k (a_k u_k - sum_j phi_ij a_j u_j) - u_k),   a_k = x_i - mu_k,   H the Hessian
//! Z          = K^{-n} sum_c prod_k int N(mu; 0, v) prod_{i: c_i = k} N(x_i; mu, 1) dmu        the evidence of the data
//! log int    = -n_k/2 log 2 pi - 1/2 log(1 + n_k v) - 1/2 (sum x^2 - v (sum x)^2 / (1 + n_k v))    of the n_k data of a component
//! ```
//!
//! There are `K!` modes or more: components may change their names. The sum over all allocations is made where it is short.

use std::f64::consts::TAU;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entry::{Built, Entry, Result, check_count, problem, shared};
use crate::environment::continuous::Domain;
use crate::math::log_sum_exp;
use crate::papers::COORDINATE_ASCENT;
use crate::target::{Failure, Target, within};

/// The most allocations that are summed over.
const MOST_ALLOCATIONS: f64 = (1 << 20) as f64;

/// A Bayesian mixture in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BayesianMixtureRecipe {
    /// How many components: the dimension.
    #[schemars(range(min = 1))]
    pub components: usize,
    /// The standard deviation of the means' prior.
    pub prior_std: f64,
    /// The data, on the line.
    pub data: Vec<f64>,
}

impl Entry for BayesianMixtureRecipe {
    fn formula(&self) -> String {
        let Self { components, prior_std, data } = self;
        format!(
            "Bayesian mixture: prod_k N(mu_k; 0, {prior_std}^2) prod_i (1/{components} sum_k N(x_i; mu_k, 1)), {} data",
            data.len()
        )
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![COORDINATE_ASCENT]
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.components)
    }

    fn check(&self) -> Result<()> {
        check_count("components", self.components, 1, 1000)?;
        within("prior_std", self.prior_std, 1e-6, 1e6)?;
        if self.data.is_empty() {
            return problem("data", "none", "at least one number");
        }
        let mut data = self.data.iter().enumerate();
        data.try_for_each(|(at, x)| within(&format!("data.{at}"), *x, -1e6, 1e6))
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(BayesianMixture::new(self.data.clone(), self.components, self.prior_std * self.prior_std))
    }
}

/// The means of a mixture of normals of variance 1 and equal shares, given data on the line.
#[derive(Debug, Clone, PartialEq)]
pub struct BayesianMixture {
    data: Vec<f64>,
    components: usize,
    variance: f64,
}

impl BayesianMixture {
    /// Of `components` means with the prior `N(0, variance)` each.
    ///
    /// # Panics
    /// If there are no components, or the variance is not positive.
    pub fn new(data: Vec<f64>, components: usize, variance: f64) -> Self {
        assert!(components > 0 && variance > 0.0, "means with a prior");
        Self { data, components, variance }
    }

    /// The data.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// How many means there are.
    pub fn components(&self) -> usize {
        self.components
    }

    /// The prior variance of a mean.
    pub fn variance(&self) -> f64 {
        self.variance
    }

    /// The logarithm of the data's density under the prior, by summing over all allocations; none where there are too many.
    pub fn evidence(&self) -> Option<f64> {
        let (n, k) = (self.data.len(), self.components);
        if (k as f64).powi(n as i32) > MOST_ALLOCATIONS {
            return None;
        }
        let mut terms = Vec::new();
        self.allocate(0, &mut vec![(0.0, 0.0, 0.0); k], &mut terms);
        Some(log_sum_exp(&terms) - n as f64 * (k as f64).ln())
    }

    /// Appends the terms of all allocations of the data from `from` on; of each component its count, sum and sum of squares.
    fn allocate(&self, from: usize, of: &mut [(f64, f64, f64)], terms: &mut Vec<f64>) {
        let Some(x) = self.data.get(from) else {
            let v = self.variance;
            let term = |(n, sum, squares): &(f64, f64, f64)| {
                let shrunk = squares - v * sum * sum / (1.0 + n * v);
                -0.5 * (n * TAU.ln() + (1.0 + n * v).ln() + shrunk)
            };
            return terms.push(of.iter().map(term).sum());
        };
        for k in 0..of.len() {
            let before = of[k];
            of[k] = (before.0 + 1.0, before.1 + x, before.2 + x * x);
            self.allocate(from + 1, of, terms);
            of[k] = before;
        }
    }

    /// `log R` of one row of means, and its score where one is wanted.
    fn at(&self, means: &[f32], mut score: Option<&mut [f64]>) -> f64 {
        let prior = |m: &f32| -0.5 * (f64::from(*m).powi(2) / self.variance + (TAU * self.variance).ln());
        let mut value: f64 = means.iter().map(prior).sum();
        if let Some(score) = score.as_deref_mut() {
            score.iter_mut().zip(means).for_each(|(to, m)| *to = -f64::from(*m) / self.variance);
        }
        let mut terms = vec![0.0; means.len()];
        for x in &self.data {
            terms.iter_mut().zip(means).for_each(|(to, m)| *to = -0.5 * (x - f64::from(*m)).powi(2));
            let total = log_sum_exp(&terms);
            value += total - (self.components as f64).ln() - 0.5 * TAU.ln();
            if let Some(score) = score.as_deref_mut() {
                let slopes =
                    terms.iter().zip(means).map(|(term, m)| (term - total).exp() * (x - f64::from(*m)));
                score.iter_mut().zip(slopes).for_each(|(to, slope)| *to += slope);
            }
        }
        value
    }
}

impl BayesianMixture {
    /// The Hessian of `log R` at one row of means times `along`.
    fn curvature(&self, means: &[f32], along: &[f64], out: &mut [f64]) {
        out.iter_mut().zip(along).for_each(|(to, u)| *to = -u / self.variance);
        for x in &self.data {
            let away: Vec<f64> = means.iter().map(|m| x - f64::from(*m)).collect();
            let terms: Vec<f64> = away.iter().map(|a| -0.5 * a * a).collect();
            let total = log_sum_exp(&terms);
            let shares: Vec<f64> = terms.iter().map(|term| (term - total).exp()).collect();
            let mean: f64 = (0..means.len()).map(|k| shares[k] * away[k] * along[k]).sum();
            for k in 0..means.len() {
                out[k] += shares[k] * (away[k] * (away[k] * along[k] - mean) - along[k]);
            }
        }
    }
}

impl Target for BayesianMixture {
    fn log_rewards(&self, points: &[f32], _: &[f32], out: &mut [f64]) -> std::result::Result<(), Failure> {
        let rows = out.par_iter_mut().zip(points.par_chunks(self.components));
        rows.for_each(|(out, means)| *out = self.at(means, None));
        Ok(())
    }

    fn has_scores(&self) -> bool {
        true
    }

    fn log_rewards_with_scores(
        &self,
        points: &[f32],
        _: &[f32],
        out: &mut [f64],
        scores: &mut [f64],
    ) -> std::result::Result<(), Failure> {
        let rows = out.par_iter_mut().zip(points.par_chunks(self.components));
        let rows = rows.zip(scores.par_chunks_mut(self.components));
        rows.for_each(|((out, means), score)| *out = self.at(means, Some(score)));
        Ok(())
    }

    fn has_curvature(&self) -> bool {
        true
    }

    fn score_derivatives(
        &self,
        points: &[f32],
        _: &[f32],
        directions: &[f64],
        out: &mut [f64],
    ) -> std::result::Result<(), Failure> {
        let k = self.components;
        let rows = points.par_chunks(k).zip(directions.par_chunks(k)).zip(out.par_chunks_mut(k));
        rows.for_each(|((means, along), out)| self.curvature(means, along, out));
        Ok(())
    }

    fn log_z_tempered(&self, beta: f64, _: &[f32]) -> Option<f64> {
        self.evidence().filter(|_| beta == 1.0)
    }

    fn bayesian_mixture(&self) -> Option<&BayesianMixture> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The evidence of two components by quadrature over both means, and scores by differences.
    #[test]
    fn the_evidence_is_the_integral_and_scores_are_gradients() {
        let target = BayesianMixture::new(vec![-1.2, 0.4, 2.5], 2, 3.0);
        let (step, reach) = (0.1, 90i32);
        let (mut logs, mut points) = (vec![0.0; (2 * reach as usize + 1).pow(2)], Vec::new());
        for i in -reach..=reach {
            (-reach..=reach)
                .for_each(|j| points.extend([f64::from(i) * step, f64::from(j) * step].map(|x| x as f32)));
        }
        target.log_rewards(&points, &[], &mut logs).unwrap();
        let integral = log_sum_exp(&logs) + 2.0 * step.ln();
        assert!((target.evidence().unwrap() - integral).abs() < 1e-6, "{integral} {:?}", target.evidence());
        let at = [0.5f32, -1.25];
        let (mut value, mut score) = ([0.0], [0.0; 2]);
        target.log_rewards_with_scores(&at, &[], &mut value, &mut score).unwrap();
        for k in 0..2 {
            let moved = |by: f32| {
                let mut at = at;
                at[k] += by;
                target.at(&at, None)
            };
            let slope = (moved(1.0 / 256.0) - moved(-1.0 / 256.0)) * 128.0;
            assert!((slope - score[k]).abs() < 1e-4, "{slope} {score:?}");
        }
        assert!(BayesianMixture::new(vec![0.0; 40], 3, 1.0).evidence().is_none());
    }
}
