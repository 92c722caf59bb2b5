//! Rewards that are random: with some probability an object pays only a part, or a multiple, of its reward.
//!
//! ```text
//! R(x) = r(x) f   with probability p(x),   else r(x)
//! E R(x) = r(x) (1 - p(x) + p(x) f),      Q_q = the smaller of both below its probability, the larger above it
//! ```
//!
//! The kind of reward in whose regions risk is sought or shunned (Zhang et al., "Distributional GFlowNets with quantile
//! flows", 2023, section 5.1).

use std::sync::Arc;

use super::{Expression, Failure, LARGEST, LEAST, Target, within};
use crate::environment::Cell;
use crate::error::Problem;
use crate::rng::Noise;

/// A reward of which an object may pay another part by chance. Its own number is the mean.
#[derive(Debug)]
pub struct Gamble {
    reward: Arc<dyn Target<Cell>>,
    probability: Expression,
    factor: f64,
}

impl Gamble {
    /// The reward that is multiplied by `factor` with the probability that a formula gives each object; below 0 it is 0, above
    /// 1 it is 1.
    ///
    /// # Errors
    /// If the factor is not positive, or the probability depends on a condition.
    pub fn new(reward: Arc<dyn Target<Cell>>, probability: Expression, factor: f64) -> Result<Self, Problem> {
        within("factor", factor, LEAST, LARGEST)?;
        if Target::<Cell>::condition_width(&probability) > 0 {
            let allowed = "a formula of the object alone, without `c0`, `c1`, ...";
            return Err(Problem::new("probability", "one that depends on a condition").allowed(allowed));
        }
        Ok(Self { reward, probability, factor })
    }

    /// `log r(x)` and `p(x)`, `[batch]` each.
    fn both(&self, objects: &[Cell], conditions: &[f32], batch: usize) -> Result<[Vec<f64>; 2], Failure> {
        let (mut log_r, mut p) = (vec![0.0; batch], vec![0.0; batch]);
        self.reward.log_rewards(objects, conditions, &mut log_r)?;
        self.probability.log_rewards(objects, &[], &mut p)?;
        if let Some(p) = p.iter().find(|p| p.is_nan()) {
            return Err(Problem::new("reward.probability", p.to_string()).allowed("a number").into());
        }
        p.iter_mut().for_each(|p| *p = p.clamp(0.0, 1.0));
        Ok([log_r, p])
    }

    /// `log(1 - p + p f)`.
    fn log_mean(&self, p: f64) -> f64 {
        (p * (self.factor - 1.0)).ln_1p()
    }
}

impl Target<Cell> for Gamble {
    fn log_rewards(&self, objects: &[Cell], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let [log_r, p] = self.both(objects, conditions, out.len())?;
        out.iter_mut().zip(log_r).zip(p).for_each(|((out, log_r), p)| *out = log_r + self.log_mean(p));
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
        let [log_r, p] = self.both(objects, conditions, log_rewards.len())?;
        for (i, ((out, log_r), p)) in log_rewards.iter_mut().zip(log_r).zip(p).enumerate() {
            let u = (f64::from(noise.words(i, 0)[0]) + 0.5) / 4_294_967_296.0;
            *out = if u < p { log_r + self.factor.ln() } else { log_r };
        }
        Ok(())
    }

