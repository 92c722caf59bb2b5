//! Variational objectives: their gradients on average against closed forms and quadrature, their bounds, and their spread.

use std::sync::Arc;

use anabranch::chain::{Paths, Slopes};
use anabranch::objective::{
    Baseline, ChiSquare, Gradient, ImportanceWeightedElbo, ObjectiveRecipe, PathObjective, Renyi, ReverseKl,
    ScoreFunction, SelfNormalisedForwardKl,
};
use anabranch::target::Expression;

use super::instances::*;
use super::objectives::objective;

fn made(recipe: ObjectiveRecipe) -> Arc<dyn PathObjective> {
    objective(&recipe, Default::default())
}

fn reverse(gradient: Gradient) -> Arc<dyn PathObjective> {
    made(ObjectiveRecipe::ReverseKl(ReverseKl { gradient }))
}

fn score(baseline: Baseline) -> Arc<dyn PathObjective> {
    made(ObjectiveRecipe::ScoreFunction(ScoreFunction { baseline }))
}

fn renyi(alpha: f64, samples: usize, gradient: Gradient) -> Arc<dyn PathObjective> {
    made(ObjectiveRecipe::Renyi(Renyi { alpha, samples, gradient }))
}

/// The loss of fresh paths, and its gradient by all weights of a tracked model, one vector behind the other.
fn gradient(
    model: &Model,
    objective: &dyn PathObjective,
    target: &dyn Target,
    rows: usize,
    noise: &Noise,
) -> (f64, Vec<f64>) {
    let (needs, mut paths, mut slopes) = (objective.needs(), Paths::default(), Slopes::default());
    let (path, log_reward) = if needs.through_states {
        let walk = if needs.stopped { Path::forward_stopped } else { Path::forward };
        let path = walk(model, target, rows, NOTHING, noise).unwrap();
        let log_reward = to_vec_f64(path.log_reward.clone().unwrap().detach());
        (path, log_reward)
    } else {
        let states = States::draw(&model.frozen(), rows, NOTHING, noise).unwrap();
        let log_reward = to_vec_f64(log_density(target, states.end(), NOTHING).unwrap());
        (Path::scored(model, &states, NOTHING, noise).unwrap().0, log_reward)
    };
    path.numbers(log_reward, &mut paths);
    paths.log_z = vec![target.log_z(&[]).unwrap_or(0.0); rows];
    let loss = objective.evaluate(&paths, &mut slopes);
    let mut found = path.pull(&slopes).expect("some slope").backward();
    let of = |weights: &Weights| {
        let gradient = weights.gradient(&mut found);
        gradient.unwrap_or_else(|| vec![0.0; weights.len()]).into_iter().map(f64::from)
    };
    (loss, model.weights().into_iter().flat_map(of).collect())
}

/// Mean and error of every entry of the gradient over `batches` batches.
fn averaged(
    model: &Model,
    objective: &dyn PathObjective,
    target: &dyn Target,
    [batches, rows]: [usize; 2],
) -> Vec<Estimate> {
    let each: Vec<Vec<f64>> = (0..batches)
        .map(|batch| gradient(model, objective, target, rows, &noise(600).from_row(batch * rows)).1)
        .collect();
    let column = |at: usize| each.iter().map(|row| row[at]).collect::<Vec<f64>>();
    (0..each[0].len()).map(|at| Estimate::mean(&column(at))).collect()
}

/// The total variance of a gradient's entries, from their errors.
fn spread(found: &[Estimate]) -> f64 {
    found.iter().map(|entry| entry.error * entry.error).sum()
}

fn agree(what: &str, found: &[Estimate], exact: &[f64], slack: f64) {
    assert_eq!(found.len(), exact.len(), "{what}");
    for (found, exact) in found.iter().zip(exact) {
        assert!((found.value - exact).abs() < 4.5 * found.error + slack, "{what}: {found:?} and {exact}");
    }
}

