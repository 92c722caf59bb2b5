//! What a flow network's recipe means, in words and formulas.

use std::fmt::Write;

use super::{BackwardName, FlowTask, GFlowNetPlan, RootsRecipe, Task, Trunk};
use crate::policy::Policy as _;

/// Space, target, policy with the formula of its step ratio, objective and estimators.
pub(in crate::recipe) fn explain(plan: &GFlowNetPlan) -> String {
    let recipe = &plan.recipe;
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{label:<11} {value}");
    };
    line("recipe", &format!("{}: {}", recipe.name, recipe.title));
    line("space", &recipe.target.space());
    if let Task::Discrete(task) = &plan.task
        && let Some(objects) = task.model.policy.environment().objects()
    {
        line("objects", &format!("{objects}, at most {} moves away", task.model.policy.longest()));
    }
    let log_z = match &plan.task {
        _ if !recipe.conditions.is_empty() => "log Z of each condition".to_owned(),
        Task::Discrete(FlowTask { reward, .. }) => log_z_of(reward.log_z(&[])),
        Task::Continuous(FlowTask { reward, .. }) => log_z_of(reward.log_z(&[])),
    };
    line("target", &format!("a reward R(x) = {}; {log_z}", recipe.target.formula()));
    let backward = match recipe.policy.backward {
        BackwardName::Uniform => "1 / #removals",
        BackwardName::Learned => "learned",
        BackwardName::Implied => "F(s -> s') / sum_p F(p -> s')",
        BackwardName::TrajectoryLikelihood => "learned by the likelihood of trajectories",
        BackwardName::MaximumEntropy => "n(s) / n(s'), n the number of ways from the source",
    };
    line("kernel", &format!("action: log P_B - log P_F; P_F learned, P_B(s | s') = {backward}"));
    let network = recipe.policy.network.describe();
    let network = match recipe.policy.trunk {
        Trunk::Shared => network,
        Trunk::Separate => format!("for either direction and for flows, {network}"),
    };
    line("network", &network);
    match recipe.roots {
        None => {}
        Some(RootsRecipe::Listed {}) => line("roots", "walks start at any state, each alike"),
        Some(RootsRecipe::Walked {}) => {
            line("roots", "walks start where a random number of random moves leads")
        }
    }
    line("objective", recipe.objective.formula());
    line(
        "estimators",
        "ELBO, EUBO, importance-weighted log Z, ESS, each with its standard error; exact distances where all states can be listed",
    );
    line("parameters", &plan.task.parameters().to_string());
    text
}

fn log_z_of(exact: Option<f64>) -> String {
    exact.map_or("unknown log Z".to_owned(), |exact| format!("log Z = {exact:.6}"))
}
