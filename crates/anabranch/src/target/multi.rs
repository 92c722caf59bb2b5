//! Several rewards weighed by a preference, and one reward at a temperature: the weights are the condition.
//!
//! ```text
//! log-linear   R(x | c) = exp(-beta sum_k c_k e_k(x)) = prod_k r_k(x)^(beta c_k),     e_k = -log r_k
//! linear       R(x | c) = (sum_k c_k r_k(x))^beta
//! tempered     R(x | beta) = r(x)^beta
//! ```
//!
//! `beta` is a number, or one more number of the condition, its last. A flow network that is trained over many preferences
//! samples the whole Pareto front (Jain et al. 2023). In closed form: linear at `beta = 1`, `Z(c) = sum_k c_k Z_k`; tempered,
//! where the reward knows its `log sum_x r^beta`; log-linear with additive energies is [`super::AdditiveEnergies`].

use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Failure, LARGEST, LEAST, Target, within};
use crate::environment::Number;
use crate::error::Problem;
use crate::math::log_sum_exp;

/// How rewards are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Combination {
    /// Their logarithms are added, weighed.
    #[default]
    LogLinear,
    /// They are added, weighed.
    Linear,
}

/// The inverse temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Beta {
    /// This one.
    Fixed(f64),
    /// The condition's last number.
    Condition,
}

impl Beta {
    /// How many numbers of a condition it is.
    fn width(self) -> usize {
        usize::from(self == Self::Condition)
    }

    fn of(self, condition: &[f32]) -> f64 {
        match self {
            Self::Fixed(beta) => beta,
            Self::Condition => condition.last().map_or(f64::NAN, |beta| f64::from(*beta)),
        }
    }

    fn check(self) -> Result<(), Problem> {
        match self {
            Self::Fixed(beta) => within("beta", beta, LEAST, LARGEST),
            Self::Condition => Ok(()),
        }
    }
}

/// Several rewards, weighed by the condition.
#[derive(Debug)]
pub struct Preference<C> {
    rewards: Vec<Arc<dyn Target<C>>>,
    combination: Combination,
    beta: Beta,
    /// Of the batch before, for the next one: `log r_k`, `[rewards, batch]`.
    scratch: Mutex<Vec<f64>>,
}

impl<C: Number> Preference<C> {
    /// These rewards, which depend on no condition themselves.
    ///
    /// # Errors
    /// If there is none, one depends on a condition, or `beta` is not positive.
    pub fn new(
        rewards: Vec<Arc<dyn Target<C>>>,
        combination: Combination,
        beta: Beta,
    ) -> Result<Self, Problem> {
        within("rewards", rewards.len() as f64, 1.0, 1000.0)?;
        rewards.iter().try_for_each(|reward| unconditional(reward.as_ref()))?;
        beta.check()?;
        Ok(Self { rewards, combination, beta, scratch: Mutex::default() })
    }

    /// `log R` at `beta = 1`, from the `log r_k`.
    fn combine(&self, log_rewards: impl Iterator<Item = f64>, condition: &[f32]) -> f64 {
        let weights = condition.iter().map(|c| f64::from(*c));
        // Without weight a reward does not count, even where it is infinite.
        let weighed = log_rewards.zip(weights).filter(|(_, c)| *c != 0.0);
        match self.combination {
            Combination::LogLinear => weighed.map(|(log_r, c)| c * log_r).sum(),
            Combination::Linear => weighed.map(|(log_r, c)| log_r + c.ln()).fold(f64::NEG_INFINITY, log_add),
        }
    }

