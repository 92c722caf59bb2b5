//! Walks where one can come back to a state, of which some are cut short: against the chain itself, step by step.

use std::sync::Arc;

use anabranch::environment::{Cell, CyclicGrid, States};
use anabranch::estimate::evidence;
use anabranch::estimate::trajectories::{
    Relative, backward_rollout, forward_relative, forward_rollout, log_policy,
};
use anabranch::model::gflownet::GFlowNet;
use anabranch::network::Activation;
use anabranch::network::taped::{Mlp, TapedNetwork};
use anabranch::policy::{Actions, BackwardPolicy, FlowHead, Policy};
use anabranch::rng::{Noise, Purpose};
use anabranch::target::{Failure, Target};

/// `log R(x) = x_0 - x_1 / 2`.
#[derive(Debug)]
struct Tilted;

impl Target<Cell> for Tilted {
    fn log_rewards(&self, objects: &[Cell], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        for (object, out) in objects.chunks_exact(2).zip(out) {
            assert!(object[0] < 3, "only objects are asked about");
            *out = f64::from(object[0]) - 0.5 * f64::from(object[1]);
        }
        Ok(())
    }
}

const LONGEST: usize = 6;

fn model() -> (GFlowNet<Actions>, Vec<f32>) {
    let environment = Arc::new(CyclicGrid::new(2, 3, LONGEST).expect("the farthest point is 5 moves away"));
    let policy = Actions::new(environment, BackwardPolicy::Uniform, FlowHead::None);
    let network = Mlp::new(policy.inputs(), &[8], policy.outputs(), Activation::Tanh);
    let weights = network.initial(&Noise::new(4, Purpose::Weights));
    (GFlowNet { policy, network: Arc::new(network) }, weights)
}

/// By objects, the probability of stopping there within so many moves; all states and `log P_F`.
fn stopped_within(model: &GFlowNet<Actions>, weights: &[f32]) -> (States, Vec<f64>) {
    let environment = model.policy.environment().as_ref();
    let states = States::of(environment, 100).expect("ten states");
    let all: Vec<Cell> = (0..states.len()).flat_map(|i| states.state(i).to_vec()).collect();
    let log_p = log_policy(&model.policy, model.network.with(weights).as_ref(), &all, &[]);
    let width = environment.moves() + 1;
    let mut here = vec![0.0; states.len()];
    here[0] = 1.0;
    let mut stopped = vec![0.0; states.len()];
    for time in 0..=LONGEST {
        let mut next = vec![0.0; states.len()];
        for (i, probability) in here.iter().enumerate() {
            stopped[i] += probability * log_p[i * width + width - 1].exp();
        }
        if time == LONGEST {
            break;
        }
        for (i, to) in next.iter_mut().enumerate() {
            let into = states.parents(i).iter();
            let moves =
                into.map(|(p, e)| here[*p as usize] * log_p[*p as usize * width + e.action as usize].exp());
            *to = moves.sum();
        }
        here = next;
    }
    (states, stopped)
}

/// The probability that the uniform walk back from each state is at the source within so many removals.
fn home_within(states: &States) -> Vec<f64> {
    let mut home = vec![0.0; states.len()];
    home[0] = 1.0;
    for _ in 0..LONGEST {
        let before = home.clone();
        for (i, to) in home.iter_mut().enumerate().skip(1) {
            let parents = states.parents(i);
            *to = parents.iter().map(|(p, _)| before[*p as usize]).sum::<f64>() / parents.len() as f64;
        }
    }
    home
}

fn near(found: f64, p: f64, count: usize, what: &str) {
    let error = (p * (1.0 - p) / count as f64).sqrt();
    assert!((found - p).abs() < 4.5 * error + 1e-9, "{what}: {found}, exactly {p} +- {error}");
}

