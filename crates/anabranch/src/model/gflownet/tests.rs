use std::sync::Arc;

use super::*;
use crate::environment::Hypergrid;
use crate::network::Activation;
use crate::network::taped::{Inputs, Mlp};
use crate::policy::{Actions, BackwardPolicy, FlowHead};
use crate::rng::Purpose;

fn model(backward: BackwardPolicy, flow: FlowHead, condition: usize) -> GFlowNet<Actions> {
    let policy = Actions::new(Arc::new(Hypergrid { dim: 3, side: 4 }), backward, flow);
    let inputs = Inputs { features: policy.inputs().features, dense: condition };
    let network = Arc::new(Mlp::new(inputs, &[13, 9], policy.outputs(), Activation::Silu));
    GFlowNet { policy, network }
}

/// A smooth function of everything that paths say, with its slopes.
fn value_and_slopes(paths: &Paths, slopes: &mut Slopes) -> f64 {
    slopes.reset(paths);
    let mut value = 0.0;
    for row in 0..paths.rows() {
        let weight = 1.0 + 0.3 * (row % 7) as f64;
        value += weight * paths.forward[row] - 0.7 * paths.backward[row] * weight
            + 0.5 * paths.flow[row].powi(2)
            + 0.2 * weight * paths.stop[row];
        slopes.forward[row] = weight;
        slopes.backward[row] = -0.7 * weight;
        slopes.flow[row] = paths.flow[row];
        slopes.stop[row] = 0.2 * weight;
    }
    value
}

/// The gradient of trajectories both ways, with shared rows and without, against central differences.
#[test]
fn gradients_agree_with_differences() {
    let cases = [
        (BackwardPolicy::Learned, FlowHead::Output, 2),
        (BackwardPolicy::Uniform, FlowHead::Logits, 0),
        (BackwardPolicy::Learned, FlowHead::None, 0),
    ];
    for (backward, flow, condition) in cases {
        let name = format!("{backward:?} {flow:?}");
        let model = model(backward, flow, condition);
        let policy = &model.policy;
        let noise = Noise::new(5, Purpose::Choice);
        let weights = model.network.initial(&Noise::new(1, Purpose::Weights));
        let count = 19;
        let sources = vec![0; count * 3];
        let objects: Vec<u16> = (0..count * 3).map(|i| (i * i % 4) as u16).collect();
        let mut conditions = Noise::new(2, Purpose::Data).normal(count, 2);
        conditions.truncate(count * condition);
        let mut batch = Batch::default();
        let evaluator = model.network.with(&weights);
        let outward = Outward {
            sources: &sources,
            conditions: &conditions,
            behaviour: Behaviour::default(),
            noise: &noise,
        };
        let homeward = Homeward { objects: &objects, conditions: &conditions, most: &[], noise: &noise };
        batch.walk(policy, evaluator.as_ref(), Some(outward), Some(homeward));
        assert_eq!(batch.paths.trajectories(), 2 * count);
        value_and_slopes(&batch.paths, &mut batch.slopes);
        let mut gradient = vec![0.0; weights.len()];
        batch.differentiate(policy, evaluator.as_ref(), &mut gradient);
        drop(evaluator);
        let before = batch.paths.clone();
        batch.ask_again(policy, model.network.with(&weights).as_ref());
        for (one, again) in before.forward.iter().zip(&batch.paths.forward) {
            assert!((one - again).abs() < 1e-5, "{name}: the same weights answer {one}, then {again}");
        }
        let step = 1e-2;
        for at in (0..weights.len()).step_by(7) {
            let mut at_shift = |shift: f32| {
                let mut moved = weights.clone();
                moved[at] += shift;
                batch.ask_again(policy, model.network.with(&moved).as_ref());
                value_and_slopes(&batch.paths, &mut batch.slopes)
            };
            let numeric = (at_shift(step) - at_shift(-step)) / (2.0 * f64::from(step));
            let found = f64::from(gradient[at]);
            assert!(
                (numeric - found).abs() < 2e-2 * (1.0 + numeric.abs()),
                "{name}, weight {at}: {found}, {numeric}"
            );
        }
    }
}

/// Whatever the pool of threads, the same trajectories with the same numbers; every walk is complete.
#[test]
fn walks_do_not_depend_on_threads() {
    let model = model(BackwardPolicy::Learned, FlowHead::None, 0);
    let weights = model.network.initial(&Noise::new(3, Purpose::Weights));
    let sources = vec![0; 100 * 3];
    let noise = Noise::new(8, Purpose::Choice);
    let walk = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let mut batch = Batch::default();
            let outward = Outward {
                sources: &sources,
                conditions: &[],
                behaviour: Behaviour::default(),
                noise: &noise,
            };
            batch.walk(&model.policy, model.network.with(&weights).as_ref(), Some(outward), None);
            batch.slopes.reset(&batch.paths);
            batch.slopes.forward.iter_mut().enumerate().for_each(|(i, slope)| *slope = (i as f64).sin());
            let mut gradient = vec![0.0; weights.len()];
            batch.differentiate(&model.policy, model.network.with(&weights).as_ref(), &mut gradient);
            let mut states = Vec::new();
            batch.states(&model.policy, &mut states);
            (batch.paths, states, gradient)
        })
    };
    let one = walk(1);
    assert_eq!(one, walk(2));
    assert_eq!(one, walk(5));
    for b in 0..100 {
        let rows = one.0.starts[b]..one.0.starts[b + 1];
        let moves: usize = one.1[(rows.end - 1) * 3..rows.end * 3].iter().map(|x| usize::from(*x)).sum();
        assert_eq!(moves, rows.len() - 1, "trajectory {b} walks from the source to its object");
    }
}
