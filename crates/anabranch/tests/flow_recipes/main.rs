//! Recipes, trained: flow networks over points, with conditions, with priors; users' own densities. Each is held against a closed
//! form or an enumeration.

mod conditions;
mod energies;
mod families;
mod posteriors;
mod proposals;
mod samplers;
mod saved_runs;
mod stochastic;

use std::path::{Path, PathBuf};

use anabranch::math::Estimate;
use anabranch::recipe::{Override, named, read};
use anabranch::run::{Ending, Questions, Run, Scored, Silent};
use serde_json::{Map, Value};

/// A directory of its own, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("anabranch-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn trained(directory: &Path, recipe: anabranch::recipe::Recipe) -> Map<String, Value> {
    let run = Run::create(directory, recipe).unwrap();
    assert_eq!(run.train(&mut Silent).unwrap(), Ending::Finished);
    run.evaluate(&Silent).unwrap()
}

fn from_text(name: &str, text: &str) -> Map<String, Value> {
    let scratch = Scratch::new(name);
    trained(&scratch.0, read("test.toml", text, &[]).unwrap())
}

fn number(metrics: &Map<String, Value>, name: &str) -> f64 {
    metrics[name].as_f64().unwrap_or_else(|| panic!("{name} is {:?}", metrics[name]))
}

/// `log Z` by importance weights within its error; the bounds on either side of it; how far they may be apart.
fn bounds(metrics: &Map<String, Value>, exact: f64, gap: f64) {
    let (log_z, error) = (number(metrics, "log_z"), number(metrics, "log_z_se"));
    assert!((log_z - exact).abs() < 4.5 * error, "{log_z}, {error}, {exact}");
    let below = number(metrics, "elbo") - 4.5 * number(metrics, "elbo_se");
    let above = number(metrics, "eubo") + 4.5 * number(metrics, "eubo_se");
    assert!(below < exact && exact < above, "{below}, {exact}, {above}");
    assert!(above - below < gap, "{below}, {above}");
}

#[test]
fn a_mixture_on_the_line() {
    let metrics = from_text(
        "line",
        "name = 't'\nseed = 3\n[target]\nkind = 'line'\nsteps = 3\n\
         [target.reward]\nkind = 'mixture'\nweights = [0.5, 1.5]\ncomponents = [[[-1.5, 0.4]], [[1.0, 0.7]]]\n\
         [policy]\nnetwork = { kind = 'mlp', hidden = [64] }\n[exploration]\nepsilon = { start = 0.3, end = 0.0, steps = 500 }\n\
         [optimizer]\nlearning_rate = 3e-3\nlog_z_rate = 0.1\n[training]\nsteps = 1200\nbatch = 64\n",
    );
    bounds(&metrics, 2f64.ln(), 0.3);
    assert!((number(&metrics, "log_z_exact") - 2f64.ln()).abs() < 1e-12);
}

#[test]
fn a_choice_of_charts() {
    let metrics = from_text(
        "charts",
        "name = 't'\nseed = 3\n[target]\nkind = 'hybrid'\n\
         [[target.charts]]\naxes = ['line']\nweight = 0.5\n\
         reward = { kind = 'mixture', weights = [1.0], components = [[[1.0, 0.5]]] }\n\
         [[target.charts]]\nweight = 0.75\n\
         [[target.charts]]\naxes = ['unit', 'circle']\n\
         reward = { kind = 'mixture', weights = [1.25], components = [[[2.0, 4.0], [1.0, 3.0]]] }\n\
         [policy]\nbackward = 'uniform'\nnetwork = { kind = 'mlp', hidden = [64] }\n\
         [objective]\nkind = 'detailed-balance'\n[optimizer]\nlearning_rate = 3e-3\n\
         [training]\nsteps = 1200\nbatch = 64\n",
    );
    bounds(&metrics, 2.5f64.ln(), 0.3);
}

