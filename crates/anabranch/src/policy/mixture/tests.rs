use std::f64::consts::{PI, TAU};

use super::*;
use crate::math::special::{bessel_ratio, digamma, ln_bessel_i0, ln_gamma};
use crate::policy::Concentrations;
use crate::rng::{Noise, Purpose};

/// Laws with awkward parameters.
fn laws() -> Vec<(CoordinateLaw, [f64; 2])> {
    let beta = CoordinateLaw::Beta(Concentrations::default());
    let table = [
        (beta, vec![[1.0, 1.0], [0.5, 0.5], [0.5, 3.0], [2.5, 0.7], [50.0, 12.0], [1.3, 50.0]]),
        (CoordinateLaw::Gaussian, vec![[0.0, 1.0], [-3.0, 0.2], [40.0, 7.0]]),
        (CoordinateLaw::VonMises, vec![[0.0, 0.0], [1e-9, 0.0], [0.3, -0.2], [-2.0, 0.5], [-60.0, 20.0]]),
    ];
    table.into_iter().flat_map(|(law, all)| all.into_iter().map(move |p| (law, p))).collect()
}

/// Mixtures of such laws: the family, and outputs of a network.
fn mixtures() -> Vec<(MixtureLaw, Vec<f32>)> {
    let outputs: Vec<f32> = (0..9).map(|i| ((i * i + 1) as f32 * 0.7).sin() * 1.5).collect();
    let beta = CoordinateLaw::Beta(Concentrations::default());
    let of = |law, components: usize| (MixtureLaw { law, components }, outputs[..3 * components].to_vec());
    [beta, CoordinateLaw::Gaussian, CoordinateLaw::VonMises]
        .iter()
        .flat_map(|law| [of(*law, 1), of(*law, 3)])
        .collect()
}

fn prepared((mixture, outputs): &(MixtureLaw, Vec<f32>)) -> Vec<f32> {
    let mut row = outputs.clone();
    mixture.prepare(&mut row);
    row
}

/// Points in order, each with the measure around it: a fine rule that is not the laws' own.
fn fine(law: CoordinateLaw) -> Vec<(f64, f64)> {
    const COUNT: usize = 200_000;
    let middle = |j: usize| (j as f64 + 0.5) / COUNT as f64;
    let one = |t: f64| match law {
        CoordinateLaw::Beta(_) => {
            (t.powi(3) * (10.0 - 15.0 * t + 6.0 * t * t), 30.0 * (t * (1.0 - t)).powi(2))
        }
        CoordinateLaw::Gaussian => (200.0 * t - 100.0, 200.0),
        CoordinateLaw::VonMises => (TAU * t - PI, TAU),
    };
    (0..COUNT).map(|j| one(middle(j))).map(|(z, width)| (z, width / COUNT as f64)).collect()
}

#[test]
fn densities_integrate_to_one() {
    for (law, parameters) in laws() {
        let mass = |power: fn(f64) -> f64| {
            let points = fine(law).into_iter();
            points.map(|(z, width)| width * law.log_density(parameters, z).exp() * power(z)).sum::<f64>()
        };
        // Nearer to an end than an edge the density is held constant.
        let lost = if parameters.contains(&0.5) { 2e-3 } else { 1e-4 };
        assert!((mass(|_| 1.0) - 1.0).abs() < lost, "{law:?} {parameters:?}: {}", mass(|_| 1.0));
        let nodes = (0..NODES).map(|j| law.node(parameters, j));
        let own: f64 = nodes.clone().map(|(_, weight)| weight).sum();
        let mean: f64 = nodes.map(|(z, weight)| weight * z.cos()).sum();
        assert!((own - 1.0).abs() < lost, "{law:?} {parameters:?}: {own} by the own rule");
        assert!((mean - mass(f64::cos)).abs() < lost, "{law:?} {parameters:?}: a mean of {mean}");
    }
}

