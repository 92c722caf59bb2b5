//! What a flow network's recipe means, in words and formulas.

use std::fmt::Write;

use super::{BackwardName, BalanceRecipe, GFlowNetPlan, NetworkRecipe, Task};
use crate::policy::Policy;

/// Space, target, policy with the formula of its step ratio, objective and estimators.
pub(in crate::recipe) fn explain(plan: &GFlowNetPlan) -> String {
    let recipe = &plan.recipe;
    let Task::Discrete(task) = &plan.task;
    let environment = task.model.policy.environment();
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{label:<11} {value}");
    };
    line("recipe", &format!("{}: {}", recipe.name, recipe.title));
    line("space", &recipe.target.space());
    if let Some(objects) = environment.objects() {
        line("objects", &format!("{objects}, at most {} moves away", task.model.policy.longest()));
    }
    let log_z =
        task.reward.log_z(&[]).map_or("unknown log Z".to_owned(), |exact| format!("log Z = {exact:.6}"));
    line("target", &format!("a reward R(x) = {}; {log_z}", recipe.target.formula()));
    let backward = match recipe.policy.backward {
        BackwardName::Uniform => "1 / #removals",
        BackwardName::Learned => "learned",
        BackwardName::MaximumEntropy => "n(s) / n(s'), n the number of ways from the source",
    };
    line("kernel", &format!("action: log P_B - log P_F; P_F learned, P_B(s | s') = {backward}"));
    let network = match &recipe.policy.network {
        NetworkRecipe::Mlp { hidden, activation } => {
            format!("a perceptron with hidden layers {hidden:?}, {activation:?}").to_lowercase()
        }
        NetworkRecipe::Table {} => "a table with a row for every state".to_owned(),
    };
    line("network", &network);
    let objective = match &recipe.objective {
        BalanceRecipe::TrajectoryBalance {} => {
            "trajectory balance: E (log Z + sum (log P_F - log P_B) - log R)^2"
        }
    };
    line("objective", objective);
    line(
        "estimators",
        "ELBO, EUBO, importance-weighted log Z, ESS, each with its standard error; exact distances where all states can be listed",
    );
    line("parameters", &plan.task.parameters().to_string());
    text
}
