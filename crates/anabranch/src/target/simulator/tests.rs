//! Simulators against published draws of their posteriors, and against themselves.

use super::*;
use crate::math::{Estimate, gauss_legendre};
use crate::rng::Purpose;

/// Gauss-Legendre quadrature on [-1, 1].
fn rule(n: usize) -> Vec<(f64, f64)> {
    gauss_legendre(n).into_iter().map(|(u, weight)| (2.0 * u - 1.0, 2.0 * weight)).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// Means and standard deviations of sbibm 1.1.0's 10,000 reference draws of each posterior (MIT licence; of slcp, the third and the
/// fourth parameter without their signs).
const PUBLISHED: &[(&str, usize, &[f64], &[f64])] = &[
    ("two-moons", 1, &[-0.11567, 0.11506], &[0.67654, 0.67588]),
    ("two-moons", 4, &[-0.44084, 0.45135], &[0.40327, 0.40141]),
    ("two-moons", 7, &[-0.73626, 0.73441], &[0.10095, 0.10011]),
    ("two-moons", 10, &[0.82038, -0.81800], &[0.12884, 0.12974]),
    (
        "gaussian-linear-uniform",
        1,
        &[-0.49143, -0.23463, 0.66918, 0.56660, 0.39548, -0.09654, 0.79208, -0.05922, -0.73909, -0.72989],
        &[0.27340, 0.30836, 0.22300, 0.25906, 0.29245, 0.31375, 0.16840, 0.31224, 0.19458, 0.20081],
    ),
    ("gaussian-mixture", 1, &[-9.26410, -1.48740], &[0.52694, 0.64930]),
    ("gaussian-mixture", 9, &[6.51656, 0.29017], &[0.70054, 0.70632]),
    (
        "slcp",
        1,
        &[0.05690, 0.03416, 2.57953, 1.10321, 2.40035],
        &[1.63281, 0.33817, 0.24878, 0.12906, 0.51627],
    ),
    (
        "slcp",
        4,
        &[-1.85243, 0.01974, 1.28381, 0.31082, -1.06990],
        &[0.82119, 0.06275, 0.36743, 0.10411, 0.76794],
    ),
    (
        "slcp",
        7,
        &[1.12696, -1.47931, 2.84296, 0.57112, -1.30429],
        &[1.45938, 0.14785, 0.12855, 0.10158, 0.49311],
    ),
    (
        "slcp",
        10,
        &[1.77978, -2.57935, 0.86880, 0.84040, -0.92014],
        &[0.43302, 0.39836, 0.28077, 0.27813, 0.78553],
    ),
];

#[test]
fn posteriors_have_the_moments_of_published_draws() {
    for (name, number, means, deviations) in PUBLISHED {
        let simulator = named(name).unwrap();
        let [parameters, measured] = simulator.sizes();
        let observation = &observations(name).observations[(number - 1) * measured..number * measured];
        let rows = 20_000;
        let draws = posterior(simulator, observation, rows, &Noise::new(3, Purpose::Target)).unwrap();
        for (k, (mean, deviation)) in means.iter().zip(*deviations).enumerate() {
            let values = wide(&draws).into_iter().skip(k).step_by(parameters);
            let values: Vec<f64> = match *name == "slcp" && (k == 2 || k == 3) {
                true => values.map(f64::abs).collect(),
                false => values.collect(),
            };
            let found = Estimate::mean(&values);
            // Both samples have an error: of 20,000 draws and of 10,000.
            let bound = 4.5 * deviation * (1.0 / 20_000f64 + 1.0 / 10_000.0).sqrt();
            assert!((found.value - mean).abs() < bound, "{name} {number}, {k}: {found:?} against {mean}");
            let spread = found.error * (rows as f64).sqrt();
            assert!(
                (spread / deviation - 1.0).abs() < 0.05,
                "{name} {number}, {k}: {spread} against {deviation}"
            );
        }
    }
}

/// Simulation-based calibration (Talts et al. 2018): among draws of the posterior of what they made, parameters of the prior have
/// ranks that are uniform.
#[test]
fn parameters_rank_uniformly_among_draws_of_their_posterior() {
    const RANKS: usize = 10;
    let simulations = 2000;
    for name in NAMES {
        let simulator = named(name).unwrap();
        let [parameters, measured] = simulator.sizes();
        let noise = Noise::new(8, Purpose::Target);
        let all = simulate(simulator, simulations, &noise);
        let mut counts = vec![[0usize; RANKS]; parameters];
        for row in 0..simulations {
            let observation = &all.observations[row * measured..][..measured];
            let noise = noise.step(1).from_row(row * RANKS);
            let draws = posterior(simulator, observation, RANKS - 1, &noise).unwrap();
            for k in 0..parameters {
                let own = all.parameters[row * parameters + k];
                counts[k][draws.iter().skip(k).step_by(parameters).filter(|draw| **draw < own).count()] += 1;
            }
        }
        let expected = simulations as f64 / RANKS as f64;
        for (k, counts) in counts.iter().enumerate() {
            let chi: f64 = counts.iter().map(|count| (*count as f64 - expected).powi(2) / expected).sum();
            // Of nine degrees of freedom; 33.7 is passed once in ten thousand times.
            assert!(chi < 33.7, "{name}, parameter {k}: {chi} of {counts:?}");
        }
    }
}

/// Likelihoods integrate to one: `E[p(x | b) / p(x | a)] = 1` over what is simulated under `a`, the wider of two.
#[test]
fn likelihoods_are_normalised() {
    for (name, a, b) in [
        ("gaussian-linear", vec![0.1; 10], vec![0.05; 10]),
        ("gaussian-mixture", vec![1.0, 2.0], vec![1.2, 1.9]),
        ("slcp", vec![0.5, -0.5, 1.5, -1.2, 0.4], vec![0.4, -0.4, 1.4, 1.15, 0.3]),
    ] {
        let simulator = named(name).unwrap();
        let noise = Noise::new(4, Purpose::Target);
        let ratio = |row: usize| {
            let x = simulator.simulate(&a, &mut noise.stream(row));
            (simulator.log_likelihood(&b, &x) - simulator.log_likelihood(&a, &x)).exp()
        };
        let found = Estimate::mean(&(0..40_000).map(ratio).collect::<Vec<f64>>());
        assert!((found.value - 1.0).abs() < 4.5 * found.error, "{name}: {found:?}");
    }
    // Two moons by quadrature, in polar coordinates around the half circle's centre.
    let (simulator, theta) = (named("two-moons").unwrap(), [0.3f64, -0.6]);
    let centre = [0.25 - (theta[0] + theta[1]).abs() / 2f64.sqrt(), (theta[1] - theta[0]) / 2f64.sqrt()];
    let rule = rule(60);
    let mut total = 0.0;
    for (u, weight) in &rule {
        let radius = 0.1 + 0.08 * u;
        for (v, other) in &rule {
            let angle = std::f64::consts::FRAC_PI_2 * v;
            let x = [centre[0] + radius * angle.cos(), centre[1] + radius * angle.sin()];
            let density = simulator.log_likelihood(&theta, &x).exp();
            total += weight * other * 0.08 * std::f64::consts::FRAC_PI_2 * radius * density;
        }
    }
    assert!((total - 1.0).abs() < 1e-6, "{total}");
}

/// `p(x)` is the integral of `p(x | theta) p(theta)`; of the normal prior, Bayes' rule gives the posterior in closed form.
#[test]
fn evidences_are_the_integrals_that_they_say() {
    let normal = named("gaussian-linear").unwrap();
    let (x, theta): (Vec<f64>, Vec<f64>) =
        (0..10).map(|k| (0.2 * f64::from(k) - 0.7, 0.3 - 0.05 * f64::from(k))).unzip();
    let joint = normal.log_prior(&theta) + normal.log_likelihood(&theta, &x);
    let half: Vec<f64> = x.iter().map(|x| 0.5 * x).collect();
    let found = joint - normal.log_evidence(&x).unwrap();
    assert!((found - log_normal(&theta, &half, 0.05)).abs() < 1e-10);
    let uniform = named("gaussian-linear-uniform").unwrap();
    let rule = rule(80);
    let each = |x: &f64| -> f64 {
        let mass = |(t, weight): &(f64, f64)| weight * 0.5 * log_normal(&[*x], &[*t], 0.1).exp();
        rule.iter().map(mass).sum::<f64>().ln()
    };
    let exact: f64 = x.iter().map(each).sum();
    assert!((uniform.log_evidence(&x).unwrap() - exact).abs() < 1e-9);
    let mixture = named("gaussian-mixture").unwrap();
    let x = [9.3, -4.0];
    // Near the corner both laws are cut; the narrow one needs a fine rule: over [x - 1, 10] and the rest for itself.
    let pieces =
        |x: f64| [(-10.0, x - 1.0), (x - 1.0, (x + 1.0f64).min(10.0)), ((x + 1.0f64).min(10.0), 10.0)];
    let mut total = 0.0;
    for (a0, b0) in pieces(x[0]) {
        for (a1, b1) in pieces(x[1]) {
            for (u, wu) in &rule {
                for (v, wv) in &rule {
                    let theta = [0.5 * (a0 + b0 + (b0 - a0) * u), 0.5 * (a1 + b1 + (b1 - a1) * v)];
                    let density = (mixture.log_prior(&theta) + mixture.log_likelihood(&theta, &x)).exp();
                    total += wu * wv * 0.25 * (b0 - a0) * (b1 - a1) * density;
                }
            }
        }
    }
    assert!((mixture.log_evidence(&x).unwrap() - total.ln()).abs() < 1e-6, "{}", total.ln());
}

#[test]
fn rows_have_addresses() {
    let noise = Noise::new(1, Purpose::Target);
    for name in NAMES {
        let simulator = named(name).unwrap();
        let [parameters, measured] = simulator.sizes();
        let all = simulate(simulator, 10, &noise);
        let tail = simulate(simulator, 4, &noise.from_row(6));
        assert_eq!(tail.parameters, all.parameters[6 * parameters..]);
        assert_eq!(tail.observations, all.observations[6 * measured..]);
        let known = observations(name);
        assert_eq!(known.parameters.len(), 10 * parameters);
        assert_eq!(known.observations.len(), 10 * measured);
        let likely = |row: usize| {
            let theta = wide(&known.parameters[row * parameters..][..parameters]);
            let x = wide(&known.observations[row * measured..][..measured]);
            simulator.log_prior(&theta) + simulator.log_likelihood(&theta, &x) > -40.0
        };
        assert!((0..10).all(likely), "{name}");
    }
    assert!(named("two_moons").is_none());
    let far = posterior(named("two-moons").unwrap(), &[3.0, 0.0], 1, &noise);
    assert_eq!(far, None);
}
