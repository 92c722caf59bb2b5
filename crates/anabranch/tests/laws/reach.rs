//! Every objective with every backward policy and every way of exploring, on spaces that are so small that a table of weights
//! is trained to the end: the learned law is `R / Z`, or the recipe is refused and says what is allowed.
//!
//! The kinds are those that the schema of recipes offers: a new one is covered as it comes.

use std::path::{Path, PathBuf};

use anabranch::environment::{Cell, States};
use anabranch::estimate::exact::{Policy as Rows, Terminating};
use anabranch::estimate::trajectories::log_policy;
use anabranch::math::log_sum_exp;
use anabranch::objective::ObjectiveRecipe;
use anabranch::recipe::gflownet::{BackwardName, FlowTask, Task};
use anabranch::recipe::{Plan, read};
use anabranch::run::{Run, Silent};
use rayon::prelude::*;

/// A space with its reward: as a recipe says it, how far the law may be from the exact one, and what is true of it.
struct Space {
    name: &'static str,
    target: String,
    /// Objects as a file has them.
    objects: &'static str,
    all_objects: bool,
    stochastic: bool,
}

/// Edges and rewards of order one of the graph of figure 2 of "GFlowNet Foundations".
const GRAPH: &str = "parent,child,value\n0,1,\n0,2,\n1,3,\n2,3,\n2,4,\n3,5,\n4,6,\n5,7,\n5,8,\n6,8,\n6,10,\n7,9,\n8,9,\n\
                     3,,1.5\n4,,0.7\n6,,1.15\n8,,0.5\n9,,1.5\n10,,0.25\n";

fn grid() -> String {
    "kind = 'hypergrid'\ndim = 2\nside = 3\nreward = { kind = 'expression', log_reward = 'x0 / 2 - (x1 - 1)^2' }".to_owned()
}

/// The spaces, of which files stand in a directory.
fn spaces(directory: &Path) -> Vec<Space> {
    let graph = directory.join("graph.csv");
    std::fs::write(&graph, GRAPH).expect("a file");
    vec![
        Space {
            name: "grid",
            target: grid(),
            objects: "(2, 1)\n(0, 2)\n(1, 1)\n",
            all_objects: true,
            stochastic: false,
        },
        Space {
            name: "pairs",
            target: "kind = 'sets'\nitems = 4\nsize = 2\n\
                     reward = { kind = 'expression', log_reward = 'x0 - x1 * x2 / 2 + x3 / 3' }"
                .to_owned(),
            objects: "{0, 1}\n{2, 3}\n",
            all_objects: false,
            stochastic: false,
        },
        Space {
            name: "toy",
            target: format!("kind = 'graph'\nfile = '{}'", graph.display()),
            objects: "3\n9\n10\n",
            all_objects: false,
            stochastic: false,
        },
        Space {
            name: "chance",
            target: "kind = 'graph'\nfile = '../../data/two-actions.csv'".to_owned(),
            objects: "x1\nx2\n",
            all_objects: false,
            stochastic: true,
        },
    ]
}

/// Ways of exploring by name.
fn explorations(objects: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("none", String::new()),
        ("epsilon", "epsilon = 0.2".to_owned()),
        ("temperature", "temperature = { start = 2.0, end = 1.0, steps = 100 }".to_owned()),
        ("replay", "replay = { kind = 'prioritised', capacity = 100, fraction = 0.25 }".to_owned()),
        ("data", format!("data = {{ file = '{}', fraction = 0.25 }}", objects.display())),
        ("local-search", "local_search = { rounds = 1, removals = 2 }".to_owned()),
        ("novelty", "novelty = { scale = 0.2, learning_rate = 0.05, width = 8 }".to_owned()),
    ]
}

/// The constants of a schema of named kinds.
fn kinds<T: schemars::JsonSchema>() -> Vec<String> {
    let schema = schemars::schema_for!(T).to_value();
    let variants = schema["oneOf"].as_array().expect("one of several").clone();
    let kind = |variant: &serde_json::Value| {
        let tag = variant.get("const").unwrap_or(&variant["properties"]["kind"]["const"]);
        tag.as_str().expect("a kind").to_owned()
    };
    variants.iter().map(kind).collect()
}

