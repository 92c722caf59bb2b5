//! Langevin dynamics with learned reversals, and controlled diffusions: each family by each objective it allows reaches a lopsided
//! target; what it does not allow is refused with the reason.

use anabranch::recipe::{Plan, read};

use super::{from_text, number};

/// Two unequal modes; its integral is 1.
const TARGET: &str =
    "kind = 'mixture', weights = [3, 7], means = [[-1.0, 0.5], [1.2, -0.8]], std = [[0.5, 0.9], [0.8, 0.4]]";

const FAMILIES: [(&str, &str); 7] = [
    (
        "mcd",
        "kind = 'langevin', step = { learned = true }, ladder = 'learned', base = { std = 1.5, learned = true }",
    ),
    ("cmcd", "kind = 'langevin', reversal = 'controlled', base = { std = 1.5 }"),
    ("ldvi", "kind = 'langevin', momentum = { learned = true }, step = { size = 0.2 }, base = { std = 1.5 }"),
    (
        "ud-cmcd",
        "kind = 'langevin', reversal = 'controlled', momentum = {}, step = { size = 0.2 }, base = { std = 1.5 }",
    ),
    ("pis", "kind = 'controlled', reference = 'brownian', std = 1.5"),
    ("dds", "kind = 'controlled', std = 1.5"),
    ("dds without scores", "kind = 'controlled', std = 1.5, langevin_parametrisation = false"),
];

const OBJECTIVES: [&str; 4] = ["reverse-kl", "log-variance", "trajectory-balance", "sub-trajectory-balance"];

fn recipe(target: &str, family: &str, objective: &str, steps: usize) -> String {
    let rest = if family.contains("'none'") { "" } else { ", hidden = [24]" };
    format!(
        "name = 't'\nseed = 5\nmodel = [{{ {family}, steps = 8{rest} }}]\n[target]\nkind = 'energy'\nenergy = {{ {target} }}\n\
         [objective]\nkind = '{objective}'\n[optimizer]\nlearning_rate = 5e-3\nlog_z_rate = 0.05\n\
         [training]\nsteps = {steps}\nbatch = 64\nevaluate_every = 0\nema = 0.97\n[evaluation]\npaths = 4000\nsamples = 50\n"
    )
}

#[test]
fn every_family_reaches_its_target_by_every_objective() {
    for (name, family) in FAMILIES {
        let start = number(&from_text("start", &recipe(TARGET, family, "log-variance", 1)), "elbo");
        for objective in OBJECTIVES {
            if objective.starts_with("sub") && family.contains("momentum") {
                continue;
            }
            let metrics = from_text("samplers", &recipe(TARGET, family, objective, 250));
            let (elbo, log_z) = (number(&metrics, "elbo"), number(&metrics, "log_z"));
            assert!(elbo > 0.9 * start, "{name} by {objective}: {elbo} from {start}");
            assert!(elbo < 4.5 * number(&metrics, "elbo_se"), "{name} by {objective}: {elbo}");
            assert!(log_z.abs() < 4.5 * number(&metrics, "log_z_se"), "{name} by {objective}: {log_z}");
        }
    }
}

#[test]
fn what_a_family_does_not_allow_is_refused() {
    let words = |target: &str, family: &str, objective: &str| {
        let recipe = read("t.toml", &recipe(target, family, objective, 1), &[]);
        recipe.and_then(Plan::new).map(|_| ()).expect_err("it is refused").to_string()
    };
    let refused = |family: &str, objective: &str, expected: &str| {
        let words = words(TARGET, family, objective);
        assert!(words.contains(expected), "{words}");
    };
    let momentum = "kind = 'langevin', momentum = {}, step = { learned = true }";
    refused(
        momentum,
        "log-variance",
        "objective.kind: found an objective at given states, which have no density by step sizes, ladder or base that learn",
    );
    refused("kind = 'langevin', momentum = {}", "detailed-balance", "objective.kind: found ");
    refused("kind = 'langevin', ladder = 'adaptive'", "log-variance", "model.0.ladder: found \"adaptive\"");
    refused(
        "kind = 'langevin', reversal = 'none', network = { kind = 'mlp' }",
        "reverse-kl",
        "model.0.reversal: found \"none\"",
    );
    refused(
        "kind = 'controlled', reference = 'brownian', horizon = 2.0",
        "log-variance",
        "model.0.horizon: found 2 of",
    );
    refused("kind = 'controlled', embedding = 7", "log-variance", "model.0.embedding: found 7");
    let program = "kind = 'process', command = ['true'], dimension = 2";
    assert!(words(program, "kind = 'langevin'", "log-variance").contains("kernels that need the gradient"));
    let first = "kind = 'process', command = ['true'], dimension = 2, gradients = true";
    assert!(words(first, "kind = 'langevin'", "reverse-kl").contains("without second derivatives"));
}