fn target() -> DiagonalGaussian {
    DiagonalGaussian { mean: vec![0.5, -1.0], std: vec![0.8, 1.5], log_z: 0.4 }
}

/// A mean-field guide at `m` and `s`.
fn mean_field(mean: [f32; 2], std: [f32; 2]) -> Model {
    let keys = format!("kind = 'gaussian'\nmean = {mean:?}\nstd = {std:?}");
    let mut model = Model::new(vec![guide(&keys, 2)]);
    model.track();
    model
}

/// Every gradient of the reverse KL has the mean of the closed form, and what is meant to spread less does.
#[test]
fn gradients_of_the_reverse_kl_are_unbiased() {
    let (mean, std) = ([0.2f32, -0.4], [0.6f32, 1.2]);
    // Far from 0, which is where a cost without a baseline is small.
    let (model, target) = (mean_field(mean, std), DiagonalGaussian { log_z: 3.0, ..target() });
    // By log s: s^2 / sigma^2 - 1; by m: (m - mu) / sigma^2. Weights are log s, then m.
    let of = |i: usize| f64::from(target.std[i]).powi(2);
    let by_scale = (0..2).map(|i| f64::from(std[i]).powi(2) / of(i) - 1.0);
    let by_mean = (0..2).map(|i| f64::from(mean[i] - target.mean[i]) / of(i));
    let exact: Vec<f64> = by_scale.chain(by_mean).collect();
    let found = |objective: Arc<dyn PathObjective>| averaged(&model, objective.as_ref(), &target, [400, 32]);
    let [total, path] = [Gradient::Total, Gradient::Path].map(|gradient| found(reverse(gradient)));
    let [none, others, learned] =
        [Baseline::None, Baseline::LeaveOneOut, Baseline::Learned].map(|baseline| found(score(baseline)));
    for (name, found) in
        [("total", &total), ("path", &path), ("none", &none), ("others", &others), ("learned", &learned)]
    {
        agree(name, found, &exact, 1e-4);
    }
    assert!(spread(&path) < spread(&total), "{path:?} {total:?}");
    assert!(spread(&total) < 0.5 * spread(&others), "{total:?} {others:?}");
    assert!(spread(&others) < 0.5 * spread(&none) && spread(&learned) < 0.5 * spread(&none));
}

/// At the exact guide the path gradient is 0 for every batch, and the total one only on average.
#[test]
fn the_landing_sticks() {
    let target = target();
    let model = mean_field([0.5, -1.0], [0.8, 1.5]);
    let (_, path) = gradient(&model, reverse(Gradient::Path).as_ref(), &target, 64, &noise(601));
    assert!(path.iter().all(|g| g.abs() < 1e-5), "{path:?}");
    let (_, total) = gradient(&model, reverse(Gradient::Total).as_ref(), &target, 64, &noise(601));
    assert!(total.iter().any(|g| g.abs() > 1e-2), "{total:?}");
}

/// For chains of every family the path gradient and the total one agree on average.
#[test]
fn path_gradients_agree_with_total_ones_on_average() {
    let target = DiagonalGaussian { mean: vec![0.4, -0.3, 0.2], std: vec![0.5, 0.9, 1.4], log_z: 1.3 };
    let names = ["flow", "ddpm-noise", "vae", "mean-field", "full-rank", "low-rank", "mixture"];
    for (name, mut model) in continuous_models(3).into_iter().filter(|(name, _)| names.contains(name)) {
        model.track();
        let means = [Gradient::Total, Gradient::Path]
            .map(|kind| averaged(&model, reverse(kind).as_ref(), &target, [60, 64]));
        for (total, path) in means[0].iter().zip(&means[1]) {
            let (error, size) = (total.error.hypot(path.error), total.value.abs().max(path.value.abs()));
            assert!(
                (total.value - path.value).abs() < 5.0 * error + 2e-3 * size + 1e-4,
                "{name}: {total:?} {path:?}"
            );
        }
    }
}

