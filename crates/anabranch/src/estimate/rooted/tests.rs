//! Every estimate beside its enumeration: with an untrained network, and with one that was trained from all roots.

use std::sync::Arc;

use super::*;
use crate::environment::{Cell, Environment, Rooted, Sets, States};
use crate::estimate::exact::{Joint, entropies, free_energies};
use crate::model::gflownet::GFlowNet;
use crate::network::Activation;
use crate::network::taped::{Mlp, TapedNetwork};
use crate::objective::{BackwardObjective, ObjectiveRecipe};
use crate::policy::{BackwardPolicy, FlowHead};
use crate::recipe::{OptimizerRecipe, TrainingRecipe};
use crate::rng::Purpose;
use crate::target::{Ahead, Counting, Items, Shape};
use crate::train::Training;
use crate::train::gflownet::exploration::{Exploration, Ramp};
use crate::train::gflownet::{FlowTrainer, Roots, Settings};

/// Sets of up to four of five items of very different weights, with all states and what they have ahead.
struct Case {
    sets: Arc<Sets>,
    policy: Actions,
    network: Arc<dyn TapedNetwork>,
    reward: Arc<dyn Target<Cell>>,
    states: States,
    free_energies: Vec<f64>,
    entropies: Vec<f64>,
    log_rewards: Vec<f64>,
}

fn case() -> Case {
    let sets = Arc::new(Sets::new(5, 0..=4).unwrap());
    let rooted = Arc::new(Rooted::new(sets.clone()).unwrap());
    let policy = Actions::new(rooted, BackwardPolicy::Uniform, FlowHead::Output);
    let network = Arc::new(Mlp::new(policy.inputs(), &[48], policy.outputs(), Activation::Relu));
    let weights: [f64; 5] = [0.2, 3.0, 1.0, 0.5, 1.7];
    let items = Items::new(
        weights.iter().map(|weight| weight.ln()).collect(),
        Counting::of(&Shape::Sets { items: 5, sizes: 0..=4 }).unwrap(),
    )
    .unwrap();
    let items: Arc<dyn Target<Cell>> = Arc::new(items);
    let states = States::of(sets.as_ref(), 1000).unwrap();
    let objects: Vec<Cell> =
        states.objects().iter().flat_map(|i| states.state(*i as usize).iter().copied()).collect();
    let mut log_rewards = vec![0.0; states.objects().len()];
    items.log_rewards(&objects, &[], &mut log_rewards).unwrap();
    Case {
        free_energies: free_energies(&states, &log_rewards).unwrap(),
        entropies: entropies(&states, &log_rewards).unwrap(),
        reward: Arc::new(Ahead::new(items, sets.cells())),
        sets,
        policy,
        network,
        states,
        log_rewards,
    }
}

/// The exact probability of a property of the objects that lie ahead of a root.
fn exact(case: &Case, root: usize, has: impl Fn(&[Cell]) -> bool) -> f64 {
    let from = case.states.state(root);
    let ahead = case.states.objects().iter().zip(&case.log_rewards);
    let (mut part, mut whole) = (0.0, 0.0);
    for (i, log_reward) in ahead {
        let object = case.states.state(*i as usize);
        if from.iter().zip(object).all(|(a, b)| a <= b) {
            whole += log_reward.exp();
            part += if has(object) { log_reward.exp() } else { 0.0 };
        }
    }
    part / whole
}

fn compare(case: &Case, evaluator: &dyn Evaluator, largest_error: f64) {
    let near = |what: &str, found: Estimate, exact: f64| {
        assert!((found.value - exact).abs() < 4.5 * found.error + 1e-9, "{what}: {found:?}, {exact}");
        assert!(found.error < largest_error, "{what}: {found:?}, {exact}");
    };
    for root in 0..case.states.len() {
        let from = case.states.state(root);
        let noise = Noise::new(9, Purpose::Choice).from_trajectory((root as u64) << 20);
        let walks =
            FromRoot::walk(&case.policy, evaluator, case.reward.as_ref(), from, 4000, &noise).unwrap();
        near("free energy", walks.free_energy(), case.free_energies[root]);
        near("entropy", walks.entropy(), case.entropies[root]);
        for item in [0, 1, 3] {
            let has = |object: &[Cell]| object[item] == 1;
            near("marginal", walks.probability(has), exact(case, root, has));
        }
        // Whether item 1 is there, and how many others.
        let (a, b) = (|x: &[Cell]| u32::from(x[1]), |x: &[Cell]| u32::from(x[0] + x[2] + x[3] + x[4]));
        let ahead = case.states.objects().iter().zip(&case.log_rewards);
        let ahead = ahead.filter(|(i, _)| {
            from.iter().zip(case.states.state(**i as usize)).all(|(root, cell)| root <= cell)
        });
        let (objects, log_rewards): (Vec<&[Cell]>, Vec<f64>) =
            ahead.map(|(i, log_reward)| (case.states.state(*i as usize), *log_reward)).unzip();
        let labels = |of: fn(&[Cell]) -> u32| objects.iter().map(|x| of(x)).collect::<Vec<u32>>();
        let known = Joint::of(&log_rewards, &labels(a), &labels(b));
        let found = walks.between(a, b);
        // Off by half of the pairs that are free, a part of the walks.
        let bias = 5.0 / (walks.evidence().ess * 4000.0);
        for (found, known) in [
            (found.entropy_a, known.entropy_a),
            (found.entropy_b, known.entropy_b),
            (found.entropy_a_given_b, known.entropy_a_given_b),
            (found.entropy_b_given_a, known.entropy_b_given_a),
            (found.mutual_information, known.mutual_information),
        ] {
            assert!((found.value - known).abs() < 4.5 * found.error + bias, "{found:?}, {known}");
        }
        if from[3] == 0 && from.iter().sum::<Cell>() < 4 {
            let mut more = from.to_vec();
            more[3] = 1;
            let noise = noise.purpose(Purpose::Target);
            let ahead =
                FromRoot::walk(&case.policy, evaluator, case.reward.as_ref(), &more, 4000, &noise).unwrap();
            near("superset", superset(&walks, &ahead), exact(case, root, |object| object[3] == 1));
        }
    }
}

