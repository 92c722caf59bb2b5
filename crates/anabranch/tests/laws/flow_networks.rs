//! Laws of flow networks with weights that nobody trained: over every small environment and backward policy.

use std::sync::Arc;

use anabranch::environment::{Cell, States};
use anabranch::estimate::trajectories::{homeward, log_likelihoods, log_policy, outward};
use anabranch::estimate::{evidence, upper_bound};
use anabranch::math::{Estimate, log_sum_exp};
use anabranch::model::gflownet::{Batch, GFlowNet, Outward};
use anabranch::network::Activation;
use anabranch::network::taped::{Mlp, Network};
use anabranch::policy::{Actions, BackwardPolicy, Behaviour, FlowHead, Policy, Ways};
use anabranch::recipe::gflownet::{FlowTask, Task};
use anabranch::recipe::{Plan, read};
use anabranch::rng::{Noise, Purpose};
use anabranch::sampler::back_and_forth::{Acceptance, BackAndForth, Particles, Removals};
use anabranch::target::{Failure, Target};

use crate::environments::environments;

/// A reward without symmetry: a number between 1/3 and 3 made of all cells and their places.
#[derive(Debug)]
struct Scrambled;

impl Scrambled {
    fn log_reward(object: &[Cell]) -> f64 {
        let mix = object.iter().fold(7u64, |mix, cell| (mix * 1_000_003 + u64::from(*cell)) % 998_244_353);
        (mix as f64).sin() * 3f64.ln()
    }
}

impl Target<Cell> for Scrambled {
    fn log_rewards(&self, objects: &[Cell], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let cells = objects.len() / out.len();
        out.iter_mut().zip(objects.chunks_exact(cells)).for_each(|(out, x)| *out = Self::log_reward(x));
        Ok(())
    }
}

struct Case {
    name: String,
    states: States,
    model: GFlowNet<Actions>,
    weights: Vec<f32>,
    /// Log-rewards of the objects.
    log_rewards: Vec<f64>,
}

impl Case {
    fn log_z(&self) -> f64 {
        log_sum_exp(&self.log_rewards)
    }

    fn objects(&self) -> Vec<Cell> {
        self.states.objects().iter().flat_map(|i| self.states.state(*i as usize).to_vec()).collect()
    }

    /// `count` exact samples of `R / Z`, as places among the objects.
    fn exact(&self, count: usize, noise: &Noise) -> Vec<usize> {
        let log_z = self.log_z();
        let draw = |i: usize| {
            let mut left = (f64::from(noise.words(i, 0)[0]) + 0.5) / 4_294_967_296.0;
            let passed = self.log_rewards.iter().position(|log_reward| {
                left -= (log_reward - log_z).exp();
                left < 0.0
            });
            passed.unwrap_or(self.log_rewards.len() - 1)
        };
        (0..count).map(draw).collect()
    }

