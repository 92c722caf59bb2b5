//! Every target against every promise of [`Energy`](super::Energy).

use burn::tensor::Device;

use super::gaussians::Mixture;
use super::*;
use crate::array::weights::{matrix, to_vec};
use crate::chain::LogWeight;
use crate::math::{Estimate, log_sum_exp};
use crate::rng::{Noise, Purpose};

/// Every target, with the width of a test density narrower than its thinnest part, so that `E_R[(q / R)^2]` is finite.
fn targets() -> Vec<(&'static str, Box<dyn Energy>, f32)> {
    let diagonal = DiagonalGaussian { mean: vec![1.0, -2.0], std: vec![0.5, 3.0], log_z: 1.7 };
    let covariance = [2.0, -0.6, 0.3, -0.6, 0.5, 0.1, 0.3, 0.1, 1.5];
    let full = FullGaussian::from_covariance(vec![0.5, -1.0, 2.0], &covariance, -0.8).unwrap();
    let factor = FullGaussian::from_cholesky(vec![1.0, 0.0], vec![0.7, 0.0, -1.2, 0.4], 0.9);
    let mixture = Mixture::new(
        &[3.0, 1.0, 0.5],
        &[vec![0.0, 1.0], vec![-2.0, 0.5], vec![1.5, -1.0]],
        &[vec![0.5, 0.3], vec![1.0, 0.6], vec![0.4, 0.8]],
    );
    let mut list: Vec<(&'static str, Box<dyn Energy>, f32)> = vec![
        ("diagonal", Box::new(diagonal), 0.4),
        ("full", Box::new(full), 0.2),
        ("full in the plane", Box::new(factor), 0.15),
        ("line", Box::new(Mixture::new(&[1.0, 4.0], &[vec![-1.0], vec![2.0]], &[vec![0.5], vec![1.0]])), 0.3),
        ("mixture", Box::new(mixture), 0.25),
        ("gmm9", Box::new(Mixture::gmm9()), 0.4),
        ("gmm25", Box::new(Mixture::gmm25()), 0.4),
        ("gmm40", Box::new(Mixture::gmm40(2)), 0.9),
        ("gmm40 in space", Box::new(Mixture::gmm40(3)), 0.9),
        ("funnel in the plane", Box::new(Funnel { dimension: 2, std: 1.0 }), 0.4),
        ("funnel", Box::new(Funnel { dimension: 3, std: 1.5 }), 0.5),
        ("double well", Box::new(ManyWell { dimension: 2 }), 0.15),
        ("many well", Box::new(ManyWell { dimension: 4 }), 0.2),
    ];
    for (name, toy) in toy::NAMES.into_iter().zip(Toy::ALL) {
        let width = if matches!(toy, Toy::Rings | Toy::Pinwheel) { 0.05 } else { 0.1 };
        list.push((name, Box::new(toy), width));
    }
    list
}

fn noise(seed: u64) -> Noise {
    Noise::new(seed, Purpose::Target)
}

fn doubles(values: LogWeight) -> Vec<f64> {
    to_vec(values).into_iter().map(f64::from).collect()
}

/// `E_R[q / R] Z = 1` for any normalised `q`: samples, density and log Z of each target agree. On the checkerboard,
/// which is zero in places, `q` need not be within a cell, so its mass there is counted by its own samples.
#[test]
fn samples_densities_and_constants_agree() {
    let device = Device::flex();
    for (name, target, width) in targets() {
        let (n, d) = (200_000, target.dimension());
        let samples = target.sample(n, &noise(4)).unwrap();
        // A narrow q around a fresh sample, off every symmetry.
        let centre = target.sample(1, &noise(11)).unwrap();
        let q = DiagonalGaussian { mean: centre, std: vec![width; d], log_z: 0.0 };
        let x = matrix(samples, d, &device);
        let ratio = to_vec(q.log_density(&x) - target.log_density(&x));
        let log_z = target.log_z().unwrap();
        let weights: Vec<f64> = ratio.iter().map(|r| (f64::from(*r) + log_z).exp()).collect();
        let estimate = Estimate::mean(&weights);
        let own = matrix(q.sample(n, &noise(5)).unwrap(), d, &device);
        let covered = doubles(target.log_density(&own)).iter().filter(|v| v.is_finite()).count();
        let mass = covered as f64 / n as f64;
        assert!(mass == 1.0 || !target.positive_everywhere(), "{name} is positive everywhere");
        let error = estimate.error.hypot((mass * (1.0 - mass) / n as f64).sqrt());
        assert!((estimate.value - mass).abs() < 4.0 * error, "{name}: {estimate:?} for {mass}");
        assert!(estimate.error < 0.1, "{name}: the check has power, {estimate:?}");
    }
}

