//! What a recipe means, in words and formulas.

use std::fmt::Write;

use super::{ObjectiveRecipe, Plan, SegmentRecipe, TargetData, TargetRecipe};

/// The target with its constants.
fn target(plan: &Plan) -> String {
    match (&plan.recipe.target, &plan.data) {
        (TargetRecipe::Energy { energy: recipe }, TargetData::Energy(energy)) => {
            let log_z = energy.log_z().map_or("unknown log Z".to_owned(), |exact| format!("log Z = {exact}"));
            let entropy = energy.entropy().map_or(String::new(), |exact| format!(", entropy {exact:.6} nats"));
            format!("an energy R(x): {}; {log_z}{entropy}", recipe.formula())
        }
        (TargetRecipe::Toy(toy), _) => {
            format!("a data set: exact samples of the toy density {}, log-density known", toy.name)
        }
        _ => "a data set".to_owned(),
    }
}

/// Space, target, kernels with the formula of their step ratio, objective and estimators.
pub fn explain(plan: &Plan) -> String {
    let recipe = &plan.recipe;
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{label:<11} {value}");
    };
    line("recipe", &format!("{}: {}", recipe.name, recipe.title));
    let space = match recipe.target.levels() {
        0 => format!("R^{}", plan.dimension()),
        levels => format!("{{0, ..., {}}}^{}", levels - 1, plan.dimension()),
    };
    line("space", &space);
    line("target", &target(plan));
    line("source", &format!("N(0, I) in R^{}", plan.model.segments()[0].inner_dimension()));
    for segment in &recipe.model {
        let formula = match segment {
            SegmentRecipe::Diffusion(_) => "log q(z_t | z_s) - log p(z_s | z_t), two Gaussians a step",
            SegmentRecipe::Flow(_) => "log |det dg/dz|",
            SegmentRecipe::Vae(_) => "log q(z | x) - log p(x | z), encoder against decoder",
            SegmentRecipe::Dequantise {} => "log 1 - log 1 = 0: x = floor(y) against y uniform on its cell",
            SegmentRecipe::Standardise {} => "sum log std, fixed",
            SegmentRecipe::Logit(_) => "sum log sigmoid'(z), fixed",
        };
        line("kernel", &format!("{}: log P_B - log P_F = {formula}", segment.kind()));
    }
    let objective = match &recipe.objective {
        ObjectiveRecipe::ForwardKl { .. } => "forward KL: -E_backward[log mu + sum (log P_F - log P_B)]",
        ObjectiveRecipe::ImportanceWeighted { .. } => {
            "importance-weighted bound: -E log mean_k exp(log p - log q)"
        }
        ObjectiveRecipe::ReverseKl {} => "reverse KL: -E_forward[log w]",
        ObjectiveRecipe::TrajectoryBalance { .. } => "trajectory balance: E (log Z - log w)^2",
        ObjectiveRecipe::LogVariance {} => "log-variance: Var(log w)",
    };
    line("objective", objective);
    let estimators = if recipe.target.is_energy() {
        "ELBO, EUBO, importance-weighted log Z, ESS, each with its standard error"
    } else {
        "bound on (or exact) log-likelihood in nats and bits/dim, with its standard error"
    };
    line("estimators", estimators);
    line("parameters", &plan.model.parameters().to_string());
    text
}
