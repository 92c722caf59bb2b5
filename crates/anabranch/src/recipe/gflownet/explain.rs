//! What a flow network's recipe means, in words and formulas.

use super::{BackwardName, FlowTask, GFlowNetPlan, RootsRecipe, Task, Trunk};
use crate::policy::Policy as _;

/// Space, target and policy with the formula of its step ratio, each behind its label; and the estimators.
pub(in crate::recipe) fn facts(plan: &GFlowNetPlan) -> (Vec<(&'static str, String)>, &'static str) {
    let recipe = &plan.recipe;
    let mut facts = vec![("space", recipe.objects().space())];
    if let Task::Discrete(task) = &plan.task
        && let Some(objects) = task.model.policy.environment().objects()
    {
        let moves = task.model.policy.longest();
        facts.push(("objects", format!("{objects}, at most {moves} moves away")));
    }
    let log_z = match &plan.task {
        _ if !recipe.conditions.is_empty() => "log Z of each condition".to_owned(),
        Task::Discrete(FlowTask { reward, .. }) => log_z_of(reward.log_z(&[])),
        Task::Continuous(FlowTask { reward, .. }) => log_z_of(reward.log_z(&[])),
    };
    facts.push(("target", format!("a reward R(x) = {}; {log_z}", recipe.objects().formula())));
    let backward = match recipe.policy.backward {
        BackwardName::Uniform => "1 / #removals",
        BackwardName::Learned => "learned",
        BackwardName::Implied => "F(s -> s') / sum_p F(p -> s')",
        BackwardName::TrajectoryLikelihood => "learned by the likelihood of trajectories",
        BackwardName::MaximumEntropy => "n(s) / n(s'), n the number of ways from the source",
    };
    facts.push(("kernel", format!("action: log P_B - log P_F; P_F learned, P_B(s | s') = {backward}")));
    let network = recipe.policy.network.describe();
    let network = match recipe.policy.trunk {
        Trunk::Shared => network,
        Trunk::Separate => format!("for either direction and for flows, {network}"),
    };
    facts.push(("network", network));
    facts.extend(recipe.roots.map(|roots| {
        let starts = match roots {
            RootsRecipe::Listed {} => "walks start at any state, each alike",
            RootsRecipe::Walked {} => "walks start where a random number of random moves leads",
        };
        ("roots", starts.to_owned())
    }));
    let estimators = "ELBO, EUBO, importance-weighted log Z, ESS, each with its standard error; \
                      exact distances where all states can be listed";
    (facts, estimators)
}

fn log_z_of(exact: Option<f64>) -> String {
    exact.map_or("unknown log Z".to_owned(), |exact| format!("log Z = {exact:.6}"))
}
