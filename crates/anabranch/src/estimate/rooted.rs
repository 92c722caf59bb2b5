//! What lies ahead of a state: free energies, probabilities of supersets and marginals, entropies, by walks from the state.
//!
//! ```text
//! w          R(x) prod_t P_B / P_F of a walk from r to x, all of it above r           E w = exp(-FE(r))
//! FE(r)      -log mean w
//! P(A | r)   sum w 1[x in A] / sum w                                   A: "contains s", "has item 3", ...
//! H(T | r)   log mean w - sum w log R / sum w                          R / mean w being the law of T
//! ```
//!
//! The policy is one over a [`Rooted`](crate::environment::Rooted) environment. The estimates are consistent whatever it has
//! learned; the better it is, the smaller their errors. Where it is exact all w are equal, and FE has no error. Of two parts of
//! an object, [`FromRoot::between`] says entropies, conditional entropies and mutual information, `I(A; B) = H(A) - H(A | B)`.
//!
//! Bengio et al., "GFlowNet Foundations" (2023), sections 4 to 6. Errors by the delta method.

use std::collections::HashMap;
use std::hash::Hash;

use super::trajectories::forward_from;
use super::{Evidence, evidence};
use crate::environment::Cell;
use crate::math::Estimate;
use crate::network::taped::Evaluator;
use crate::policy::{Actions, Policy};
use crate::rng::Noise;
use crate::target::{Failure, Target, checked};

/// Walks from one root.
#[derive(Debug, Clone, PartialEq)]
pub struct FromRoot {
    /// The objects, `[count, cells]` in the cells of the environment that is rooted.
    pub objects: Vec<Cell>,
    /// `log R(x)`, `[count]`, nats.
    pub log_rewards: Vec<f64>,
    /// `log w`, `[count]`, nats.
    pub log_weights: Vec<f64>,
}

impl FromRoot {
    /// Walks `count` times from `root`, which is a state of the environment that is rooted; `reward` is one of rooted states
    /// ([`Ahead`](crate::target::Ahead)).
    ///
    /// # Errors
    /// If the reward fails.
    ///
    /// # Panics
    /// If the root has not half as many cells as a state of the policy.
    pub fn walk(
        policy: &Actions,
        evaluator: &dyn Evaluator,
        reward: &dyn Target<Cell>,
        root: &[Cell],
        count: usize,
        noise: &Noise,
    ) -> Result<Self, Failure> {
        assert_eq!(2 * root.len(), policy.cells(), "a root and a state");
        let sources = root.repeat(2 * count);
        let found = forward_from(policy, evaluator, reward, &sources, &[], count, noise, &|_| true)?;
        let objects = found.objects.chunks_exact(2 * root.len());
        Ok(Self {
            objects: objects.flat_map(|state| state[root.len()..].iter().copied()).collect(),
            log_rewards: found.log_rewards,
            log_weights: found.log_weights,
        })
    }

    /// ELBO, `log sum_{x >= r} R(x)` and effective sample size.
    pub fn evidence(&self) -> Evidence {
        evidence(&self.log_weights)
    }

    /// `FE(r)`, nats: too large on average by what its error says, squared and halved.
    pub fn free_energy(&self) -> Estimate {
        let log_z = self.evidence().log_z;
        Estimate { value: -log_z.value, error: log_z.error }
    }

    /// `w / mean w`.
    fn shares(&self) -> Vec<f64> {
        let log_mean = self.evidence().log_z.value;
        self.log_weights.iter().map(|log_weight| (log_weight - log_mean).exp()).collect()
    }

    /// The mean of a number of each walk under the law `R / Z` of what lies ahead.
    fn mean(&self, of: impl Fn(usize) -> f64) -> Estimate {
        let (shares, n) = (self.shares(), self.log_weights.len() as f64);
        let value = shares.iter().enumerate().map(|(i, share)| share * of(i)).sum::<f64>() / n;
        let squares = shares.iter().enumerate().map(|(i, share)| (share * (of(i) - value)).powi(2));
        Estimate { value, error: squares.sum::<f64>().sqrt() / n }
    }

    /// The probability that an object with the root ahead of it has a property.
    pub fn probability(&self, has: impl Fn(&[Cell]) -> bool) -> Estimate {
        let cells = self.objects.len() / self.log_weights.len();
        self.mean(|i| f64::from(u8::from(has(&self.objects[i * cells..][..cells]))))
    }

    /// `H(T | T >= r)`, nats.
    pub fn entropy(&self) -> Estimate {
        let log_z = self.evidence().log_z.value;
        let value = self.mean(|i| log_z - self.log_rewards[i]).value;
        // The mean weight stands in the law as well: its slope shifts each surprise by one.
        let (shares, n) = (self.shares(), self.log_weights.len() as f64);
        let terms = shares.iter().zip(&self.log_rewards);
        let squares = terms.map(|(share, log_r)| (share * (log_z - log_r - value + 1.0) - 1.0).powi(2));
        Estimate { value, error: squares.sum::<f64>().sqrt() / n }
    }