/// What is refused: by whom each name stands for, not by trying.
fn refused(space: &Space, kind: &str, backward: &str, exploration: &str) -> bool {
    let by_gradient = ["policy-gradient", "ppo"].contains(&kind);
    let by_states = kind.ends_with("flow-matching");
    let of_chains = [
        "forward-kl",
        "importance-weighted",
        "reverse-kl",
        "importance-weighted-elbo",
        "renyi",
        "chi-square",
        "coordinate-ascent",
        "mixed-kl",
        "craft",
        "fab",
    ];
    let on_policy = ["score-function", "self-normalised-forward-kl"].contains(&kind);
    let fixes_backward = kind == "self-normalised-forward-kl";
    let likelihood = backward == "trajectory-likelihood";
    let off_policy = !["none", "novelty"].contains(&exploration);
    [
        of_chains.contains(&kind),
        off_policy && (by_gradient || on_policy || likelihood),
        backward == "learned" && (by_gradient || by_states || fixes_backward || kind == "soft-q"),
        backward == "implied" && !by_states,
        likelihood && by_states,
        kind == "modified-detailed-balance" && !space.all_objects,
        kind == "quantile-flow-matching" && space.stochastic,
        // Where the environment moves, fixed removals do not fit; nor has a prior them.
        ["uniform", "maximum-entropy"].contains(&backward) && space.stochastic && !by_states,
    ]
    .contains(&true)
}

/// A directory of its own, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("anabranch-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn task(plan: &Plan) -> &FlowTask<anabranch::policy::Actions> {
    let Plan::GFlowNet(plan) = plan else { panic!("a flow network") };
    let Task::Discrete(task) = &plan.task else { panic!("of integers") };
    task
}

/// All states, and the exact law of the objects under some weights.
fn law(plan: &Plan, weights: &[f32]) -> (States, Vec<f64>) {
    let task = task(plan);
    let policy = &task.model.policy;
    let environment = policy.environment().as_ref();
    let states = States::of(environment, 1000).expect("it is small");
    let all: Vec<Cell> = (0..states.len()).flat_map(|i| states.state(i).to_vec()).collect();
    let evaluator = task.model.network.with(weights);
    let log_p = log_policy(policy, evaluator.as_ref(), &all, &[]);
    let rows = Rows::from_dense(&states, environment.moves(), &log_p);
    let law = Terminating::of(&states, &rows).expect("a law").log_probs;
    (states, law)
}

fn log_rewards(plan: &Plan, states: &States) -> Vec<f64> {
    let objects: Vec<Cell> =
        states.objects().iter().flat_map(|i| states.state(*i as usize).to_vec()).collect();
    let mut log_rewards = vec![0.0; states.objects().len()];
    task(plan).reward.log_rewards(&objects, &[], &mut log_rewards).expect("rewards");
    log_rewards
}

/// The total variation between two laws, given by logarithms up to a constant each.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let (of_a, of_b) = (log_sum_exp(a), log_sum_exp(b));
    0.5 * a.iter().zip(b).map(|(a, b)| ((a - of_a).exp() - (b - of_b).exp()).abs()).sum::<f64>()
}

/// Trains a plan; answers its weights by name.
fn trained(plan: &Plan) -> Vec<(String, Vec<f32>)> {
    let mut trainer = plan.start().expect("it starts");
    while !trainer.finished() {
        trainer.step().expect("a step");
    }
    trainer.names().into_iter().zip(trainer.trained().to_vec()).collect()
}