/// One network for all temperatures: at each of them the learned law is near the exact one, and the flow at the start is its
/// log Z. Without the condition among the inputs neither could be.
#[test]
fn a_flow_for_every_temperature() {
    let scratch = Scratch::new("temperatures");
    let text = "name = 't'\nseed = 1\n[target]\nkind = 'hypergrid'\ndim = 2\nside = 5\n\
         reward = { kind = 'tempered', reward = { kind = 'expression', log_reward = '-(x0 - 1)^2 / 2 - (x1 - 3)^2 / 4' } }\n\
         [[conditions]]\nkind = 'log-uniform'\nlow = 0.25\nhigh = 4.0\n\
         [policy]\nnetwork = { kind = 'mlp', hidden = [64, 64] }\n[optimizer]\nlearning_rate = 3e-3\n\
         [training]\nsteps = 3000\nbatch = 32\n[evaluation]\npaths = 8000\nsamples = 100\n";
    let metrics = trained(&scratch.0, read("test.toml", text, &[]).unwrap());
    assert!(number(&metrics, "tv") < 0.05, "{metrics:?}");
    assert!(number(&metrics, "log_z_learned_rmse") < 0.1, "{metrics:?}");
    assert!(number(&metrics, "log_z_rmse") < 0.02, "{metrics:?}");
    let rows = std::fs::read_to_string(scratch.0.join("conditions.csv")).unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!(
        (rows[0], rows.len()),
        ("c0,log_z,log_z_se,log_z_exact,log_z_learned,elbo,ess,wasserstein,tv,pareto_k", 17)
    );
    // The exact log Z of each temperature, from the separable sum.
    for row in &rows[1..] {
        // What is not known is an empty cell.
        let cells: Vec<f64> = row.split(',').map(|cell| cell.parse().unwrap_or(f64::NAN)).collect();
        let sum = |centre: f64, width: f64| -> f64 {
            (0..5).map(|x| (-cells[0] * (f64::from(x) - centre).powi(2) / width).exp()).sum()
        };
        assert!((cells[3] - (sum(1.0, 2.0) * sum(3.0, 4.0)).ln()).abs() < 1e-5, "{row}");
    }
}

/// Preferences over two rewards: all of the exact front is found, and its hypervolume.
#[test]
fn a_flow_for_every_preference() {
    let metrics = from_text(
        "preferences",
        "name = 't'\n[target]\nkind = 'hypergrid'\ndim = 2\nside = 5\n[target.reward]\nkind = 'preference'\nbeta = 8.0\n\
         rewards = [{ kind = 'expression', log_reward = '-(x0 - 1)^2 / 4 - x1 / 4' },\n\
         { kind = 'expression', log_reward = '-(x0 - 4)^2 / 4 - (x1 - 1)^2' }]\n\
         [[conditions]]\nkind = 'dirichlet'\nalpha = [1.0, 1.0]\n\
         [policy]\nbackward = 'uniform'\nnetwork = { kind = 'mlp', hidden = [64] }\n[optimizer]\nlearning_rate = 3e-3\n\
         [training]\nsteps = 2500\nbatch = 32\n",
    );
    assert!(number(&metrics, "tv") < 0.08, "{metrics:?}");
    let (found, exact) = (number(&metrics, "hypervolume"), number(&metrics, "hypervolume_exact"));
    assert!(found <= exact + 1e-12 && found > 0.98 * exact, "{metrics:?}");
    assert!(number(&metrics, "igd") < 0.05, "{metrics:?}");
}