    /// The exact terminating distribution of the policy over the objects.
    fn terminating(&self) -> Vec<f64> {
        let policy = &self.model.policy;
        let states: Vec<Cell> = (0..self.states.len()).flat_map(|i| self.states.state(i).to_vec()).collect();
        let evaluator = self.model.network.with(&self.weights);
        let log_p = log_policy(policy, evaluator.as_ref(), &states, &[]);
        let width = policy.environment().moves() + 1;
        let mut visits = vec![0.0; self.states.len()];
        visits[0] = 1.0;
        for i in 1..self.states.len() {
            let into = self.states.parents(i).iter();
            let flows =
                into.map(|(p, e)| visits[*p as usize] * log_p[*p as usize * width + e.action as usize].exp());
            visits[i] = flows.sum();
        }
        let ends = self.states.objects().iter().map(|i| *i as usize);
        ends.map(|i| visits[i] * log_p[i * width + width - 1].exp()).collect()
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (index, (environment, _)) in environments().into_iter().enumerate() {
        // Of a cyclic graph the trajectories are cut, and the ways are not finite.
        if environment.longest() == 0 || environment.cyclic() {
            continue;
        }
        let states = States::of(environment.as_ref(), 2000).expect("it is small");
        let ways = Ways::of(environment.as_ref(), 2000).expect("it is small");
        let backward = match index % 3 {
            0 => BackwardPolicy::Uniform,
            1 => BackwardPolicy::Learned,
            _ => BackwardPolicy::MaximumEntropy(ways),
        };
        let name = format!("{environment:?} {}", ["uniform", "learned", "maximum-entropy"][index % 3]);
        let policy = Actions::new(environment, backward, FlowHead::None);
        let network = Mlp::new(policy.inputs(), &[16], policy.outputs(), Activation::Tanh);
        let weights = network.initial(&Noise::new(index as u64, Purpose::Weights));
        let objects = states.objects().iter();
        let log_rewards = objects.map(|i| Scrambled::log_reward(states.state(*i as usize))).collect();
        let model = GFlowNet { policy, network: Arc::new(network) };
        cases.push(Case { name, states, model, weights, log_rewards });
    }
    cases.extend(networks().into_iter().map(|(target, policy)| of_recipe(target, policy)));
    cases
}

/// Targets and policies whose networks are of every other kind, as recipes have them.
fn networks() -> Vec<(&'static str, &'static str)> {
    let transformer = "network = { kind = 'transformer', layers = 1, width = 8, heads = 2 }";
    let words = "kind = 'strings'\nalphabet = 'ABC'\nlength = 3\nshortest = 2";
    let bits = "kind = 'bits'\nbits = 4\nword = 2\ngrowth = 'anywhere'";
    let ends = "kind = 'strings'\nalphabet = 'AB'\nlength = 4\ngrowth = 'prepend-or-append'";
    let sets = "kind = 'sets'\nitems = 5\nsize = 3\nsmallest = 1";
    let multisets = "kind = 'multisets'\nkinds = 3\nsize = 4\nsmallest = 0";
    let grid = "kind = 'hypergrid'\ndim = 2\nside = 4";
    vec![
        (words, transformer),
        (bits, transformer),
        (ends, transformer),
        (sets, "network = { kind = 'deep-sets', width = 5, hidden = [7] }"),
        (multisets, "trunk = 'separate'\nnetwork = { kind = 'deep-sets', width = 5, hidden = [7] }"),
        (grid, "trunk = 'separate'\nnetwork = { kind = 'mlp', hidden = [9, 8] }"),
        (grid, "network = { kind = 'table' }"),
    ]
}

fn of_recipe(target: &str, policy: &str) -> Case {
    let text = format!(
        "name = 't'\n[target]\n{target}\nreward = {{ kind = 'expression', log_reward = '0' }}\n\
         [policy]\nbackward = 'learned'\n{policy}\n[training]\nsteps = 1\n"
    );
    let plan = read("t.toml", &text, &[]).and_then(Plan::new);
    let Plan::GFlowNet(plan) = plan.unwrap_or_else(|error| panic!("{text}{error}")) else {
        panic!("a flow network: {text}")
    };
    let Task::Discrete(FlowTask { model, .. }) = plan.task else { panic!("objects are discrete: {text}") };
    let states = States::of(model.policy.environment().as_ref(), 2000).expect("it is small");
    let mut weights = model.network.initial(&Noise::new(77, Purpose::Weights));
    // A table starts at 0.
    if weights.iter().all(|weight| *weight == 0.0) {
        let drawn = Noise::new(78, Purpose::Weights).normal(1, weights.len());
        weights = drawn.into_iter().map(|e| 0.5 * e).collect();
    }
    let objects = states.objects().iter();
    let log_rewards = objects.map(|i| Scrambled::log_reward(states.state(*i as usize))).collect();
    Case { name: format!("{target} {policy}"), states, model, weights, log_rewards }
}

/// Law 2: `E exp(log w) = Z` and the sandwich of bounds, for a policy that nobody trained.
#[test]
fn law_2_weights_of_trajectories_average_to_z() {
    for case in cases() {
        let (policy, evaluator) = (&case.model.policy, case.model.network.with(&case.weights));
        let noise = Noise::new(11, Purpose::Choice);
        let found = outward(policy, evaluator.as_ref(), &Scrambled, &[], 20_000, &noise, &|_| true)
            .unwrap_or_else(|failure| panic!("{}: {failure:?}", case.name));
        let log_z = case.log_z();
        let ratios: Vec<f64> = found.log_weights.iter().map(|w| (w - log_z).exp()).collect();
        let mean = Estimate::mean(&ratios);
        assert!((mean.value - 1.0).abs() < 5.0 * mean.error + 1e-5, "{}: {mean:?}", case.name);
        let elbo = evidence(&found.log_weights).elbo;
        assert!(elbo.value < log_z + 5.0 * elbo.error + 1e-5, "{}: {elbo:?} above {log_z}", case.name);
        let objects = case.objects();
        let cells = policy.cells();
        let (mut drawn, mut log_rewards) = (Vec::new(), Vec::new());
        for place in case.exact(4000, &Noise::new(12, Purpose::Target)) {
            drawn.extend_from_slice(&objects[place * cells..][..cells]);
            log_rewards.push(case.log_rewards[place]);
        }
        let noise = Noise::new(13, Purpose::Backward);
        let weights = homeward(policy, evaluator.as_ref(), &drawn, &[], &log_rewards, &noise, &|_| true);
        let eubo = upper_bound(&weights.expect("nobody interrupts"));
        assert!(eubo.value > log_z - 5.0 * eubo.error - 1e-5, "{}: {eubo:?} below {log_z}", case.name);
    }
}

/// Law 5: samples have the exact terminating distribution, and backward trajectories estimate it.
#[test]
fn law_5_samples_have_the_terminating_distribution() {
    for case in cases() {
        let (policy, evaluator) = (&case.model.policy, case.model.network.with(&case.weights));
        let exact = case.terminating();
        let sum: f64 = exact.iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "{}: probabilities sum to {sum}", case.name);
        let count = 20_000;
        let noise = Noise::new(21, Purpose::Choice);
        let found = outward(policy, evaluator.as_ref(), &Scrambled, &[], count, &noise, &|_| true)
            .unwrap_or_else(|failure| panic!("{}: {failure:?}", case.name));
        let objects = case.objects();
        assert_frequencies(&case.name, policy.cells(), &objects, &found.objects, &exact);
        // `log mean exp` of K ratios is within its own error of the truth; rare objects need many.
        let noise = Noise::new(22, Purpose::Backward);
        let likely = log_likelihoods(policy, evaluator.as_ref(), &objects, 500, &noise, &|_| true);
        for ((found, exact), object) in likely.expect("nobody interrupts").iter().zip(&exact).zip(0..) {
            let gap = found - exact.ln();
            assert!(gap.abs() < 0.5, "{}, object {object}: log-likelihood off by {gap}", case.name);
        }
    }
}