/// Doubly reparameterised gradients have the mean of the total ones, of any order, and spread less.
#[test]
fn doubly_reparameterised_gradients_are_unbiased_and_spread_less() {
    let (model, target) = (mean_field([0.2, -0.4], [0.7, 1.4]), target());
    for (alpha, samples) in [(0.0, 2), (0.0, 16), (0.5, 8), (1.0, 4), (-1.0, 8)] {
        let of = |kind| averaged(&model, renyi(alpha, samples, kind).as_ref(), &target, [400, 64]);
        let (total, path) = (of(Gradient::Total), of(Gradient::Path));
        let exact: Vec<f64> = total.iter().map(|entry| entry.value).collect();
        let error = total.iter().map(|entry| entry.error).fold(0.0, f64::max);
        agree(&format!("alpha {alpha}, {samples}"), &path, &exact, 4.5 * error);
        assert!(spread(&path) < spread(&total), "{alpha}, {samples}: {path:?} {total:?}");
    }
    // Named kinds are the same function.
    let (gradient, noise) = (Gradient::Path, noise(602));
    let named =
        made(ObjectiveRecipe::ImportanceWeightedElbo(ImportanceWeightedElbo { samples: 4, gradient }));
    let square = made(ObjectiveRecipe::ChiSquare(ChiSquare { samples: 4, gradient }));
    for (named, alpha) in [(named, 0.0), (square, -1.0)] {
        let both = [named, renyi(alpha, 4, gradient)]
            .map(|objective| self::gradient(&model, objective.as_ref(), &target, 16, &noise));
        assert_eq!(both[0], both[1]);
    }
}

/// Bounds of more paths are higher and all are below log Z, smaller orders are higher, and the chi-square bound is above.
#[test]
fn bounds_are_ordered() {
    let (model, target) = (mean_field([0.2, -0.4], [0.9, 1.7]), target());
    let bound = |alpha: f64, samples: usize| {
        let objective = renyi(alpha, samples, Gradient::Path);
        let sign = if alpha < 0.0 { 1.0 } else { -1.0 };
        let losses: Vec<f64> = (0..200)
            .map(|batch| {
                sign * gradient(&model, objective.as_ref(), &target, 512, &noise(603).from_row(512 * batch)).0
            })
            .collect();
        Estimate::mean(&losses)
    };
    let [one, two, eight, many] = [1, 2, 8, 64].map(|samples| bound(0.0, samples));
    let below = |a: Estimate, b: Estimate| a.value < b.value - 3.0 * a.error.hypot(b.error);
    assert!(below(one, two) && below(two, eight) && below(eight, many), "{one:?} {two:?} {eight:?} {many:?}");
    assert!(many.value < 0.4 + 4.0 * many.error && many.value > 0.38, "{many:?}");
    let half = bound(0.5, 64);
    assert!(below(one, half) && below(half, many), "{half:?}");
    let above = bound(-1.0, 512);
    assert!(above.value > 0.4 + 4.0 * above.error, "{above:?}");
    // L_a of two Gaussians in closed form: E_q[(p / q)^b] with b = 1 - a, coordinate by coordinate.
    let renyi_exact = |b: f64| -> f64 {
        let each = [(0.2, 0.9, 0.5, 0.8), (-0.4, 1.7, -1.0, 1.5f64)].map(
            |(m, s, mu, sigma): (f64, f64, f64, f64)| {
                let variance = b * s * s + (1.0 - b) * sigma * sigma;
                let log = 0.5 * (2.0 * (1.0 - b) * sigma.ln() + 2.0 * b * s.ln() - variance.ln());
                log - 0.5 * b * (1.0 - b) * (m - mu).powi(2) / variance
            },
        );
        0.4 + each.iter().sum::<f64>() / b
    };
    let exact = renyi_exact(0.5);
    // A mean of 64 is not the expectation: what is left falls as 1 / 64.
    assert!((half.value - exact).abs() < 4.0 * half.error + 5e-3, "{half:?} {exact}");
    assert!(
        (above.value - renyi_exact(2.0)).abs() < 4.0 * above.error + 5e-3,
        "{above:?} {}",
        renyi_exact(2.0)
    );
}

