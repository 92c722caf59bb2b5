use std::sync::Arc;

use super::*;
use crate::environment::Hypergrid;
use crate::network::Activation;
use crate::network::taped::{Inputs, Mlp};
use crate::policy::{Actions, BackwardPolicy, FlowHead};
use crate::rng::Purpose;

fn model(backward: BackwardPolicy, flow: FlowHead, condition: usize) -> GFlowNet<Actions> {
    let policy = Actions::new(Arc::new(Hypergrid::new(3, 4).expect("a grid")), backward, flow);
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
        let forward_rollout = ForwardRollout {
            sources: &sources,
            conditions: &conditions,
            behaviour: Behaviour::default(),
            noise: &noise,
        };
        let backward_rollout =
            BackwardRollout { objects: &objects, conditions: &conditions, most: &[], noise: &noise };
        batch.forward_rollout(policy, evaluator.as_ref(), forward_rollout).unwrap();
        batch.backward_rollout(policy, evaluator.as_ref(), backward_rollout).unwrap();
        batch.describe(policy);
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
            let forward_rollout = ForwardRollout {
                sources: &sources,
                conditions: &[],
                behaviour: Behaviour::default(),
                noise: &noise,
            };
            batch
                .forward_rollout(&model.policy, model.network.with(&weights).as_ref(), forward_rollout)
                .unwrap();
            batch.describe(&model.policy);
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

/// Flows in and out of every visited state against those of a policy that is known everywhere, and their gradient against
/// central differences.
#[test]
fn edge_flows_agree_with_the_policy_everywhere() {
    for flow in [FlowHead::Logits, FlowHead::Output] {
        let model = model(BackwardPolicy::Uniform, flow, 0);
        let policy = &model.policy;
        let weights = model.network.initial(&Noise::new(4, Purpose::Weights));
        let (sources, noise) = (vec![0; 20 * 3], Noise::new(9, Purpose::Choice));
        let behaviour = Behaviour::default();
        let forward_rollout = ForwardRollout { sources: &sources, conditions: &[], behaviour, noise: &noise };
        let mut batch = Batch::default();
        let evaluator = model.network.with(&weights);
        batch.forward_rollout(policy, evaluator.as_ref(), forward_rollout).unwrap();
        batch.describe(policy);
        batch.ask_parents(policy, evaluator.as_ref());
        let mut states = Vec::new();
        batch.states(policy, &mut states);
        let flow_at = |state: &[u16]| {
            let mut tape = crate::network::taped::Tape::default();
            tape.push(crate::network::taped::NONE, |on, dense| policy.encode(state, on, dense));
            evaluator.evaluate(&mut tape, 0);
            let row = tape.output_mut(0, policy.outputs());
            policy.prepare(state, row, &mut Default::default());
            let flow = row[policy.outputs() - 1];
            row[..4].iter().map(|log_p| f64::from(flow + log_p)).collect::<Vec<f64>>()
        };
        let edge_flows = &batch.edge_flows;
        assert_eq!(edge_flows.rows.len(), states.len() / 3);
        for (j, state) in states.chunks(3).enumerate() {
            let out: Vec<f64> = flow_at(state).into_iter().collect();
            let moves: Vec<f64> = out[..3].iter().copied().filter(|flow| flow.is_finite()).collect();
            assert_close(
                &edge_flows.outflows[edge_flows.out_starts[j]..edge_flows.out_starts[j + 1]],
                &moves,
            );
            assert_close(&[edge_flows.stops[j]], &out[3..]);
            let into: Vec<f64> = (0..3)
                .filter(|d| state[*d] > 0)
                .map(|d| {
                    let mut parent = state.to_vec();
                    parent[d] -= 1;
                    flow_at(&parent)[d]
                })
                .collect();
            assert_close(&edge_flows.inflows[edge_flows.in_starts[j]..edge_flows.in_starts[j + 1]], &into);
        }
        let factor = |at: usize| 1.0 + 0.1 * (at % 11) as f64;
        let value = |edge_flows: &EdgeFlows| {
            let sum =
                |flows: &[f64]| flows.iter().enumerate().map(|(at, flow)| factor(at) * flow).sum::<f64>();
            sum(&edge_flows.inflows) - 0.5 * sum(&edge_flows.outflows) + 2.0 * sum(&edge_flows.stops)
        };
        let slopes = |flows: &[f64], by: f64| (0..flows.len()).map(|at| by * factor(at)).collect();
        batch.edge_flow_slopes = StateFlowSlopes {
            inflows: slopes(&edge_flows.inflows, 1.0),
            outflows: slopes(&edge_flows.outflows, -0.5),
            stops: slopes(&edge_flows.stops, 2.0),
        };
        let mut gradient = vec![0.0; weights.len()];
        batch.differentiate_edge_flows(policy, evaluator.as_ref(), &mut gradient);
        drop(evaluator);
        for at in (0..weights.len()).step_by(11) {
            let at_shift = |shift: f32| {
                let mut moved = weights.clone();
                moved[at] += shift;
                let evaluator = model.network.with(&moved);
                let mut same = Batch::default();
                same.forward_rollout(policy, model.network.with(&weights).as_ref(), forward_rollout).unwrap();
                same.ask_again(policy, evaluator.as_ref());
                same.ask_parents(policy, evaluator.as_ref());
                value(&same.edge_flows)
            };
            let numeric = (at_shift(1e-2) - at_shift(-1e-2)) / 2e-2;
            let found = f64::from(gradient[at]);
            assert!(
                (numeric - found).abs() < 2e-2 * (1.0 + numeric.abs()),
                "{flow:?}, {at}: {found}, {numeric}"
            );
        }
    }
}

fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{found} where {expected} is expected");
    }
}
