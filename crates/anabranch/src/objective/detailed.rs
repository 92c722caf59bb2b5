//! Balance of single transitions.
//!
//! ```text
//! move   delta = log F(s) + log P_F(s' | s) - log F(s') - log P_B(s | s')
//! stop   delta = log F(x) + log P_F(s_f | x) - log R(x)          none where stopping is the only action: log F(x) is log R(x)
//! loss   = mean over all transitions of g(delta),  + lambda F(s) for every state but the source
//! ```
//!
//! *Forward-looking*: the head is `log F(s) + E(s)`, so that the energy known on the way is on the edges (Pan et al. 2023).
//! *Target network*: `log F(s')` is another's, and no slope flows into it. *State-flow regularisation* `lambda F(s)`: on graphs
//! with cycles `sum_s F(s) / Z` is the expected number of states visited, and adding a circulation changes no residual
//! (Morozov et al. 2025). *Stochastic environments*: a chance row's `forward` is `log P_env`, a constant, and its state is the
//! pair of state and action; nothing else is different (Pan et al. 2023, "Stochastic generative flow networks").
//!
//! Soft Q-learning at temperature 1 is the semi-gradient of the same residual: `Q(s, s') = log F(s) + log P_F(s' | s)` moves
//! towards `log P_B + V(s')`, `V` being the target network's flow and `P_B` a part of the reward (Tiapkin et al. 2024).
//!
//! Bengio et al., "GFlowNet Foundations" (2023), section 3.2.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::regression::exponential;
use super::{Needs, PathObjective, Paths, Regression, Slopes, TargetNetwork};
use crate::error::Result;

/// Detailed balance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DetailedBalance {
    /// What a residual costs.
    pub regression: Regression,
    /// Whether the flow head is `log F(s) + E(s)`.
    pub forward_looking: bool,
    /// The network that says `log F(s')`; none: the trained one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetNetwork>,
    /// The weight of stops (leaf coefficient).
    #[schemars(range(min = 0.0, max = 1e6))]
    pub stop_weight: f64,
    /// The factor `lambda` of state-flow regularisation; only for graphs with cycles, since it moves the minimum.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub state_flow_regularisation: f64,
}

impl Default for DetailedBalance {
    fn default() -> Self {
        Self {
            regression: Regression::default(),
            forward_looking: false,
            target: None,
            stop_weight: 1.0,
            state_flow_regularisation: 0.0,
        }
    }
}

/// Soft Q-learning.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SoftQ {
    /// What a residual costs.
    pub regression: Regression,
    /// The network that says `V(s')`.
    pub target: TargetNetwork,
    /// The weight of stops (leaf coefficient).
    #[schemars(range(min = 0.0, max = 1e6))]
    pub stop_weight: f64,
}

impl Default for SoftQ {
    fn default() -> Self {
        Self {
            regression: Regression::Huber { delta: 1.0 },
            target: TargetNetwork::default(),
            stop_weight: 1.0,
        }
    }
}

impl PathObjective for DetailedBalance {
    fn needs(&self) -> Needs {
        Needs {
            flow: true,
            partial: self.forward_looking,
            reference: TargetNetwork::reference(self.target),
            ..Needs::default()
        }
    }

    fn check(&self, place: &str) -> Result<()> {
        let check = Check(place);
        self.regression.check(&check)?;
        TargetNetwork::check(self.target, &check)?;
        check.weight("stop_weight", self.stop_weight)?;
        check.weight("state_flow_regularisation", self.state_flow_regularisation)
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        let next = if self.target.is_some() { &paths.reference().flow } else { &paths.flow };
        let share = 1.0 / paths.transition_count().max(1) as f64;
        let mut loss = 0.0;
        for b in 0..paths.trajectories() {
            let (transitions, stop) = (paths.transitions(b), paths.trajectory(b).end - 1);
            for row in transitions {
                let child = paths.child(b, row);
                let flow = |head, row| paths.log_flow(head, self.forward_looking, row);
                let here = flow(&paths.flow, row) + paths.forward[row];
                let there =
                    child.map_or(paths.log_reward[b], |child| flow(next, child)) + paths.backward[row];
                let share = if row == stop { share * self.stop_weight } else { share };
                let slope = share * self.regression.slope(here - there);
                loss += share * self.regression.value(here - there);
                slopes.flow[row] += slope;
                slopes.forward[row] += slope;
                slopes.backward[row] -= slope;
                if let (Some(child), None) = (child, self.target) {
                    slopes.flow[child] -= slope;
                }
            }
        }
        let regularisation = share * self.state_flow_regularisation;
        loss + regularise_state_flows(paths, self.forward_looking, regularisation, slopes)
    }
}

/// `scale F(s)` summed over all states but sources and those at which `log F(x)` is `log R(x)`.
pub(super) fn regularise_state_flows(
    paths: &Paths,
    forward_looking: bool,
    scale: f64,
    slopes: &mut Slopes,
) -> f64 {
    let mut loss = 0.0;
    if scale > 0.0 {
        for row in (0..paths.trajectories()).flat_map(|b| paths.transitions(b).skip(1)) {
            let (flow, slope) = exponential(paths.log_flow(&paths.flow, forward_looking, row));
            loss += scale * flow;
            slopes.flow[row] += scale * slope;
        }
    }
    loss
}

impl PathObjective for SoftQ {
    fn needs(&self) -> Needs {
        Needs { trains_backward: false, ..self.balance().needs() }
    }

    fn check(&self, place: &str) -> Result<()> {
        self.balance().check(place)
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        let loss = self.balance().evaluate(paths, slopes);
        slopes.backward.fill(0.0);
        loss
    }
}

impl SoftQ {
    fn balance(&self) -> DetailedBalance {
        DetailedBalance {
            regression: self.regression,
            target: Some(self.target),
            stop_weight: self.stop_weight,
            ..DetailedBalance::default()
        }
    }
}