/// The gradient of the forward KL by weights of a large batch is the closed form.
#[test]
fn self_normalised_gradients_are_those_of_the_forward_kl() {
    let (mean, std) = ([0.2f32, -0.6], [1.1f32, 2.0]);
    let (model, target) = (mean_field(mean, std), target());
    let objective = made(ObjectiveRecipe::SelfNormalisedForwardKl(SelfNormalisedForwardKl {}));
    let found = averaged(&model, objective.as_ref(), &target, [40, 8192]);
    let off = |i: usize| f64::from(target.mean[i] - mean[i]);
    let of = |i: usize| f64::from(std[i]).powi(2);
    let by_scale = (0..2).map(|i| 1.0 - (f64::from(target.std[i]).powi(2) + off(i).powi(2)) / of(i));
    let exact: Vec<f64> = by_scale.chain((0..2).map(|i| -off(i) / of(i))).collect();
    agree("forward", &found, &exact, 2e-3);
}

/// A mixture on the line against quadrature: paths through the states learn places and widths, scores the shares too.
#[test]
fn gradients_of_mixtures_are_those_of_quadrature() {
    let formula = "ln(0.3 * exp(-(x0 + 1)^2 / 0.5) + 0.7 * exp(-(x0 - 1)^2 / 2))";
    let target = Expression::log_reward("log_reward", formula, 1).unwrap();
    let log_r =
        |x: f64| (0.3 * (-(x + 1.0).powi(2) / 0.5).exp() + 0.7 * (-(x - 1.0).powi(2) / 2.0).exp()).ln();
    let values = [-0.8f32, 1.2, -0.3, 0.2, 0.4, -0.2];
    // Means, log widths, logits.
    let kl = |w: &[f64]| {
        let largest = (w[4].exp() + w[5].exp()).ln();
        let step = 1e-3;
        (-12_000..12_000)
            .map(|i| {
                let x = (f64::from(i) + 0.5) * step;
                let q: f64 = (0..2)
                    .map(|k| {
                        let z = (x - w[k]) / w[2 + k].exp();
                        (w[4 + k] - largest - 0.5 * z * z - w[2 + k]).exp() / std::f64::consts::TAU.sqrt()
                    })
                    .sum();
                if q > 0.0 { step * q * (q.ln() - log_r(x)) } else { 0.0 }
            })
            .sum::<f64>()
    };
    let slopes = |values: &[f32]| -> Vec<f64> {
        let at: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
        let moved = |i: usize, by: f64| {
            let mut at = at.clone();
            at[i] += by;
            kl(&at)
        };
        (0..at.len()).map(|i| (moved(i, 1e-4) - moved(i, -1e-4)) / 2e-4).collect()
    };
    let model = |shares: &str, values: &[f32]| {
        let mut model =
            Model::new(vec![guide(&format!("kind = 'mixture'\ncomponents = 2\nshares = '{shares}'"), 1)]);
        model.weights_mut()[0].set(values.to_vec());
        model.track();
        model
    };
    let learned = model("learned", &values);
    for baseline in [Baseline::LeaveOneOut, Baseline::Learned] {
        let found = averaged(&learned, score(baseline).as_ref(), &target, [300, 128]);
        agree("score", &found, &slopes(&values), 1e-4);
    }
    let equal = model("equal", &values[..4]);
    let exact = slopes(&[&values[..4], &[0.0, 0.0]].concat());
    for kind in [Gradient::Total, Gradient::Path] {
        let found = averaged(&equal, reverse(kind).as_ref(), &target, [300, 128]);
        agree("path", &found, &exact[..4], 1e-4);
    }
}