/// The posterior of a prior that is another run, beside its enumeration.
#[test]
fn the_posterior_of_a_run() {
    let (prior, posterior) = (Scratch::new("prior"), Scratch::new("posterior"));
    let grid = |rest: &str| {
        format!(
            "name = 't'\n[target]\nkind = 'hypergrid'\ndim = 2\nside = 5\nreward = {{ kind = 'expression', {rest}\n\
             [policy]\nnetwork = {{ kind = 'mlp', hidden = [64] }}\n[optimizer]\nlearning_rate = 3e-3\nlog_z_rate = 0.1\n"
        )
    };
    let first = grid("reward = '1 + x0 * x1' }") + "[training]\nsteps = 600\n";
    trained(&prior.0, read("prior.toml", &first, &[]).unwrap());
    let second = grid("reward = '1 + 3 * (x1 < 2)' }")
        + "[objective]\nkind = 'relative-trajectory-balance'\nbeta = 1.5\n[training]\nsteps = 1500\n";
    let of_run = Override::parse(&format!("policy.prior={:?}", prior.0.display().to_string())).unwrap();
    let metrics = trained(&posterior.0, read("posterior.toml", &second, &[of_run]).unwrap());
    let (log_z, error) = (number(&metrics, "log_z"), number(&metrics, "log_z_se"));
    assert!((log_z - number(&metrics, "log_z_exact")).abs() < 4.5 * error + 1e-5, "{metrics:?}");
    assert!(number(&metrics, "tv") < 0.03 && log_z > 0.3, "{metrics:?}");
    let elsewhere = Override::parse(&format!("policy.prior={:?}", prior.0.display().to_string())).unwrap();
    let wrong = second.replace("side = 5", "side = 6");
    let problem = Run::create(&posterior.0, read("wrong.toml", &wrong, &[elsewhere]).unwrap());
    assert!(problem.err().unwrap().to_string().contains("allowed: {0, ..., 5}^2"));
}

/// Runs that were moved to where their priors stood: none can be built, and the message says how they lead back.
#[test]
fn priors_that_lead_back_are_refused() {
    let [first, second, third] = ["prior-first", "prior-second", "prior-third"].map(Scratch::new);
    let grid =
        "name = 't'\n[target]\nkind = 'hypergrid'\ndim = 2\nside = 3\n[training]\nsteps = 1\nbatch = 2\n";
    let onto = |prior: &Scratch| {
        let prior = prior.0.display();
        format!("{grid}[policy]\nprior = '{prior}'\n[objective]\nkind = 'relative-trajectory-balance'\n")
    };
    trained(&first.0, read("first.toml", grid, &[]).unwrap());
    trained(&second.0, read("second.toml", &onto(&first), &[]).unwrap());
    trained(&third.0, read("third.toml", &onto(&second), &[]).unwrap());
    let move_to_first = |from: &Scratch| {
        std::fs::remove_dir_all(&first.0).unwrap();
        std::fs::rename(&from.0, &first.0).unwrap();
        Run::open(&first.0).err().expect("a circle").to_string()
    };
    let (one, two) = (first.0.display().to_string(), second.0.display().to_string());
    let message = move_to_first(&third);
    assert!(message.contains(&format!("leads back to itself: {two} -> {one} -> {two};")), "{message}");
    let message = move_to_first(&second);
    assert!(message.contains(&format!("leads back to itself: {one} -> {one};")), "{message}");
}

/// Draws so cold that every weight but the largest is 0 in f32 are still the policy's: training goes on with finite losses.
#[test]
fn the_coldest_exploration_trains() {
    for (recipe, temperature) in
        [("hypergrid", "0.001"), ("hypergrid", "0.02"), ("box", "0.001"), ("torus", "1000")]
    {
        let temperature = format!("exploration.temperature={temperature}");
        let sets = [&temperature, "training.steps=60", "evaluation.paths=200", "evaluation.samples=50"];
        let overrides: Vec<Override> = sets.iter().map(|set| Override::parse(set).unwrap()).collect();
        let scratch = Scratch::new("cold");
        let metrics = trained(&scratch.0, named(recipe, &overrides).unwrap());
        assert!(number(&metrics, "elbo").is_finite(), "{recipe} {temperature}: {metrics:?}");
        if recipe == "hypergrid" {
            let (tv, jsd) = (number(&metrics, "tv"), number(&metrics, "jsd"));
            // Lin 1991: TV^2 / 2 <= JSD <= TV log 2.
            assert!(0.5 * tv * tv <= jsd + 1e-9 && jsd <= tv * 2f64.ln() + 1e-9, "{tv}, {jsd}");
        }
    }
}

