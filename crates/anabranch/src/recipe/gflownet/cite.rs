//! The papers behind a flow network's recipe.

use super::{BackwardName, ExplorationRecipe, GFlowNetRecipe, NetworkRecipe, ObjectsRecipe, ReplayRecipe};
use crate::objective::balance::BalanceRecipe;
use crate::recipe::papers::{
    ADAM, ATTENTION, AUGMENTED, BALANCE, CONTINUOUS, DEEP_SETS, DISTILLATION, ENTROPIC_RL, FLOW_NETWORKS,
    FORWARD_LOOKING, FOUNDATIONS, LOCAL_SEARCH, MAXIMUM_ENTROPY, MULTI_OBJECTIVE, NON_ACYCLIC,
    PARTIAL_EPISODES, POLICY_GRADIENTS, PPO, PRIORITISED, QUANTILES, RELATIVE, REPLAY, SCHEDULING, SEQUENCES,
    STOCHASTIC, STRUCTURES, TRAJECTORY_LIKELIHOOD, TRUST_PCL, VARGRAD,
};
use crate::target::RewardRecipe;

/// The BibTeX entries of the target and the methods a recipe uses.
pub(in crate::recipe) fn citations(recipe: &GFlowNetRecipe) -> Vec<&'static str> {
    let mut entries = match recipe.target {
        ObjectsRecipe::Hypergrid { .. } => vec![FLOW_NETWORKS],
        ObjectsRecipe::CyclicGrid { .. } => vec![NON_ACYCLIC],
        ObjectsRecipe::SlipperyGrid { .. } => vec![STOCHASTIC],
        ObjectsRecipe::Box(_)
        | ObjectsRecipe::Line(_)
        | ObjectsRecipe::Torus(_)
        | ObjectsRecipe::Hybrid(_) => {
            vec![CONTINUOUS]
        }
        ObjectsRecipe::Strings { reward: RewardRecipe::Classifier { .. }, .. } => vec![SEQUENCES],
        _ => Vec::new(),
    };
    entries.extend((!recipe.conditions.is_empty()).then_some(MULTI_OBJECTIVE));
    entries.extend(matches!(recipe.policy.network, NetworkRecipe::Transformer { .. }).then_some(ATTENTION));
    entries.extend(matches!(recipe.policy.network, NetworkRecipe::DeepSets { .. }).then_some(DEEP_SETS));
    entries.push(FOUNDATIONS);
    entries.extend(objective(&recipe.objective));
    entries.extend((recipe.policy.backward == BackwardName::MaximumEntropy).then_some(MAXIMUM_ENTROPY));
    let by_likelihood = recipe.policy.backward == BackwardName::TrajectoryLikelihood;
    entries.extend(by_likelihood.then_some(TRAJECTORY_LIKELIHOOD));
    entries.extend(exploration(&recipe.exploration));
    entries.push(ADAM);
    entries
}

fn objective(recipe: &BalanceRecipe) -> Vec<&'static str> {
    match recipe {
        BalanceRecipe::FlowMatching(_) => vec![FLOW_NETWORKS],
        BalanceRecipe::QuantileFlowMatching(_) => vec![QUANTILES],
        BalanceRecipe::DetailedBalance(balance) if balance.forward_looking => vec![FORWARD_LOOKING],
        BalanceRecipe::DetailedBalance(_) => vec![FOUNDATIONS],
        BalanceRecipe::StableDetailedBalance(_) => vec![NON_ACYCLIC],
        BalanceRecipe::ModifiedDetailedBalance(_) => vec![STRUCTURES],
        BalanceRecipe::SubTrajectoryBalance(_) => vec![PARTIAL_EPISODES],
        BalanceRecipe::TrajectoryBalance(_) => vec![BALANCE],
        BalanceRecipe::LogVariance(_) => vec![VARGRAD, SCHEDULING],
        BalanceRecipe::RelativeTrajectoryBalance(_) | BalanceRecipe::RelativeLogVariance(_) => vec![RELATIVE],
        BalanceRecipe::TrustPcl(_) => vec![TRUST_PCL, RELATIVE],
        BalanceRecipe::SoftQ(_) => vec![ENTROPIC_RL],
        BalanceRecipe::PolicyGradient(_) => vec![POLICY_GRADIENTS],
        BalanceRecipe::Ppo(_) => vec![POLICY_GRADIENTS, PPO],
    }
}

fn exploration(recipe: &ExplorationRecipe) -> Vec<&'static str> {
    let mut entries = match &recipe.replay {
        None | Some(ReplayRecipe::Uniform { .. }) => vec![],
        Some(ReplayRecipe::Prioritised { .. }) => vec![PRIORITISED],
        Some(ReplayRecipe::Diverse { .. }) => vec![REPLAY],
    };
    entries.extend(recipe.local_search.as_ref().map(|_| LOCAL_SEARCH));
    entries.extend(recipe.novelty.iter().flat_map(|_| [AUGMENTED, DISTILLATION]));
    entries
}