    /// The derivative of [`Preference::combine`] by a `log r_k` of weight `c`.
    fn share(&self, c: f64, log_r: f64, combined: f64) -> f64 {
        match self.combination {
            Combination::LogLinear => c,
            Combination::Linear => (log_r + c.ln() - combined).exp(),
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unconditional<C>(reward: &dyn Target<C>) -> Result<(), Problem> {
    match reward.condition_width() {
        0 => Ok(()),
        width => {
            let found = format!("a reward that depends on a condition of {width} numbers");
            Err(Problem::new("rewards", found).allowed("rewards without conditions of their own"))
        }
    }
}

/// `log(e^a + e^b)`.
fn log_add(a: f64, b: f64) -> f64 {
    log_sum_exp(&[a, b])
}

impl<C: Number> Target<C> for Preference<C> {
    fn log_rewards(&self, objects: &[C], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let batch = out.len();
        let mut parts = std::mem::take(&mut *self.scratch.lock().unwrap_or_else(PoisonError::into_inner));
        parts.resize(self.rewards.len() * batch, 0.0);
        for (reward, part) in self.rewards.iter().zip(parts.chunks_exact_mut(batch.max(1))) {
            reward.log_rewards(objects, &[], part)?;
        }
        for (row, (out, condition)) in
            out.iter_mut().zip(conditions.chunks_exact(self.condition_width())).enumerate()
        {
            let combined = self.combine(parts.iter().skip(row).step_by(batch).copied(), condition);
            *out = self.beta.of(condition) * combined;
        }
        *self.scratch.lock().unwrap_or_else(PoisonError::into_inner) = parts;
        Ok(())
    }

    fn has_scores(&self) -> bool {
        self.rewards.iter().all(|reward| reward.has_scores())
    }

    fn log_rewards_with_scores(
        &self,
        objects: &[C],
        conditions: &[f32],
        out: &mut [f64],
        scores: &mut [f64],
    ) -> Result<(), Failure> {
        let (batch, cells) = (out.len(), scores.len() / out.len().max(1));
        let mut parts = vec![0.0; self.rewards.len() * batch];
        let mut slopes = vec![0.0; self.rewards.len() * scores.len()];
        let each = parts.chunks_exact_mut(batch.max(1)).zip(slopes.chunks_exact_mut(scores.len().max(1)));
        for (reward, (part, slopes)) in self.rewards.iter().zip(each) {
            reward.log_rewards_with_scores(objects, &[], part, slopes)?;
        }
        scores.fill(0.0);
        for (row, out) in out.iter_mut().enumerate() {
            let condition = &conditions[row * self.condition_width()..][..self.condition_width()];
            let log_rewards = || parts.iter().skip(row).step_by(batch).copied();
            let (combined, beta) = (self.combine(log_rewards(), condition), self.beta.of(condition));
            *out = beta * combined;
            for (k, (log_r, c)) in log_rewards().zip(condition).enumerate().filter(|(_, (_, c))| **c != 0.0) {
                let share = self.share(f64::from(*c), log_r, combined);
                let of_part = &slopes[(k * batch + row) * cells..][..cells];
                let to = scores[row * cells..][..cells].iter_mut();
                to.zip(of_part).for_each(|(to, slope)| *to += beta * share * slope);
            }
        }
        Ok(())
    }

    fn has_curvature(&self) -> bool {
        self.rewards.iter().all(|reward| reward.has_curvature())
    }

    /// Linear, with shares `w_k = c_k r_k / R` and scores `s_k`: `sum_k w_k (H_k + s_k s_k^T) - s s^T`, `s = sum_k w_k s_k`.
    fn score_derivatives(
        &self,
        objects: &[C],
        conditions: &[f32],
        directions: &[f64],
        out: &mut [f64],
    ) -> Result<(), Failure> {
        let width = self.condition_width();
        let batch = conditions.len() / width;
        let cells = out.len() / batch.max(1);
        let linear = self.combination == Combination::Linear;
        let mut parts = vec![0.0; self.rewards.len() * batch];
        let mut slopes = vec![0.0; self.rewards.len() * out.len()];
        let mut bends = slopes.clone();
        for (k, reward) in self.rewards.iter().enumerate() {
            let all = k * out.len()..(k + 1) * out.len();
            reward.score_derivatives(objects, &[], directions, &mut bends[all.clone()])?;
            if linear {
                let part = &mut parts[k * batch..][..batch];
                reward.log_rewards_with_scores(objects, &[], part, &mut slopes[all])?;
            }
        }
        out.fill(0.0);
        let rows = out.chunks_exact_mut(cells.max(1)).zip(directions.chunks_exact(cells.max(1)));
        for (row, (out, v)) in rows.enumerate() {
            let condition = &conditions[row * width..][..width];
            let log_rewards = || parts.iter().skip(row).step_by(batch).copied();
            let (combined, beta) = (self.combine(log_rewards(), condition), self.beta.of(condition));
            let mut mean = vec![0.0; if linear { cells } else { 0 }];
            for (k, (log_r, c)) in log_rewards().zip(condition).enumerate().filter(|(_, (_, c))| **c != 0.0) {
                let share = self.share(f64::from(*c), log_r, combined);
                let at = (k * batch + row) * cells..(k * batch + row + 1) * cells;
                let along = if linear { dot(&slopes[at.clone()], v) } else { 0.0 };
                let both = bends[at.clone()].iter().zip(&slopes[at.clone()]);
                out.iter_mut()
                    .zip(both)
                    .for_each(|(to, (bend, slope))| *to += share * (bend + slope * along));
                mean.iter_mut().zip(&slopes[at]).for_each(|(to, slope)| *to += share * slope);
            }
            let along = if linear { dot(&mean, v) } else { 0.0 };
            out.iter_mut().zip(&mean).for_each(|(to, slope)| *to -= slope * along);
            out.iter_mut().for_each(|to| *to *= beta);
        }
        Ok(())
    }

    fn positive_everywhere(&self) -> bool {
        self.rewards.iter().all(|reward| reward.positive_everywhere())
    }

    fn condition_width(&self) -> usize {
        self.rewards.len() + self.beta.width()
    }

    fn parts(&self, objects: &[C], batch: usize, out: &mut Vec<f64>) -> Result<usize, Failure> {
        let count = self.rewards.len();
        let mut log_rewards = vec![0.0; batch];
        let first = out.len();
        out.resize(first + batch * count, 0.0);
        for (k, reward) in self.rewards.iter().enumerate() {
            reward.log_rewards(objects, &[], &mut log_rewards)?;
            let own = out[first..].iter_mut().skip(k).step_by(count);
            own.zip(&log_rewards).for_each(|(out, log_reward)| *out = log_reward.exp());
        }
        Ok(count)
    }

    fn log_z_tempered(&self, beta: f64, condition: &[f32]) -> Option<f64> {
        if self.combination != Combination::Linear || beta * self.beta.of(condition) != 1.0 {
            return None;
        }
        let log_z: Option<Vec<f64>> = self.rewards.iter().map(|reward| reward.log_z(&[])).collect();
        let weights = condition.iter().map(|c| f64::from(*c));
        let terms: Vec<f64> = log_z?.iter().zip(weights).map(|(log_z, c)| log_z + c.ln()).collect();
        Some(log_sum_exp(&terms))
    }
}

/// A reward raised to a power.
#[derive(Debug)]
pub struct Tempered<C> {
    reward: Arc<dyn Target<C>>,
    beta: Beta,
}

impl<C: Number> Tempered<C> {
    /// This reward, which depends on no condition itself.
    ///
    /// # Errors
    /// If it depends on a condition, or `beta` is not positive.
    pub fn new(reward: Arc<dyn Target<C>>, beta: Beta) -> Result<Self, Problem> {
        unconditional(reward.as_ref())?;
        beta.check()?;
        Ok(Self { reward, beta })
    }

    /// Multiplies rows of numbers by the power of each.
    fn scale(&self, conditions: &[f32], out: &mut [f64]) {
        match self.beta {
            Beta::Fixed(beta) => out.iter_mut().for_each(|value| *value *= beta),
            Beta::Condition => {
                let cells = out.len() / conditions.len().max(1);
                for (row, beta) in out.chunks_exact_mut(cells.max(1)).zip(conditions) {
                    row.iter_mut().for_each(|value| *value *= f64::from(*beta));
                }
            }
        }
    }
}

impl<C: Number> Target<C> for Tempered<C> {
    fn log_rewards(&self, objects: &[C], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        self.reward.log_rewards(objects, &[], out)?;
        self.scale(conditions, out);
        Ok(())
    }

    fn has_scores(&self) -> bool {
        self.reward.has_scores()
    }

    fn log_rewards_with_scores(
        &self,
        objects: &[C],
        conditions: &[f32],
        out: &mut [f64],
        scores: &mut [f64],
    ) -> Result<(), Failure> {
        self.reward.log_rewards_with_scores(objects, &[], out, scores)?;
        self.scale(conditions, out);
        self.scale(conditions, scores);
        Ok(())
    }

    fn has_curvature(&self) -> bool {
        self.reward.has_curvature()
    }

    fn score_derivatives(
        &self,
        objects: &[C],
        conditions: &[f32],
        directions: &[f64],
        out: &mut [f64],
    ) -> Result<(), Failure> {
        self.reward.score_derivatives(objects, &[], directions, out)?;
        self.scale(conditions, out);
        Ok(())
    }

    fn condition_width(&self) -> usize {
        self.beta.width()
    }

    fn partial(&self, states: &[C], conditions: &[f32], out: &mut [f64]) -> Result<bool, Failure> {
        let known = self.reward.partial(states, &[], out)?;
        self.scale(conditions, out);
        Ok(known)
    }

    fn log_z_tempered(&self, beta: f64, condition: &[f32]) -> Option<f64> {
        self.reward.log_z_tempered(beta * self.beta.of(condition), &[])
    }

    fn made_of(&self) -> Option<&dyn Target<C>> {
        Some(self.reward.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Cell;
    use crate::target::{Counting, Expression, Items};

    const SETS: [Cell; 24] = [0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1, 1];

    fn items(w: [f64; 3]) -> Arc<dyn Target<Cell>> {
        Arc::new(Items::new(w.map(f64::ln).to_vec(), Counting::Sets(0..=3)).unwrap())
    }

    fn enumerated(reward: &dyn Target<Cell>, condition: &[f32]) -> (Vec<f64>, f64) {
        let mut out = vec![f64::NAN; 8];
        reward.log_rewards(&SETS, &condition.repeat(8), &mut out).unwrap();
        let log_z = log_sum_exp(&out);
        (out, log_z)
    }

    #[test]
    fn preferences_by_hand() {
        let parts = [items([1.0, 2.0, 3.0]), items([0.5, 4.0, 0.25])];
        let r = |x: &[Cell], w: [f64; 3]| -> f64 { (0..3).map(|i| w[i].powi(i32::from(x[i]))).product() };
        let each = |x: &[Cell]| [r(x, [1.0, 2.0, 3.0]), r(x, [0.5, 4.0, 0.25])];
        let preference = |combination, beta| Preference::new(parts.to_vec(), combination, beta).unwrap();
        let log_linear = preference(Combination::LogLinear, Beta::Fixed(1.5));
        let linear = preference(Combination::Linear, Beta::Condition);
        assert_eq!((log_linear.condition_width(), linear.condition_width()), (2, 3));
        for (x, (one, other)) in SETS.chunks(3).zip(
            enumerated(&log_linear, &[0.25, 0.75]).0.iter().zip(enumerated(&linear, &[0.25, 0.75, 2.0]).0),
        ) {
            let [a, b] = each(x);
            assert!((one - 1.5 * (0.25 * a.ln() + 0.75 * b.ln())).abs() < 1e-14);
            assert!((other - 2.0 * (0.25 * a + 0.75 * b).ln()).abs() < 1e-14);
        }
        let (_, exact) = enumerated(&linear, &[0.25, 0.75, 1.0]);
        assert!((linear.log_z(&[0.25, 0.75, 1.0]).unwrap() - exact).abs() < 1e-14);
        assert_eq!((linear.log_z(&[0.25, 0.75, 2.0]), log_linear.log_z(&[0.5, 0.5])), (None, None));
    }

    /// `Z(beta) = prod (1 + w_i^beta)`.
    #[test]
    fn temperatures_have_a_closed_form() {
        let tempered = Tempered::new(items([1.0, 2.0, 3.0]), Beta::Condition).unwrap();
        for beta in [0.1f32, 1.0, 2.5] {
            let exact: f64 = [1.0f64, 2.0, 3.0].iter().map(|w| (1.0 + w.powf(f64::from(beta))).ln()).sum();
            assert!((tempered.log_z(&[beta]).unwrap() - exact).abs() < 1e-14);
            assert!((enumerated(&tempered, &[beta]).1 - exact).abs() < 1e-14);
        }
        let mut partial = [0.0];
        assert!(tempered.partial(&[0, 1, 1], &[2.0], &mut partial).unwrap());
        assert!((partial[0] - 2.0 * 6f64.ln()).abs() < 1e-14);
        let fixed = Tempered::new(items([1.0, 2.0, 3.0]), Beta::Fixed(0.5)).unwrap();
        assert_eq!(fixed.condition_width(), 0);
        assert!((fixed.log_z(&[]).unwrap() - enumerated(&fixed, &[]).1).abs() < 1e-14);
    }

    /// An impossible object is one only for those who ask about what makes it so.
    #[test]
    fn a_reward_without_weight_does_not_count() {
        let nothing: Arc<dyn Target<Cell>> = Arc::new(Expression::reward("f", "x0", 3).unwrap());
        let all = vec![nothing, items([1.0, 2.0, 3.0])];
        for combination in [Combination::LogLinear, Combination::Linear] {
            let reward = Preference::new(all.clone(), combination, Beta::Fixed(1.0)).unwrap();
            let mut out = [0.0; 2];
            reward.log_rewards(&[0, 1, 0, 0, 1, 0], &[0.0, 1.0, 0.5, 0.5], &mut out).unwrap();
            assert!((out[0] - 2f64.ln()).abs() < 1e-15);
            assert_eq!(out[1] == f64::NEG_INFINITY, combination == Combination::LogLinear);
        }
    }

    #[test]
    fn wrong_parameters_are_named() {
        let message =
            |rewards, beta| Preference::new(rewards, Combination::Linear, beta).unwrap_err().to_string();
        assert!(message(vec![], Beta::Condition).starts_with("rewards: found 0"));
        assert!(message(vec![items([1.0; 3])], Beta::Fixed(0.0)).starts_with("beta: found 0"));
        let tempered: Arc<dyn Target<Cell>> =
            Arc::new(Tempered::new(items([1.0; 3]), Beta::Condition).unwrap());
        assert!(message(vec![tempered.clone()], Beta::Condition).contains("a condition of 1 numbers"));
        assert!(Tempered::new(tempered, Beta::Condition).is_err());
    }
}
