//! The papers behind a flow network's recipe.

use super::{BackwardName, GFlowNetRecipe, ObjectsRecipe};
use crate::objective::balance::BalanceRecipe;
use crate::recipe::papers::{ADAM, BALANCE, FLOW_NETWORKS, FOUNDATIONS, MAXIMUM_ENTROPY};

/// The BibTeX entries of the target and the methods a recipe uses.
pub(in crate::recipe) fn citations(recipe: &GFlowNetRecipe) -> Vec<&'static str> {
    let mut entries = match recipe.target {
        ObjectsRecipe::Hypergrid { .. } => vec![FLOW_NETWORKS],
        _ => Vec::new(),
    };
    entries.push(FOUNDATIONS);
    entries.extend(matches!(recipe.objective, BalanceRecipe::TrajectoryBalance(_)).then_some(BALANCE));
    entries.extend((recipe.policy.backward == BackwardName::MaximumEntropy).then_some(MAXIMUM_ENTROPY));
    entries.push(ADAM);
    entries
}