/// The entropy in closed form is the mean of `-log p` over samples.
#[test]
fn entropies_are_those_of_the_samples() {
    let mut known = 0;
    for (name, target, _) in targets() {
        let Some(entropy) = target.entropy() else { continue };
        let x = matrix(target.sample(100_000, &noise(6)).unwrap(), target.dimension(), &Device::flex());
        let log_z = target.log_z().unwrap();
        let surprise: Vec<f64> = doubles(target.log_density(&x)).iter().map(|v| log_z - v).collect();
        let found = Estimate::mean(&surprise);
        assert!((found.value - entropy).abs() < 4.0 * found.error + 1e-6, "{name}: {found:?}, {entropy}");
        known += 1;
    }
    assert_eq!(known, 6, "Gaussians, funnels and the checkerboard");
    assert_eq!(toy::entropy("checkerboard"), Some(32f64.ln()));
    assert_eq!(toy::entropy("moons"), None);
    let one = Mixture::new(&[2.0], &[vec![1.0]], &[vec![3.0]]);
    let normal = DiagonalGaussian { mean: vec![1.0], std: vec![3.0], log_z: 0.0 };
    assert!((one.entropy().unwrap() - normal.entropy().unwrap()).abs() < 1e-12);
}

/// The rectangle that a target in the plane is integrated over, and the number of cells each way: off the origin and
/// of unlike sides, so that no symmetry hides an error.
fn grid(name: &str) -> ([f64; 2], [f64; 2], [usize; 2]) {
    match name {
        "diagonal" => ([-4.0, -29.0], [6.5, 27.0], [260, 330]),
        "gmm9" => ([-9.0, -9.5], [9.3, 9.1], [300, 290]),
        "gmm25" => ([-14.0, -14.5], [14.3, 14.1], [400, 390]),
        "gmm40" => ([-51.0, -50.0], [50.0, 52.0], [400, 410]),
        "funnel in the plane" => ([-6.5, -150.0], [6.0, 151.0], [200, 60_000]),
        "double well" => ([-4.0, -8.0], [4.2, 8.5], [400, 150]),
        // Cells' edges lie on grid lines: the midpoint rule is then exact.
        "checkerboard" => ([-6.0, -5.0], [5.0, 6.0], [110, 220]),
        _ => ([-6.1, -6.4], [6.3, 6.0], [500, 510]),
    }
}

/// Densities in the plane integrate to Z.
#[test]
fn densities_integrate_to_their_constant() {
    let mut planar = 0;
    for (name, target, _) in targets() {
        if target.dimension() != 2 {
            continue;
        }
        let (low, high, cells) = grid(name);
        let side = [0, 1].map(|i| (high[i] - low[i]) / cells[i] as f64);
        let rows: Vec<f64> = (0..cells[0])
            .map(|i| {
                let x = (low[0] + (i as f64 + 0.5) * side[0]) as f32;
                let points: Vec<f32> =
                    (0..cells[1]).flat_map(|j| [x, (low[1] + (j as f64 + 0.5) * side[1]) as f32]).collect();
                log_sum_exp(&doubles(target.log_density(&matrix(points, 2, &Device::flex()))))
            })
            .collect();
        let found = log_sum_exp(&rows) + (side[0] * side[1]).ln();
        assert!((found - target.log_z().unwrap()).abs() < 2e-4, "{name}: {found}");
        planar += 1;
    }
    assert_eq!(planar, 15);
}

/// Counts of samples in the cells of a coarse board against the density's own masses: Pearson's statistic.
#[test]
fn planar_samples_fill_cells_in_proportion() {
    for (name, target, _) in targets() {
        if target.dimension() != 2 || name == "funnel in the plane" {
            continue;
        }
        const BOARD: usize = 11;
        let (low, high, _) = grid(name);
        let fine = if name == "checkerboard" { 20 } else { 48 };
        let side = [0, 1].map(|i| (high[i] - low[i]) / (BOARD * fine) as f64);
        let place = |i: usize, k: usize| (low[i] + (k as f64 + 0.5) * side[i]) as f32;
        let mut masses = vec![0.0; BOARD * BOARD];
        for i in 0..BOARD * fine {
            let points: Vec<f32> = (0..BOARD * fine).flat_map(|j| [place(0, i), place(1, j)]).collect();
            let values = doubles(target.log_density(&matrix(points, 2, &Device::flex())));
            for (j, value) in values.iter().enumerate() {
                masses[i / fine * BOARD + j / fine] +=
                    (value - target.log_z().unwrap()).exp() * side[0] * side[1];
            }
        }
        let n = 100_000;
        let mut counts = vec![0.0; BOARD * BOARD];
        for point in target.sample(n, &noise(7)).unwrap().chunks_exact(2) {
            let cell = [0, 1].map(|i| ((f64::from(point[i]) - low[i]) / side[i]) as usize / fine);
            counts[cell[0].min(BOARD - 1) * BOARD + cell[1].min(BOARD - 1)] += 1.0;
        }
        let n = n as f64;
        // Cells that expect fewer than ten are pooled.
        let (mut statistic, mut cells, mut pooled) = (0.0, 0.0, (0.0, 0.0));
        for (count, mass) in counts.iter().zip(&masses) {
            if n * mass < 10.0 {
                pooled = (pooled.0 + count, pooled.1 + n * mass);
            } else {
                statistic += (count - n * mass).powi(2) / (n * mass);
                cells += 1.0;
            }
        }
        assert!(
            (pooled.0 - pooled.1).abs() <= 4.5 * (pooled.1 + 1.0).sqrt(),
            "{name}: rare cells {pooled:?}"
        );
        let bound = cells + 4.5 * (2.0f64 * cells).sqrt();
        assert!(cells > 8.0 && statistic < bound, "{name}: {statistic} over {cells} cells");
    }
}