    /// What two parts of the objects ahead say of each other, where each part is known by a label: what is in a place, whether
    /// an item is there.
    pub fn between<L: Copy + Eq + Hash>(
        &self,
        a: impl Fn(&[Cell]) -> L,
        b: impl Fn(&[Cell]) -> L,
    ) -> Between {
        let cells = self.objects.len() / self.log_weights.len();
        let (mut of_a, mut of_b, mut of_both) = (HashMap::new(), HashMap::new(), HashMap::new());
        let whole = self.log_weights.len() as f64;
        let mut pairs = Vec::with_capacity(self.log_weights.len());
        for (object, share) in self.objects.chunks_exact(cells).zip(self.shares()) {
            let (a, b) = (a(object), b(object));
            *of_a.entry(a).or_insert(0.0) += share / whole;
            *of_b.entry(b).or_insert(0.0) += share / whole;
            *of_both.entry((a, b)).or_insert(0.0) += share / whole;
            pairs.push((a, b));
        }
        let mean = |of: &dyn Fn(f64, f64, f64) -> f64| {
            self.mean(|i| {
                let (a, b) = pairs[i];
                let both: f64 = of_both[&(a, b)];
                // An object of no weight has no share in the mean.
                if both > 0.0 { of(of_a[&a], of_b[&b], both) } else { 0.0 }
            })
        };
        Between {
            entropy_a: mean(&|a, _, _| -a.ln()),
            entropy_b: mean(&|_, b, _| -b.ln()),
            entropy_a_given_b: mean(&|_, b, both| (b / both).ln()),
            entropy_b_given_a: mean(&|a, _, both| (a / both).ln()),
            mutual_information: mean(&|a, b, both| (both / (a * b)).ln()),
        }
    }
}

/// What two parts of the objects ahead of a root say of each other; nats. Mutual information is too large on average, and
/// entropies too small, by about half the number of labels (or of pairs) that occur, divided by the effective number of walks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Between {
    /// `H(A)`.
    pub entropy_a: Estimate,
    /// `H(B)`.
    pub entropy_b: Estimate,
    /// `H(A | B)`.
    pub entropy_a_given_b: Estimate,
    /// `H(B | A)`.
    pub entropy_b_given_a: Estimate,
    /// `I(A; B) = sum p(a, b) log p(a, b) / (p(a) p(b))`.
    pub mutual_information: Estimate,
}

/// The entropy of `R / Z` from two flows at the source: that of `r = R / c` and that of `-r log r`
/// ([`Entropic`](crate::target::Entropic)), `H = F' / F + log F`. Nats.
///
/// Bengio et al. 2023, section 6.
pub fn entropy_of_flows(log_f: Estimate, log_f_prime: Estimate) -> Estimate {
    let ratio = (log_f_prime.value - log_f.value).exp();
    // dH = (1 - F' / F) d log F + (F' / F) d log F'.
    let error = ((1.0 - ratio) * log_f.error).hypot(ratio * log_f_prime.error);
    Estimate { value: ratio + log_f.value, error }
}

/// `P(T >= s' | T >= s)` from walks from both, `s'` being ahead of `s`: for supersets too rare to be met from `s`.
pub fn superset(from: &FromRoot, to: &FromRoot) -> Estimate {
    let (whole, part) = (from.evidence().log_z, to.evidence().log_z);
    let value = (part.value - whole.value).exp();
    Estimate { value, error: value * part.error.hypot(whole.error) }
}

/// `log F(r)` as the network says it: minus the free energy that was learned. Nats; none where it has no flows. At an object
/// that cannot be moved on from it is `log R`, as every balance has it, and nothing trains the network there.
///
/// # Errors
/// If the reward fails.
pub fn learned_log_flow(
    policy: &Actions,
    evaluator: &dyn Evaluator,
    reward: &dyn Target<Cell>,
    root: &[Cell],
) -> Result<Option<f64>, Failure> {
    use crate::network::taped::{NONE, Tape};
    use crate::policy::Visit;
    if policy.flow_place().is_none() {
        return Ok(None);
    }
    let state = root.repeat(2);
    if policy.must_stop(&state) {
        let mut log_reward = [0.0];
        let describe = |state: &[Cell]| policy.describe(state);
        checked(reward, &state, &[], &describe, &mut log_reward)?;
        return Ok(Some(log_reward[0]));
    }
    let (mut tape, mut work) = (Tape::default(), Default::default());
    tape.push(NONE, |on, dense| policy.encode(&state, on, dense));
    evaluator.evaluate(&mut tape, 0);
    let row = tape.output_mut(0, policy.outputs());
    policy.prepare(&state, row, &mut work);
    Ok(Some(policy.log_probabilities(Visit { state: &state, came: None, went: None }, row, &mut work).flow))
}

#[cfg(test)]
mod tests;
