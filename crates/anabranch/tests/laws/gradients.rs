//! Objectives of chains: their gradients are those of difference quotients, and the exact solution costs nothing.

use std::sync::Arc;

use anabranch::chain::{Paths, Slopes};
use anabranch::objective::{
    BackwardObjective, ChiSquare, Drawn, ForwardKl, Gradient, ImportanceWeighted, ImportanceWeightedElbo,
    LogVariance, ObjectiveRecipe, PathObjective, ReverseKl, TrajectoryBalance,
};

use super::instances::*;
use super::objectives::objective;

const ROWS: usize = 256;
const LOG_Z: f64 = 0.8;

fn target() -> DiagonalGaussian {
    DiagonalGaussian { mean: vec![0.4, -0.3, 0.2], std: vec![0.5, 0.9, 1.4], log_z: 1.3 }
}

/// The objectives of a chain without state flows.
fn cases() -> Vec<(&'static str, Arc<dyn PathObjective>)> {
    let forward = |kl_weight| ObjectiveRecipe::ForwardKl(ForwardKl { kl_weight, ..ForwardKl::default() });
    let several = ImportanceWeightedElbo { samples: 4, gradient: Gradient::Total };
    let cases = [
        ("forward-kl", forward(1.0)),
        ("forward-kl, weighted", forward(0.3)),
        ("importance-weighted", ObjectiveRecipe::ImportanceWeighted(ImportanceWeighted { samples: 3 })),
        ("reverse-kl", ObjectiveRecipe::ReverseKl(ReverseKl::default())),
        ("importance-weighted-elbo", ObjectiveRecipe::ImportanceWeightedElbo(several)),
        ("chi-square", ObjectiveRecipe::ChiSquare(ChiSquare { samples: 4, gradient: Gradient::Total })),
        ("trajectory-balance", ObjectiveRecipe::TrajectoryBalance(TrajectoryBalance::default())),
        ("log-variance", ObjectiveRecipe::LogVariance(LogVariance::default())),
    ];
    cases.map(|(name, recipe)| (name, objective(&recipe, BackwardObjective::Joint))).to_vec()
}

/// The paths that an objective asks for, with their numbers: from the data `x`, or onto the target, where detached through
/// `states` that are given.
fn drawn(
    model: &Model,
    objective: &dyn PathObjective,
    target: &dyn Target,
    x: &[f32],
    states: &States,
    log_z: f64,
    address: &Noise,
) -> (Path, Paths) {
    let needs = objective.needs();
    let (path, log_reward) = match needs.drawn {
        Drawn::Backward { samples, local } => {
            let d = model.dimension();
            let repeated: Vec<f32> = x.chunks_exact(d).flat_map(|row| row.repeat(samples)).collect();
            let log_reward = vec![0.0; repeated.len() / d];
            let x = matrix(repeated, d, &model.device());
            (Path::backward(model, x, NOTHING, address, local.then_some(Goal::Loss)).unwrap(), log_reward)
        }
        Drawn::Forward if needs.through_states => {
            let path = Path::forward(model, target, ROWS, NOTHING, address).expect("a density");
            let log_reward = to_vec_f64(path.log_reward.clone().expect("an energy's").detach());
            (path, log_reward)
        }
        Drawn::Forward => {
            let log_reward = to_vec_f64(log_density(target, states.end(), NOTHING).expect("a density"));
            (Path::scored(model, states, NOTHING, address).unwrap().0, log_reward)
        }
    };
    let mut paths = Paths::default();
    path.numbers(log_reward, &mut paths);
    paths.log_z = vec![log_z; paths.log_reward.len()];
    (path, paths)
}

/// A loss, and its gradient by every weight vector of a tracked model.
fn gradients(model: &Model, objective: &dyn PathObjective, drawn: (Path, Paths)) -> (f64, Vec<Vec<f32>>) {
    let (path, paths) = drawn;
    let mut slopes = Slopes::default();
    let loss = objective.evaluate(&paths, &mut slopes);
    let mut found = path.pull(&slopes).expect("some slope").backward();
    let of = |weights: &Weights| {
        weights.gradient(&mut found).unwrap_or_else(|| panic!("{} takes no part", weights.name()))
    };
    (loss, model.weights().into_iter().map(of).collect())
}