    fn log_quantiles(
        &self,
        objects: &[Cell],
        conditions: &[f32],
        levels: &[f64],
        out: &mut [f64],
    ) -> Result<bool, Failure> {
        let [log_r, p] = self.both(objects, conditions, out.len() / levels.len())?;
        for ((row, log_r), p) in out.chunks_exact_mut(levels.len()).zip(log_r).zip(p) {
            let (low, high) = (self.factor.ln().min(0.0), self.factor.ln().max(0.0));
            let below = if self.factor < 1.0 { p } else { 1.0 - p };
            let at = |q: f64| log_r + if q < below { low } else { high };
            row.iter_mut().zip(levels).for_each(|(to, q)| *to = at(*q));
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    fn gamble(probability: &str, factor: f64) -> Gamble {
        let reward = Arc::new(Expression::log_reward("log_reward", "x0", 1).unwrap());
        Gamble::new(reward, Expression::log_reward("probability", probability, 1).unwrap(), factor).unwrap()
    }

    /// Mean and quantiles are those of many observations.
    #[test]
    fn observations_have_the_mean_and_the_quantiles() {
        for factor in [0.25, 3.0] {
            let reward = gamble("0.2 * x0", factor);
            let count = 40_000;
            let objects: Vec<Cell> = vec![2; count];
            let mut seen = vec![0.0; count];
            reward.observe(&objects, &[], &Noise::new(3, Purpose::Reward), &mut seen).unwrap();
            let mut log_mean = [0.0];
            reward.log_rewards(&[2], &[], &mut log_mean).unwrap();
            assert!((log_mean[0] - (2.0 + (0.6 + 0.4 * factor).ln())).abs() < 1e-12);
            let mean = seen.iter().map(|log| log.exp()).sum::<f64>() / count as f64;
            let spread = 2f64.exp() * (factor - 1.0).abs() * (0.24 / count as f64).sqrt();
            assert!((mean - log_mean[0].exp()).abs() < 4.5 * spread);
            seen.sort_by(f64::total_cmp);
            let levels = [0.1, 0.3, 0.5, 0.7, 0.9];
            let mut quantiles = [0.0; 5];
            assert!(reward.log_quantiles(&[2], &[], &levels, &mut quantiles).unwrap());
            let found = levels.map(|level| seen[(level * count as f64) as usize]);
            assert_eq!(found, quantiles);
        }
    }

    /// Rewards of states that hold more than the object are as random as the object's.
    #[test]
    fn states_around_objects_are_as_random() {
        use crate::target::{Ahead, Leading};
        let inner: Arc<dyn Target<Cell>> = Arc::new(gamble("0.2 * x0", 0.25));
        let cases: [(Box<dyn Target<Cell>>, [Cell; 2]); 2] = [
            (Box::new(Ahead::new(inner.clone(), 1)), [5, 2]),
            (Box::new(Leading::new(inner.clone(), 1, 2)), [2, 5]),
        ];
        let levels = [0.3, 0.5];
        let mut expected = [0.0; 2];
        assert!(inner.log_quantiles(&[2], &[], &levels, &mut expected).unwrap());
        for (reward, state) in cases {
            let mut found = [0.0; 2];
            assert!(reward.log_quantiles(&state, &[], &levels, &mut found).unwrap());
            assert_eq!(found, expected);
            let noise = Noise::new(8, Purpose::Reward);
            let (states, mut observed, mut alone) = (state.repeat(50), [0.0; 50], [0.0; 50]);
            reward.observe(&states, &[], &noise, &mut observed).unwrap();
            inner.observe(&[2; 50], &[], &noise, &mut alone).unwrap();
            assert_eq!(observed, alone);
            assert!(alone.iter().any(|log| *log != alone[0]));
        }
    }

    #[test]
    fn probabilities_are_held_between_0_and_1() {
        let mut out = [0.0; 3];
        gamble("x0 - 1", 0.5).log_rewards(&[0, 1, 5], &[], &mut out).unwrap();
        assert_eq!(out, [0.0, 1.0, 5.0 + 0.5f64.ln()]);
        let of_a_condition = Expression::log_reward("probability", "c0", 1).unwrap();
        let sure = Arc::new(Expression::log_reward("log_reward", "x0", 1).unwrap());
        let message = Gamble::new(sure, of_a_condition, 0.5).unwrap_err().to_string();
        assert!(message.starts_with("probability: found one that depends on a condition"), "{message}");
        assert!(gamble("log(0 - x0)", 0.5).log_rewards(&[1], &[], &mut out[..1]).is_err());
    }
}
