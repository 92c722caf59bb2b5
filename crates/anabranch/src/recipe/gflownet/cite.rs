//! The papers behind a flow network's recipe.

use super::{BackwardName, ExplorationRecipe, ReplayRecipe};
use crate::papers::{
    ADAM, AUGMENTED, BAGGING, DISTILLATION, ENSEMBLES, EXPECTED_IMPROVEMENT, FOUNDATIONS, LOCAL_SEARCH,
    MAXIMUM_ENTROPY, MULTI_OBJECTIVE, PRIORITISED, REPLAY, SEQUENCES, TRAJECTORY_LIKELIHOOD,
    UPPER_CONFIDENCE,
};
use crate::recipe::Recipe;
use crate::recipe::objects::Objects;
use crate::target::Acquisition;

/// The BibTeX entries of the target and the methods a recipe uses.
pub(in crate::recipe) fn citations(recipe: &Recipe, objects: &dyn Objects) -> Vec<&'static str> {
    let mut entries = objects.papers();
    entries.extend((!recipe.conditions.is_empty()).then_some(MULTI_OBJECTIVE));
    if let Some(regressor) = recipe.regressor() {
        entries.extend([SEQUENCES, BAGGING, ENSEMBLES]);
        entries.extend(match regressor.acquisition {
            Acquisition::Mean {} => None,
            Acquisition::UpperConfidence { .. } => Some(UPPER_CONFIDENCE),
            Acquisition::ExpectedImprovement {} => Some(EXPECTED_IMPROVEMENT),
        });
    }
    entries.extend(recipe.policy.network.paper());
    entries.push(FOUNDATIONS);
    entries.extend(recipe.objective.papers());
    entries.extend((recipe.policy.backward == BackwardName::MaximumEntropy).then_some(MAXIMUM_ENTROPY));
    let by_likelihood = recipe.policy.backward == BackwardName::TrajectoryLikelihood;
    entries.extend(by_likelihood.then_some(TRAJECTORY_LIKELIHOOD));
    entries.extend(exploration(&recipe.exploration));
    entries.push(ADAM);
    entries
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
