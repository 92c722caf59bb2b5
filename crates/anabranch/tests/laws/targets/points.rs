//! Laws of targets over points: density against sampler, integral, gradient and log Z.

use std::f64::consts::TAU;

use anabranch::chain::Given;
use anabranch::environment::continuous::Domain;
use anabranch::math::{Estimate, log_sum_exp};
use anabranch::rng::{Noise, Purpose};
use anabranch::target::{DiagonalGaussian, Mixture, Target, Toy, toy};
use burn::tensor::{DType, Device, Tensor, TensorData};

use super::{Points, large, points};

fn noise(seed: u64) -> Noise {
    Noise::new(seed, Purpose::Target)
}

impl Points {
    /// `log R` of points, `[count, dimension]`.
    fn values(&self, points: &[f32]) -> Vec<f64> {
        let mut out = vec![f64::NAN; points.len() / self.dimension()];
        let conditions = self.condition.repeat(out.len());
        self.target.log_rewards(points, &conditions, &mut out).expect("no failure");
        out
    }

    fn log_z(&self) -> Option<f64> {
        self.target.log_z(&self.condition)
    }

    fn inside(&self, point: &[f32]) -> bool {
        point.iter().zip(&self.domains).all(|(x, domain)| match domain {
            Domain::Unit => (0.0..=1.0).contains(x),
            Domain::Line => true,
            Domain::Circle => (0.0..TAU as f32).contains(x),
        })
    }

    /// The rectangle that a target in the plane is integrated over, and the number of cells each way: off the origin and of unlike
    /// sides where the space has no ends, so that no symmetry hides an error.
    fn grid(&self) -> ([f64; 2], [f64; 2], [usize; 2]) {
        match self.name {
            "diagonal" => ([-4.0, -29.0], [6.5, 27.0], [260, 330]),
            "gmm9" => ([-9.0, -9.5], [9.3, 9.1], [300, 290]),
            "gmm25" => ([-14.0, -14.5], [14.3, 14.1], [400, 390]),
            "gmm40" => ([-51.0, -50.0], [50.0, 52.0], [400, 410]),
            "funnel in the plane" => ([-6.5, -150.0], [6.0, 151.0], [200, 60_000]),
            "double well" => ([-4.0, -8.0], [4.2, 8.5], [400, 150]),
            "banana" => ([-64.0, -14.0], [65.0, 130.0], [700, 900]),
            "rosenbrock" => ([-5.7, -5.0], [7.9, 68.0], [300, 900]),
            "hard mixture" => ([-7.0, -7.2], [8.3, 8.1], [500, 510]),
            // Cells' edges lie on grid lines: the midpoint rule is then exact.
            "checkerboard" => ([-6.0, -5.0], [5.0, 6.0], [110, 220]),
            "a line and a circle" => ([-9.0, 0.0], [10.0, TAU], [400, 210]),
            "tempered" | "product" | "sum" => ([-8.0, -15.0], [9.0, 12.0], [600, 800]),
            "band" => ([0.0; 2], [1.0; 2], [80, 140]),
            _ if self.domains[0] == Domain::Unit => ([0.0; 2], [1.0; 2], [1400, 1200]),
            _ if self.domains[0] == Domain::Circle => ([0.0; 2], [TAU; 2], [200, 230]),
            _ => ([-6.1, -6.4], [6.3, 6.0], [500, 510]),
        }
    }
}

/// `E_R[q / R] Z = 1` for any normalised `q`: samples, density and log Z of each target agree. Where the target or its space ends,
/// `q` need not, so its mass there is counted by its own samples.
#[test]
fn samples_densities_and_constants_agree() {
    let mut drawn = 0;
    for case in points() {
        let (name, target, n, d) = (case.name, &case.target, 200_000, case.dimension());
        let Some(samples) = target.draw(n, &noise(4)) else { continue };
        drawn += 1;
        assert!(samples.chunks_exact(d).all(|point| case.inside(point)), "{name}");
        // A narrow q around a fresh sample, off every symmetry.
        let centre = target.draw(1, &noise(11)).expect("as before");
        let q = DiagonalGaussian { mean: centre, std: vec![case.width; d], log_z: 0.0 };
        let mut log_q = vec![0.0; n];
        q.log_rewards(&samples, &[], &mut log_q).expect("no failure");
        let log_z = case.log_z().expect("what is drawn exactly has a known constant");
        let log_r = case.values(&samples);
        let weights: Vec<f64> = log_q.iter().zip(&log_r).map(|(q, r)| (q - r + log_z).exp()).collect();
        let estimate = Estimate::mean(&weights);
        let own = q.draw(n, &noise(5)).expect("a Gaussian");
        let own: Vec<f32> =
            own.chunks_exact(d).filter(|point| case.inside(point)).flatten().copied().collect();
        let covered = case.values(&own).iter().filter(|v| v.is_finite()).count();
        assert!(covered == own.len() / d || !target.positive_everywhere(), "{name} is positive everywhere");
        let mass = covered as f64 / n as f64;
        let error = estimate.error.hypot((mass * (1.0 - mass) / n as f64).sqrt());
        assert!((estimate.value - mass).abs() < 4.0 * error, "{name}: {estimate:?} for {mass}");
        assert!(estimate.error < 0.1, "{name}: the check has power, {estimate:?}");
    }
    assert_eq!(drawn, 31);
}

