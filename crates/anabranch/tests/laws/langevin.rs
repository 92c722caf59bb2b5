//! Langevin dynamics, their reversals, and controlled diffusions: what the lists in `instances` do not say of them.

use std::sync::Arc;

use anabranch::chain::{Paths, Slopes};
use anabranch::objective::{LogVariance, PathObjective as _};
use anabranch::sampler::smc::Smc;

use super::annealed::{PATHS, lopsided, resampled, weighed};
use super::instances::*;

/// Momenta whose networks are not 0; what of the path is learned, all or nothing.
fn underdamped(
    target: Arc<dyn Target>,
    kind: PathKind,
    steps: usize,
    made: Option<fn(Drift) -> Reversal>,
) -> Underdamped {
    let path = annealing_path(target, kind, steps, true);
    let d = path.base.dimension();
    let reversal = made.map_or(Reversal::Same, |made| {
        // A control of momenta is a drift for each direction.
        let drifts = if matches!(own_drift([1, 1], 0.2, made), Reversal::Controlled(_)) { 2 } else { 1 };
        own_drift([2 * d, drifts * d], 0.2, made)
    });
    Underdamped { path, reversal, friction: Friction::new("friction", 3.0, true) }
}

/// A reversal that is made of a drift.
type Made = fn(Drift) -> Reversal;

const REVERSALS: [Option<Made>; 3] = [None, Some(Reversal::Learned), Some(Reversal::Controlled)];

/// Every family on a target of the plane, with weights that are not at their start.
fn families(target: &Arc<dyn Target>, steps: usize) -> Vec<(String, Model)> {
    let mut all: Vec<(String, Box<dyn Segment>)> = Vec::new();
    for kind in PATHS {
        for (index, made) in REVERSALS.into_iter().enumerate() {
            let reversal = made.map_or(Reversal::Same, |made| own_drift([2, 2], 0.2, made));
            let path = annealing_path(target.clone(), kind, steps, true);
            all.push((format!("langevin {index} {kind:?}"), Box::new(Langevin { path, reversal })));
            let momentum = underdamped(target.clone(), kind, steps, made);
            all.push((format!("momentum {index} {kind:?}"), Box::new(momentum)));
        }
    }
    for (name, reference) in REFERENCES {
        let segment = controlled_diffusion(2, reference, Some(target.clone()));
        all.push((format!("guided {name}"), Box::new(segment)));
    }
    all.into_iter().map(|(name, segment)| (name, Model::new(vec![segment]))).collect()
}

/// Law 2, forward and backward.
#[test]
fn law_2_langevin_and_controlled() {
    let mut weighed_well = 0;
    for (target, exact) in [(lopsided(), 0.0), weighed()] {
        for (name, model) in families(&target, 5) {
            let weights = forward_log_weights(&model, target.as_ref(), 10_000, NOTHING, &noise(811));
            let found = evidence(&to_vec_f64(weights.expect("a density")));
            assert!(found.elbo.value <= exact + 4.0 * found.elbo.error, "{name}: {found:?}");
            if found.ess > 0.15 {
                assert!((found.log_z.value - exact).abs() < 4.5 * found.log_z.error, "{name}: {found:?}");
                weighed_well += 1;
            }
            let rows = target.draw(10_000, &noise(812)).expect("exact");
            let x = matrix(rows, 2, &Device::flex());
            let reward = log_density(target.as_ref(), &x, NOTHING).expect("a density");
            let encoded = model.chain().encode(x, NOTHING, &noise(813)).expect("a density").log_weight;
            let backward = to_vec_f64(reward - encoded);
            let upper = Estimate::mean(&backward);
            assert!(upper.value >= exact - 4.0 * upper.error, "{name}: {upper:?}");
            let inverse = evidence(&backward.iter().map(|w| -w).collect::<Vec<f64>>());
            if inverse.ess > 0.15 {
                let near = (inverse.log_z.value + exact).abs() < 4.5 * inverse.log_z.error;
                assert!(near, "{name}: {inverse:?}");
            }
        }
    }
    assert!(weighed_well >= 10, "{weighed_well} of 28 had power");
}