/// Every object's frequency within 5 standard errors of its probability.
fn assert_frequencies(name: &str, cells: usize, objects: &[Cell], drawn: &[Cell], probabilities: &[f64]) {
    let mut counts = std::collections::HashMap::new();
    drawn.chunks_exact(cells).for_each(|object| *counts.entry(object).or_insert(0usize) += 1);
    let n = (drawn.len() / cells) as f64;
    for (object, p) in objects.chunks_exact(cells).zip(probabilities) {
        let found = counts.get(object).copied().unwrap_or(0) as f64;
        let error = (n * p * (1.0 - p)).max(0.0).sqrt();
        assert!(
            (found - n * p).abs() < 5.0 * error + 3.0,
            "{name}, {object:?}: {found} where {} are expected",
            n * p
        );
    }
}

/// Law 4: back-and-forth moves with Metropolis-Hastings leave `R / Z` invariant, whatever the policy.
#[test]
fn law_4_back_and_forth_leaves_the_target_invariant() {
    for case in cases() {
        let (policy, evaluator) = (&case.model.policy, case.model.network.with(&case.weights));
        let longest = policy.longest() as u32;
        for removals in
            [Removals::UpTo(longest), Removals::UpTo(1 + longest / 2), Removals::Exactly(1 + longest / 2)]
        {
            let objects = case.objects();
            let cells = policy.cells();
            let (mut drawn, mut log_rewards) = (Vec::new(), Vec::new());
            for place in case.exact(10_000, &Noise::new(31, Purpose::Target)) {
                drawn.extend_from_slice(&objects[place * cells..][..cells]);
                log_rewards.push(case.log_rewards[place]);
            }
            let before = drawn.clone();
            let mut moves = BackAndForth::default();
            let mut accepted = 0;
            for round in 0..4 {
                let noise = Noise::new(32, Purpose::Local).from_trajectory(round << 32);
                let particles =
                    Particles { objects: &mut drawn, log_rewards: &mut log_rewards, conditions: &[] };
                let done = moves.round(
                    policy,
                    evaluator.as_ref(),
                    &Scrambled,
                    particles,
                    removals,
                    Acceptance::MetropolisHastings,
                    &noise,
                );
                accepted += done.unwrap_or_else(|failure| panic!("{}: {failure:?}", case.name));
            }
            assert!(accepted > 1000, "{} {removals:?}: {accepted} of 40000 moves accepted", case.name);
            assert!(case.log_rewards.len() == 1 || drawn != before, "{}: nothing moved", case.name);
            let log_z = case.log_z();
            let exact: Vec<f64> =
                case.log_rewards.iter().map(|log_reward| (log_reward - log_z).exp()).collect();
            assert_frequencies(&format!("{} {removals:?}", case.name), cells, &objects, &drawn, &exact);
        }
    }
}

/// Law 7: a trajectory is the same whatever the batch that it is in.
#[test]
fn law_7_trajectories_do_not_depend_on_the_batch() {
    for case in cases() {
        let (policy, evaluator) = (&case.model.policy, case.model.network.with(&case.weights));
        let cells = policy.cells();
        let walk = |first: u64, count: usize| {
            let mut sources = vec![0; count * cells];
            sources.chunks_exact_mut(cells).for_each(|source| policy.source(source));
            let noise = Noise::new(41, Purpose::Choice).from_trajectory(first);
            let behaviour = Behaviour { epsilon: 0.3, temperature: 2.0 };
            let mut batch = Batch::default();
            let walk = Outward { sources: &sources, conditions: &[], behaviour, noise: &noise };
            batch.outward(policy, evaluator.as_ref(), walk).unwrap();
            batch.describe(policy);
            let mut objects = Vec::new();
            batch.objects(policy, &mut objects);
            batch.paths.log_reward = vec![0.0; count];
            (objects, batch.paths.log_weights())
        };
        let (objects, weights) = walk(0, 200);
        let (some, their_weights) = walk(50, 33);
        assert_eq!(objects[50 * cells..83 * cells], some[..], "{}", case.name);
        for (one, other) in weights[50..83].iter().zip(&their_weights) {
            assert!((one - other).abs() < 1e-4, "{}: {one} and {other}", case.name);
        }
    }
}
