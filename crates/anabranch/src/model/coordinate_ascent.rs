//! Coordinate ascent for the Bayesian mixture, and its stochastic form.
//!
//! ```text
//! q(mu, c) = prod_k N(mu_k; m_k, s_k^2) prod_i Cat(c_i; phi_i)                                        mean field
//! phi_ik   ~ exp(m_k x_i - (m_k^2 + s_k^2) / 2),    s_k^-2 = 1/v + sum_i phi_ik,    m_k = s_k^2 sum_i phi_ik x_i
//! ELBO     = sum_k [-1/2 log(2 pi v) - (m_k^2 + s_k^2) / 2v + 1/2 log(2 pi e s_k^2)]
//!          + sum_i [-log K - 1/2 log 2 pi - x_i^2 / 2 + log sum_k exp(m_k x_i - (m_k^2 + s_k^2) / 2)]    at the best phi
//! ```
//!
//! Each factor is the exact optimum given the others, so that the ELBO never falls; it is below the exact evidence. In natural
//! parameters `lambda_k = (m_k / s_k^2, 1 / s_k^2)` the optimum given phi is a sum over the data, of which some rows, counted as
//! all, give an unbiased estimate: stochastic variational inference moves by the share `rho_t = (t + delay)^-forgetting` towards it, a
//! step along the natural gradient.
//!
//! Blei, Kucukelbir, McAuliffe, "Variational inference: a review for statisticians" (2017), section 3; Hoffman, Blei, Wang, Paisley
//! (2013), figure 4.

use std::f64::consts::{E, TAU};

use crate::math::log_sum_exp;
use crate::target::BayesianMixture;

/// The factors of the means.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    /// `m_k`.
    pub mean: Vec<f64>,
    /// `s_k^2`.
    pub variance: Vec<f64>,
}

impl Factors {
    /// `m_k x - (m_k^2 + s_k^2) / 2` of every component: the logarithms of phi up to a constant.
    fn scores(&self, x: f64) -> Vec<f64> {
        self.mean.iter().zip(&self.variance).map(|(m, v)| m * x - 0.5 * (m * m + v)).collect()
    }

    /// `phi_i`: how probable it is that `x` is of each component.
    pub fn responsibilities(&self, x: f64) -> Vec<f64> {
        let scores = self.scores(x);
        let total = log_sum_exp(&scores);
        scores.into_iter().map(|score| (score - total).exp()).collect()
    }

    /// The bound on the log-evidence at the best allocations, nats.
    pub fn elbo(&self, model: &BayesianMixture) -> f64 {
        let v = model.variance();
        let of_mean = |(m, s): (&f64, &f64)| 0.5 * ((TAU * E * s).ln() - (TAU * v).ln() - (m * m + s) / v);
        let of_datum = |x: &f64| log_sum_exp(&self.scores(*x)) - 0.5 * (x * x + TAU.ln());
        let prior: f64 = self.mean.iter().zip(&self.variance).map(of_mean).sum();
        let likelihood: f64 = model.data().iter().map(of_datum).sum();
        prior + likelihood - model.data().len() as f64 * (model.components() as f64).ln()
    }

    /// The best factors of the means given the allocations of the rows of data with these numbers, counted as all of them.
    pub fn given(&self, model: &BayesianMixture, rows: impl ExactSizeIterator<Item = usize>) -> Self {
        let scale = model.data().len() as f64 / rows.len().max(1) as f64;
        let mut precision = vec![model.variance().recip(); self.mean.len()];
        let mut weighted = vec![0.0; self.mean.len()];
        for row in rows {
            let x = model.data()[row];
            for (k, share) in self.responsibilities(x).into_iter().enumerate() {
                precision[k] += scale * share;
                weighted[k] += scale * share * x;
            }
        }
        let mean = weighted.iter().zip(&precision).map(|(weighted, precision)| weighted / precision);
        Self { mean: mean.collect(), variance: precision.iter().map(|precision| precision.recip()).collect() }
    }

    /// One round over all factors.
    pub fn ascended(&self, model: &BayesianMixture) -> Self {
        self.given(model, 0..model.data().len())
    }