/// Gradients by autodiff are central differences of the density.
#[test]
fn gradients_are_those_of_the_density() {
    for (name, target, _) in targets() {
        let (n, d) = (64, target.dimension());
        // Half of the points are the target's own, half lie around them.
        let near = target.sample(n, &noise(8)).unwrap();
        let jitter = noise(9).normal(n, d);
        let moved = near.iter().zip(&jitter).enumerate();
        let points: Vec<f32> =
            moved.map(|(i, (x, e))| if i < n * d / 2 { *x } else { x + 0.3 * e }).collect();
        let x = matrix(points.clone(), d, &Device::flex().autodiff()).require_grad();
        let log_density = target.log_density(&x);
        let untracked = target.log_density(&matrix(points.clone(), d, &Device::flex()));
        assert_eq!(to_vec(log_density.clone()), to_vec(untracked), "{name}: the tape changes no value");
        let weights: Vec<f32> = (0..n).map(|i| 0.5 + 0.01 * i as f32).collect();
        let weight = matrix(weights.clone(), 1, &Device::flex().autodiff());
        let nowhere = log_density.clone().is_finite().bool_not().reshape([n, 1]);
        let kept = log_density.reshape([n, 1]).mask_fill(nowhere, 0.0);
        let gradients = (kept * weight).sum().backward();
        let gradient = to_vec(x.grad(&gradients).expect("x takes part"));
        let quotients = |column: usize, step: f32| -> Vec<(f64, f64)> {
            let shifted = |by: f32| -> Vec<f32> {
                let shift = |(i, v): (usize, &f32)| if i % d == column { v + by } else { *v };
                points.iter().enumerate().map(shift).collect()
            };
            let (up, down) = (shifted(step), shifted(-step));
            let value =
                |points: &[f32]| doubles(target.log_density(&matrix(points.to_vec(), d, &Device::flex())));
            let (above, below) = (value(&up), value(&down));
            let each = (0..n).map(|row| {
                // The step that f32 really makes, not the one asked for.
                let step = f64::from(up[row * d + column] - down[row * d + column]);
                let rounding = 1e-6 * (1.0 + above[row].abs()) / step;
                ((above[row] - below[row]) / step, rounding)
            });
            each.collect()
        };
        for column in 0..d {
            let (fine, coarse) = (quotients(column, 2e-3), quotients(column, 4e-3));
            for row in 0..n {
                let (((fine, rounding), (coarse, _)), at) = ((fine[row], coarse[row]), row * d + column);
                if !(fine.is_finite() && coarse.is_finite()) {
                    assert!(!target.positive_everywhere(), "{name}");
                    continue;
                }
                let found = f64::from(gradient[at] / weights[row]);
                // The quotient's own error is a third of what halving the step changes.
                let tolerance = rounding + (fine - coarse).abs() + 1e-3 * fine.abs() + 1e-3;
                assert!(
                    (found - fine).abs() < tolerance,
                    "{name}, row {row}, column {column}: {found} and {fine} +- {tolerance}"
                );
            }
        }
    }
}

/// The f64 density of data agrees with the energy's tensor.
#[test]
fn toy_rows_have_the_energies_density() {
    for (name, toy) in toy::NAMES.into_iter().zip(Toy::ALL) {
        assert_eq!(Toy::named(name), Some(toy));
        let rows = toy::sample(name, 301, 5);
        let exact = toy::log_density(name, &rows);
        let tensor = doubles(toy.log_density(&matrix(rows, 2, &Device::flex())));
        assert!(exact.iter().zip(&tensor).all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
    }
}

/// A row's density and sample depend on that row alone.
#[test]
fn rows_are_independent_of_the_batch() {
    for (name, target, _) in targets() {
        let d = target.dimension();
        let all = target.sample(150, &noise(10)).unwrap();
        assert_eq!(target.sample(7, &noise(10).from_trajectory(143)).unwrap(), all[143 * d..], "{name}");
        let values = doubles(target.log_density(&matrix(all.clone(), d, &Device::flex())));
        let tail = doubles(target.log_density(&matrix(all[143 * d..].to_vec(), d, &Device::flex())));
        for (a, b) in values[143..].iter().zip(&tail) {
            assert!((a - b).abs() <= 1e-5 * a.abs().max(1.0), "{name}: {a} and {b}");
        }
    }
}