/// Steps that are enough for an objective, and what it needs besides.
fn pace(kind: &str) -> (usize, &'static str) {
    match kind {
        "relative-trajectory-balance" | "relative-log-variance" | "trust-pcl" => (100, ""),
        "flow-matching" | "modified-detailed-balance" => (200, ""),
        // A state of a small flow has a smaller slope still.
        "stable-detailed-balance" => (2000, "epsilon = 0.1"),
        "importance-weighted" => (1, "samples = 2"),
        // At the law itself a batch's gradient is 0 on average only.
        "self-normalised-forward-kl" => (2000, ""),
        _ => (300, ""),
    }
}

fn text(target: &str, backward: &str, kind: &str, exploring: &str, more: &str, steps: usize) -> String {
    format!(
        "name = 't'\nseed = 3\n[target]\n{target}\n[policy]\nbackward = '{backward}'\nnetwork = {{ kind = 'table' }}\n{more}\n\
         [objective]\nkind = '{kind}'\n[exploration]\n{exploring}\n\
         [optimizer]\nlearning_rate = 0.1\nlog_z_rate = 0.1\nschedule = 'cosine'\n[training]\nsteps = {steps}\nbatch = 16\n"
    )
}

/// A recipe with what is expected of it.
struct Trial {
    what: String,
    text: String,
    refused: bool,
}

/// Every objective with every backward policy and way of exploring, on every space; files and priors stand in a directory.
fn trials(directory: &Path) -> Vec<Trial> {
    let mut trials = Vec::new();
    for space in spaces(directory) {
        let file = directory.join(format!("{}.txt", space.name));
        std::fs::write(&file, space.objects).expect("a file");
        for backward in kinds::<BackwardName>() {
            let prior = directory.join(format!("{}-{}", space.name, backward));
            let theirs = match &*backward {
                _ if space.stochastic => "learned",
                "implied" => "uniform",
                own => own,
            };
            let of_prior = text(&space.target, theirs, "trajectory-balance", "", "", 3);
            let run = Run::create(&prior, read("prior.toml", &of_prior, &[]).expect("a recipe"));
            run.expect("a run").train(&mut Silent).expect("it trains");
            for kind in kinds::<ObjectiveRecipe>() {
                let relative = kind.starts_with("relative") || kind == "trust-pcl";
                let more = if relative { format!("prior = '{}'", prior.display()) } else { String::new() };
                let (steps, tuned) = pace(&kind);
                for (exploration, exploring) in explorations(&file) {
                    let tuned = format!("{kind}'\n{tuned} #");
                    // A loss on the scale of flows takes thousands of steps where rare states are rarely visited.
                    let by_flows = kind == "stable-detailed-balance" && !space.stochastic;
                    let exploring = match &*exploring {
                        "" if by_flows => continue,
                        _ if by_flows && backward == "trajectory-likelihood" => continue,
                        own if by_flows && !own.starts_with("epsilon") => format!("{own}\nepsilon = 0.2"),
                        own => own.to_owned(),
                    };
                    trials.push(Trial {
                        what: format!("{}, {kind}, {backward}, {exploration}", space.name),
                        text: text(&space.target, &backward, &tuned, &exploring, &more, steps),
                        refused: refused(&space, &kind, &backward, exploration),
                    });
                }
            }
        }
    }
    trials
}

/// How far the trained law is from the exact one, and the learned log Z, where there is one.
fn errors(plan: &Plan) -> [f64; 2] {
    let weights = trained(plan);
    let (states, found) = law(plan, &weights[0].1);
    let mut wanted = log_rewards(plan, &states);
    if let Some(prior) = &task(plan).settings.prior {
        let before = law(plan, prior).1;
        wanted.iter_mut().zip(before).for_each(|(log, before)| *log += before);
    }
    let log_z = weights.iter().find(|(name, _)| name == "log_z");
    let off = log_z.map_or(0.0, |(_, learned)| (f64::from(learned[0]) - log_sum_exp(&wanted)).abs());
    [distance(&found, &wanted), off]
}