/// Training that leaves all numbers stops with the step and the term, whatever the objective, and what was reached can be looked at.
#[test]
fn training_that_diverges_says_where() {
    for (recipe, sets) in [
        ("risky-grid", ["optimizer.learning_rate=1e3", "optimizer.clip_norm=0"]),
        ("hypergrid", ["optimizer.learning_rate=1e3", "optimizer.clip_norm=0"]),
        ("torus", ["optimizer.learning_rate=1e3", "optimizer.clip_norm=0"]),
    ] {
        let sets =
            sets.iter().chain(&["training.steps=300", "evaluation.paths=100", "evaluation.samples=50"]);
        let overrides: Vec<Override> = sets.map(|set| Override::parse(set).unwrap()).collect();
        let scratch = Scratch::new("diverges");
        let run = Run::create(&scratch.0, named(recipe, &overrides).unwrap()).unwrap();
        if let Err(error) = run.train(&mut Silent) {
            let message = error.to_string();
            assert!(
                message.starts_with("step ") && message.contains(" is not finite ("),
                "{recipe}: {message}"
            );
        }
        if let Err(error) = run.evaluate(&Silent) {
            assert!(error.to_string().contains(" is not finite ("), "{recipe}: {error}");
        }
    }
}

/// A transformer over each kind of words, with both backward policies: the learned law is near the exact one.
#[test]
fn words_by_a_transformer() {
    for growth in ["append", "prepend-or-append", "anywhere"] {
        for backward in ["uniform", "learned"] {
            let metrics = from_text(
                &format!("words-{growth}-{backward}"),
                &format!(
                    "name = 't'\n[target]\nkind = 'bits'\nbits = 8\nword = 2\ngrowth = '{growth}'\n\
                     reward = {{ kind = 'planted-modes', count = 3, beta = 6.0 }}\n[policy]\nbackward = '{backward}'\n\
                     network = {{ kind = 'transformer', layers = 2, heads = 2, width = 16 }}\n\
                     [exploration]\nepsilon = 0.1\n[optimizer]\nlearning_rate = 3e-3\n[training]\nsteps = 800\nbatch = 32\n"
                ),
            );
            assert!(number(&metrics, "tv") < 0.05, "{growth}, {backward}: {metrics:?}");
            bounds(&metrics, number(&metrics, "log_z_exact"), 0.1);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |text: &str| {
        let recipe = read("test.toml", &format!("name = 't'\n{text}"), &[]);
        let error = recipe.and_then(|recipe| anabranch::recipe::Plan::new(recipe).map(|_| ()));
        error.expect_err(text).to_string()
    };
    let square = "[target]\nkind = 'box'\n";
    for (text, message) in [
        (format!("{square}steps = 'polar'\ndim = 3\n"), "target.steps: found polar in 3 dimensions"),
        (format!("{square}delta = 0.0\n"), "target.delta: found 0"),
        (format!("{square}reward = {{ kind = 'hartmann6' }}\n"), "target.reward.kind: found this reward for 2"),
        (
            format!("{square}reward = {{ kind = 'mixture', weights = [1.0], components = [[[1.0, 1.0]]] }}\n"),
            "target.reward.components.0: found 1 coordinates; allowed: 2",
        ),
        (format!("{square}[policy]\nnetwork = {{ kind = 'table' }}\n"), "policy.network.kind: found a table"),
        (format!("{square}[policy]\nbackward = 'maximum-entropy'\n"), "policy.backward: found maximum-entropy"),
        (
            format!("{square}[policy]\nbackward = 'uniform'\n[objective]\nkind = 'flow-matching'\n"),
            "objective.kind: found one that sums",
        ),
        (format!("{square}[policy]\ncomponents = 0\n"), "policy.components: found 0"),
        (format!("{square}[[conditions]]\nkind = 'fixed'\nvalues = [1.0]\n"), "conditions: found 1 numbers"),
        (
            "[target]\nkind = 'hypergrid'\ndim = 2\nside = 4\n[policy]\nnetwork = { kind = 'transformer' }\n".to_owned(),
            "policy.network.kind: found a transformer over objects that are no words",
        ),
        (
            "[target]\nkind = 'spins'\nsites = 4\nreward = { kind = 'ising', lattice = 'ring', coupling = 0.1 }\n\
             [policy]\nnetwork = { kind = 'transformer', width = 20 }\n"
                .to_owned(),
            "policy.network.heads: found 8; allowed: a divisor of the width 20: 1, 2, 4, 5, 10, 20",
        ),
        (
            format!("{square}reward = {{ kind = 'expression', log_reward = '-c0 * x0' }}\n"),
            "conditions: found 0 numbers; allowed: 1, as the reward has",
        ),
        (
            "[target]\nkind = 'hypergrid'\ndim = 2\nside = 4\nreward = { kind = 'tempered', reward = { kind = 'original' } }\n\
             [[conditions]]\nkind = 'fixed'\nvalues = [1.0]\n[policy]\nprior = 'any'\n"
                .to_owned(),
            "policy.prior: found a prior beside conditions",
        ),
        ("[target]\nkind = 'hybrid'\ncharts = []\n".to_owned(), "target.charts: found 0"),
        (
            "[target]\nkind = 'hypergrid'\ndim = 2\nside = 4\n[policy]\ncomponents = 3\n".to_owned(),
            "policy.components: found 3",
        ),
        (
            "[target]\nkind = 'hypergrid'\ndim = 2\nside = 4\nreward = { kind = 'tempered', reward = { kind = 'original' } }\n"
                .to_owned(),
            "conditions: found 0 numbers; allowed: 1",
        ),
        (
            "[target]\nkind = 'hypergrid'\ndim = 2\nside = 4\n[policy]\nprior = 'no-such-run'\n\
             [objective]\nkind = 'relative-log-variance'\n"
                .to_owned(),
            "found \"no-such-run\", where there is no run",
        ),
    ] {
        let found = refused(&text);
        assert!(found.contains(message), "{text}\n{found}");
    }
}

/// Shortened, the shipped recipes train and report what theirs are for.
#[test]
fn shipped_recipes_of_points_and_conditions() {
    for (name, keys) in [
        ("box", &["elbo", "eubo", "log_z_exact", "modes_found"][..]),
        ("torus", &["elbo", "eubo", "log_z_exact"]),
        ("multi-objective", &["tv", "hypervolume", "hypervolume_exact", "igd", "r2", "log_z_learned_rmse"]),
        ("peptides", &["elbo", "log_z", "proxy_accuracy", "proxy_auc"]),
    ] {
        let scratch = Scratch::new(name);
        let overrides = ["training.steps=20", "evaluation.paths=64", "evaluation.samples=64"];
        let overrides: Vec<Override> = overrides.iter().map(|text| Override::parse(text).unwrap()).collect();
        let metrics = trained(&scratch.0, named(name, &overrides).unwrap());
        keys.iter().for_each(|key| assert!(number(&metrics, key).is_finite(), "{name}: {key}"));
    }
}

/// Walks in all directions, some given up: the exact terminating law, that of walks without an end, is near the target.
#[test]
fn a_grid_on_which_one_can_come_back() {
    let uniform = "backward = 'uniform'";
    for (name, backward, objective, bound, longest) in [
        ("detailed", "", "kind = 'detailed-balance'\nstate_flow_regularisation = 1e-3", 0.02, 8.0),
        ("trajectories", uniform, "kind = 'trajectory-balance'", 0.01, 90.0),
        ("parts", uniform, "kind = 'sub-trajectory-balance'", 0.01, 90.0),
        ("stable", uniform, "kind = 'stable-detailed-balance'", 0.05, 90.0),
    ] {
        let text = format!(
            "name = 't'\nseed = 2\n[target]\nkind = 'cyclic-grid'\ndim = 2\nside = 4\nlongest = 200\n\
             reward = {{ kind = 'expression', log_reward = '-(x0 - 1)^2 / 3 - (x1 - 2)^2 / 2' }}\n\
             [policy]\n{backward}\nnetwork = {{ kind = 'mlp', hidden = [64, 64] }}\n[objective]\n{objective}\n\
             [exploration]\nepsilon = 0.2\n[optimizer]\nlearning_rate = 2e-3\nschedule = 'cosine'\nlog_z_rate = 0.1\n\
             [training]\nsteps = 4000\nbatch = 32\n"
        );
        let metrics = from_text(&format!("cyclic-{name}"), &text);
        let exact = number(&metrics, "log_z_exact");
        assert!(number(&metrics, "tv") < bound, "{name}: {metrics:?}");
        assert!(number(&metrics, "mean_length") < longest, "{name}: {metrics:?}");
        // What was given up is missing in log Z, and nothing else.
        let share = 1.0 - number(&metrics, "cut_share");
        assert!((number(&metrics, "log_z") - exact - share.ln()).abs() < 0.05, "{name}: {metrics:?}");
        assert!(number(&metrics, "elbo") < exact + 0.01, "{name}: {metrics:?}");
    }
}

#[test]
fn expectations_over_walks_that_may_be_cut_are_refused() {
    for objective in ["policy-gradient", "ppo"] {
        let text = format!(
            "name = 't'\n[target]\nkind = 'cyclic-grid'\ndim = 1\nside = 3\n[policy]\nbackward = 'uniform'\n\
             [objective]\nkind = '{objective}'\n"
        );
        let scratch = Scratch::new("expectation");
        let problem = Run::create(&scratch.0, read("test.toml", &text, &[]).unwrap()).err().expect("refused");
        assert!(
            problem.to_string().starts_with("objective.kind: found an expectation over all"),
            "{problem}"
        );
    }
}

/// A reward that the environment's own chances allow: that of a policy that is known. Both chains then agree.
#[test]
fn a_grid_whose_moves_go_astray() {
    let metrics = from_text(
        "slippery",
        "name = 't'\nseed = 2\n[target]\nkind = 'slippery-grid'\ndim = 1\nside = 5\nslip = 0.3\n\
         reward = { kind = 'expression', log_reward = '-(x0 - 1)^2 / 2' }\n\
         [policy]\nnetwork = { kind = 'mlp', hidden = [64] }\n[objective]\nkind = 'detailed-balance'\n\
         [optimizer]\nlearning_rate = 3e-3\n[training]\nsteps = 1500\nbatch = 32\n",
    );
    assert!(number(&metrics, "tv") < 0.03, "{metrics:?}");
    let (log_z, error) = (number(&metrics, "log_z"), number(&metrics, "log_z_se"));
    assert!((log_z - number(&metrics, "log_z_exact")).abs() < 4.5 * error + 1e-5, "{metrics:?}");
}

/// Quantiles of flows where rewards are random: the terminating law is that of the risk measure of the rewards.
#[test]
fn policies_that_seek_and_shun_risk() {
    let mut shares = Vec::new();
    for risk in ["neutral' }", "cvar', eta = 0.5 }", "power', eta = 1.0 }"] {
        let scratch = Scratch::new("risky");
        let text = format!(
            "name = 't'\nseed = 2\n[target]\nkind = 'hypergrid'\ndim = 2\nside = 4\n\
             [target.reward]\nkind = 'gamble'\nprobability = '0.5 * (x0 > 1)'\nfactor = 0.1\n\
             reward = {{ kind = 'expression', log_reward = '-(x0 - 2)^2 / 3 - (x1 - 1)^2 / 2' }}\n\
             [policy]\nbackward = 'uniform'\nnetwork = {{ kind = 'mlp', hidden = [64, 64] }}\n\
             [objective]\nkind = 'quantile-flow-matching'\nquantiles = 4\nkappa = 0.05\nrisk = {{ kind = '{risk}\n\
             [optimizer]\nlearning_rate = 2e-3\nschedule = 'cosine'\n[training]\nsteps = 3000\nbatch = 32\n"
        );
        let metrics = trained(&scratch.0, read("test.toml", &text, &[]).unwrap());
        assert!(number(&metrics, "tv") < 0.03, "{risk}: {metrics:?}");
        shares.push(number(&metrics, "log_z_exact"));
    }
    assert!(shares[1] < shares[0] && shares[0] < shares[2], "{shares:?}");
}

/// Flows of all subsets: learned and walked free energies, entropies, and the laws of the set without a root, beside the
/// enumeration; what lies ahead of a state, and what is refused.
#[test]
fn flows_conditional_on_a_state() {
    use anabranch::recipe::Plan;
    let scratch = Scratch::new("roots");
    let text = |roots: &str| {
        format!(
            "name = 't'\nseed = 1\n[target]\nkind = 'sets'\nitems = 4\nsize = 3\nsmallest = 0\n\
             reward = {{ kind = 'expression', log_reward = '0.8 * x0 - x1 * x2 + 0.5 * x3' }}\n[roots]\nkind = '{roots}'\n\
             [policy]\nbackward = 'uniform'\nnetwork = {{ kind = 'mlp', hidden = [64] }}\n\
             [optimizer]\nlearning_rate = 3e-3\nschedule = 'cosine'\n[training]\nsteps = 2000\nbatch = 32\n"
        )
    };
    let metrics = trained(&scratch.0, read("test.toml", &text("listed"), &[]).unwrap());
    assert!(number(&metrics, "tv") < 0.03, "{metrics:?}");
    assert!(number(&metrics, "free_energy_learned_rmse") < 0.05, "{metrics:?}");
    assert!(number(&metrics, "free_energy_rmse") < 0.01, "{metrics:?}");
    assert!(number(&metrics, "entropy_rmse") < 0.02, "{metrics:?}");
    assert!((number(&metrics, "log_z_learned") - number(&metrics, "log_z_exact")).abs() < 0.05);
    let rows = std::fs::read_to_string(scratch.0.join("roots.csv")).unwrap();
    assert_eq!(rows.lines().count(), 1 + 15, "{rows}");
    let run = Run::open(&scratch.0).unwrap();
    let Plan::GFlowNet(plan) = &run.plan else { panic!("a flow network") };
    let weights = run.trained(&Silent).unwrap();
    let questions =
        Questions { to: Some("{0, 1}"), that: Some("x0 + x3 == 1"), between: Some(["x0", "x2 - x3"]) };
    let ahead = plan.ahead(&weights, "{1}", questions).unwrap();
    // Sets with 1: alone, or with one or two of 0 (.8), 2 (-1), 3 (.5).
    let [a, b, c] = [0.8f64, -1.0, 0.5].map(f64::exp);
    let z = 1.0 + a + b + c + a * b + a * c + b * c;
    let p = (a + a * b + a * c) / z;
    let near = |name: &str, exact: f64| {
        let (found, error) = (number(&ahead, name), number(&ahead, &format!("{name}_se")));
        assert!((found - exact).abs() < 4.5 * error + 1e-3, "{name}: {found}, {error}, {exact}");
    };
    near("free_energy", -z.ln());
    near("probability", p);
    near("probability_that", (a + c + a * b + b * c) / z);
    // The label of (2, 3) is -1, 0 or 1: 0 is neither or both, and with 0 there is no room for both.
    let joint = [[c, 1.0 + b * c, b], [a * c, a, a * b]].map(|row| row.map(|weight| weight / z));
    let entropy = |p: &[f64]| -p.iter().map(|p| p * p.ln()).sum::<f64>();
    let [of_a, of_b] = [
        entropy(&joint.map(|row| row.iter().sum())),
        entropy(&[0, 1, 2].map(|label| joint[0][label] + joint[1][label])),
    ];
    let of_both = entropy(joint.as_flattened());
    near("entropy_a", of_a);
    near("entropy_b", of_b);
    near("entropy_a_given_b", of_both - of_b);
    near("entropy_b_given_a", of_both - of_a);
    near("mutual_information", of_a + of_b - of_both);
    assert!((number(&ahead, "probability_learned") - p).abs() < 0.05, "{ahead:?}");
    let refused = |from: &str, questions| plan.ahead(&weights, from, questions).unwrap_err().to_string();
    let to = Questions { to: Some("{0}"), ..Questions::default() };
    assert_eq!(refused("{1}", to), "--to: found \"{0}\"; allowed: a state that \"{1}\" leads to");
    assert!(refused("{7}", Questions::default()).starts_with("--from: found"));
    let that = Questions { that: Some("x0 + c0"), ..Questions::default() };
    assert_eq!(refused("{1}", that), "--that: found a formula of a condition; allowed: a formula of cells");
    let that = Questions { that: Some("ln(x0 - 1)"), ..Questions::default() };
    assert!(refused("{1}", that).starts_with("--that: found no number at {1"));
    let between = Questions { between: Some(["x0", "x4"]), ..Questions::default() };
    assert!(refused("{1}", between).starts_with("--between"));

    let walked = Scratch::new("walked-roots");
    let metrics = trained(&walked.0, read("test.toml", &text("walked"), &[]).unwrap());
    assert!(number(&metrics, "free_energy_learned_rmse") < 0.06, "{metrics:?}");
}

/// Given objects: the exact probability of each is known where the policy is.
#[test]
fn objects_of_a_file_are_scored() {
    use anabranch::recipe::Plan;
    let scratch = Scratch::new("scored");
    let text = "name = 't'\n[target]\nkind = 'hypergrid'\ndim = 2\nside = 4\n\
         reward = { kind = 'expression', log_reward = 'x0 / 2 - x1' }\n\
         [policy]\nnetwork = { kind = 'mlp', hidden = [64] }\n[optimizer]\nlearning_rate = 3e-3\nlog_z_rate = 0.1\n\
         [training]\nsteps = 2000\nbatch = 32\n";
    let metrics = trained(&scratch.0, read("test.toml", text, &[]).unwrap());
    let run = Run::open(&scratch.0).unwrap();
    let Plan::GFlowNet(plan) = &run.plan else { panic!("a flow network") };
    let weights = run.trained(&Silent).unwrap();
    let file = scratch.0.join("objects.txt");
    std::fs::write(&file, "(0, 0)\n(3, 1)\n\n(2, 2)\n").unwrap();
    let Scored { metrics: scored, rows } = plan.score(&weights, &file, &Silent).unwrap();
    let each: Vec<f64> = rows[0].rows.iter().map(|row| row.value).collect();
    assert_eq!((rows[0].name, Estimate::mean(&each).value), ("nll", number(&scored, "nll")));
    let log_z = number(&metrics, "log_z_exact");
    let exact = log_z - (0.0 + 0.5 - 1.0) / 3.0;
    assert!((number(&scored, "nll") - exact).abs() < 0.05, "{scored:?}, {exact}");
    assert!(number(&scored, "spearman") > 0.99 && number(&scored, "objects") == 3.0, "{scored:?}");
    std::fs::write(&file, "(0, 0)\n(3, 4)\n").unwrap();
    let problem = plan.score(&weights, &file, &Silent).unwrap_err().to_string();
    assert!(problem.starts_with("--data, ") && problem.contains("objects.txt:2: found"), "{problem}");
}

/// Sets by the sum of their elements' vectors, with a trunk for each direction.
#[test]
fn deep_sets_with_separate_trunks() {
    for (kind, size) in [("sets", "items = 6\nsize = 3"), ("multisets", "kinds = 3\nsize = 4\nsmallest = 0")]
    {
        let metrics = from_text(
            &format!("deep-{kind}"),
            &format!(
                "name = 't'\n[target]\nkind = '{kind}'\n{size}\nreward = {{ kind = 'expression', log_reward = 'x0 - x1 * x2 / 2' }}\n\
                 [policy]\ntrunk = 'separate'\nnetwork = {{ kind = 'deep-sets', width = 16, hidden = [64] }}\n\
                 [objective]\nkind = 'detailed-balance'\n[optimizer]\nlearning_rate = 3e-3\nschedule = 'cosine'\n\
                 [training]\nsteps = 2000\nbatch = 32\n"
            ),
        );
        assert!(number(&metrics, "tv") < 0.03, "{kind}: {metrics:?}");
    }
}

/// A policy of residual blocks learns a grid as a plain stack does.
#[test]
fn residual_blocks_in_a_policy() {
    for network in ["hidden = [64, 64], residual = true", "hidden = [64, 64]"] {
        let metrics = from_text(
            &format!("residual-{}", network.contains("residual")),
            &format!(
                "name = 't'\n[target]\nkind = 'hypergrid'\ndim = 2\nside = 8\nreward = {{ kind = 'original', r0 = 0.1 }}\n\
                 [policy]\nnetwork = {{ kind = 'mlp', {network} }}\n[optimizer]\nlearning_rate = 1e-3\nlog_z_rate = 0.1\n\
                 [exploration]\nepsilon = 0.05\n[training]\nsteps = 3000\nbatch = 32\n"
            ),
        );
        assert!(number(&metrics, "tv") < 0.01, "{network}: {metrics:?}");
    }
}
