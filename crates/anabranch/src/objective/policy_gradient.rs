//! Policy gradients: a GFlowNet as soft reinforcement learning at temperature 1.
//!
//! ```text
//! r_t = log P_B(s_t | s_{t+1}) on a move, log R(x) on the stop         the reward; P_B is a part of it and never trained here
//! q_t = r_t - log P_F(s_{t+1} | s_t),   V(s) = log F(s),   V(s_f) = 0
//!
//! total           Psi_t = sum_k q_k                                     REINFORCE on KL(P_F(tau) || P_B(tau))
//! reward-to-go    Psi_t = sum_{k >= t} q_k
//! baseline        Psi_t = sum_{k >= t} q_k - V(s_t)
//! gae             Psi_t = sum_k lambda^k d_{t+k},   d_t = q_t + V(s_{t+1}) - V(s_t)
//!
//! policy   -mean_b sum_t log P_F Psi_t                                  Psi held fixed
//! ppo      -mean_b sum_t [ min(rho Psi, clip(rho, 1 - c, 1 + c) Psi) - KL(P_F(. | s_t) || P_old(. | s_t)) ]
//! critic   mean (V(s_t) - y_t)^2,  y_t = Psi_t + V(s_t) held fixed;  or sub-trajectory balance in V, policies held fixed
//! ```
//!
//! `rho = P_F / P_old`; the divergence is the exact term of soft policy improvement and no bonus. `Psi` and `y` are those of the
//! policy that acted: where there is a reference, they are taken from it, and stay what they were while the weights move.
//!
//! Zykova-Myzina et al., "Proximal policy optimization for amortized discrete sampling" (2026); Niu et al. (2024), whose critic
//! is Sub-EB; Tiapkin et al. (2024); Schulman et al. (2016, 2017).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::{
    Needs, PathObjective, Paths, ReferenceKind, Regression, Slopes, SubTrajectoryBalance,
    SubTrajectoryWeighting,
};
use crate::error::{Problem, Result};

/// Log-ratios beyond this are clamped: their exponentials are far outside of any trust region.
const LARGEST_LOG_RATIO: f64 = 20.0;

/// A policy gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyGradient {
    /// By what an action's log-probability is multiplied.
    pub advantage: Advantage,
    /// The decay of generalised advantages: 0 is one step, 1 the reward to go.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gae_lambda: f64,
    /// How `V` is fitted, where the advantage reads it.
    pub critic: Critic,
    /// The factor of the critic's loss.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub critic_weight: f64,
}

/// Entropic proximal policy optimisation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ppo {
    /// How far from 1 a ratio may be.
    #[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0))]
    pub clip: f64,
    /// How often the same trajectories are used.
    #[schemars(range(min = 1, max = 1000))]
    pub epochs: usize,
    /// The decay of generalised advantages.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gae_lambda: f64,
    /// How `V` is fitted.
    pub critic: Critic,
    /// The factor of the critic's loss.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub critic_weight: f64,
}

/// By what an action's log-probability is multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Advantage {
    /// The soft return of the whole trajectory.
    Total,
    /// The soft return from the action on.
    RewardToGo,
    /// The soft return from the action on, less `V`.
    Baseline,
    /// Generalised advantage estimation.
    Gae,
}

/// How `V` is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Critic {
    /// The squared error to the target of the advantage.
    Mse {},
    /// Sub-trajectory balance with the policies held fixed.
    SubEb {
        /// How sub-trajectories count.
        #[serde(default = "geometric_within")]
        weighting: SubTrajectoryWeighting,
        /// The ratio of the weights of two lengths that differ by 1.
        #[serde(default = "nine_tenths")]
        #[schemars(range(min = 0.0, max = 1e6))]
        lambda: f64,
    },
}

fn geometric_within() -> SubTrajectoryWeighting {
    SubTrajectoryWeighting::GeometricWithin
}

fn nine_tenths() -> f64 {
    0.9
}

impl Critic {
    fn check(self, weight: f64, check: &Check<'_>) -> Result<()> {
        if let Self::SubEb { lambda, .. } = self {
            check.weight("critic.lambda", lambda)?;
        }
        check.weight("critic_weight", weight)
    }
}

impl Default for PolicyGradient {
    fn default() -> Self {
        Self { advantage: Advantage::Gae, gae_lambda: 0.7, critic: Critic::Mse {}, critic_weight: 1.0 }
    }
}

impl Default for Ppo {
    fn default() -> Self {
        Self { clip: 0.2, epochs: 4, gae_lambda: 0.7, critic: Critic::Mse {}, critic_weight: 1.0 }
    }
}

impl PathObjective for PolicyGradient {
    fn needs(&self) -> Needs {
        let flow = matches!(self.advantage, Advantage::Baseline | Advantage::Gae);
        Needs { flow, on_policy: true, trains_backward: false, every_end: true, ..Needs::default() }
    }