#[test]
fn every_objective_reaches_its_law_or_is_refused() {
    let scratch = Scratch::new("reach");
    let trials = trials(&scratch.0);
    let failures: Vec<String> = trials
        .par_iter()
        .filter_map(|Trial { what, text, refused }| {
            match (read("t.toml", text, &[]).and_then(Plan::new), refused) {
                (Ok(_), true) => Some(format!("{what}: not refused")),
                (Ok(plan), false) => {
                    let [tv, off] = errors(&plan);
                    // Self-normalised weights of a batch are biased, as one over its size.
                    let most = if what.contains("self-normalised") { 0.04 } else { 0.02 };
                    (!(tv < most && off < 0.01)).then(|| format!("{what}: tv {tv:.4}, log Z off by {off:.4}"))
                }
                (Err(error), true) if error.to_string().contains("allowed: ") => None,
                (Err(error), _) => Some(format!("{what}: {error}")),
            }
        })
        .collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), trials.len(), failures.join("\n"));
    let refused = trials.iter().filter(|trial| trial.refused).count();
    assert!(refused > 500 && trials.len() - refused > 800, "{refused} of {}", trials.len());
}

/// Where rewards are random, all but quantiles are of their mean.
#[test]
fn random_rewards_are_met_in_the_mean() {
    let target = "kind = 'hypergrid'\ndim = 2\nside = 3\nreward = { kind = 'gamble', probability = '0.5 * (x0 > 0)', \
                  factor = 0.05, reward = { kind = 'expression', log_reward = 'x0 / 2 - (x1 - 1)^2' } }";
    for kind in ["trajectory-balance", "detailed-balance", "flow-matching", "log-variance", "soft-q", "ppo"] {
        let plan = read("t.toml", &text(target, "uniform", kind, "", "", 300), &[]).and_then(Plan::new);
        let plan = plan.expect("a plan");
        let weights = trained(&plan);
        let (states, found) = law(&plan, &weights[0].1);
        // E R = r (1 - p + p f).
        let mean = |i: &u32| {
            let [x, y] = *states.state(*i as usize) else { panic!("two coordinates") };
            let log_reward = 0.5 * f64::from(x) - (f64::from(y) - 1.0).powi(2);
            log_reward + if x > 0 { (0.5 + 0.5 * 0.05f64).ln() } else { 0.0 }
        };
        let wanted: Vec<f64> = states.objects().iter().map(mean).collect();
        let tv = distance(&found, &wanted);
        assert!(tv < 0.02, "{kind}: {tv}");
    }
}

/// A bonus that does not fade is part of the reward, and of the same one whatever the objective.
#[test]
fn novelty_counts_in_every_objective() {
    let exploring = "novelty = { scale = 20.0, learning_rate = 1e-12, width = 8 }";
    let mut laws = Vec::new();
    for kind in ["trajectory-balance", "detailed-balance", "flow-matching", "modified-detailed-balance"] {
        let plan =
            read("t.toml", &text(&grid(), "uniform", kind, exploring, "", 1500), &[]).and_then(Plan::new);
        let plan = plan.expect("a plan");
        let weights = trained(&plan);
        let (states, found) = law(&plan, &weights[0].1);
        assert!(distance(&found, &log_rewards(&plan, &states)) > 0.1, "{kind}");
        laws.push((kind, found));
    }
    for (kind, law) in &laws[1..] {
        let tv = distance(law, &laws[0].1);
        assert!(tv < 0.02, "{kind}: {tv}");
    }
}

/// Modified detailed balance on the graphs that it was made for, with a reward that says nothing on the way.
#[test]
fn modified_detailed_balance_learns_a_law_of_dags() {
    let target = "kind = 'labelled-dags'\nnodes = 3\n\
                  reward = { kind = 'expression', log_reward = '0.7 * x1 - 0.4 * x3 + 0.9 * x5 * x0 - 0.5 * x2' }";
    let text = text(target, "uniform", "modified-detailed-balance", "epsilon = 0.2", "", 600);
    let plan = read("t.toml", &text, &[]).and_then(Plan::new).expect("a plan");
    let weights = trained(&plan);
    let (states, found) = law(&plan, &weights[0].1);
    let tv = distance(&found, &log_rewards(&plan, &states));
    assert!(tv < 0.02, "{tv}");
}

