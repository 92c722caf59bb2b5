//! Exact quantities of flow networks over spaces small enough to be enumerated: the oracles of everything learned.
//!
//! ```text
//! F(s) = R(s) [s is an object] + sum_children F(c) P_B(s | c)     flows            Flows
//! u(s') = sum_parents u(s) P_F(s' | s),   u(s_0) = 1              visits           Terminating
//! P_T(x) = u(x) P_F(s_f | x)                                      terminating law  Terminating
//! KL(P_F || P_B) = sum_s u(s) KL(P_F(. | s) || F(s -> .)/F(s))    of trajectories  Bounds
//! exp(-FE(s)) = sum_{x >= s} R(x)                                 free energy      free_energies
//! ```
//!
//! The first four are one pass each over the edges of a [`States`], forward or backward, in log space and f64; where there
//! are cycles, a system of linear equations takes the place of the pass. Entropies and mutual information are sums over
//! objects. Arrays stand beside what they describe, in its order:
//!
//! | shape | order |
//! |---|---|
//! | `[states]` | states `0..len()`, the source first |
//! | `[edges]` | edges, by child: those into state `i` are [`States::incoming`]`(i)`, beside [`States::parents`]`(i)` |
//! | `[objects]` | [`States::objects`] |
//!
//! All logarithms are natural. Probabilities at states that the environment moves on by chance are given as those of any
//! other state: they are part of `P_F`.
//!
//! ```
//! use anabranch::environment::{Hypergrid, States};
//! use anabranch::estimate::exact::{Bounds, Flows, Policy, Terminating, backward};
//! let states = States::of(&Hypergrid::new(2, 3).unwrap(), 9).unwrap();
//! let log_rewards = (1..10).map(|reward| f64::from(reward).ln()).collect();
//! let flows = Flows::from_backward(&states, log_rewards, backward::uniform(&states)).unwrap();
//! let untrained = Policy::uniform(&states);
//! let terminating = Terminating::of(&states, &untrained).unwrap();
//! let bounds = Bounds::of(&states, &untrained, &terminating, &flows);
//! assert!((flows.log_z - 45f64.ln()).abs() < 1e-14);
//! assert!(bounds.elbo < flows.log_z && flows.log_z < bounds.eubo);
//! ```
//!
//! Bengio et al., "GFlowNet Foundations" (2023).

pub mod backward;
mod bounds;
mod cycles;
mod flows;
mod free_energy;
#[cfg(test)]
mod graph;
mod information;
mod policy;
mod terminating;
#[cfg(test)]
mod tests;

pub use bounds::Bounds;
pub use flows::Flows;
pub use free_energy::{conditional_flows, conditional_law, descendants, entropies, free_energies};
pub use information::{Joint, entropy};
pub use policy::Policy;
pub use terminating::Terminating;

use crate::environment::States;
use crate::error::{Problem, Result};
use crate::math::log_sum_exp;

/// `x_i = log(exp(start_i) + sum_parents exp(x_p + weight_e))` in topological order, `start` and the result `[states]`,
/// `weights` `[edges]`.
fn forward_pass(states: &States, mut start: Vec<f64>, weights: &[f64]) -> Vec<f64> {
    let mut terms = Vec::new();
    for i in 0..states.len() {
        terms.clear();
        terms.push(start[i]);
        let weights = &weights[states.incoming(i)];
        terms.extend(
            states.parents(i).iter().zip(weights).map(|((p, _), weight)| start[*p as usize] + weight),
        );
        start[i] = log_sum_exp(&terms);
    }
    start
}

/// `x_i = log(exp(start_i) + sum_children exp(x_c + weight_e))` in reverse topological order.
fn backward_pass(states: &States, mut start: Vec<f64>, weights: &[f64]) -> Vec<f64> {
    let mut terms = Vec::new();
    for i in (0..states.len()).rev() {
        terms.clear();
        terms.push(start[i]);
        let children = states.children(i).iter();
        terms.extend(children.map(|(child, e)| start[*child as usize] + weights[*e as usize]));
        start[i] = log_sum_exp(&terms);
    }
    start
}

/// Log-rewards `[objects]` spread over `[states]`, `-inf` elsewhere. Fails on what is no number or infinite.
fn over_states(states: &States, log_rewards: &[f64]) -> Result<Vec<f64>> {
    assert_eq!(log_rewards.len(), states.objects().len(), "a reward for each object");
    let mut spread = vec![f64::NEG_INFINITY; states.len()];
    for (i, log_reward) in states.objects().iter().zip(log_rewards) {
        if log_reward.is_nan() || *log_reward == f64::INFINITY {
            let place = format!("log-reward of {:?}", states.state(*i as usize));
            return Err(Problem::new(place, log_reward.to_string())
                .allowed("a finite number, or -inf")
                .into());
        }
        spread[*i as usize] = *log_reward;
    }
    Ok(spread)
}

/// Fails where a state can be met twice.
fn without_cycles(states: &States, what: &str) -> Result<()> {
    if states.is_acyclic() {
        return Ok(());
    }
    Err(Problem::new("environment", "cycles").allowed(format!("no cycles, for {what}")).into())
}

/// `exp(log_p) value`, which is 0 where the probability is, whatever the value.
fn weighted(log_p: f64, value: f64) -> f64 {
    match log_p.exp() {
        0.0 => 0.0,
        p => p * value,
    }
}

/// `p log(p / q)`: 0 where `p` is 0, infinite where only `q` is.
fn relative(log_p: f64, log_q: f64) -> f64 {
    weighted(log_p, log_p - log_q)
}
