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

/// A recipe of a chain on four spins that learns from their energy alone.
fn spins(model: &str, objective: &str, steps: usize) -> String {
    format!(
        "name = 't'\nseed = 3\n[target]\nkind = 'categories'\ndimension = 4\nlevels = 2\n\
         reward = {{ kind = 'ising', alpha = 0.5, lattice = 'ring', coupling = 0.7, field = [0.4] }}\n\
         [[model]]\n{model}\n[objective]\n{objective}\n[optimizer]\nlearning_rate = 5e-3\nlog_z_rate = 0.05\n\
         [training]\nsteps = {steps}\nbatch = 64\n[evaluation]\npaths = 4000\nsamples = 500\n"
    )
}

/// Jump processes and autoregressive models on categories learn an energy by objectives at given states: weights have the mean Z, whatever
/// was learned, and are the more even the more was.
#[test]
fn chains_on_categories_learn_energies() {
    let jump = |rates: &str, predict: &str| {
        format!(
            "kind = 'jump'\nrates = '{rates}'\npredict = '{predict}'\nlevels = 8\n\
             network = {{ kind = 'mlp', hidden = [48, 48], activation = 'silu' }}"
        )
    };
    let sequence = |order: &str| {
        format!(
            "kind = 'autoregressive'\norder = '{order}'\n\
             network = {{ kind = 'mlp', hidden = [48, 48], activation = 'silu' }}"
        )
    };
    for (model, objective, enough) in [
        (jump("uniform", "conditional"), "kind = 'log-variance'", 0.7),
        (jump("absorbing", "signal"), "kind = 'trajectory-balance'", 0.6),
        (jump("uniform", "signal"), "kind = 'sub-trajectory-balance'", 0.5),
        (sequence("left-to-right"), "kind = 'log-variance'", 0.95),
        (sequence("any"), "kind = 'trajectory-balance'", 0.9),
    ] {
        let [before, after] = [1, 500].map(|steps| from_text("spins", &spins(&model, objective, steps)));
        for found in [&before, &after] {
            let (log_z, error) = (number(found, "log_z"), number(found, "log_z_se"));
            let exact = number(found, "log_z_exact");
            assert!((log_z - exact).abs() < 4.5 * error + 1e-4, "{model}: {log_z}, {error}, {exact}");
            assert!(number(found, "eubo") > exact - 1e-4 && number(found, "elbo") < exact + 1e-4, "{model}");
        }
        let [poor, good] = [&before, &after].map(|found| number(found, "ess"));
        assert!(good > enough && poor < good, "{model}, {objective}: {poor} and {good}");
    }
}

/// Particles that an autoregressive model proposes, resampled on their way by the spins that are there: log Z is right, and the draws of
/// a run are particles.
#[test]
fn autoregressive_models_propose_to_particles() {
    for order in ["left-to-right", "any"] {
        let model = format!(
            "kind = 'autoregressive'\norder = '{order}'\n\
             network = {{ kind = 'mlp', hidden = [24], activation = 'silu' }}"
        );
        let smc = "[smc]\nparticles = 200\nrepeats = 40\nthreshold = 0.9\n";
        let found = from_text("particles", &(spins(&model, "kind = 'log-variance'", 100) + smc));
        let (log_z, error) = (number(&found, "log_z_smc"), number(&found, "log_z_smc_se"));
        let exact = number(&found, "log_z_exact");
        assert!((log_z - exact).abs() < 4.5 * error && error < 0.05, "{order}: {log_z}, {error}, {exact}");
    }
}

/// What a chain on categories cannot be is refused with the reason.
#[test]
fn misfits_of_categories_are_refused() {
    let refused = |text: &str| {
        let plan = read("t.toml", text, &[]).and_then(Plan::new).map(|_| ());
        plan.expect_err("a misfit").to_string()
    };
    let jump = "kind = 'jump'\nlevels = 4";
    for (text, part) in [
        (spins(jump, "kind = 'reverse-kl'", 2), "which the learned choices of \"jump\" do not move"),
        (spins("kind = 'flow'", "kind = 'log-variance'", 2), "\"flow\" next to integer data"),
        (
            spins(jump, "kind = 'log-variance'", 2).replace("'ring'", "'torus'"),
            "target.reward.spins: found 2 x 2 for a field of 4",
        ),
        (spins(jump, "kind = 'log-variance'", 2).replace("levels = 2\n", "levels = 3\n"), "target.reward"),
        (
            spins(
                "kind = 'autoregressive'\norder = 'given'\npermutation = [0, 1, 1, 2]",
                "kind = 'log-variance'",
                2,
            ),
            "model.0.permutation: found 4 numbers that are not each of the coordinates once; allowed: 0 to 3",
        ),
        (
            spins("kind = 'autoregressive'\nnetwork = { kind = 'deep-sets' }", "kind = 'log-variance'", 2),
            "in a fixed order; allowed: a plain perceptron",
        ),
        (
            spins("kind = 'autoregressive'", "kind = 'log-variance'", 2)
                + "[sampler]\nkind = 'discrete'\norder = 'any'\n",
            "sampler.order: found another than the network's own",
        ),
        (
            spins("kind = 'jump'\nrates = 'uniform'", "kind = 'log-variance'", 2)
                + "[sampler]\nkind = 'discrete'\norder = 'any'\n",
            "sampler.order: found one of a process without a mask",
        ),
        (
            spins("kind = 'jump'\nrates = 'gaussian'", "kind = 'log-variance'", 2)
                + "[sampler]\nkind = 'discrete'\neta = 0.0\n",
            "sampler.eta: found one of a chain that is not followed by the rates of a mixture",
        ),
        (
            spins("kind = 'jump'", "kind = 'log-variance'", 2)
                + "[sampler]\nkind = 'discrete'\neta = 1.0\ncorrector = 2\n",
            "sampler.eta: found it beside an order or a corrector",
        ),
        (
            spins(jump, "kind = 'log-variance'", 2) + "[smc]\nparticles = 20\n",
            "smc: found it without densities on the way",
        ),
        (
            spins("kind = 'autoregressive'", "kind = 'log-variance'", 2).replace(
                "{ kind = 'ising', alpha = 0.5, lattice = 'ring', coupling = 0.7, field = [0.4] }",
                "{ kind = 'expression', log_reward = 'x0 + x1' }",
            ) + "[smc]\nparticles = 20\n",
            "smc: found it towards a reward of which nothing is known",
        ),
    ] {
        let message = refused(&text);
        assert!(message.contains(part), "{message}");
    }
}
