//! Starts of guides: Laplace's approximation and Pathfinder, on targets where they are exact.

use anabranch::estimate::evidence;
use anabranch::estimate::pareto::smoothed;
use anabranch::model::start::laplace::{hessian, laplace};
use anabranch::model::start::pathfinder::{multi_path, pathfinder};
use anabranch::model::start::{Normal, Pulled};
use anabranch::target::Expression;

use super::instances::*;

const D: usize = 5;

/// A skew Gaussian with its covariance.
fn skew() -> (FullGaussian, Vec<f64>, Vec<f64>) {
    let factor = noise(700).normal(D, D);
    let entry = |i: usize, j: usize| match i.cmp(&j) {
        std::cmp::Ordering::Less => 0.0,
        std::cmp::Ordering::Equal => 0.4 + 0.5 * i as f64,
        std::cmp::Ordering::Greater => 0.4 * f64::from(factor[i * D + j]),
    };
    let lower: Vec<f64> = (0..D * D).map(|at| entry(at / D, at % D)).collect();
    let mean: Vec<f64> = (0..D).map(|i| 2.0 - 1.3 * i as f64).collect();
    let product = |i: usize, j: usize| (0..D).map(|k| lower[i * D + k] * lower[j * D + k]).sum();
    let covariance = (0..D * D).map(|at| product(at / D, at % D)).collect();
    (FullGaussian::from_cholesky(mean.clone(), lower, 0.7), mean, covariance)
}

fn largest(a: &[f64], b: &[f64]) -> f64 {
    largest_difference(a, b)
}

/// Of a Gaussian both are exact: Laplace to the rounding of points, Pathfinder once its pairs span the space.
#[test]
fn starts_find_gaussians() {
    let (target, mean, covariance) = skew();
    let density = Pulled { target: &target, outer: vec![] };
    let found = laplace(&density, vec![0.0; D]).unwrap().expect("it is positive definite");
    assert!(largest(&found.mean, &mean) < 1e-3, "{:?}", found.mean);
    assert!(largest(&found.covariance(), &covariance) < 2e-2, "{:?} {covariance:?}", found.covariance());
    for path in 0..4 {
        let start = noise(701 + path).normal(1, D).into_iter().map(|z| f64::from(4.0 * z)).collect();
        let (normal, elbo) = pathfinder(&density, start, &noise(710 + path)).unwrap().expect("a normal");
        assert!((elbo - 0.7).abs() < 0.3, "{elbo}");
        assert!(largest(&normal.mean, &mean) < 0.1, "{:?}", normal.mean);
    }
}

/// Draws of several ways, weighted, have the moments of the target.
#[test]
fn weighted_ways_have_the_moments_of_the_target() {
    let (target, mean, covariance) = skew();
    let density = Pulled { target: &target, outer: vec![] };
    let normals: Vec<Normal> = (0..4)
        .map(|path| {
            let start = noise(701 + path).normal(1, D).into_iter().map(|z| f64::from(4.0 * z)).collect();
            pathfinder(&density, start, &noise(710 + path)).unwrap().expect("a normal").0
        })
        .collect();
    let found = multi_path(&density, &normals, 2000, &noise(720)).unwrap();
    let smooth = smoothed(&found.log_weights).expect("enough of them");
    assert!(smooth.pareto_k < 0.7, "{}", smooth.pareto_k);
    let log_z = evidence(&smooth.log_weights).log_z;
    assert!((log_z.value - 0.7).abs() < 5.0 * log_z.error + 1e-3, "{log_z:?}");
    let largest = smooth.log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = smooth.log_weights.iter().map(|log| (log - largest).exp()).collect();
    let total: f64 = weights.iter().sum();
    for i in 0..D {
        let rows = found.points.chunks(D).zip(&weights);
        let (first, second) = rows.fold((0.0, 0.0), |(a, b), (x, w)| {
            (a + w * x[i] / total, b + w * (x[i] - mean[i]).powi(2) / total)
        });
        let std = covariance[i * D + i].sqrt();
        assert!(
            (first - mean[i]).abs() < 0.08 * std && (second / (std * std) - 1.0).abs() < 0.15,
            "{first} {second}"
        );
    }
}

/// The Hessian by differences is that of a formula.
#[test]
fn hessians_are_those_of_formulas() {
    let target = Expression::log_reward("log_reward", "-x0^2 * x1^2 / 2 - exp(x0) - 2 * x1", 2).unwrap();
    let density = Pulled { target: &target, outer: vec![] };
    let (x, y) = (0.7f64, -1.2f64);
    let exact = [y * y + x.exp(), 2.0 * x * y, 2.0 * x * y, x * x];
    let found = hessian(&density, &[x, y]).unwrap();
    assert!(largest(&found, &exact) < 1e-3, "{found:?} {exact:?}");
}