#[test]
fn walks_stop_where_and_as_often_as_the_chain_does() {
    let (model, weights) = model();
    let (states, stopped) = stopped_within(&model, &weights);
    let evaluator = model.network.with(&weights);
    let count = 40_000;
    let noise = Noise::new(5, Purpose::Choice);
    let found =
        forward_rollout(&model.policy, evaluator.as_ref(), &Tilted, &[], count, &noise, &|_| true).unwrap();
    let all: f64 = stopped.iter().sum();
    assert!(all > 0.3 && all < 0.95, "some are cut, some are not: {all}");
    near(1.0 - found.cut as f64 / count as f64, all, count, "ended");
    for (i, p) in stopped.iter().enumerate().skip(1) {
        let rows = found.objects.chunks_exact(2).zip(&found.log_rewards);
        let here = rows
            .filter(|(object, log_reward)| *object == states.state(i) && **log_reward > f64::NEG_INFINITY);
        near(here.count() as f64 / count as f64, *p, count, "stopped at a state");
    }
}

/// What weights average to: the rewards of objects, each by the share of its ways back that are short enough.
#[test]
fn weights_average_to_what_short_walks_can_reach() {
    let (model, weights) = model();
    let states = States::of(model.policy.environment().as_ref(), 100).expect("ten states");
    let home = home_within(&states);
    let log_reward = |i: usize| f64::from(states.state(i)[0]) - 0.5 * f64::from(states.state(i)[1]);
    let reached: f64 = (1..states.len()).map(|i| log_reward(i).exp() * home[i]).sum();
    let z: f64 = (1..states.len()).map(|i| log_reward(i).exp()).sum();
    assert!(reached < 0.9 * z);
    let evaluator = model.network.with(&weights);
    let noise = Noise::new(6, Purpose::Choice);
    let found =
        forward_rollout(&model.policy, evaluator.as_ref(), &Tilted, &[], 60_000, &noise, &|_| true).unwrap();
    let from_paths = evidence(&found.log_weights);
    assert!((from_paths.log_z.value - reached.ln()).abs() < 4.5 * from_paths.log_z.error, "{from_paths:?}");
    assert!(from_paths.elbo.value < reached.ln() + 4.5 * from_paths.elbo.error, "{from_paths:?}");
    assert!(from_paths.elbo.value.is_finite());
}

#[test]
fn ways_back_end_as_often_as_the_chain_does() {
    let (model, weights) = model();
    let states = States::of(model.policy.environment().as_ref(), 100).expect("ten states");
    let evaluator = model.network.with(&weights);
    let count = 20_000;
    for (i, p) in home_within(&states).into_iter().enumerate().skip(1) {
        let objects = states.state(i).repeat(count);
        let noise = Noise::new(7 + i as u64, Purpose::Backward);
        let zeros = vec![0.0; count];
        let found =
            backward_rollout(&model.policy, evaluator.as_ref(), &objects, &[], &zeros, &noise, &|_| true)
                .unwrap();
        let ended = found.iter().filter(|log_weight| log_weight.is_finite()).count();
        near(ended as f64 / count as f64, p, count, "home");
    }
}

/// What weights of a posterior average to: `E_prior[R^beta]` over the walks that end soon enough; those that are given up count as
/// none, wherever they are.
#[test]
fn weights_of_a_posterior_leave_out_what_is_cut() {
    let (model, weights) = model();
    let prior = model.network.initial(&Noise::new(14, Purpose::Weights));
    let (states, stopped) = stopped_within(&model, &prior);
    let beta = 1.5;
    let log_reward = |i: usize| f64::from(states.state(i)[0]) - 0.5 * f64::from(states.state(i)[1]);
    let exact: f64 = (1..states.len()).map(|i| stopped[i] * (beta * log_reward(i)).exp()).sum();
    let (evaluator, prior) = (model.network.with(&weights), model.network.with(&prior));
    let relative = Relative { prior: prior.as_ref(), beta };
    let noise = Noise::new(15, Purpose::Choice);
    let found =
        forward_relative(&model.policy, evaluator.as_ref(), relative, &Tilted, 60_000, &noise, &|_| true);
    let found = found.unwrap();
    assert!(found.cut > 1000, "{}", found.cut);
    let from_paths = evidence(&found.log_weights);
    assert!((from_paths.log_z.value - exact.ln()).abs() < 4.5 * from_paths.log_z.error, "{from_paths:?}");
}
