//! Recipes of flow networks: an environment whose objects are built action by action, a reward, a policy and an
//! objective.

mod build;
mod cite;
mod explain;
mod exploration;
mod policy;
mod prior;
mod roots;
mod settings;
mod size;
mod target;

pub use build::{FlowTask, GFlowNetPlan, Task};
pub(super) use cite::citations;
pub(super) use explain::explain;
pub use exploration::{Annealing, DataRecipe, ExplorationRecipe, LocalSearchRecipe, ReplayRecipe};
pub use policy::{BackwardName, PolicyRecipe, Trunk};
pub use roots::RootsRecipe;
pub(crate) use settings::objects;
pub use target::{
    Alphabet, BoxRecipe, BoxSteps, ChartRecipe, DomainName, GrowthName, HybridRecipe, LineRecipe,
    ObjectsRecipe, Rewarded, TorusRecipe,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OptimizerRecipe, Overview, TrainingRecipe, positive, within};
use crate::error::{Problem, Result};
use crate::objective::{ObjectiveRecipe, QuantileFlowMatching, ReferenceKind};
use crate::policy::FlowHead;
use crate::target::ConditionLaw;

/// A recipe of a flow network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GFlowNetRecipe {
    /// The recipe's name: task, then method.
    pub name: String,
    /// One line that says what it does.
    #[serde(default)]
    pub title: String,
    /// The seed of every random stream.
    #[serde(default)]
    pub seed: u64,
    /// What objects there are, how they are built, and their reward.
    pub target: ObjectsRecipe,
    /// Where conditions come from: the laws of their parts, one behind the other. Needed where the reward depends on
    /// a condition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ConditionLaw>,
    /// The states that walks start from, if not the source alone: one network then learns the flow of all objects ahead of any
    /// of them, and with it free energies, probabilities of supersets and entropies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<RootsRecipe>,
    /// How actions are chosen.
    #[serde(default)]
    pub policy: PolicyRecipe,
    /// The training objective.
    #[serde(default)]
    pub objective: ObjectiveRecipe,
    /// Which trajectories training learns from, besides the policy's own.
    #[serde(default)]
    pub exploration: ExplorationRecipe,
    /// How weights are updated.
    #[serde(default)]
    pub optimizer: OptimizerRecipe,
    /// How long, and what is written when.
    #[serde(default)]
    pub training: WalkTrainingRecipe,
    /// What is measured at the end.
    #[serde(default)]
    pub evaluation: WalkEvaluationRecipe,
}

/// How long training takes, and what is written when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WalkTrainingRecipe {
    /// Optimiser steps [default: 10000, unless `trajectories` says how many].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub steps: Option<u64>,
    /// Trajectories over all steps, in place of `steps`: the last step makes them whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub trajectories: Option<u64>,
    /// Trajectories per step.
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Steps between checkpoints; 0 leaves only the last.
    pub checkpoint_every: u64,
    /// Steps between estimates of the ELBO, the best of which keeps its weights; 0 switches them off, and the last weights
    /// (or their average) are kept.
    pub evaluate_every: u64,
    /// Steps between lines in metrics.jsonl.
    #[schemars(range(min = 1))]
    pub log_every: u64,
    /// Evaluations without improvement after which training stops; 0 never stops early.
    pub patience: u64,
    /// Decay of the exponential moving average of the weights, which is what is evaluated; 0 switches it off.
    pub ema: f64,
}

impl Default for WalkTrainingRecipe {
    fn default() -> Self {
        Self {
            steps: None,
            trajectories: None,
            batch: 16,
            checkpoint_every: 1000,
            evaluate_every: 0,
            log_every: 50,
            patience: 0,
            ema: 0.0,
        }
    }
}

/// What is measured at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WalkEvaluationRecipe {
    /// Objects drawn and written to samples.npy.
    #[schemars(range(min = 1))]
    pub samples: usize,
    /// Trajectories for ELBO, EUBO, log Z and ESS.
    #[schemars(range(min = 1))]
    pub paths: usize,
    /// The most states of an environment that is enumerated, so that the learned distribution of objects is compared with
    /// the exact one; 0 leaves that out.
    pub exact_states: usize,
}

