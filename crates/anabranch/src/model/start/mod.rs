//! Where a guide starts: by the recipe, or fitted to the target without drawing from the guide.
//!
//! ```text
//! laplace      the mode by L-BFGS, the covariance from the Hessian there                  ([`laplace`])
//! pathfinder   of the normals that the way to the mode suggests, the one of the best ELBO   ([`pathfinder`])
//! ```
//!
//! Both look at the density that the maps between the guide and the target pull the target back to,
//! `log pi(y) = log R(g(y)) + log |det g'(y)|`, so that a guide behind constraints is fitted on the line.

pub mod laplace;
pub mod normal;
pub mod pathfinder;

use burn::tensor::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use normal::Normal;

use crate::array::weights::{matrix, to_vec, to_vec_f64};
use crate::chain::{Given, Transition, double};
use crate::error::Failure;
use crate::rng::{Noise, Purpose};
use crate::target::Target;

/// How a guide is started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// At the recipe's `mean` and `std`.
    #[default]
    Given,
    /// At the mode that L-BFGS finds from there, with the inverse Hessian as covariance.
    Laplace,
    /// At the best normal along the ways of several L-BFGS runs.
    Pathfinder,
}

/// A target, pulled back through bijections to the states that a guide draws.
pub struct Pulled<'a> {
    /// The target.
    pub target: &'a dyn Target,
    /// The bijections between the guide and the target, on the autodiff device.
    pub outer: Vec<Box<dyn Transition + 'a>>,
}

impl Pulled<'_> {
    /// `log pi` and its gradient at each of `points`, `[rows, dimension]` row-major: `[rows]` and `[rows, dimension]`. Where `log R` is
    /// not finite they are as it.
    ///
    /// # Errors
    /// As the target, or if it has no gradient.
    pub fn scores(&self, points: &[f64], dimension: usize) -> Result<(Vec<f64>, Vec<f64>), Failure> {
        let points: Vec<f32> = points.iter().map(|x| *x as f32).collect();
        let (rows, given) = (points.len() / dimension, Given::nothing());
        let (mut values, mut scores) = (vec![0.0; rows], vec![0.0; points.len()]);
        if self.outer.is_empty() {
            self.target.log_rewards_with_scores(&points, &[], &mut values, &mut scores)?;
            return Ok((values, scores));
        }
        let start = matrix(points, dimension, &Device::flex().autodiff()).require_grad();
        let (mut state, mut log_det) = (start.clone(), None);
        for transition in &self.outer {
            let step = transition.forward(state, &given, &Noise::new(0, Purpose::Forward))?;
            let ratio = double(step.log_ratio);
            log_det = Some(log_det.map_or(ratio.clone(), |sum| sum + ratio));
            state = step.state;
        }
        let log_det = log_det.expect("there is a map");
        let ends = to_vec(state.clone().detach());
        self.target.log_rewards_with_scores(&ends, &[], &mut values, &mut scores)?;
        values.iter_mut().zip(to_vec_f64(log_det.clone().detach())).for_each(|(v, l)| *v += l);
        let slopes = scores.iter().map(|score| *score as f32).collect();
        let slopes = matrix(slopes, state.dims()[1], &state.device());
        let total = double((state * slopes).sum()) + log_det.sum();
        let gradient = start.grad(&total.backward()).expect("the points take part");
        Ok((values, to_vec(gradient).into_iter().map(f64::from).collect()))
    }

    /// `-log pi` and its gradient at one point: what L-BFGS minimises.
    fn energy(&self, point: &[f64]) -> Result<(f64, Vec<f64>), Failure> {
        let (values, mut scores) = self.scores(point, point.len())?;
        scores.iter_mut().for_each(|score| *score = -*score);
        Ok((-values[0], scores))
    }
}