#[test]
fn estimates_hold_whatever_was_learned() {
    let case = case();
    let weights = case.network.initial(&Noise::new(4, Purpose::Weights));
    compare(&case, case.network.with(&weights).as_ref(), 0.2);
}

/// One network for all roots: errors shrink, and the flow at a root is minus its free energy.
#[test]
fn a_network_learns_all_roots() {
    let case = case();
    let training = TrainingRecipe { steps: 3000, batch: 32, ..TrainingRecipe::default() };
    let optimizer = OptimizerRecipe { learning_rate: 3e-3, ..OptimizerRecipe::default() };
    let roots = (0..case.states.len()).flat_map(|i| case.states.state(i).iter().copied()).collect();
    let settings = Settings {
        training,
        optimizer,
        objective: ObjectiveRecipe::TrajectoryBalance(Default::default())
            .check("objective", BackwardObjective::Joint)
            .unwrap(),
        exploration: Exploration { epsilon: Ramp::constant(0.1), ..Exploration::default() },
        conditions: None,
        sources: Some(Arc::new(Roots::new(roots, case.sets.cells()))),
        prior: None,
        start: None,
    };
    let model = GFlowNet { policy: case.policy.clone(), network: case.network.clone() };
    let mut trainer = FlowTrainer::new(model, case.reward.clone(), settings, 5).unwrap();
    while !trainer.finished() {
        trainer.step().unwrap();
    }
    let evaluator = case.network.with(&trainer.trained()[0]);
    compare(&case, evaluator.as_ref(), 0.04);
    for root in 0..case.states.len() {
        let (root, exact) = (case.states.state(root), -case.free_energies[root]);
        let learned = learned_log_flow(&case.policy, evaluator.as_ref(), case.reward.as_ref(), root);
        let learned = learned.unwrap().expect("there are flows");
        assert!((learned - exact).abs() < 0.1, "{root:?}: {learned}, {exact}");
    }
}

/// Entropy from the flows of `r` and of `-r log r`, each estimated by walks of a policy that nobody trained.
#[test]
fn two_flows_tell_the_entropy() {
    use crate::estimate::evidence;
    use crate::estimate::trajectories::forward_rollout;
    use crate::target::{Describe, Entropic};
    let case = case();
    let inner = Actions::new(case.sets.clone(), BackwardPolicy::Uniform, FlowHead::None);
    let network = Mlp::new(inner.inputs(), &[16], inner.outputs(), Activation::Relu);
    let weights = network.initial(&Noise::new(4, Purpose::Weights));
    let evaluator = network.with(&weights);
    let scale = 20.0;
    let items: Arc<dyn Target<Cell>> = Arc::new(
        Items::new(
            [0.2f64, 3.0, 1.0, 0.5, 1.7].iter().map(|weight| weight.ln()).collect(),
            Counting::of(&Shape::Sets { items: 5, sizes: 0..=4 }).unwrap(),
        )
        .unwrap(),
    );
    let prime = Entropic::new(items.clone(), scale, Describe::new(|x| format!("{x:?}"))).unwrap();
    let log_z = |reward: &dyn Target<Cell>, seed| {
        let noise = Noise::new(seed, Purpose::Choice);
        let found =
            forward_rollout(&inner, evaluator.as_ref(), reward, &[], 20_000, &noise, &|_| true).unwrap();
        evidence(&found.log_weights).log_z
    };
    let mut log_f = log_z(items.as_ref(), 21);
    log_f.value -= scale.ln();
    let found = entropy_of_flows(log_f, log_z(&prime, 22));
    let exact = case.entropies[0];
    assert!((found.value - exact).abs() < 4.5 * found.error && found.error < 0.05, "{found:?}, {exact}");
}