impl Default for WalkEvaluationRecipe {
    fn default() -> Self {
        Self { samples: 1000, paths: 10_000, exact_states: 250_000 }
    }
}

impl GFlowNetRecipe {
    /// Where the flows of states come from.
    pub fn flow_head(&self) -> FlowHead {
        match &self.objective {
            ObjectiveRecipe::FlowMatching(_) | ObjectiveRecipe::SoftQ(_) => FlowHead::Logits,
            ObjectiveRecipe::QuantileFlowMatching(QuantileFlowMatching { quantiles, risk, .. }) => {
                FlowHead::Quantiles { count: *quantiles, risk: *risk }
            }
            objective if objective.needs().flow => FlowHead::Output,
            // The flow at the start is the log Z of the condition, or of the root.
            objective if objective.needs().log_z && !self.learns_log_z() => FlowHead::Output,
            _ => FlowHead::None,
        }
    }

    /// Whether the objective balances flows of edges, which have a backward policy of their own.
    fn balances_edges(&self) -> bool {
        matches!(self.objective, ObjectiveRecipe::FlowMatching(_) | ObjectiveRecipe::QuantileFlowMatching(_))
    }

    /// Whether the objective reads the backward policy.
    pub(super) fn reads_backward(&self) -> bool {
        !self.balances_edges() && !matches!(self.objective.needs().reference, ReferenceKind::Prior { .. })
    }

    /// Whether a log Z is learned as a weight of its own.
    pub fn learns_log_z(&self) -> bool {
        self.objective.needs().log_z && self.conditions.is_empty() && self.roots.is_none()
    }

    pub(crate) fn overview(&self) -> Overview<'_> {
        let training = &self.training;
        let by_trajectories = training.trajectories.map(|all| all.div_ceil(training.batch.max(1) as u64));
        Overview {
            name: &self.name,
            title: &self.title,
            seed: self.seed,
            training: TrainingRecipe {
                steps: training.steps.or(by_trajectories).unwrap_or(10_000),
                batch: training.batch,
                checkpoint_every: training.checkpoint_every,
                evaluate_every: training.evaluate_every,
                log_every: training.log_every,
                patience: training.patience,
                ema: training.ema,
            },
            optimizer: &self.optimizer,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let WalkEvaluationRecipe { samples, paths, exact_states } = self.evaluation;
        if let (Some(steps), Some(trajectories)) = (self.training.steps, self.training.trajectories) {
            let found = format!("steps = {steps} and trajectories = {trajectories}");
            return Err(Problem::new("training", found).allowed("one of them").into());
        }
        positive("evaluation.samples", samples as u64)?;
        positive("evaluation.paths", paths as u64)?;
        within("evaluation.samples", samples as f64, 1.0, 1e8)?;
        within("evaluation.paths", paths as f64, 1.0, 1e8)?;
        within("evaluation.exact_states", exact_states as f64, 0.0, 1e8)?;
        self.exploration.check()?;
        self.policy.check()?;
        if self.policy.prior.is_some() && !self.conditions.is_empty() {
            return Err(Problem::new("policy.prior", "a prior beside conditions")
                .allowed("one of them")
                .into());
        }
        let objective = self.objective.check("objective", self.policy.backward.objective())?;
        // With a prior it says the form of that one's policy.
        let unread = self.policy.prior.is_some();
        if self.policy.backward == BackwardName::Learned && !objective.needs().trains_backward && !unread {
            let found = "\"learned\" with an objective that does not train it";
            return Err(Problem::new("policy.backward", found)
                .allowed("uniform, maximum-entropy, for flow matching implied, or, where the objective is one of trajectories, trajectory-likelihood")
                .into());
        }
        if self.policy.backward == BackwardName::Implied && !self.balances_edges() {
            let found = "\"implied\" with an objective without flows of edges";
            return Err(Problem::new("policy.backward", found)
                .allowed("uniform, learned, maximum-entropy, trajectory-likelihood; or objective.kind = \"flow-matching\"")
                .into());
        }
        Ok(())
    }
}
