//! Kernels with densities: a pair of conditional laws, one forward and one backward.

use crate::chain::{Densities, State, Step, Transition};
use crate::kernel::law::Law;
use crate::rng::Noise;

/// A law that depends on the state at the other end of the step.
pub trait Conditional: Send + Sync {
    /// The law given a batch of states, with whatever networks it needs evaluated once.
    fn given(&self, state: &State) -> Box<dyn Law + '_>;
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
    fn forward(&self, from: State, noise: &Noise) -> Step {
        let law = self.forward.given(&from);
        let to = law.sample(noise);
        let densities = Densities {
            forward: law.log_density(&to),
            backward: self.backward.given(&to).log_density(&from),
        };
        densities.forward_step(to)
    }

    fn backward(&self, from: State, noise: &Noise) -> Step {
        let law = self.backward.given(&from);
        let to = law.sample(noise);
        let densities =
            Densities { forward: self.forward.given(&to).log_density(&from), backward: law.log_density(&to) };
        densities.backward_step(to)
    }

    fn sample(&self, from: State, noise: &Noise) -> State {
        self.forward.given(&from).sample(noise)
    }

    fn densities(&self, before: &State, after: &State) -> Option<Densities> {
        Some(Densities {
            forward: self.forward.given(before).log_density(after),
            backward: self.backward.given(after).log_density(before),
        })
    }
}
