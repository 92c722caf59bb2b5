//! How far a forward policy is from the flows, over whole trajectories.
//!
//! ```text
//! ELBO = E_{P_F} v,   EUBO = E_{x ~ R/Z, tau ~ P_B} v,   v(tau) = log R(x) + sum_t [log P_B - log P_F]
//! KL(P_F || P_B) = log Z - ELBO = sum_s u(s) KL(P_F(. | s) || Q_F(. | s))
//! KL(P_B || P_F) = EUBO - log Z = sum_s F(s)/Z KL(Q_F(. | s) || P_F(. | s))
//! ```
//!
//! `P_B(tau) = R(x)/Z prod_t P_B(s_t | s_{t+1})` is also `prod_t Q_F(s_{t+1} | s_t)` with the `Q_F` of the flows, which gives
//! the divergences as sums over states of terms that are not negative (the chain rule of the divergence; `u` are visits).
//!
//! Bengio et al., "GFlowNet Foundations" (2023); Malkin et al., "GFlowNets and variational inference" (2023).

use super::{Flows, Policy, Terminating, relative, weighted};
use crate::environment::States;

/// Bounds on `log Z` and the divergences that separate them from it. Nats.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Bounds {
    /// `E_{P_F} v`, at most `log Z`.
    pub elbo: f64,
    /// `E_{P_B} v`, at least `log Z`; infinite where the policy cannot make a trajectory of `P_B`.
    pub eubo: f64,
    /// `KL(P_F || P_B)` of trajectories.
    pub reverse_kl: f64,
    /// `KL(P_B || P_F)` of trajectories.
    pub forward_kl: f64,
}

impl Bounds {
    /// The exact bounds of a policy whose terminating law is `terminating`, against flows of the same states.
    pub fn of(states: &States, policy: &Policy, terminating: &Terminating, flows: &Flows) -> Self {
        let exact = flows.policy(states);
        let mut bounds = Self { elbo: 0.0, eubo: 0.0, reverse_kl: 0.0, forward_kl: 0.0 };
        let mut add = |i: usize, log_p: f64, log_q: f64, log_weight: f64| {
            let visits = terminating.log_visits[i];
            bounds.elbo += weighted(visits + log_p, log_weight);
            bounds.reverse_kl += weighted(visits, relative(log_p, log_q));
            let flow = flows.log_states[i] - flows.log_z;
            bounds.eubo += weighted(flow + log_q, log_weight);
            bounds.forward_kl += weighted(flow, relative(log_q, log_p));
        };
        for i in 0..states.len() {
            for (_, e) in states.children(i) {
                let (log_p, log_q) = (policy.moves[*e as usize], exact.moves[*e as usize]);
                add(i, log_p, log_q, flows.log_backward[*e as usize] - log_p);
            }
        }
        for (i, log_reward) in states.objects().iter().zip(&flows.log_rewards) {
            let i = *i as usize;
            add(i, policy.stop[i], exact.stop[i], log_reward - policy.stop[i]);
        }
        bounds
    }
}
