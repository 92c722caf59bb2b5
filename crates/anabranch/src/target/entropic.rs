//! The reward whose flow, beside that of R, tells the entropy (Bengio et al. 2023, section 6).
//!
//! ```text
//! R'(x) = -r(x) log r(x),     r = R / c,     every r(x) < 1
//! H = F'(s_0) / F(s_0) + log F(s_0)
//! ```
//!
//! where F and F' are the flows of r and R': the entropy of `R / Z`, in nats. The scale c leaves it as it is.

use std::sync::Arc;

use super::{Describe, Failure, LARGEST, LEAST, Target, within};
use crate::environment::Cell;
use crate::error::Problem;

/// `-r log r` of a reward.
#[derive(Debug)]
pub struct Entropic {
    reward: Arc<dyn Target<Cell>>,
    scale: f64,
    describe: Describe,
}

impl Entropic {
    /// That of `reward`, divided by `scale` first: more than the largest reward there is.
    ///
    /// # Errors
    /// If the scale is not positive.
    pub fn new(reward: Arc<dyn Target<Cell>>, scale: f64, describe: Describe) -> Result<Self, Problem> {
        within("scale", scale, LEAST, LARGEST)?;
        Ok(Self { reward, scale, describe })
    }
}

impl Target<Cell> for Entropic {
    fn log_rewards(&self, objects: &[Cell], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        self.reward.log_rewards(objects, conditions, out)?;
        let (cells, log_scale) = (objects.len() / out.len().max(1), self.scale.ln());
        for (row, value) in out.iter_mut().enumerate() {
            let log_r = *value - log_scale;
            if log_r >= 0.0 {
                let name = self.describe.name(&objects[row * cells..][..cells]);
                let found = format!("a reward of {} for {name}", value.exp());
                let allowed = format!("less than the scale, {}: give a larger one", self.scale);
                return Err(Problem::new("reward.scale", found).allowed(allowed).into());
            }
            // -0 log 0 = 0.
            *value = if log_r == f64::NEG_INFINITY { log_r } else { log_r + (-log_r).ln() };
        }
        Ok(())
    }

    fn condition_width(&self) -> usize {
        self.reward.condition_width()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::log_sum_exp;
    use crate::target::{Counting, Items};

    const SETS: [Cell; 24] = [0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1, 1];

    fn lattice() -> Arc<dyn Target<Cell>> {
        Arc::new(Items::new([1.0, 2.0, 3.0].map(f64::ln).to_vec(), Counting::Sets(0..=3)).unwrap())
    }

    /// The subset lattice with w = (1, 2, 3): H = 1.891996, and 1.198849 of the sets that have item 1.
    #[test]
    fn the_entropy_of_the_subset_lattice() {
        for scale in [6.001, 7.0, 1e6] {
            let reward = Entropic::new(lattice(), scale, Describe::new(|x| format!("{x:?}"))).unwrap();
            let entropy = |objects: &[Cell]| {
                let (mut r, mut r_prime) = (vec![0.0; objects.len() / 3], vec![0.0; objects.len() / 3]);
                lattice().log_rewards(objects, &[], &mut r).unwrap();
                reward.log_rewards(objects, &[], &mut r_prime).unwrap();
                let (log_z, log_z_prime) = (log_sum_exp(&r) - f64::ln(scale), log_sum_exp(&r_prime));
                (log_z_prime - log_z).exp() + log_z
            };
            assert!((entropy(&SETS) - 1.891_996).abs() < 5e-7);
            let with_first: Vec<Cell> = SETS.chunks(3).filter(|x| x[0] == 1).flatten().copied().collect();
            assert!((entropy(&with_first) - 1.198_849).abs() < 5e-7);
        }
    }

    #[test]
    fn a_reward_of_one_or_more_is_named() {
        let reward = Entropic::new(lattice(), 5.0, Describe::new(|x| format!("{x:?}"))).unwrap();
        let Err(Failure::Stop(error)) = reward.log_rewards(&SETS, &[], &mut [0.0; 8]) else { panic!() };
        let message = error.to_string();
        assert!(message.starts_with("reward.scale: found a reward of "), "{message}");
        assert!(message.contains(" for [0, 1, 1]; allowed: less than the scale, 5: give"), "{message}");
        let zero = Entropic::new(lattice(), 0.0, Describe::new(|_| String::new()));
        assert!(zero.unwrap_err().to_string().starts_with("scale: found 0"));
    }
}