/// Law 2 of particles, resampled by the densities that the kernels are meant to reach, those of momenta too.
#[test]
fn law_2_resampled_dynamics() {
    let (target, exact) = weighed();
    for (name, model) in families(&target, 4).into_iter().filter(|(name, _)| !name.starts_with("guided")) {
        let smc = Smc { particles: 12, repeats: 1, threshold: 0.8, ..Smc::default() };
        let log_z: Vec<f64> = (0..600).map(|seed| resampled(&smc, &model, target.as_ref(), seed)).collect();
        let found = evidence(&log_z);
        let near = (found.log_z.value - exact).abs() < 4.5 * found.log_z.error;
        assert!(found.ess > 0.1 && near, "{name}: {found:?}");
        assert!(found.elbo.value < exact + 3.0 * found.elbo.error, "{name}: {found:?}");
    }
}

/// A path that was walked is scored as it was made, with a tape and without.
#[test]
fn dynamics_are_scored_as_they_were_made() {
    for (name, mut model) in families(&lopsided(), 4) {
        let address = noise(821);
        let states = States::draw(&model, 60, NOTHING, &address).unwrap();
        let generated = to_vec_f64(-model.chain().generate(60, NOTHING, &address).unwrap().log_weight);
        for tracked in [false, true] {
            if tracked {
                model.track();
            }
            let scored = to_vec_f64(Path::scored(&model, &states, NOTHING, &noise(822)).unwrap().0.total());
            let difference = largest_difference(&generated, &scored);
            assert!(difference < 2e-3, "{name}, {tracked}: {difference}");
        }
    }
}

/// With a tape a chain draws and weighs what it does without.
#[test]
fn dynamics_on_the_tape_are_those_without() {
    let target = lopsided();
    for (name, model) in families(&target, 4) {
        let plain = forward_log_weights(&model, target.as_ref(), 40, NOTHING, &noise(831)).unwrap();
        let mut tracked = model.clone();
        tracked.track();
        let path = Path::forward(&tracked, target.as_ref(), 40, NOTHING, &noise(831)).unwrap();
        let reward = to_vec_f64(path.log_reward.clone().expect("an energy's"));
        let total = to_vec_f64(path.total());
        let on_tape: Vec<f64> = reward.iter().zip(&total).map(|(reward, total)| reward - total).collect();
        let difference = largest_difference(&on_tape, &to_vec_f64(plain));
        assert!(difference < 2e-3, "{name}: {difference}");
    }
}

/// The gradient of the reverse KL by every learned vector - base, ladder, step sizes, friction, network - is that of differences.
#[test]
fn gradients_through_dynamics_are_those_of_differences() {
    let target = lopsided();
    let rows = 400;
    let mut checked = 0;
    for (name, model) in families(&target, 3).into_iter().filter(|(name, _)| !name.starts_with("guided")) {
        let elbo = |model: &Model| {
            let weights = forward_log_weights(model, target.as_ref(), rows, NOTHING, &noise(841)).unwrap();
            to_vec_f64(weights).iter().sum::<f64>() / rows as f64
        };
        let mut tracked = model.clone();
        tracked.track();
        let path = Path::forward(&tracked, target.as_ref(), rows, NOTHING, &noise(841)).unwrap();
        let reward = path.log_reward.clone().expect("an energy's");
        let mut found = (reward - path.total()).mean().backward();
        let first: Vec<Vec<f32>> = model.weights().into_iter().map(Weights::values).collect();
        for (index, weights) in tracked.weights().into_iter().enumerate() {
            let gradient = weights
                .gradient(&mut found)
                .unwrap_or_else(|| panic!("{name}: {} takes no part", weights.name()));
            let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let at = |by: f64| {
                let mut moved = first.clone();
                moved[index]
                    .iter_mut()
                    .zip(&gradient)
                    .for_each(|(w, g)| *w = (f64::from(*w) + by * f64::from(*g) / norm) as f32);
                elbo(&model.with_weights(&moved))
            };
            let step = 4e-3;
            let quotient = (at(step) - at(-step)) / (2.0 * step);
            assert!(
                (norm - quotient).abs() < 0.03 * norm + 2e-3,
                "{name} by {}: {norm}, by differences {quotient}",
                weights.name()
            );
            checked += 1;
        }
    }
    assert!(checked >= 48, "{checked}");
}

