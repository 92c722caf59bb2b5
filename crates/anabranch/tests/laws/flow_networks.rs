//! Laws of flow networks with weights that nobody trained: over every small environment and backward policy.

use std::collections::HashMap;
use std::sync::Arc;

use anabranch::array::weights::to_vec_f64;
use anabranch::chain::{Rows, Score};
use anabranch::environment::{Cell, Environment, ExplicitGraph, Rooted, Sets, States};
use anabranch::estimate::exact::Flows;
use anabranch::estimate::trajectories::{backward_rollout, forward_rollout, log_likelihoods, log_policy};
use anabranch::estimate::{evidence, upper_bound};
use anabranch::math::{Estimate, log_sum_exp};
use anabranch::model::gflownet::{Batch, ForwardRollout, GFlowNet, Objects, PolicyKernels};
use anabranch::network::Activation;
use anabranch::network::taped::{Mlp, Tabular, TapedNetwork};
use anabranch::policy::{Actions, BackwardPolicy, Behaviour, FlowHead, Policy, Ways};
use anabranch::recipe::gflownet::{FlowTask, Task};
use anabranch::recipe::{Plan, read};
use anabranch::rng::{Noise, Purpose};
use anabranch::sampler::back_and_forth::{Acceptance, BackAndForth, Particles, Removals};
use anabranch::target::{Failure, Target};

use crate::environments::environments;
use crate::instances::NOTHING;

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
    cases.extend(edge_flows());
    cases
}

