//! Seeds: which share of seeds germinated on 21 plates (Crowder 1978), with a random effect for each plate.
//!
//! ```text
//! r_j ~ Binomial(n_j, sigmoid(a_0 + a_1 X_j + a_2 Y_j + a_12 X_j Y_j + b_j))
//! a_k ~ N(0, 10^2),   b_j ~ N(0, 1 / tau),   tau ~ Gamma(0.01, rate 0.01)
//! point (ln tau, a_0, a_1, a_2, a_12, b_1..21): the density of ln tau has the factor tau
//! ```
//!
//! The binomial coefficients count: Z is the evidence. `log Z = -73.4062` by quadrature, which is not exact enough to be called so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Density;
use super::density::log_normal;
use super::entry::{Built, Entry, shared};
use crate::environment::continuous::Domain;
use crate::math::special::ln_gamma;
use crate::math::{Estimate, Real, ln_factorial};
use crate::papers::SEEDS;
use crate::rng::Noise;

/// The posterior of the seeds' rates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seeds {}

const PLATES: usize = 21;
const GERMINATED: [u32; PLATES] =
    [10, 23, 23, 26, 17, 5, 53, 55, 32, 46, 10, 8, 10, 8, 23, 0, 3, 22, 15, 32, 3];
const SEEDS_OF: [u32; PLATES] =
    [39, 62, 81, 51, 39, 6, 74, 72, 51, 79, 13, 16, 30, 28, 45, 4, 12, 41, 30, 51, 7];
/// The standard deviation of the fixed effects, and both parameters of the precision's law.
const EFFECTS: f64 = 10.0;
const SHAPE: f64 = 0.01;

/// Which fixed effects a plate has.
fn effects(plate: usize) -> [f64; 4] {
    let (x, y) = (plate >= 11, (5..11).contains(&plate) || plate >= 16);
    [true, x, y, x && y].map(|has| f64::from(u8::from(has)))
}

impl Density for Seeds {
    fn dimension(&self) -> usize {
        5 + PLATES
    }

    fn at<T: Real>(&self, point: &[T], mut score: Option<&mut [T]>) -> T {
        let (log_tau, fixed, random) = (point[0], &point[1..5], &point[5..]);
        let tau = log_tau.exp();
        let mut value = log_tau * SHAPE - tau * SHAPE + (SHAPE * SHAPE.ln() - ln_gamma(SHAPE));
        value += fixed.iter().map(|a| log_normal(*a, EFFECTS)).sum::<T>();
        if let Some(score) = &mut score {
            score[0] = -tau * SHAPE + (SHAPE + 0.5 * PLATES as f64);
            score[1..5].iter_mut().zip(fixed).for_each(|(to, a)| *to = -*a / (EFFECTS * EFFECTS));
        }
        for (j, b) in random.iter().enumerate() {
            let (count, germinated) = (f64::from(SEEDS_OF[j]), f64::from(GERMINATED[j]));
            let design = effects(j);
            let logit = *b + fixed.iter().zip(design).map(|(a, x)| *a * x).sum::<T>();
            let square = *b * *b * tau;
            value += log_normal(T::from(0.0), 1.0) + log_tau * 0.5 - square * 0.5;
            value += logit * germinated - logit.softplus() * count;
            let ways = [SEEDS_OF[j], GERMINATED[j], SEEDS_OF[j] - GERMINATED[j]];
            let [all, some, others] = ways.map(|n| ln_factorial(u64::from(n)));
            value = value + (all - some - others);
            if let Some(score) = &mut score {
                let slope = -logit.sigmoid() * count + germinated;
                score[0] -= square * 0.5;
                score[1..5].iter_mut().zip(design).for_each(|(to, x)| *to += slope * x);
                score[5 + j] = slope - *b * tau;
            }
        }
        value
    }

    fn log_z_tempered(&self, _: f64) -> Option<f64> {
        None
    }

    fn reference_log_z(&self) -> Option<Estimate> {
        Some(Estimate { value: -73.4062, error: 1e-4 })
    }

    fn draw(&self, _: usize, _: &Noise) -> Option<Vec<f32>> {
        None
    }
}

impl Entry for Seeds {
    fn formula(&self) -> String {
        "seeds: r_j ~ Binomial(n_j, sigmoid(a . x_j + b_j)), b_j ~ N(0, 1 / tau)".to_owned()
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![SEEDS]
    }

    fn dimension(&self) -> Option<usize> {
        Some(5 + PLATES)
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As numpy and scipy compute it.
    #[test]
    fn the_posterior_by_another_program() {
        let point: Vec<f64> = (1..=26).map(|i| f64::from((0.1 * f64::from(i).sin()) as f32)).collect();
        assert!((Seeds {}.at(&point, None) + 130.649_587_903_8).abs() < 1e-9);
    }
}