    /// The share `rho` of the way to `other`, in natural parameters.
    pub fn towards(&self, other: &Self, rho: f64) -> Self {
        let both = self.variance.iter().zip(&other.variance);
        let precision: Vec<f64> = both.map(|(a, b)| (1.0 - rho) / a + rho / b).collect();
        let natural = |factors: &Self, k: usize| factors.mean[k] / factors.variance[k];
        let mean = |k: usize| ((1.0 - rho) * natural(self, k) + rho * natural(other, k)) / precision[k];
        Self {
            mean: (0..precision.len()).map(mean).collect(),
            variance: precision.iter().map(|precision| precision.recip()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Noise, Purpose};

    fn data(count: usize) -> Vec<f64> {
        let normals = Noise::new(5, Purpose::Target).normal(1, count);
        normals.iter().enumerate().map(|(i, z)| f64::from(*z) + [-4.0, 0.5, 4.0][i % 3]).collect()
    }

    fn begin() -> Factors {
        Factors { mean: vec![-1.0, 0.1, 1.0], variance: vec![1.0; 3] }
    }

    /// The bound term by term, with phi written out.
    #[test]
    fn the_bound_is_that_of_its_terms() {
        let model = BayesianMixture::new(data(6), 3, 9.0);
        let factors = begin().ascended(&model);
        let (v, k) = (model.variance(), 3.0f64);
        let mut exact = 0.0;
        for (m, s) in factors.mean.iter().zip(&factors.variance) {
            exact += -0.5 * (TAU * v).ln() - (m * m + s) / (2.0 * v) + 0.5 * (TAU * E * s).ln();
        }
        for x in model.data() {
            for (share, (m, s)) in
                factors.responsibilities(*x).iter().zip(factors.mean.iter().zip(&factors.variance))
            {
                let log_likelihood = -0.5 * TAU.ln() - 0.5 * (x * x - 2.0 * x * m + m * m + s);
                exact += share * (-k.ln() + log_likelihood - share.ln());
            }
        }
        assert!((factors.elbo(&model) - exact).abs() < 1e-12, "{} {exact}", factors.elbo(&model));
    }

    /// The bound never falls, stays below the exact evidence, and its last factors are a fixed point.
    #[test]
    fn rounds_ascend_below_the_evidence() {
        for count in [1, 2, 5, 8] {
            let model = BayesianMixture::new(data(count), 3, 9.0);
            let evidence = model.evidence().unwrap();
            let (mut factors, mut bound) = (begin(), f64::NEG_INFINITY);
            for _ in 0..500 {
                let next = factors.elbo(&model);
                assert!(next >= bound - 1e-12 && next <= evidence, "{count}: {bound}, {next}, {evidence}");
                (bound, factors) = (next, factors.ascended(&model));
            }
            assert!((factors.elbo(&model) - bound).abs() < 1e-10);
        }
        // One component is no mixture: mean field is exact.
        let model = BayesianMixture::new(data(7), 1, 9.0);
        let factors = Factors { mean: vec![0.0], variance: vec![1.0] }.ascended(&model);
        assert!((factors.elbo(&model) - model.evidence().unwrap()).abs() < 1e-12);
    }

    /// Few rows at a time come where all of them do.
    #[test]
    fn stochastic_steps_come_to_the_same_bound() {
        let model = BayesianMixture::new(data(3000), 3, 9.0);
        let mut exact = begin();
        (0..200).for_each(|_| exact = exact.ascended(&model));
        let mut factors = begin();
        for step in 0..2000 {
            let uniform = Noise::new(6, Purpose::Data).step(step).uniform(1, 30);
            let rows: Vec<usize> = uniform.iter().map(|u| (f64::from(*u) * 3000.0) as usize % 3000).collect();
            let found = factors.given(&model, rows.into_iter());
            factors = factors.towards(&found, (f64::from(step) + 10.0).powf(-0.8));
        }
        let (found, exact) = (factors.elbo(&model), exact.elbo(&model));
        assert!(found <= exact + 1e-9 && exact - found < 0.5, "{found} and {exact}");
        // The whole way is the other end.
        let (a, b) = (begin(), begin().ascended(&model));
        let end = a.towards(&b, 1.0);
        assert!(end.mean.iter().zip(&b.mean).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