/// The gradient of every objective by every weight vector of every chain, a learned schedule's too, along a direction of chance.
#[test]
fn gradients_of_chain_objectives_are_those_of_differences() {
    let mut checked = 0;
    let target = target();
    let x = target.draw(ROWS, &noise(504).purpose(Purpose::Target)).expect("exact");
    for (name, model) in continuous_models(3) {
        let states = States::draw(&model, ROWS, NOTHING, &noise(500)).unwrap();
        let mut tracked = model.clone();
        tracked.track();
        for (kind, objective) in cases() {
            let draw =
                |model: &Model| drawn(model, objective.as_ref(), &target, &x, &states, LOG_Z, &noise(502));
            let (_, found) = gradients(&tracked, objective.as_ref(), draw(&tracked));
            for (index, (gradient, weights)) in found.iter().zip(model.weights()).enumerate() {
                let place = format!("{kind} of {name} by {}", weights.name());
                let mut direction: Vec<f64> =
                    noise(510 + index as u32).normal(1, weights.len()).into_iter().map(f64::from).collect();
                // A schedule's shape learns from the variance of the simulation-free loss; from the loss its ends alone.
                if weights.name() == "g" && kind.starts_with("forward-kl") {
                    direction[2..].fill(0.0);
                }
                let norm = direction.iter().map(|v| v * v).sum::<f64>().sqrt();
                let along: f64 = gradient.iter().zip(&direction).map(|(g, v)| f64::from(*g) * v / norm).sum();
                let at = |by: f64| {
                    let mut all: Vec<Vec<f32>> = model.weights().iter().map(|w| w.values()).collect();
                    let moved = all[index].iter_mut().zip(&direction);
                    moved.for_each(|(w, v)| *w = (f64::from(*w) + by * v / norm) as f32);
                    let (_, paths) = draw(&model.with_weights(&all));
                    objective.evaluate(&paths, &mut Slopes::default())
                };
                let step = 0.01;
                let quotient = (at(step) - at(-step)) / (2.0 * step);
                let size = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
                let expected = size / (direction.len() as f64).sqrt();
                assert!(
                    (along - quotient).abs() < 0.1 * along.abs().max(expected) + 4e-3,
                    "{place}: gradient {along}, difference quotient {quotient}, size {size}"
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "only {checked} gradients were checked");
}

/// Networks of one linear layer, set to `y = rows x + bias`.
fn linear_network(rows: &[&[f32]], bias: &[f32]) -> Network {
    let shape = Feedforward {
        input: rows[0].len(),
        context: 0,
        hidden: vec![],
        output: rows.len(),
        activation: Activation::Silu,
        residual: false,
    };
    let mut network = Network::new("linear", shape, 1, 0, false);
    let mut values = vec![0.0; network.weights().len()];
    for slot in network.weights().slots() {
        let of = &mut values[slot.range.clone()];
        match slot.shape[..] {
            [inputs, outputs] => {
                (0..inputs * outputs).for_each(|at| of[at] = rows[at % outputs][at / outputs])
            }
            _ => of.copy_from_slice(bias),
        }
    }
    network.weights_mut().set(values);
    network
}

/// A flow onto a Gaussian, and a VAE with a linear decoder and its exact posterior as encoder: every path weighs Z.
fn exact_chains() -> Vec<(&'static str, Model, FullGaussian)> {
    let log_z = -0.7;
    let mut norm = ActNorm::new("a", 2);
    let (std, shift) = ([0.5f32, 2.0], [1.0f32, -0.5]);
    norm.weights_mut()[0].set(vec![std[0].ln(), std[1].ln(), shift[0], shift[1]]);
    let covariance = [0.25, 0.0, 0.0, 4.0];
    let flow_target =
        FullGaussian::from_covariance(vec![1.0, -0.5], &covariance, log_z).expect("positive definite");
    // x = a z + b + s eps; z given x is N(precision^-1 a . (x - b) / s^2, precision^-1), precision = 1 + a . a / s^2.
    let (a, b, s) = ([0.8f64, -1.5], [0.3f64, 0.7], 0.6f64);
    let precision = 1.0 + (a[0] * a[0] + a[1] * a[1]) / (s * s);
    let gain = a.map(|a| a / (s * s) / precision);
    // Log-standard-deviations are squashed: 6 tanh(raw / 6).
    let raw = |std: f64| (6.0 * (std.ln() / 6.0).atanh()) as f32;
    let encoder = linear_network(
        &[&[gain[0] as f32, gain[1] as f32], &[0.0, 0.0]],
        &[-(gain[0] * b[0] + gain[1] * b[1]) as f32, raw(precision.sqrt().recip())],
    );
    let decoder = linear_network(
        &[&[a[0] as f32], &[a[1] as f32], &[0.0], &[0.0]],
        &[b[0] as f32, b[1] as f32, raw(s), raw(s)],
    );
    let vae = Vae::new(ObservationModel::Gaussian, vec![encoder], vec![decoder]);
    let covariance = [a[0] * a[0] + s * s, a[0] * a[1], a[0] * a[1], a[1] * a[1] + s * s];
    let vae_target =
        FullGaussian::from_covariance(b.to_vec(), &covariance, log_z).expect("positive definite");
    vec![
        ("flow", Model::new(vec![Box::new(Flow::new(2, vec![Box::new(norm)]))]), flow_target),
        ("vae", Model::new(vec![Box::new(vae)]), vae_target),
    ]
}

/// At the exact solution every path weighs Z: the losses are what they should be and the gradient is 0, of the trajectory losses
/// for every batch, of the others on average.
#[test]
fn the_exact_solution_is_stationary() {
    for (name, mut model, target) in exact_chains() {
        let exact = target.log_z(&[]).expect("known");
        let log_weights =
            to_vec_f64(forward_log_weights(&model, &target, 500, NOTHING, &noise(520)).expect("a density"));
        assert!(log_weights.iter().all(|w| (w - exact).abs() < 1e-4), "{name}: {log_weights:?}");
        let states = States::draw(&model, ROWS, NOTHING, &noise(521)).unwrap();
        model.track();
        let batches = 200;
        for (kind, objective) in cases().into_iter().filter(|(kind, _)| *kind != "forward-kl, weighted") {
            let each = kind == "trajectory-balance" || kind == "log-variance";
            let mut all: Vec<Vec<f64>> = Vec::new();
            for batch in 0..if each { 1 } else { batches } {
                let address = noise(530).from_row(batch * ROWS);
                let x = target.draw(ROWS, &address.purpose(Purpose::Target)).expect("exact");
                let drawn = drawn(&model, objective.as_ref(), &target, &x, &states, exact, &address);
                let (loss, gradient) = gradients(&model, objective.as_ref(), drawn);
                let log_r = to_vec_f64(
                    log_density(&target, &matrix(x, 2, &Device::flex()), NOTHING).expect("a density"),
                );
                let expected = match kind {
                    "reverse-kl" | "importance-weighted-elbo" => -exact,
                    "chi-square" => exact,
                    "forward-kl" | "importance-weighted" => exact - Estimate::mean(&log_r).value,
                    _ => 0.0,
                };
                assert!((loss - expected).abs() < 1e-4, "{name}, {kind}: {loss} and {expected}");
                all.push(gradient.into_iter().flatten().map(f64::from).collect());
            }
            for at in 0..all[0].len() {
                if each {
                    assert!(all[0][at].abs() < 2e-4, "{name}, {kind}, {at}: {}", all[0][at]);
                    continue;
                }
                let mean = Estimate::mean(&all.iter().map(|gradient| gradient[at]).collect::<Vec<_>>());
                assert!(mean.value.abs() < 4.5 * mean.error + 1e-5, "{name}, {kind}, {at}: {mean:?}");
            }
        }
    }
}