/// The weights that are kept are chosen by the bound of what is learned: at the prior, where training begins,
/// `E[beta log r + log p_prior - log p_post] = beta E_prior log r`.
#[test]
fn a_posterior_is_scored_by_its_own_bound() {
    let scratch = Scratch::new("scored-posterior");
    let prior = scratch.0.join("prior");
    let target = grid();
    let recipe = read("prior.toml", &text(&target, "uniform", "trajectory-balance", "", "", 60), &[]);
    Run::create(&prior, recipe.expect("a recipe")).expect("a run").train(&mut Silent).expect("it trains");
    let target = target.replace("x0 / 2", "x0 * x1");
    for (kind, beta) in [
        ("relative-trajectory-balance'\nbeta = 1.5 #", 1.5),
        ("relative-log-variance'\nbeta = 0.5 #", 0.5),
        ("trust-pcl'\nalpha = 0.8 #", 1.25),
    ] {
        let text = text(&target, "uniform", kind, "", &format!("prior = '{}'", prior.display()), 10);
        let plan = read("t.toml", &text, &[]).and_then(Plan::new).unwrap_or_else(|e| panic!("{text}{e}"));
        let weights = task(&plan).settings.prior.clone().expect("a prior");
        let (states, law) = law(&plan, &weights);
        let (mut mean, mut square) = (0.0, 0.0);
        for (log_p, log_reward) in law.iter().zip(log_rewards(&plan, &states)) {
            mean += log_p.exp() * beta * log_reward;
            square += log_p.exp() * (beta * log_reward).powi(2);
        }
        let error = ((square - mean * mean) / 1000.0).sqrt();
        let score = plan.start().expect("it starts").evaluate().expect("a score");
        assert!((score + mean).abs() < 4.5 * error, "{kind}: {score}, {mean}, {error}");
    }
}

/// Flows from any state by every way to learn them, whole objects among the roots or not.
#[test]
fn roots_are_learned_by_every_objective() {
    for (smallest, objective) in [
        (0, "kind = 'trajectory-balance'"),
        (0, "kind = 'log-variance'"),
        (0, "kind = 'flow-matching'"),
        (3, "kind = 'detailed-balance'"),
        (3, "kind = 'flow-matching'"),
        (3, "kind = 'sub-trajectory-balance'"),
    ] {
        let scratch = Scratch::new(&format!("roots-{smallest}"));
        let text = format!(
            "name = 't'\nseed = 1\n[target]\nkind = 'sets'\nitems = 4\nsize = 3\nsmallest = {smallest}\n\
             reward = {{ kind = 'expression', log_reward = '0.8 * x0 - x1 * x2 + 0.5 * x3' }}\n[roots]\nkind = 'listed'\n\
             [policy]\nbackward = 'uniform'\nnetwork = {{ kind = 'mlp', hidden = [64] }}\n[objective]\n{objective}\n\
             [optimizer]\nlearning_rate = 3e-3\nschedule = 'cosine'\n[training]\nsteps = 2000\nbatch = 32\n"
        );
        let run = Run::create(&scratch.0.join("run"), read("t.toml", &text, &[]).expect("a recipe"));
        let run = run.expect("a run");
        run.train(&mut Silent).expect("it trains");
        let metrics = run.evaluate(&Silent).expect("it is measured");
        let number = |name: &str| metrics.get(name).and_then(serde_json::Value::as_f64);
        assert!(number("tv").expect("all states") < 0.02, "{smallest}, {objective}: {metrics:?}");
        assert!(number("free_energy_rmse").expect("walks") < 0.02, "{smallest}, {objective}: {metrics:?}");
        if !objective.contains("log-variance") {
            let learned = number("free_energy_learned_rmse").expect("flows");
            assert!(learned < 0.05, "{smallest}, {objective}: {metrics:?}");
        }
    }
}