/// Stein's identity: `E_R[grad log R] = 0` and `E_R[x . grad log R] = -d`, over exact draws in any dimension.
#[test]
fn draws_obey_steins_identity() {
    let n = 40_000;
    let mut drawn = 0;
    for case in points().into_iter().chain(large()).filter(Points::suits_chains) {
        let (name, target, d) = (case.name, &case.target, case.dimension());
        let Some(samples) = target.draw(n, &noise(14)) else { continue };
        drawn += 1;
        let (mut values, mut scores) = (vec![0.0; n], vec![0.0; n * d]);
        target.log_rewards_with_scores(&samples, &[], &mut values, &mut scores).expect("scores");
        let rows = || samples.chunks_exact(d).zip(scores.chunks_exact(d));
        for column in 0..d {
            let mean = Estimate::mean(&rows().map(|(_, s)| s[column]).collect::<Vec<f64>>());
            assert!(mean.value.abs() < 4.5 * mean.error, "{name}, {column}: {mean:?}");
        }
        let dot = |(x, s): (&[f32], &[f64])| x.iter().zip(s).map(|(x, s)| f64::from(*x) * s).sum::<f64>();
        let mean = Estimate::mean(&rows().map(dot).collect::<Vec<f64>>());
        assert!((mean.value + d as f64).abs() < 4.5 * mean.error + 1e-3, "{name}: {mean:?}");
    }
    assert_eq!(drawn, 29, "all but the checkerboard and what is not on the line");
}

/// The entropy in closed form is the mean of `-log p` over samples.
#[test]
fn entropies_are_those_of_the_samples() {
    let mut known = 0;
    for case in points() {
        let (name, target) = (case.name, &case.target);
        let Some(entropy) = target.entropy() else { continue };
        let values = case.values(&target.draw(100_000, &noise(6)).expect("an exact sampler"));
        let log_z = case.log_z().expect("known");
        let surprise: Vec<f64> = values.iter().map(|v| log_z - v).collect();
        let found = Estimate::mean(&surprise);
        assert!((found.value - entropy).abs() < 4.0 * found.error + 1e-6, "{name}: {found:?}, {entropy}");
        known += 1;
    }
    assert_eq!(known, 10, "Gaussians, funnels, bananas, Rosenbrock's and the checkerboard");
    assert_eq!(toy::entropy("checkerboard"), Some(32f64.ln()));
    assert_eq!(toy::entropy("moons"), None);
    let one = Mixture::new(&[2.0], &[vec![1.0]], &[vec![3.0]]);
    let normal = DiagonalGaussian { mean: vec![1.0], std: vec![3.0], log_z: 0.0 };
    assert!((one.entropy().unwrap() - normal.entropy().unwrap()).abs() < 1e-12);
}