/// Policies of edge flows, whose backward policy these imply.
fn edge_flows() -> Vec<Case> {
    let graphs = environments().into_iter().map(|(environment, _)| environment);
    let graphs = graphs.filter(|graph| graph.longest() > 0 && !graph.cyclic()).step_by(4);
    let case = |(index, environment): (usize, Arc<dyn Environment>)| {
        let states = States::of(environment.as_ref(), 2000).expect("it is small");
        let name = format!("{environment:?} implied");
        let policy = Actions::new(environment, BackwardPolicy::Implied, FlowHead::Logits);
        let network = Mlp::new(policy.inputs(), &[16], policy.outputs(), Activation::Tanh);
        let weights = network.initial(&Noise::new(index as u64, Purpose::Weights));
        let objects = states.objects().iter();
        let log_rewards = objects.map(|i| Scrambled::log_reward(states.state(*i as usize))).collect();
        Case { name, states, model: GFlowNet { policy, network: Arc::new(network) }, weights, log_rewards }
    };
    let mut cases: Vec<Case> = graphs.enumerate().map(case).collect();
    let chance: Arc<dyn Environment> = Arc::new(ExplicitGraph::two_actions());
    cases.push(case((cases.len(), chance)));
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
        let found = forward_rollout(policy, evaluator.as_ref(), &Scrambled, &[], 20_000, &noise, &|_| true)
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
        let weights =
            backward_rollout(policy, evaluator.as_ref(), &drawn, &[], &log_rewards, &noise, &|_| true);
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
        let found = forward_rollout(policy, evaluator.as_ref(), &Scrambled, &[], count, &noise, &|_| true)
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
    let mut counts = HashMap::new();
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

/// Law 5: where edge flows balance, the backward policy that they imply makes all log-weights `log Z`, in both directions.
#[test]
fn law_5_balanced_edge_flows_have_one_weight() {
    for (environment, _) in environments().into_iter().step_by(3) {
        if environment.longest() == 0 || environment.cyclic() || environment.stochastic() {
            continue;
        }
        let states = States::of(environment.as_ref(), 2000).expect("it is small");
        let rewards = |i: &u32| Scrambled::log_reward(states.state(*i as usize));
        let log_rewards: Vec<f64> = states.objects().iter().map(rewards).collect();
        // Any backward policy has its flows.
        let mut log_backward = Vec::new();
        let drawn = Noise::new(61, Purpose::Weights).normal(1, states.edges());
        for i in 0..states.len() {
            let own = log_backward.len()..log_backward.len() + states.parents(i).len();
            log_backward.extend(drawn[own.clone()].iter().map(|e| f64::from(*e)));
            let total = log_sum_exp(&log_backward[own.clone()]);
            log_backward[own].iter_mut().for_each(|log| *log -= total);
        }
        let flows = Flows::from_backward(&states, log_rewards.clone(), log_backward).expect("no cycles");
        let policy = Actions::new(environment.clone(), BackwardPolicy::Implied, FlowHead::Logits);
        let features = |i: usize| {
            let mut on = Vec::new();
            environment.encode(states.state(i), &mut on);
            on
        };
        let network = Tabular::new(policy.inputs(), (0..states.len()).map(features), policy.outputs());
        let mut weights = vec![0.0; network.parameters()];
        for i in 0..states.len() {
            let row = network.row(&features(i)).expect("it is listed") * policy.outputs();
            for (_, e) in states.children(i) {
                let action = states.edge(*e as usize).action as usize;
                weights[row + action] = flows.log_edges[*e as usize] as f32;
            }
            if let Some(place) = states.objects().iter().position(|object| *object as usize == i)
                && environment.stops()
            {
                weights[row + environment.moves()] = log_rewards[place] as f32;
            }
        }
        let evaluator = network.with(&weights);
        let (noise, log_z) = (Noise::new(62, Purpose::Choice), log_sum_exp(&log_rewards));
        let found = forward_rollout(&policy, evaluator.as_ref(), &Scrambled, &[], 300, &noise, &|_| true);
        let found = found.unwrap_or_else(|failure| panic!("{environment:?}: {failure:?}"));
        let (objects, log_rewards) = (&found.objects, &found.log_rewards);
        let back =
            backward_rollout(&policy, evaluator.as_ref(), objects, &[], log_rewards, &noise, &|_| true);
        for log_weight in found.log_weights.iter().chain(&back.expect("nobody interrupts")) {
            assert!((log_weight - log_z).abs() < 1e-3, "{environment:?}: {log_weight}, {log_z}");
        }
    }
}

/// Law 4: back-and-forth moves with Metropolis-Hastings leave `R / Z` invariant, whatever the policy.
#[test]
fn law_4_back_and_forth_leaves_the_target_invariant() {
    for case in cases() {
        let longest = case.model.policy.longest() as u32;
        for removals in
            [Removals::UpTo(longest), Removals::UpTo(1 + longest / 2), Removals::Exactly(1 + longest / 2)]
        {
            leaves_invariant(&case, removals);
        }
    }
}

fn leaves_invariant(case: &Case, removals: Removals) {
    let (policy, evaluator) = (&case.model.policy, case.model.network.with(&case.weights));
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
        let particles = Particles { objects: &mut drawn, log_rewards: &mut log_rewards, conditions: &[] };
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
    let exact: Vec<f64> = case.log_rewards.iter().map(|log_reward| (log_reward - log_z).exp()).collect();
    assert_frequencies(&format!("{} {removals:?}", case.name), cells, &objects, &drawn, &exact);
}

/// Law 4 from roots: what lies ahead of each of them is left as it was, with the moves that end at the root.
#[test]
fn law_4_back_and_forth_keeps_to_what_lies_ahead_of_a_root() {
    let [sets, graph]: [Arc<dyn Environment>; 2] =
        [Arc::new(Sets::new(4, 1..=3).expect("sets")), Arc::new(ExplicitGraph::toy())];
    for inner in [sets, graph] {
        let rooted = Rooted::new(inner.clone()).expect("no cycles");
        let roots = States::of(inner.as_ref(), 100).expect("it is small");
        // A root in the middle.
        let root = roots.state(2);
        let mut start = vec![0; rooted.cells()];
        rooted.at(root, &mut start);
        let states = States::ahead_of(&rooted, &start, 100).expect("it is small");
        let policy = Actions::new(Arc::new(rooted), BackwardPolicy::Uniform, FlowHead::None);
        let network = Mlp::new(policy.inputs(), &[16], policy.outputs(), Activation::Tanh);
        let weights = network.initial(&Noise::new(5, Purpose::Weights));
        let log_rewards =
            states.objects().iter().map(|i| Scrambled::log_reward(states.state(*i as usize))).collect();
        let model = GFlowNet { policy, network: Arc::new(network) };
        let case = Case { name: format!("{inner:?} from {root:?}"), states, model, weights, log_rewards };
        for removals in [Removals::UpTo(2), Removals::UpTo(4), Removals::Exactly(2)] {
            leaves_invariant(&case, removals);
        }
    }
}

/// Exploring changes which trajectories are seen, never what is said of them: by the law that they were drawn with, weights average
/// to Z as well.
#[test]
fn law_2_weights_off_policy_are_the_policys_own() {
    for case in cases() {
        let (policy, evaluator) = (&case.model.policy, case.model.network.with(&case.weights));
        let environment = policy.environment().as_ref();
        // Of parallel edges the states do not say which was taken.
        let parallel = (0..case.states.len()).any(|i| {
            let parents = case.states.parents(i);
            parents.iter().enumerate().any(|(k, (a, _))| parents[..k].iter().any(|(b, _)| a == b))
        });
        if parallel || environment.stochastic() {
            continue;
        }
        let (cells, width) = (policy.cells(), environment.moves() + 1);
        let index: HashMap<&[Cell], usize> =
            (0..case.states.len()).map(|i| (case.states.state(i), i)).collect();
        let all: Vec<Cell> = (0..case.states.len()).flat_map(|i| case.states.state(i).to_vec()).collect();
        let log_p = log_policy(policy, evaluator.as_ref(), &all, &[]);
        let (epsilon, temperature) = (0.3, 1.6);
        // What is drawn from, by definition.
        let drawn_from = |i: usize, action: usize| {
            let row = &log_p[i * width..][..width];
            let possible = row.iter().filter(|log| **log > f64::NEG_INFINITY).count() as f64;
            let heated: Vec<f64> = row.iter().map(|log| log / temperature).collect();
            epsilon / possible + (1.0 - epsilon) * (heated[action] - log_sum_exp(&heated)).exp()
        };
        let count = 10_000;
        let mut sources = vec![0; count * cells];
        sources.chunks_exact_mut(cells).for_each(|source| policy.source(source));
        let noise = Noise::new(51, Purpose::Choice);
        let behaviour = Behaviour { epsilon: epsilon as f32, temperature: temperature as f32 };
        let walk = ForwardRollout { sources: &sources, conditions: &[], behaviour, noise: &noise };
        let mut batch = Batch::default();
        batch.forward_rollout(policy, evaluator.as_ref(), walk).expect("a law");
        batch.describe(policy);
        batch.imply_backward(policy, evaluator.as_ref());
        let mut objects = Vec::new();
        batch.objects(policy, &mut objects);
        batch.paths.log_reward = objects.chunks_exact(cells).map(Scrambled::log_reward).collect();
        let mut ratios = Vec::new();
        let lanes = batch.lanes().iter().flat_map(|lane| (0..lane.trajectories()).map(move |b| (lane, b)));
        for ((lane, b), log_weight) in lanes.zip(batch.paths.log_weights()) {
            let places: Vec<usize> = lane.states(policy, b).map(|state| index[state]).collect();
            let mut log_ratio = log_weight - case.log_z();
            for (t, i) in places.iter().enumerate() {
                let action = places.get(t + 1).map_or(width - 1, |next| {
                    let came = case.states.parents(*next).iter().find(|(parent, _)| *parent as usize == *i);
                    came.expect("an edge").1.action as usize
                });
                log_ratio += log_p[i * width + action] - drawn_from(*i, action).ln();
            }
            ratios.push(log_ratio.exp());
        }
        let mean = Estimate::mean(&ratios);
        assert!((mean.value - 1.0).abs() < 5.0 * mean.error + 1e-4, "{}: {mean:?}", case.name);
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
            let walk = ForwardRollout { sources: &sources, conditions: &[], behaviour, noise: &noise };
            batch.forward_rollout(policy, evaluator.as_ref(), walk).unwrap();
            batch.describe(policy);
            batch.imply_backward(policy, evaluator.as_ref());
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

/// A policy as the kernels of a chain walks the trajectories that a batch walks, with the same weights; scored, its paths have
/// them too; and over all objects the backward paths' weights, `E_backward[P_F / P_B] = P_F(x)`, sum to 1.
#[test]
fn policies_are_kernels_of_a_chain() {
    let mut chains = 0;
    for case in cases() {
        let policy = &case.model.policy;
        let evaluator = case.model.network.with(&case.weights);
        let Ok(kernels) = PolicyKernels::new(policy, case.model.network.with(&case.weights)) else {
            assert!(policy.cyclic() || policy.implied().is_some(), "{}", case.name);
            continue;
        };
        chains += 1;
        let (chain, cells, count) = (kernels.chain(), policy.cells(), 60);
        let noise = Noise::new(61, Purpose::Choice);
        let mut states = Vec::new();
        let found = chain
            .generate_observed(count, NOTHING, &noise, |_, state: &Objects<Cell>, _| {
                states.push(state.clone())
            })
            .unwrap();
        let mut sources = vec![0; count * cells];
        sources.chunks_exact_mut(cells).for_each(|source| policy.source(source));
        let forward = noise.purpose(Purpose::Forward);
        let behaviour = Behaviour::default();
        let walk = ForwardRollout { sources: &sources, conditions: &[], behaviour, noise: &forward };
        let (mut batch, mut objects) = (Batch::default(), Vec::new());
        batch.forward_rollout(policy, evaluator.as_ref(), walk).unwrap();
        batch.describe(policy);
        batch.objects(policy, &mut objects);
        batch.paths.log_reward = vec![0.0; count];
        assert_eq!(found.end.cells.values, objects, "{}", case.name);
        assert!(found.end.stopped.iter().all(|stopped| *stopped), "{}", case.name);
        let weights = to_vec_f64(found.log_weight);
        for (one, other) in weights.iter().zip(batch.paths.log_weights()) {
            assert!((one - other).abs() < 1e-4, "{}: {one} and {other}", case.name);
        }
        let mut scored = vec![0.0; count];
        for (step, pair) in chain.transitions.iter().zip(states.windows(2)) {
            let Score::Densities(densities) = step.score(&pair[0], &pair[1], NOTHING).unwrap() else {
                panic!("{}: a policy has densities", case.name)
            };
            let ratios = to_vec_f64(densities.backward - densities.forward);
            scored.iter_mut().zip(ratios).for_each(|(sum, ratio)| *sum += ratio);
        }
        for (one, other) in weights.iter().zip(&scored) {
            assert!((one - other).abs() < 1e-9, "{}: {one} and {other}", case.name);
        }
        let all = case.objects();
        let objects = all.len() / cells;
        let drawn = all.repeat((4000 / objects).max(20));
        let x = Objects::finished(Rows { columns: cells, values: drawn });
        let encoded = to_vec_f64(chain.encode(x, NOTHING, &noise).unwrap().log_weight);
        let shares: Vec<f64> = encoded.iter().map(|log| log.exp() * objects as f64).collect();
        let total = Estimate::mean(&shares);
        assert!((total.value - 1.0).abs() < 5.0 * total.error + 1e-4, "{}: {total:?}", case.name);
    }
    assert!(chains > 5, "{chains} policies were chains");
}