    fn check(&self, place: &str) -> Result<()> {
        Check(place).within("gae_lambda", self.gae_lambda, 0.0, 1.0)?;
        let reads_value = matches!(self.advantage, Advantage::Baseline | Advantage::Gae);
        if !reads_value && self.critic != (Critic::Mse {}) {
            let found = "a critic for an advantage that reads no value";
            let allowed = "none, or advantage = \"baseline\" or \"gae\"";
            return Err(Problem::new(format!("{place}.critic"), found).allowed(allowed).into());
        }
        self.critic.check(self.critic_weight, &Check(place))
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        let Self { advantage, gae_lambda, critic, critic_weight } = *self;
        let critic_loss = match advantage {
            Advantage::Total | Advantage::RewardToGo => 0.0,
            _ => fit(critic, critic_weight, advantage, gae_lambda, paths, slopes),
        };
        let share = 1.0 / paths.trajectories() as f64;
        let mut loss = 0.0;
        each_advantage(advantage, gae_lambda, paths, |_, row, psi| {
            loss -= share * psi * paths.forward[row];
            slopes.forward[row] = -share * psi;
        });
        loss + critic_loss
    }
}

impl PathObjective for Ppo {
    fn needs(&self) -> Needs {
        Needs {
            flow: true,
            reference: ReferenceKind::Acting,
            epochs: self.epochs,
            on_policy: true,
            trains_backward: false,
            every_end: true,
            ..Needs::default()
        }
    }

    fn check(&self, place: &str) -> Result<()> {
        let check = Check(place);
        check.positive("clip", self.clip, 1e6)?;
        check.within("epochs", self.epochs as f64, 1.0, 1000.0)?;
        check.within("gae_lambda", self.gae_lambda, 0.0, 1.0)?;
        self.critic.check(self.critic_weight, &check)
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        let Self { clip, gae_lambda, critic, critic_weight, .. } = *self;
        let critic_loss = fit(critic, critic_weight, Advantage::Gae, gae_lambda, paths, slopes);
        let reference = paths.reference();
        let share = 1.0 / paths.trajectories() as f64;
        let mut loss = share * reference.divergence.iter().sum::<f64>();
        slopes.divergence.fill(share);
        each_advantage(Advantage::Gae, gae_lambda, paths, |_, row, psi| {
            let log_ratio = paths.forward[row] - reference.forward[row];
            let ratio = log_ratio.clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO).exp();
            let (free, clipped) = (ratio * psi, ratio.clamp(1.0 - clip, 1.0 + clip) * psi);
            loss -= share * free.min(clipped);
            if free <= clipped && log_ratio.abs() <= LARGEST_LOG_RATIO {
                slopes.forward[row] = -share * free;
            }
        });
        loss + critic_loss
    }
}

/// What the policy that acted said: the reference, or the policy itself.
#[derive(Clone, Copy)]
struct Acted<'a> {
    paths: &'a Paths,
    forward: &'a [f64],
    flow: &'a [f64],
}

impl<'a> Acted<'a> {
    fn of(paths: &'a Paths) -> Self {
        match &paths.reference {
            Some(acted) => Self { paths, forward: &acted.forward, flow: &acted.flow },
            None => Self { paths, forward: &paths.forward, flow: &paths.flow },
        }
    }

    /// `q_t`.
    fn soft_reward(&self, b: usize, row: usize) -> f64 {
        let is_stop = row + 1 == self.paths.starts[b + 1];
        let reward = if is_stop { self.paths.log_reward[b] } else { self.paths.backward[row] };
        reward - self.forward[row]
    }

    /// `V(s_t)`.
    fn value(&self, b: usize, row: usize) -> f64 {
        if self.paths.transitions(b).contains(&row) { self.flow[row] } else { self.paths.log_reward[b] }
    }
}

/// Hands trajectory, row and `Psi` of every transition on.
fn each_advantage(
    advantage: Advantage,
    gae_lambda: f64,
    paths: &Paths,
    mut each: impl FnMut(usize, usize, f64),
) {
    let acted = Acted::of(paths);
    let (decay, reads_value) = match advantage {
        Advantage::Gae => (gae_lambda, true),
        Advantage::Baseline => (1.0, true),
        Advantage::Total | Advantage::RewardToGo => (1.0, false),
    };
    for b in 0..paths.trajectories() {
        let (mut psi, mut next) = (0.0, 0.0);
        for row in paths.trajectory(b).rev() {
            let value = if reads_value { acted.value(b, row) } else { 0.0 };
            psi = acted.soft_reward(b, row) + next - value + decay * psi;
            next = value;
            if advantage != Advantage::Total {
                each(b, row, psi);
            }
        }
        if advantage == Advantage::Total {
            paths.trajectory(b).for_each(|row| each(b, row, psi));
        }
    }
}

/// The critic's loss times `weight`; fills the slopes by the flow.
fn fit(
    critic: Critic,
    weight: f64,
    advantage: Advantage,
    gae_lambda: f64,
    paths: &Paths,
    slopes: &mut Slopes,
) -> f64 {
    let acted = Acted::of(paths);
    match critic {
        Critic::Mse {} => {
            let share = weight / paths.transition_count().max(1) as f64;
            let mut loss = 0.0;
            each_advantage(advantage, gae_lambda, paths, |b, row, psi| {
                if paths.transitions(b).contains(&row) {
                    let error = paths.flow[row] - (psi + acted.value(b, row));
                    loss += share * error * error;
                    slopes.flow[row] = 2.0 * share * error;
                }
            });
            loss
        }
        Critic::SubEb { weighting, lambda } => {
            let balance = SubTrajectoryBalance {
                weighting,
                lambda,
                regression: Regression::Squared {},
                forward_looking: false,
            };
            let loss = balance.add(paths, acted.forward, slopes);
            slopes.flow.iter_mut().for_each(|slope| *slope *= weight);
            slopes.forward.fill(0.0);
            slopes.backward.fill(0.0);
            weight * loss
        }
    }
}