/// Densities in the plane, and their powers, integrate to the constants that are known.
#[test]
fn densities_integrate_to_their_constants() {
    const BETAS: [f64; 3] = [1.0, 0.8, 1.6];
    let (mut constants, mut powers) = (0, 0);
    for case in points() {
        if case.dimension() != 2 || case.log_z().is_none() {
            continue;
        }
        let (low, high, cells) = case.grid();
        let side = [0, 1].map(|i| (high[i] - low[i]) / cells[i] as f64);
        let mut rows = [const { Vec::new() }; 3];
        for i in 0..cells[0] {
            let x = (low[0] + (i as f64 + 0.5) * side[0]) as f32;
            let points: Vec<f32> =
                (0..cells[1]).flat_map(|j| [x, (low[1] + (j as f64 + 0.5) * side[1]) as f32]).collect();
            let values = case.values(&points);
            for (beta, rows) in BETAS.iter().zip(&mut rows) {
                rows.push(log_sum_exp(&values.iter().map(|v| beta * v).collect::<Vec<f64>>()));
            }
        }
        for (beta, rows) in BETAS.iter().zip(&rows) {
            let found = log_sum_exp(rows) + (side[0] * side[1]).ln();
            let Some(exact) = case.target.log_z_tempered(*beta, &case.condition) else { continue };
            assert!((found - exact).abs() < 2e-4, "{}, {beta}: {found}, {exact}", case.name);
            constants += usize::from(*beta == 1.0);
            powers += usize::from(*beta != 1.0);
        }
    }
    assert_eq!((constants, powers), (27, 20));
}