#[test]
fn slopes_agree_with_differences() {
    for (mixture, outputs) in mixtures() {
        let row = prepared(&(mixture, outputs.clone()));
        for z in [1e-3, 0.2, 0.7, 0.999] {
            let mut slopes = vec![0.0; outputs.len()];
            mixture.add_slopes(&row, z, 1.0, &mut slopes);
            for at in 0..outputs.len() {
                let value = |by: f32| {
                    let mut moved = outputs.clone();
                    moved[at] += by;
                    mixture.log_density(&prepared(&(mixture, moved)), z)
                };
                let numeric = (value(1e-2) - value(-1e-2)) / 2e-2;
                let error = (numeric - f64::from(slopes[at])).abs();
                assert!(error < 1e-3 * (1.0 + numeric.abs()), "{mixture:?} at {z}, output {at}: {numeric}");
            }
        }
    }
}

/// Kolmogorov's distance of draws from the law with this log-density up to a constant, times `sqrt(n)`.
fn distance(law: CoordinateLaw, draws: &mut [f64], log_density: impl Fn(f64) -> f64) -> f64 {
    let points = fine(law);
    let masses: Vec<f64> = points.iter().map(|(z, width)| width * log_density(*z).exp()).collect();
    let total: f64 = masses.iter().sum();
    draws.sort_by(f64::total_cmp);
    let (mut sum, mut at, mut largest) = (0.0, 0, 0.0f64);
    for (rank, z) in draws.iter().enumerate() {
        while at < points.len() && points[at].0 <= *z {
            sum += masses[at] / total;
            at += 1;
        }
        largest = largest.max((sum - rank as f64 / draws.len() as f64).abs());
    }
    largest * (draws.len() as f64).sqrt()
}

/// Kolmogorov's distance exceeds `2.5 / sqrt(n)` with a chance of 8e-6.
#[test]
fn draws_follow_their_densities() {
    let noise = Noise::new(11, Purpose::Choice);
    let folded = |law: CoordinateLaw, z: f64| {
        if law == CoordinateLaw::VonMises { z - TAU * (z / TAU).round() } else { z }
    };
    for (law, parameters) in laws() {
        for temperature in [1.0, 1.7] {
            let mut draws: Vec<f64> = (0..20_000)
                .map(|i| folded(law, law.draw(parameters, temperature, &mut noise.stream(i))))
                .collect();
            let found = distance(law, &mut draws, |z| law.log_density(parameters, z) / temperature);
            assert!(found < 2.5, "{law:?} {parameters:?}, temperature {temperature}: {found}");
        }
    }
    for case in mixtures() {
        let (mixture, row) = (case.0, prepared(&case));
        let mut draws: Vec<f64> =
            (0..20_000).map(|i| folded(mixture.law, mixture.draw(&row, 1.0, &mut noise.stream(i)))).collect();
        let found = distance(mixture.law, &mut draws, |z| mixture.log_density(&row, z));
        assert!(found < 2.5, "{mixture:?}: {found}");
    }
}

