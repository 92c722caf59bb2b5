//! What a recipe means, in words and formulas.

use std::fmt::Write;

use super::{ChainPlan, SegmentRecipe, TargetData, TargetRecipe};

/// The target with its constants.
fn target(plan: &ChainPlan) -> String {
    match (&plan.recipe.target, &plan.data) {
        (TargetRecipe::Energy { energy: recipe }, TargetData::Energy(energy)) => {
            let log_z =
                energy.log_z(&[]).map_or("unknown log Z".to_owned(), |exact| format!("log Z = {exact}"));
            let entropy =
                energy.entropy().map_or(String::new(), |exact| format!(", entropy {exact:.6} nats"));
            format!("an energy R(x): {}; {log_z}{entropy}", recipe.formula())
        }
        (TargetRecipe::Toy(toy), _) => {
            format!("a data set: exact samples of the toy density {}, log-density known", toy.name)
        }
        _ => "a data set".to_owned(),
    }
}

/// Space, target, kernels with the formula of their step ratio, objective and estimators.
pub(in crate::recipe) fn explain(plan: &ChainPlan) -> String {
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
    for (part, _) in SegmentRecipe::parts(&recipe.model) {
        line("kernel", &format!("{}: log P_B - log P_F = {}", part.kind(), part.formula()));
        if let Some(network) = part.network() {
            line("network", &network.describe());
        }
    }
    line("objective", recipe.objective.formula());
    let estimators = if recipe.target.is_energy() {
        "ELBO, EUBO, importance-weighted log Z, ESS, each with its standard error"
    } else {
        "bound on (or exact) log-likelihood in nats and bits/dim, with its standard error"
    };
    line("estimators", estimators);
    line("parameters", &plan.model.parameters().to_string());
    text
}

#[cfg(test)]
mod tests {
    use crate::recipe::{Plan, read};

    fn plan(target: &str, objective: &str) -> crate::error::Result<Plan> {
        let rest = format!("[[model]]\nkind = \"flow\"\nlayers = 1\n[objective]\nkind = \"{objective}\"\n");
        Plan::new(read("t.toml", &format!("name = \"t\"\n[target]\n{target}\n{rest}"), &[])?)
    }

    #[test]
    fn energies_are_named_with_their_constants() {
        for (target, expected) in [
            (
                "kind = \"energy\"\nenergy = { kind = \"gmm9\" }",
                "R(x): gmm9: 9 equal N(m, 0.3 I), m in {-5, 0, 5}^2; log Z = 0\n",
            ),
            (
                "kind = \"energy\"\nenergy = { kind = \"many-well\", dimension = 2 }",
                "R(x): double well: -d^4 + 6 d^2 + d / 2 - v^2 / 2; log Z = 10.2934",
            ),
            (
                "kind = \"energy\"\nenergy = { kind = \"funnel\", dimension = 3, std = 1.5 }",
                "R(x): funnel: N(x_0; 0, 1.5^2) prod_i N(x_i; 0, e^{x_0}); log Z = 0, entropy 4.662281 nats\n",
            ),
        ] {
            let text = plan(target, "reverse-kl").unwrap().explain();
            assert!(text.contains(expected), "{text}");
        }
        let text = plan("kind = \"toy\"\nname = \"rings\"\nrows = 20", "forward-kl").unwrap().explain();
        assert!(
            text.contains("a data set: exact samples of the toy density rings, log-density known"),
            "{text}"
        );
    }

    /// The checkerboard as an energy can be learned from its samples alone.
    #[test]
    fn flat_energies_refuse_objectives_on_log_r() {
        let board = "kind = \"energy\"\nenergy = { kind = \"toy\", name = \"checkerboard\" }";
        for objective in ["reverse-kl", "trajectory-balance", "log-variance"] {
            let error = plan(board, objective).map(|_| ()).unwrap_err();
            assert_eq!(
                error.to_string(),
                "objective.kind: found an objective that learns from log R, where R is 0 in places and flat elsewhere; \
                 allowed: \"forward-kl\" or \"importance-weighted\", which learn from this energy's exact samples"
            );
        }
        let text = plan(board, "forward-kl").unwrap().explain();
        assert!(text.contains("toy density: checkerboard; log Z = 0, entropy 3.465736 nats"), "{text}");
        assert!(plan(&board.replace("checkerboard", "rings"), "reverse-kl").is_ok());
    }
}
