//! Recipes of flow networks: an environment whose objects are built action by action, a reward, a policy and an
//! objective.

mod build;
mod candidates;
mod cite;
mod explain;
mod exploration;
mod policy;
mod prior;
mod roots;
mod rounds;
mod settings;
mod size;

use super::Recipe;
use super::objects::Objects;
use crate::error::{Problem, Result};
use crate::objective::{Objective, ObjectiveRecipe, QuantileFlowMatching, ReferenceKind};
use crate::policy::FlowHead;
pub use build::{FlowTask, GFlowNetPlan, Task};
pub use candidates::CandidatesRecipe;
pub(super) use cite::citations;
pub(super) use explain::facts;
pub use exploration::{Annealing, DataRecipe, ExplorationRecipe, LocalSearchRecipe, ReplayRecipe};
pub use policy::{BackwardName, PolicyRecipe, Trunk};
pub use roots::RootsRecipe;
pub use rounds::{Proposer, RoundsRecipe};
pub(crate) use settings::objects;

impl Recipe {
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

    /// The objects that a flow network builds.
    ///
    /// # Panics
    /// If the target is data or an energy.
    pub(crate) fn objects(&self) -> &dyn Objects {
        self.target.objects().expect("a flow network's target is objects")
    }
}

/// Checks what only a flow network has.
pub(super) fn check(recipe: &Recipe) -> Result<()> {
    recipe.exploration.check()?;
    recipe.policy.check()?;
    recipe.rounds.as_ref().map_or(Ok(()), RoundsRecipe::check)?;
    if recipe.evaluation.candidates.is_some() && recipe.regressor().is_none() {
        return Err(Problem::new("evaluation.candidates", "candidates of a reward that predicts no scores")
            .allowed("none; or `target.reward.kind = \"regressor\"`")
            .into());
    }
    if recipe.policy.prior.is_some() && !recipe.conditions.is_empty() {
        return Err(Problem::new("policy.prior", "a prior beside conditions").allowed("one of them").into());
    }
    let objective = recipe.objective.check("objective", recipe.policy.backward.objective())?;
    if let Objective::Factors(_) = objective {
        return Err(Problem::new("objective.kind", "one of the factors of a guide, which objects have not")
            .allowed("one of trajectories or states, such as \"trajectory-balance\"")
            .into());
    }
    if matches!(objective, Objective::Particles(_) | Objective::Bootstrap(_)) {
        let problem = Problem::new("objective.kind", "one of normalizing flows");
        return Err(problem.allowed("one of flow networks, such as \"trajectory-balance\"").into());
    }
    // With a prior it says the form of that one's policy.
    let unread = recipe.policy.prior.is_some();
    if recipe.policy.backward == BackwardName::Learned && !objective.needs().trains_backward && !unread {
        let found = "\"learned\" with an objective that does not train it";
        return Err(Problem::new("policy.backward", found)
            .allowed("uniform, maximum-entropy, for flow matching implied, or, where the objective is one of trajectories, trajectory-likelihood")
            .into());
    }
    if recipe.policy.backward == BackwardName::Implied && !recipe.balances_edges() {
        let found = "\"implied\" with an objective without flows of edges";
        return Err(Problem::new("policy.backward", found)
            .allowed("uniform, learned, maximum-entropy, trajectory-likelihood; or objective.kind = \"flow-matching\"")
            .into());
    }
    Ok(())
}