/// The gradient of the log-variance at given states by what learns there - friction, and the drifts of both chains - is that of
/// differences.
#[test]
fn gradients_at_given_states_are_those_of_differences() {
    let target = lopsided();
    let mut checked = 0;
    for made in REVERSALS {
        let mut dynamics = underdamped(target.clone(), PathKind::Geometric, 3, made);
        dynamics.path = annealing_path(target.clone(), PathKind::Geometric, 3, false);
        let model = Model::new(vec![Box::new(dynamics)]);
        let states = States::draw(&model, 300, NOTHING, &noise(845)).unwrap();
        let log_reward = to_vec_f64(log_density(target.as_ref(), states.end(), NOTHING).unwrap());
        let loss = |model: &Model, slopes: &mut Slopes| {
            let (path, mut paths) =
                (Path::scored(model, &states, NOTHING, &noise(846)).unwrap().0, Paths::default());
            path.numbers(log_reward.clone(), &mut paths);
            (LogVariance::default().evaluate(&paths, slopes), path)
        };
        let mut tracked = model.clone();
        tracked.track();
        let mut slopes = Slopes::default();
        let (_, path) = loss(&tracked, &mut slopes);
        let mut found = path.pull(&slopes).expect("some slope").backward();
        let first: Vec<Vec<f32>> = model.weights().into_iter().map(Weights::values).collect();
        for (index, weights) in tracked.weights().into_iter().enumerate() {
            let Some(gradient) = weights.gradient(&mut found) else { continue };
            let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let at = |by: f64| {
                let mut moved = first.clone();
                let along = moved[index].iter_mut().zip(&gradient);
                along.for_each(|(w, g)| *w = (f64::from(*w) + by * f64::from(*g) / norm) as f32);
                loss(&model.with_weights(&moved), &mut Slopes::default()).0
            };
            let step = 2e-3;
            let quotient = (at(step) - at(-step)) / (2.0 * step);
            let name = weights.name();
            assert!(
                (norm - quotient).abs() < 0.03 * norm + 2e-3,
                "{name}: {norm}, by differences {quotient}"
            );
            checked += usize::from(norm > 0.0);
        }
    }
    assert!(checked >= 5, "{checked}");
}

