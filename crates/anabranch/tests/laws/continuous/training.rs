//! Training by trajectory balance on targets of known `log Z`.

use anabranch::math::Estimate;
use anabranch::model::gflownet::{Batch, ForwardRollout};
use anabranch::network::Activation;
use anabranch::network::taped::{Mlp, TapedNetwork};
use anabranch::policy::{Behaviour, Policy};
use anabranch::rng::{Noise, Purpose};

use super::*;

/// Adam's moments of a vector of weights.
struct Adam {
    rate: f32,
    steps: i32,
    moments: Vec<[f32; 2]>,
}

impl Adam {
    fn new(rate: f32, count: usize) -> Self {
        Self { rate, steps: 0, moments: vec![[0.0; 2]; count] }
    }

    fn step(&mut self, weights: &mut [f32], gradient: &[f32]) {
        self.steps += 1;
        let (first, second) = (1.0 - 0.9f32.powi(self.steps), 1.0 - 0.999f32.powi(self.steps));
        for ((weight, g), [m, v]) in weights.iter_mut().zip(gradient).zip(&mut self.moments) {
            *m = 0.9 * *m + 0.1 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            *weight -= self.rate * (*m / first) / ((*v / second).sqrt() + 1e-8);
        }
    }
}

/// Walks on-policy and fills in rewards.
fn walk(
    instance: &Instance,
    network: &Mlp,
    weights: &[f32],
    count: usize,
    noise: &Noise,
    batch: &mut Batch<ContinuousActions>,
) {
    let policy = &instance.policy;
    let sources = instance.source().repeat(count);
    let behaviour = Behaviour::default();
    let forward_rollout = ForwardRollout { sources: &sources, conditions: &[], behaviour, noise };
    batch.clear();
    batch.forward_rollout(policy, network.with(weights).as_ref(), forward_rollout).unwrap();
    batch.describe(policy);
    let mut objects = Vec::new();
    batch.objects(policy, &mut objects);
    batch.paths.log_reward =
        objects.chunks_exact(policy.cells()).map(|object| (instance.log_reward)(object)).collect();
}

/// The ELBO less `log Z`, and the importance-weighted `log Z` less the true one, of on-policy trajectories.
fn bounds(instance: &Instance, network: &Mlp, weights: &[f32]) -> (f64, f64) {
    let mut batch = Batch::default();
    walk(instance, network, weights, 4000, &Noise::new(77, Purpose::Metric), &mut batch);
    let excess: Vec<f64> = batch.paths.log_weights().iter().map(|w| w - instance.log_z).collect();
    let ratios: Vec<f64> = excess.iter().map(|w| w.exp()).collect();
    (Estimate::mean(&excess).value, Estimate::mean(&ratios).value.ln())
}

/// What training reaches.
struct Trained {
    network: Mlp,
    weights: Vec<f32>,
    /// `log Z - ELBO` before and after.
    gaps: [f64; 2],
    /// The learned `log Z` less the true one.
    log_z_error: f64,
    /// The importance-weighted one less the true one.
    weighted_error: f64,
}

/// Some hundred steps of trajectory balance.
fn train(instance: &Instance, steps: u64, batch_size: usize) -> Trained {
    let policy = &instance.policy;
    let network = Mlp::new(policy.inputs(), &[48, 48], policy.outputs(), Activation::Silu);
    let mut weights = network.initial(&Noise::new(1, Purpose::Weights));
    let before = bounds(instance, &network, &weights);
    let (mut adam, mut adam_z) = (Adam::new(3e-3, weights.len()), Adam::new(3e-2, 1));
    let (mut log_z, mut gradient, mut batch) = ([0.0f32], vec![0.0; weights.len()], Batch::default());
    for step in 0..steps {
        // The last third anneals.
        let share = (3.0 * (1.0 - step as f32 / steps as f32)).min(1.0);
        (adam.rate, adam_z.rate) = (3e-3 * share, 3e-2 * share);
        let noise = Noise::new(2, Purpose::Choice).from_trajectory(step * batch_size as u64);
        walk(instance, &network, &weights, batch_size, &noise, &mut batch);
        batch.slopes.reset(&batch.paths);
        let mut slope_z = 0.0;
        for (b, v) in batch.paths.log_weights().into_iter().enumerate() {
            let slope = 2.0 * (f64::from(log_z[0]) - v) / batch_size as f64;
            slope_z += slope;
            for row in batch.paths.starts[b]..batch.paths.starts[b + 1] {
                batch.slopes.forward[row] = slope;
                batch.slopes.backward[row] = -slope;
            }
        }
        batch.differentiate(policy, network.with(&weights).as_ref(), &mut gradient);
        let norm = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
        gradient.iter_mut().for_each(|g| *g /= (norm / 10.0).max(1.0));
        adam.step(&mut weights, &gradient);
        adam_z.step(&mut log_z, &[slope_z as f32]);
    }
    let after = bounds(instance, &network, &weights);
    Trained {
        network,
        weights,
        gaps: [-before.0, -after.0],
        log_z_error: f64::from(log_z[0]) - instance.log_z,
        weighted_error: after.1,
    }
}

/// The gap of the ELBO falls, the learned `log Z` is where it meets the ELBO, and the importance-weighted one is the true one.
#[test]
fn training_finds_log_z() {
    for instance in instances() {
        let Trained { gaps: [before, after], log_z_error, weighted_error, .. } = train(&instance, 500, 128);
        let name = instance.name;
        // What is left: one Gaussian cannot split in three steps, a fixed P_B asks for moves that are no product, and fine
        // steps need longer training.
        let share = match name {
            "plane" => 0.5,
            "cube" => 0.7,
            "fine polar" => 0.4,
            _ => 0.12,
        };
        assert!(after < share * before, "{name}: the gap falls from {before} to {after}");
        assert!((log_z_error + after).abs() < 0.02 + 0.15 * before, "{name}: log Z is off by {log_z_error}");
        assert!(
            weighted_error.abs() < 0.02 + 0.1 * after,
            "{name}: weighted, log Z is off by {weighted_error}"
        );
    }
}

/// Charts of different dimensions are reached in proportion to their masses, to 2% and the deviation of a sample.
#[test]
fn charts_are_reached_by_their_masses() {
    for instance in instances().iter().filter(|instance| matches!(instance.space, Space::Hybrid { .. })) {
        let Trained { network, weights, .. } = train(instance, 500, 128);
        let (mut batch, mut objects, count) = (Batch::default(), Vec::new(), 20_000);
        walk(instance, &network, &weights, count, &Noise::new(5, Purpose::Metric), &mut batch);
        batch.objects(&instance.policy, &mut objects);
        for (chart, mass) in CHART_WEIGHTS.iter().enumerate() {
            let objects = objects.chunks_exact(instance.policy.cells());
            let found = objects.filter(|object| object[0] == chart as f32).count() as f64 / count as f64;
            let expected = (mass.ln() - instance.log_z).exp();
            let deviation = (expected * (1.0 - expected) / count as f64).sqrt();
            assert!(
                (found - expected).abs() < 0.02 + 5.0 * deviation,
                "{}, chart {chart}: {found}, {expected} expected",
                instance.name
            );
        }
    }
}