/// Counts of samples in the cells of a coarse board against the density's own masses: Pearson's statistic.
#[test]
fn planar_samples_fill_cells_in_proportion() {
    for case in points() {
        let (name, target) = (case.name, &case.target);
        if case.dimension() != 2 || name == "funnel in the plane" || target.draw(1, &noise(7)).is_none() {
            continue;
        }
        const BOARD: usize = 11;
        let (low, high, _) = case.grid();
        let fine = match name {
            "checkerboard" => 20,
            "band" => 40,
            _ => 48,
        };
        let side = [0, 1].map(|i| (high[i] - low[i]) / (BOARD * fine) as f64);
        let place = |i: usize, k: usize| (low[i] + (k as f64 + 0.5) * side[i]) as f32;
        let mut masses = vec![0.0; BOARD * BOARD];
        let log_z = case.log_z().expect("known");
        for i in 0..BOARD * fine {
            let points: Vec<f32> = (0..BOARD * fine).flat_map(|j| [place(0, i), place(1, j)]).collect();
            for (j, value) in case.values(&points).iter().enumerate() {
                masses[i / fine * BOARD + j / fine] += (value - log_z).exp() * side[0] * side[1];
            }
        }
        let n = 100_000;
        let mut counts = vec![0.0; BOARD * BOARD];
        for point in target.draw(n, &noise(7)).unwrap().chunks_exact(2) {
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

/// Points to ask about: half of them the target's own, half around them.
fn around(case: &Points, n: usize) -> Vec<f32> {
    let d = case.dimension();
    let near = case.target.draw(n, &noise(8)).unwrap_or_else(|| noise(8).normal(n, d));
    let jitter = noise(9).normal(n, d);
    let moved = near.iter().zip(&jitter).enumerate();
    moved.map(|(i, (x, e))| if i < n * d / 2 { *x } else { x + 0.3 * e }).collect()
}

/// Scores are central differences of the density, and values beside them those without.
#[test]
fn scores_are_gradients_of_the_density() {
    let mut scored = 0;
    for case in points().into_iter().chain(large()) {
        let (name, target, n, d) = (case.name, &case.target, 64, case.dimension());
        let points = around(&case, n);
        let conditions = case.condition.repeat(n);
        let (mut values, mut scores) = (vec![f64::NAN; n], vec![f64::NAN; n * d]);
        let found = target.log_rewards_with_scores(&points, &conditions, &mut values, &mut scores);
        assert_eq!(found.is_ok(), target.has_scores(), "{name}");
        if found.is_err() {
            continue;
        }
        scored += 1;
        assert_eq!(values, case.values(&points), "{name}");
        let quotients = |column: usize, step: f32| -> Vec<(f64, f64)> {
            let shifted = |by: f32| -> Vec<f32> {
                let shift = |(i, v): (usize, &f32)| if i % d == column { v + by } else { *v };
                points.iter().enumerate().map(shift).collect()
            };
            let (up, down) = (shifted(step), shifted(-step));
            let (above, below) = (case.values(&up), case.values(&down));
            let each = (0..n).map(|row| {
                // The step that f32 really makes, not the one asked for.
                let step = f64::from(up[row * d + column] - down[row * d + column]);
                ((above[row] - below[row]) / step, 1e-12 * (1.0 + above[row].abs()) / step)
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
                // The quotient's own error is a third of what halving the step changes.
                let tolerance = rounding + (fine - coarse).abs() + 1e-5 * (1.0 + fine.abs());
                let found = scores[at];
                assert!(
                    (found - fine).abs() < tolerance,
                    "{name}, row {row}, column {column}: {found} and {fine} +- {tolerance}"
                );
            }
        }
    }
    assert_eq!(scored, points().len() + large().len() - 2, "all but the band and Branin's function");
}

/// The derivative of the score along a direction is a central difference of scores.
#[test]
fn score_derivatives_are_differences_of_scores() {
    let mut curved = 0;
    for case in points().into_iter().chain(large()) {
        let (name, target, n, d) = (case.name, &case.target, 64, case.dimension());
        let points = around(&case, n);
        let conditions = case.condition.repeat(n);
        let directions: Vec<f64> = noise(12).normal(n, d).into_iter().map(f64::from).collect();
        let mut bends = vec![f64::NAN; n * d];
        let found = target.score_derivatives(&points, &conditions, &directions, &mut bends);
        assert_eq!(found.is_ok(), target.has_curvature(), "{name}");
        if found.is_err() {
            continue;
        }
        curved += 1;
        let scores = |points: &[f32]| {
            let (mut values, mut scores) = (vec![f64::NAN; n], vec![f64::NAN; n * d]);
            target.log_rewards_with_scores(points, &conditions, &mut values, &mut scores).expect("scores");
            (values, scores)
        };
        // `sum_j (s(x + h_j e_j) - s(x - h_j e_j)) v_j / 2 h_j`, with what rounding may do to it.
        let quotients = |step: f32| -> Vec<(f64, f64)> {
            let mut sums = vec![(0.0, 0.0); n * d];
            for column in 0..d {
                let shifted = |by: f32| -> Vec<f32> {
                    let shift = |(i, v): (usize, &f32)| if i % d == column { v + by } else { *v };
                    points.iter().enumerate().map(shift).collect()
                };
                let (up, down) = (shifted(step), shifted(-step));
                let ((above_r, above), (below_r, below)) = (scores(&up), scores(&down));
                for (at, (sum, rounding)) in sums.iter_mut().enumerate() {
                    let (row, moved) = (at / d, at / d * d + column);
                    let weight = directions[moved] / f64::from(up[moved] - down[moved]);
                    let inside = above_r[row].is_finite() && below_r[row].is_finite();
                    *sum += if inside { (above[at] - below[at]) * weight } else { f64::NAN };
                    *rounding += 1e-12 * (1.0 + above[at].abs()) * weight.abs();
                }
            }
            sums
        };
        let (fine, coarse) = (quotients(1e-3), quotients(2e-3));
        for at in 0..n * d {
            let ((fine, rounding), (coarse, _)) = (fine[at], coarse[at]);
            if !(fine.is_finite() && coarse.is_finite()) {
                assert!(!target.positive_everywhere(), "{name}");
                continue;
            }
            let tolerance = rounding + (fine - coarse).abs() + 1e-5 * (1.0 + fine.abs());
            assert!(
                (bends[at] - fine).abs() < tolerance,
                "{name}, {at}: {} and {fine} +- {tolerance}",
                bends[at]
            );
        }
    }
    assert_eq!(curved, points().len() + large().len() - 2, "all but the band and Branin's function");
}

/// A loss of `log R` and its score on the tape has the gradient of its differences.
#[test]
fn losses_of_scores_reach_the_tape() {
    for case in points().into_iter().chain(large()).filter(|case| case.target.has_curvature()) {
        let (name, target, n, d) = (case.name, &case.target, 16, case.dimension());
        let points: Vec<f32> = around(&case, n);
        let (mut value, mut slopes) = (vec![0.0; n], vec![0.0; n * d]);
        let conditions = case.condition.repeat(n);
        target.log_rewards_with_scores(&points, &conditions, &mut value, &mut slopes).expect("scores");
        // Where a target ends there is no gradient, and where it is too steep the loss is no line along a step.
        let mild = |row: usize| slopes[row * d..][..d].iter().all(|slope| slope.abs() < 200.0);
        let inside = |row: &usize| value[*row].is_finite() && mild(*row);
        let rows: Vec<usize> = (0..n).filter(inside).collect();
        assert!(!rows.is_empty(), "{name}: points to look at");
        let points: Vec<f32> = rows.iter().flat_map(|row| points[row * d..][..d].to_vec()).collect();
        let n = rows.len();
        let weight = |i: usize| 0.3 + 0.1 * (i % 7) as f64;
        // sum_rows 2 log R + sum_i w_i sin(s_i / 5)
        let loss = |points: &[f32]| -> Vec<f64> {
            let (mut values, mut scores) = (vec![0.0; n], vec![0.0; n * d]);
            let conditions = case.condition.repeat(n);
            target.log_rewards_with_scores(points, &conditions, &mut values, &mut scores).expect("scores");
            let of_row = |(value, scores): (&f64, &[f64])| {
                let waves = scores.iter().enumerate().map(|(i, s)| weight(i) * (s / 5.0).sin());
                2.0 * value + waves.sum::<f64>()
            };
            values.iter().zip(scores.chunks(d)).map(of_row).collect()
        };
        let device = Device::flex().autodiff();
        let x = Tensor::<2>::from_data(TensorData::new(points.clone(), [n, d]), &device).require_grad();
        let given = Given::rows(case.condition.len(), case.condition.clone());
        let (log_r, score) = anabranch::target::score(target, &x, &given).expect("a score");
        let weights: Vec<f32> = (0..n * d).map(|i| weight(i % d) as f32).collect();
        let weights = Tensor::<2>::from_data(TensorData::new(weights, [n, d]), &device);
        let total = (log_r * 2.0).cast(DType::F32).sum() + (weights * (score / 5.0).sin()).sum();
        let gradient =
            x.grad(&total.backward()).expect("x takes part").into_data().try_to_vec::<f32>().unwrap();
        for column in 0..d {
            let quotient = |step: f32| -> Vec<f64> {
                let shifted = |by: f32| -> Vec<f32> {
                    let shift = |(i, v): (usize, &f32)| if i % d == column { v + by } else { *v };
                    points.iter().enumerate().map(shift).collect()
                };
                let (up, down) = (shifted(step), shifted(-step));
                let (above, below) = (loss(&up), loss(&down));
                let width = |row: usize| f64::from(up[row * d + column] - down[row * d + column]);
                (0..n).map(|row| (above[row] - below[row]) / width(row)).collect()
            };
            let (fine, coarse) = (quotient(5e-4), quotient(1e-3));
            for row in (0..n).filter(|row| fine[*row].is_finite() && coarse[*row].is_finite()) {
                let found = f64::from(gradient[row * d + column]);
                let tolerance = (fine[row] - coarse[row]).abs() + 1e-3 * (1.0 + fine[row].abs());
                assert!((found - fine[row]).abs() < tolerance, "{name}, {row}: {found} and {}", fine[row]);
            }
        }
    }
}

/// The f64 density of data agrees with the target's.
#[test]
fn toy_rows_have_the_targets_density() {
    for (name, toy) in toy::NAMES.into_iter().zip(Toy::ALL) {
        assert_eq!(Toy::named(name), Some(toy));
        let rows = toy::sample(name, 301, 5);
        let mut values = vec![0.0; 301];
        toy.log_rewards(&rows, &[], &mut values).expect("no failure");
        assert_eq!(toy::log_density(name, &rows), values, "{name}");
    }
}

/// A row's density, score and sample depend on that row alone.
#[test]
fn rows_are_independent_of_the_batch() {
    for case in points().into_iter().chain(large()) {
        let (name, target, d) = (case.name, &case.target, case.dimension());
        let all = around(&case, 150);
        if let Some(drawn) = target.draw(150, &noise(10)) {
            let tail = target.draw(7, &noise(10).from_trajectory(143)).expect("as before");
            assert_eq!(tail, drawn[143 * d..], "{name}");
        }
        let values = case.values(&all);
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let tail = case.values(&all[143 * d..]);
        assert!(values[143..].iter().zip(&tail).all(|(a, b)| same(*a, *b)), "{name}");
        let with_scores = |points: &[f32]| {
            let (mut values, mut scores) = (vec![0.0; points.len() / d], vec![0.0; points.len()]);
            let conditions = case.condition.repeat(values.len());
            let found = target.log_rewards_with_scores(points, &conditions, &mut values, &mut scores);
            found.is_ok().then_some(scores)
        };
        if let (Some(scores), Some(tail)) = (with_scores(&all), with_scores(&all[143 * d..])) {
            assert!(scores[143 * d..].iter().zip(&tail).all(|(a, b)| same(*a, *b)), "{name}");
        }
    }
}