/// Where the reversal is exact, a path weighs what its end does: of a chain that relaxes within a Gaussian, from a base of the width
/// at which the discrete dynamics are in equilibrium, `s(z, k) = (2 - eps) m_{k-1}` with `m_k = (1 - eps)^k m_0`.
#[test]
fn the_exact_reversal_weighs_ends_alone() {
    let (steps, size, shift) = (6, 0.3f64, 2.0f64);
    let target: Arc<dyn Target> = Arc::new(DiagonalGaussian { mean: vec![0.0], std: vec![1.0], log_z: 0.0 });
    let width = (1.0 - 0.5 * size).recip().sqrt();
    let mut ladder = Ladder::new("ladder", steps, false);
    // All levels are the target, as nearly as a ladder can say.
    let places: Vec<f64> = (1..=steps).map(|k| 1.0 - 1e-6 * (steps - k) as f64).collect();
    ladder.set(&places);
    let means: Vec<f64> = (0..=steps).map(|k| (1.0 - size).powi(k as i32) * shift).collect();
    // A network without hidden layers, whose embedding of six places solves six equations.
    let shape = Feedforward {
        input: 1,
        context: 32,
        hidden: vec![],
        output: 1,
        activation: Activation::Silu,
        residual: false,
    };
    let mut net = Network::new("drift", shape, 1, 0, true);
    let place =
        |k: usize| to_vec(sinusoidal(Tensor::full([1, 1], k as f32 / steps as f32, &Device::flex()), 32));
    let mut solution = [0.0f64; 32];
    for _ in 0..20_000 {
        for k in 1..=steps {
            let row: Vec<f64> = place(k).into_iter().map(f64::from).collect();
            let found: f64 = row.iter().zip(&solution).map(|(a, b)| a * b).sum();
            let gap = ((2.0 - size) * means[k - 1] - found) / row.iter().map(|a| a * a).sum::<f64>();
            solution.iter_mut().zip(&row).for_each(|(to, a)| *to += gap * a);
        }
    }
    let mut values = vec![0.0];
    values.extend(solution.iter().map(|value| *value as f32));
    values.push(0.0);
    net.weights_mut().set(values);
    let path = AnnealingPath {
        target: target.clone(),
        base: Base::new("base", 1, shift as f32, width as f32, false),
        draws_base: true,
        kind: PathKind::Geometric,
        ladder,
        sizes: StepSizes::new("steps", steps, size as f32, Decay::Constant, false),
    };
    let spread = |reversal: Reversal| {
        let model = Model::new(vec![Box::new(Langevin { path: path.clone(), reversal })]);
        let found = model.chain().generate(500, NOTHING, &noise(851)).expect("a density");
        let ends = to_vec(found.end);
        let law = |x: f32| {
            let residual = (f64::from(x) - means[steps]) / width;
            -0.5 * residual * residual - width.ln() - 0.5 * std::f64::consts::TAU.ln()
        };
        // What is left of the weight when that of the end, whose law is known, is taken away.
        let left: Vec<f64> = to_vec_f64(found.log_weight).iter().zip(ends).map(|(w, x)| w + law(x)).collect();
        left.iter().fold(0.0, |most: f64, left| most.max(left.abs()))
    };
    let (exact, plain) = (spread(Reversal::Learned(Drift::new(net, 0, 0.0, 1.0))), spread(Reversal::Same));
    assert!(exact < 2e-3 && plain > 1.0, "{exact} of the exact reversal, {plain} without");
}

/// The reference of a controlled diffusion that is not controlled is at its end what it was meant to be: `log w` then is
/// `log R(x) - log N(x; 0, s^2 I)` of every path.
#[test]
fn references_end_where_they_should() {
    for (name, reference) in REFERENCES {
        let mut segment = controlled_diffusion(3, reference, None);
        let zeros = vec![0.0; segment.drift.weights().len()];
        segment.drift.weights_mut().set(zeros);
        let std = f64::from(segment.std);
        let model = Model::new(vec![Box::new(segment)]);
        let found = model.chain().generate(200, NOTHING, &noise(861)).expect("a density");
        let ends = to_vec(found.end);
        for (weight, x) in to_vec_f64(found.log_weight).iter().zip(ends.chunks(3)) {
            let square: f64 = x.iter().map(|x| (f64::from(*x) / std).powi(2)).sum();
            let law = -0.5 * square - 3.0 * (std.ln() + 0.5 * std::f64::consts::TAU.ln());
            assert!((weight + law).abs() < 1e-3, "{name}: {weight} and {law}");
        }
    }
}

/// Law 7: the same bits whatever the number of threads.
#[test]
fn dynamics_do_not_depend_on_threads() {
    for (name, model) in families(&lopsided(), 3) {
        let with_threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| Sampler::Ancestral.sample(&model, 300, NOTHING, &noise(871)).unwrap())
        };
        assert_eq!(with_threads(1), with_threads(3), "{name}");
    }
}
