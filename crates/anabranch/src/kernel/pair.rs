//! Kernels with densities: a pair of conditional laws, one forward and one backward.

use crate::chain::{Densities, Given, Score, State, Step, Transition};
use crate::error::Failure;
use crate::kernel::law::Law;
use crate::rng::Noise;

/// A law that depends on the state at the other end of the step, and on a condition.
pub trait Conditional: Send + Sync {
    /// The law behind a batch of states, with whatever networks it needs evaluated once.
    fn law(&self, state: &State, given: &Given) -> Box<dyn Law + '_>;
}

/// `P_F(s_t | s_{t-1})` and `P_B(s_{t-1} | s_t)`.
#[derive(Debug, Clone)]
pub struct Pair<F, B> {
    /// The generating kernel.
    pub forward: F,
    /// The encoding, noising or destroying kernel.
    pub backward: B,
}

impl<F: Conditional, B: Conditional> Transition for Pair<F, B> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let law = self.forward.law(&from, given);
        let to = law.sample(noise);
        let densities = Densities {
            forward: law.log_density(&to),
            backward: self.backward.law(&to, given).log_density(&from),
        };
        Ok(densities.forward_step(to))
    }

    fn backward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let law = self.backward.law(&from, given);
        let to = law.sample(noise);
        let densities = Densities {
            forward: self.forward.law(&to, given).log_density(&from),
            backward: law.log_density(&to),
        };
        Ok(densities.backward_step(to))
    }

    fn sample(&self, from: State, given: &Given, noise: &Noise) -> Result<State, Failure> {
        Ok(self.forward.law(&from, given).sample(noise))
    }

    fn score(&self, before: &State, after: &State, given: &Given) -> Result<Score, Failure> {
        Ok(Score::Densities(Densities {
            forward: self.forward.law(before, given).log_density(after),
            backward: self.backward.law(after, given).log_density(before),
        }))
    }
}