/// A guide that is started is where its fit says: full rank is exact on a Gaussian; mean field has the conditional deviations, which
/// are the optimum of the reverse KL, whose value is known; low rank of full rank is exact too.
#[test]
fn started_guides_have_the_elbo_of_the_best_normal() {
    let (target, _, covariance) = skew();
    let elbo = |keys: &str| {
        let mut model = Model::new(vec![guide(&format!("kind = 'gaussian'\n{keys}"), D)]);
        model.start(&target, &noise(730)).unwrap();
        evidence(&to_vec_f64(forward_log_weights(&model, &target, 4000, NOTHING, &noise(731)).unwrap())).elbo
    };
    let full = elbo("covariance = 'full'\nstart = 'laplace'");
    assert!((full.value - 0.7).abs() < 1e-3 + 4.0 * full.error, "{full:?}");
    // KL of the product of conditionals: (sum log Lambda_ii - log det Lambda) / 2.
    let normal = laplace(&Pulled { target: &target, outer: vec![] }, vec![0.0; D]).unwrap().unwrap();
    let log_stds: f64 = normal.conditional_stds().iter().map(|s| s.ln()).sum();
    let factor = anabranch::math::cholesky(&covariance, D).unwrap();
    let log_det: f64 = (0..D).map(|i| factor[i * D + i].ln()).sum();
    let diagonal = elbo("start = 'laplace'");
    let exact = 0.7 - (log_det - log_stds);
    assert!((diagonal.value - exact).abs() < 5e-3 + 4.0 * diagonal.error, "{diagonal:?}, {exact}");
    let low = elbo("covariance = 'low-rank'\nrank = 4\nstart = 'laplace'");
    assert!(low.value > diagonal.value + 0.5 * (0.7 - exact), "{low:?} beside {exact}");
    let ways = elbo("covariance = 'full'\nstart = 'pathfinder'");
    assert!((ways.value - 0.7).abs() < 0.2, "{ways:?}");
}

/// Behind constraints a fit is one on the line: a log-normal, a logit-normal and a Gaussian beside each other are found exactly.
#[test]
fn constraints_are_undone_before_a_fit() {
    let formula = "-ln(x0) - (ln(x0) - 0.4)^2 / 0.18 - ln(x1) - ln(1 - x1) - (ln(x1 / (1 - x1)) + 1)^2 / 2 - (x2 - 3)^2";
    let target = Expression::log_reward("log_reward", formula, 3).unwrap();
    let exact = (0.3 * std::f64::consts::TAU.sqrt()).ln()
        + 0.5 * std::f64::consts::TAU.ln()
        + 0.5 * std::f64::consts::PI.ln();
    let blocks = "kind = 'constrain'\nblocks = [{ kind = 'positive', count = 1 }, \
                  { kind = 'interval', low = 0.0, high = 1.0, count = 1 }, { kind = 'free' }]";
    let gaussian = guide("kind = 'gaussian'\nstart = 'laplace'", 3);
    let mut model = Model::new(vec![gaussian, guide(blocks, 3)]);
    model.start(&target, &noise(740)).unwrap();
    let log_weights = to_vec_f64(forward_log_weights(&model, &target, 1000, NOTHING, &noise(741)).unwrap());
    assert!(log_weights.iter().all(|w| (w - exact).abs() < 0.02), "{exact}: {:?}", &log_weights[..9]);
}

/// Components of a mixture end at modes of their own.
#[test]
fn mixtures_start_at_several_modes() {
    let formula = "ln(exp(-(x0 - 4)^2 / 2 - x1^2 / 2) + exp(-(x0 + 4)^2 / 2 - x1^2 / 2))";
    let target = Expression::log_reward("log_reward", formula, 2).unwrap();
    let keys = "kind = 'mixture'\ncomponents = 6\nspread = 3.0\nstart = 'pathfinder'";
    let mut model = Model::new(vec![guide(keys, 2)]);
    model.start(&target, &noise(750)).unwrap();
    let means = model.weights()[0].matrix("means");
    let first: Vec<f32> = to_vec(means).chunks(2).map(|row| row[0]).collect();
    assert!(first.iter().all(|m| (m.abs() - 4.0).abs() < 0.3), "{first:?}");
    assert!(first.iter().any(|m| *m > 0.0) && first.iter().any(|m| *m < 0.0), "{first:?}");
}