/// Single components against their closed forms, mixtures' slopes against differences.
#[test]
fn divergences_are_those_of_closed_forms() {
    let mean = |law: CoordinateLaw, [a, b]: [f64; 2]| match law {
        CoordinateLaw::Beta(_) => [digamma(a) - digamma(a + b), digamma(b) - digamma(a + b)],
        CoordinateLaw::Gaussian => [a, b],
        CoordinateLaw::VonMises => {
            let ratio = bessel_ratio(a.hypot(b)) / a.hypot(b).max(1e-300);
            [ratio * a, ratio * b]
        }
    };
    let closed = |law: CoordinateLaw, p: [f64; 2], q: [f64; 2]| {
        let [m, n] = mean(law, p);
        match law {
            CoordinateLaw::Gaussian => {
                (q[1] / p[1]).ln() + 0.5 * ((p[1].powi(2) + (p[0] - q[0]).powi(2)) / q[1].powi(2) - 1.0)
            }
            CoordinateLaw::Beta(_) => {
                let log_beta = |[a, b]: [f64; 2]| ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
                log_beta(q) - log_beta(p) + (p[0] - q[0]) * m + (p[1] - q[1]) * n
            }
            CoordinateLaw::VonMises => {
                let log_bessel = |[a, b]: [f64; 2]| ln_bessel_i0(a.hypot(b));
                log_bessel(q) - log_bessel(p) + (p[0] - q[0]) * m + (p[1] - q[1]) * n
            }
        }
    };
    for (law, p) in laws() {
        for (_, q) in laws().into_iter().filter(|(other, _)| *other == law) {
            let row = |[a, b]: [f64; 2]| [0.0, a as f32, b as f32];
            let found = MixtureLaw { law, components: 1 }.divergence(&row(p), &row(q));
            let expected = closed(law, p, q);
            // Near an end the density is held constant.
            let tolerance = if p[0].min(p[1]) < 1.0 && law != CoordinateLaw::Gaussian { 1e-2 } else { 2e-4 };
            assert!(
                (found - expected).abs() < tolerance * (1.0 + expected),
                "{law:?} {p:?} {q:?}: {found}, {expected}"
            );
        }
    }
    for (mixture, outputs) in mixtures() {
        let row = prepared(&(mixture, outputs.clone()));
        let other: Vec<f32> = outputs.iter().rev().map(|output| 0.8 - output).collect();
        let reference = prepared(&(mixture, other));
        let mut slopes = vec![0.0; outputs.len()];
        let divergence = mixture.divergence(&row, &reference);
        assert!(divergence > 0.01 && mixture.divergence(&row, &row).abs() < 1e-12);
        mixture.add_divergence_slopes(&row, &reference, divergence, 1.0, &mut slopes);
        for at in 0..outputs.len() {
            let value = |by: f32| {
                let mut moved = outputs.clone();
                moved[at] += by;
                mixture.divergence(&prepared(&(mixture, moved)), &reference)
            };
            let numeric = (value(1e-2) - value(-1e-2)) / 2e-2;
            let error = (numeric - f64::from(slopes[at])).abs();
            assert!(
                error < 5e-3 * (1.0 + numeric.abs()),
                "{mixture:?}, output {at}: {numeric}, {}",
                slopes[at]
            );
        }
    }
}

#[test]
fn parameters_keep_their_bounds() {
    let bounds = Concentrations::new(0.2, 30.0).unwrap();
    let law = CoordinateLaw::Beta(bounds);
    assert_eq!(law.parameters([0.0; 2]), [1.0; 2]);
    assert_eq!(law.parameters([-1e30, 1e30]), [0.2, 30.0]);
    assert!(law.parameters([f64::NAN, 0.0])[0].is_nan());
    assert_eq!(CoordinateLaw::Gaussian.parameters([-7.0, 0.0]), [-7.0, 1.0]);
    for (least, most) in [(0.0, 5.0), (1.0, 5.0), (f64::NAN, 5.0), (0.5, 1.0), (0.5, f64::INFINITY)] {
        let message = Concentrations::new(least, most).unwrap_err().to_string();
        assert!(message.contains("concentration") && message.contains("allowed"), "{message}");
    }
}

/// A network that answers no numbers makes draws that are no numbers, and ends.
#[test]
fn draws_end_whatever_the_parameters() {
    let noise = Noise::new(1, Purpose::Choice);
    for law in
        [CoordinateLaw::Beta(Concentrations::default()), CoordinateLaw::Gaussian, CoordinateLaw::VonMises]
    {
        for parameters in [[f64::NAN; 2], [f64::INFINITY; 2], [0.0, f64::NAN]] {
            law.draw(parameters, 1.0, &mut noise.stream(0));
        }
    }
}
