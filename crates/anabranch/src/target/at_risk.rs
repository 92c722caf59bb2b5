//! A random reward as a risk measure sees it: what a policy over quantiles of flows samples in proportion to.
//!
//! ```text
//! R_w(x) = sum_i (w(i / n) - w((i - 1) / n)) Q_{(i - 1/2) / n}(R(x))
//! ```
//!
//! Flows of different objects add quantile by quantile, and a risk measure of such a sum is the sum of the risk measures, so
//! that edge flows of quantiles balance exactly where the terminating law is `R_w / sum_x R_w(x)`.
//!
//! Zhang et al., "Distributional GFlowNets with quantile flows" (2023), section 4.3.

use std::sync::Arc;

use super::{Failure, Target};
use crate::environment::Cell;
use crate::math::Risk;
use crate::rng::Noise;

/// The risk measure of a random reward, by so many of its quantiles; of one that is not random, the reward itself.
#[derive(Debug, Clone)]
pub struct AtRisk {
    reward: Arc<dyn Target<Cell>>,
    risk: Risk,
    levels: Vec<f64>,
}

impl AtRisk {
    /// By `quantiles` quantiles.
    pub fn new(reward: Arc<dyn Target<Cell>>, risk: Risk, quantiles: usize) -> Self {
        Self { reward, risk, levels: Risk::midpoints(quantiles).collect() }
    }
}

impl Target<Cell> for AtRisk {
    fn log_rewards(&self, objects: &[Cell], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let mut quantiles = vec![0.0; out.len() * self.levels.len()];
        if !self.reward.log_quantiles(objects, conditions, &self.levels, &mut quantiles)? {
            return self.reward.log_rewards(objects, conditions, out);
        }
        let rows = quantiles.chunks_exact(self.levels.len());
        out.iter_mut().zip(rows).for_each(|(out, row)| *out = self.risk.log_flow(row));
        Ok(())
    }

    fn made_of(&self) -> Option<&dyn Target<Cell>> {
        Some(self.reward.as_ref())
    }

    fn observe(
        &self,
        objects: &[Cell],
        conditions: &[f32],
        noise: &Noise,
        log_rewards: &mut [f64],
    ) -> Result<(), Failure> {
        self.reward.observe(objects, conditions, noise, log_rewards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Expression, Gamble};

    #[test]
    fn a_risk_measure_of_a_gamble() {
        let sure: Arc<dyn Target<Cell>> = Arc::new(Expression::log_reward("log_reward", "x0", 1).unwrap());
        let gamble = Gamble::new(
            sure.clone(),
            Expression::log_reward("log_reward", "0.5 * (x0 > 1)", 1).unwrap(),
            0.2,
        )
        .unwrap();
        let of = |reward: Arc<dyn Target<Cell>>, risk| {
            let mut out = [0.0; 2];
            AtRisk::new(reward, risk, 4).log_rewards(&[1, 2], &[], &mut out).unwrap();
            out
        };
        let near = |found: [f64; 2], expected: [f64; 2]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        };
        let gamble: Arc<dyn Target<Cell>> = Arc::new(gamble);
        near(of(gamble.clone(), Risk::Neutral {}), [1.0, 2.0 + 0.6f64.ln()]);
        near(of(gamble.clone(), Risk::Cvar { eta: 0.5 }), [1.0, 2.0 + 0.2f64.ln()]);
        // w(1/2) = 1/4: a quarter of the weight is on the lower half.
        near(of(gamble, Risk::Power { eta: 1.0 }), [1.0, 2.0 + 0.8f64.ln()]);
        near(of(sure, Risk::Cvar { eta: 0.5 }), [1.0, 2.0]);
    }
}
