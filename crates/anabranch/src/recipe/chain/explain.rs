//! What a chain's recipe means, in words and formulas.

use super::{ChainPlan, TargetData};
use crate::model::recipe::SegmentRecipe;

/// The target with its constants.
fn target(plan: &ChainPlan) -> String {
    let target = &plan.recipe.target;
    let (TargetData::Energy(energy), Some(recipe)) = (&plan.data, target.energy()) else {
        return target.rows().map_or(String::new(), |rows| rows.describe());
    };
    if plan.condition.width() > 0 {
        return format!("an energy R(x): {}; log Z of each condition", recipe.formula());
    }
    let log_z = energy.log_z(&[]).map_or("unknown log Z".to_owned(), |exact| format!("log Z = {exact}"));
    let entropy = energy.entropy().map_or(String::new(), |exact| format!(", entropy {exact:.6} nats"));
    format!("an energy R(x): {}; {log_z}{entropy}", recipe.formula())
}

/// Space, target, source and kernels with the formula of their step ratio, each behind its label; and the estimators.
pub(in crate::recipe) fn facts(plan: &ChainPlan) -> (Vec<(&'static str, String)>, &'static str) {
    let recipe = &plan.recipe;
    let space = match recipe.target.levels() {
        0 => format!("R^{}", plan.dimension()),
        levels => format!("{{0, ..., {}}}^{}", levels - 1, plan.dimension()),
    };
    let own = recipe.model.first().and_then(|first| first.part().source());
    let normal = || format!("N(0, I) in R^{}", plan.model.segments()[0].inner_dimension());
    let source = own.map_or_else(normal, str::to_owned);
    let mut facts = vec![("space", space), ("target", target(plan)), ("source", source)];
    if let (Some(prior), Some(directory)) = (&plan.prior, &recipe.policy.prior) {
        let learned = format!("the chain of {directory}; learned is prior(x) R(x)^{}", prior.beta);
        facts.insert(2, ("prior", learned));
    }
    for (part, _) in SegmentRecipe::parts(&recipe.model) {
        facts.push(("kernel", format!("{}: log P_B - log P_F = {}", part.kind(), part.formula())));
        facts.extend(part.network().map(|network| ("network", network.describe())));
    }
    facts.extend(plan.condition.describe().map(|condition| ("condition", condition)));
    let estimators = match &plan.data {
        TargetData::Energy(_) if plan.condition.width() > 0 => {
            "ELBO, importance-weighted log Z and ESS at some conditions, and their means"
        }
        TargetData::Energy(_) if plan.prior.is_some() => {
            "ELBO, importance-weighted log Z, ESS of the relative path log-weights; log Z, ESS and EUBO by the prior's samples"
        }
        TargetData::Energy(_) => "ELBO, EUBO, importance-weighted log Z, ESS, each with its standard error",
        TargetData::Rows(_) => {
            "bound on (or exact) log-likelihood in nats and bits/dim, with its standard error"
        }
    };
    (facts, estimators)
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
