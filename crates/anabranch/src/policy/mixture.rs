//! Mixtures of one-dimensional laws: what a policy draws the coordinates of a continuous move from.
//!
//! ```text
//! p(z) = sum_k w_k f(z; k)            [ k logits | k first outputs | k second outputs ]
//!
//! Beta        z in (0, 1)       ln f = (a - 1) ln z + (b - 1) ln(1 - z) - ln B(a, b),      a, b between two bounds
//! Gaussian    z in R            ln f = -((z - m) / s)^2 / 2 - ln s - ln(2 pi) / 2,         ln s = L tanh(output / L)
//! von Mises   z on the circle   ln f = u cos z + v sin z - ln(2 pi I_0(|(u, v)|)),         concentration |(u, v)|
//!
//! d ln p / d output  =  r_k d ln f(z; k) / d output,     d ln p / d logit_k = r_k - w_k,     r_k = w_k f(z; k) / p(z)
//! ```
//!
//! Where all outputs are 0, the law is the plain one of its domain: uniform, or standard normal.
//!
//! Lahlou et al., "A theory of continuous generative flow networks" (2023), appendix; Mardia and Jupp, "Directional
//! Statistics" (2000), 3.5.4.

use std::f64::consts::{PI, TAU};
use std::sync::LazyLock;

use crate::error::{Problem, Result};
use crate::math::gauss_legendre;
use crate::rng::Stream;
use crate::special::{bessel_ratio, digamma, ln_bessel_i0, ln_gamma};

/// How near to an end of the unit interval a coordinate comes: states in f32 tell no finer.
pub(super) const EDGE: f64 = 1e-6;

/// The largest `|ln s|` of a Gaussian.
const WIDEST: f64 = 5.0;

/// Nodes of the quadrature of a component.
const NODES: usize = 64;

/// How often a draw is tried: each attempt fails with a chance below 1/2.
const ATTEMPTS: usize = 128;

/// The bounds of the parameters of Beta laws.
///
/// A law `Beta(a, .)` has a mass of about `1e-6^a` nearer to its end than f32 can tell: 0.1% at the default of 1/2, and one
/// quarter at 1/10.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Concentrations {
    least: f64,
    most: f64,
}

impl Default for Concentrations {
    /// From 1/2 to 50.
    fn default() -> Self {
        Self { least: 0.5, most: 50.0 }
    }
}

impl Concentrations {
    /// Parameters between `least` and `most`.
    ///
    /// # Errors
    /// Unless `0.1 <= least < 1 < most <= 1e4`: between them lies the uniform law.
    pub fn new(least: f64, most: f64) -> Result<Self> {
        if !(0.1..1.0).contains(&least) {
            return Err(Problem::new("policy.least_concentration", least.to_string())
                .allowed("at least 0.1 and below 1")
                .into());
        }
        if !(most > 1.0 && most <= 1e4) {
            return Err(Problem::new("policy.most_concentration", most.to_string())
                .allowed("above 1 and at most 10000")
                .into());
        }
        Ok(Self { least, most })
    }

    /// `least + (most - least) sigmoid(output + c)`, with `c` such that an output of 0 gives 1.
    fn at(self, output: f64) -> f64 {
        let odds = (self.most - 1.0) / (1.0 - self.least) * (-output).exp();
        self.least + (self.most - self.least) / (1.0 + odds)
    }

    /// The slope of [`Concentrations::at`] where it has this value.
    fn slope(self, value: f64) -> f64 {
        ((value - self.least) * (self.most - value)).max(0.0) / (self.most - self.least)
    }
}

/// A family of laws with two parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Law {
    Beta(Concentrations),
    Gaussian,
    VonMises,
}

impl Law {
    /// From two outputs of a network to the two parameters.
    fn parameters(self, outputs: [f64; 2]) -> [f64; 2] {
        match self {
            Self::Beta(bounds) => outputs.map(|output| bounds.at(output)),
            Self::Gaussian => [outputs[0], (WIDEST * (outputs[1] / WIDEST).tanh()).exp()],
            Self::VonMises => outputs,
        }
    }

    /// `ln f(z)`, nats.
    fn log_density(self, [a, b]: [f64; 2], z: f64) -> f64 {
        match self {
            Self::Beta(_) => {
                let z = z.clamp(EDGE, 1.0 - EDGE);
                let log_beta = ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
                (a - 1.0) * z.ln() + (b - 1.0) * (-z).ln_1p() - log_beta
            }
            Self::Gaussian => {
                let scaled = (z - a) / b;
                -0.5 * (scaled * scaled + TAU.ln()) - b.ln()
            }
            Self::VonMises => a * z.cos() + b * z.sin() - TAU.ln() - ln_bessel_i0(a.hypot(b)),
        }
    }

    /// The slopes of `ln f(z)` by the two outputs.
    fn slopes(self, [a, b]: [f64; 2], z: f64) -> [f64; 2] {
        match self {
            Self::Beta(bounds) => {
                let z = z.clamp(EDGE, 1.0 - EDGE);
                let both = digamma(a + b);
                [
                    bounds.slope(a) * (z.ln() - digamma(a) + both),
                    bounds.slope(b) * ((-z).ln_1p() - digamma(b) + both),
                ]
            }
            Self::Gaussian => {
                let scaled = (z - a) / b;
                [scaled / b, (scaled * scaled - 1.0) * (1.0 - (b.ln() / WIDEST).powi(2))]
            }
            Self::VonMises => {
                let concentration = a.hypot(b);
                // I_1(x) / I_0(x) is x / 2 near 0.
                let ratio =
                    if concentration < 1e-8 { 0.5 } else { bessel_ratio(concentration) / concentration };
                [z.cos() - ratio * a, z.sin() - ratio * b]
            }
        }
    }

    /// Draws from the law whose density is proportional to `f(z)^(1 / temperature)`.
    fn draw(self, [a, b]: [f64; 2], temperature: f64, stream: &mut Stream<'_>) -> f64 {
        match self {
            Self::Beta(_) => {
                // A power that could not be normalised is kept from being reached.
                let shape = |a: f64| (1.0 + (a - 1.0) / temperature).max(0.1);
                let (first, second) = (log_gamma_draw(shape(a), stream), log_gamma_draw(shape(b), stream));
                (1.0 / (1.0 + (second - first).exp())).clamp(EDGE, 1.0 - EDGE)
            }
            Self::Gaussian => a + b * temperature.sqrt() * stream.normal(),
            Self::VonMises => b.atan2(a) + von_mises_draw(a.hypot(b) / temperature, stream),
        }
    }

    /// `ln f(z)` of the plain law, that of outputs of 0, nats.
    pub(super) fn plain_log_density(self, z: f64) -> f64 {
        self.log_density(self.parameters([0.0; 2]), z)
    }

    /// A draw from the plain law.
    pub(super) fn draw_plain(self, stream: &mut Stream<'_>) -> f64 {
        self.draw(self.parameters([0.0; 2]), 1.0, stream)
    }

    /// Node `j` of a quadrature, and its weight times `f`: sums over `j < NODES` are expectations.
    fn node(self, parameters: [f64; 2], j: usize) -> (f64, f64) {
        static LEGENDRE: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| gauss_legendre(NODES));
        let (z, weight) = match self {
            // z = sin^2(pi t / 2) takes the singularities at both ends away.
            Self::Beta(_) => {
                let (t, weight) = LEGENDRE[j];
                let angle = 0.5 * PI * t;
                (angle.sin().powi(2), weight * PI * angle.sin() * angle.cos())
            }
            // The rectangle rule, of exponential accuracy for smooth functions that vanish at both ends or are periodic.
            Self::Gaussian | Self::VonMises => {
                let [a, b] = parameters;
                let (centre, half) = match self {
                    Self::Gaussian => (a, 10.0 * b),
                    _ => (b.atan2(a), PI.min(10.0 / a.hypot(b).sqrt())),
                };
                let step = 2.0 * half / NODES as f64;
                (centre - half + (j as f64 + 0.5) * step, step)
            }
        };
        (z, weight * self.log_density(parameters, z).exp())
    }
}

/// The logarithm of a draw from `Gamma(shape, 1)`.
///
/// Marsaglia and Tsang, "A simple method for generating gamma variables" (2000); below 1 the shape is raised by one, and a
/// power of a uniform multiplies the draw.
fn log_gamma_draw(shape: f64, stream: &mut Stream<'_>) -> f64 {
    let (large, log_power) =
        if shape < 1.0 { (shape + 1.0, stream.uniform().ln() / shape) } else { (shape, 0.0) };
    let d = large - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    for _ in 0..ATTEMPTS {
        let normal = stream.normal();
        let uniform = stream.uniform();
        let cube = (1.0 + c * normal).powi(3);
        if cube > 0.0 && uniform.ln() < 0.5 * normal * normal + d * (1.0 - cube + cube.ln()) {
            return (d * cube).ln() + log_power;
        }
    }
    d.ln() + log_power
}

/// A draw from von Mises' law around 0.
///
/// Best and Fisher, "Efficient simulation of the von Mises distribution" (1979).
fn von_mises_draw(concentration: f64, stream: &mut Stream<'_>) -> f64 {
    if concentration < 1e-6 {
        return PI * (2.0 * stream.uniform() - 1.0);
    }
    let tau = 1.0 + (1.0 + 4.0 * concentration * concentration).sqrt();
    let rho = (tau - (2.0 * tau).sqrt()) / (2.0 * concentration);
    let r = (1.0 + rho * rho) / (2.0 * rho);
    for _ in 0..ATTEMPTS {
        let z = (PI * stream.uniform()).cos();
        let f = (1.0 + r * z) / (r + z);
        let c = concentration * (r - f);
        let (accept, sign) = (stream.uniform(), stream.word() >> 31);
        if (c / accept).ln() + 1.0 - c >= 0.0 {
            let angle = f.clamp(-1.0, 1.0).acos();
            return if sign == 0 { angle } else { -angle };
        }
    }
    0.0
}

/// A mixture of `components` laws of a family. Rows are as long as [`Mixture::outputs`] says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mixture {
    pub(super) law: Law,
    pub(super) components: usize,
}

impl Mixture {
    /// How many outputs of a network it takes.
    pub(super) fn outputs(self) -> usize {
        3 * self.components
    }

    /// Turns logits into log-weights and outputs into parameters, in place.
    pub(super) fn prepare(self, row: &mut [f32]) {
        let (logits, outputs) = row.split_at_mut(self.components);
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total = logits.iter().map(|logit| f64::from(logit - largest).exp()).sum::<f64>().ln();
        logits.iter_mut().for_each(|logit| *logit = (f64::from(*logit - largest) - total) as f32);
        let (first, second) = outputs.split_at_mut(self.components);
        for (a, b) in first.iter_mut().zip(second) {
            [*a, *b] = self.law.parameters([f64::from(*a), f64::from(*b)]).map(|p| p as f32);
        }
    }

    fn parameters(self, row: &[f32], component: usize) -> [f64; 2] {
        [1, 2].map(|part| f64::from(row[part * self.components + component]))
    }

    /// `ln p(z)` of a prepared row, nats.
    pub(super) fn log_density(self, row: &[f32], z: f64) -> f64 {
        let (mut largest, mut sum) = (f64::NEG_INFINITY, 0.0);
        for k in 0..self.components {
            let log = f64::from(row[k]) + self.law.log_density(self.parameters(row, k), z);
            if log > largest {
                sum = sum * (largest - log).exp() + 1.0;
                largest = log;
            } else {
                sum += (log - largest).exp();
            }
        }
        largest + sum.ln()
    }

    /// Adds `slope d ln p(z) / d output` to `out`.
    pub(super) fn add_slopes(self, row: &[f32], z: f64, slope: f64, out: &mut [f32]) {
        let total = self.log_density(row, z);
        for k in 0..self.components {
            let (log_weight, parameters) = (f64::from(row[k]), self.parameters(row, k));
            let share = (log_weight + self.law.log_density(parameters, z) - total).exp();
            out[k] += (slope * (share - log_weight.exp())) as f32;
            for (part, by_output) in self.law.slopes(parameters, z).into_iter().enumerate() {
                out[(part + 1) * self.components + k] += (slope * share * by_output) as f32;
            }
        }
    }

    /// A draw; the weights and each component are tempered.
    pub(super) fn draw(self, row: &[f32], temperature: f64, stream: &mut Stream<'_>) -> f64 {
        let weight = |k: usize| (f64::from(row[k]) / temperature).exp();
        let total: f64 = (0..self.components).map(weight).sum();
        let mut left = stream.uniform() * total;
        let mut chosen = 0;
        while chosen + 1 < self.components && left >= weight(chosen) {
            left -= weight(chosen);
            chosen += 1;
        }
        self.law.draw(self.parameters(row, chosen), temperature, stream)
    }

    /// `KL(p || q)` from a prepared row to another, nats, by quadrature.
    pub(super) fn divergence(self, row: &[f32], reference: &[f32]) -> f64 {
        let mut sum = 0.0;
        self.each_node(row, |z, weight| {
            sum += weight * (self.log_density(row, z) - self.log_density(reference, z));
        });
        sum
    }

    /// Adds `slope d KL(p || q) / d output` to `out`; `divergence` is `KL(p || q)`.
    pub(super) fn add_divergence_slopes(
        self,
        row: &[f32],
        reference: &[f32],
        divergence: f64,
        slope: f64,
        out: &mut [f32],
    ) {
        // d KL = E_p[(ln p - ln q) d ln p]; the constant `divergence` does not change it, since E_p[d ln p] = 0.
        self.each_node(row, |z, weight| {
            let excess = self.log_density(row, z) - self.log_density(reference, z) - divergence;
            self.add_slopes(row, z, slope * weight * excess, out);
        });
    }

    /// Hands the nodes of a quadrature over `p` with their weights to `each`.
    fn each_node(self, row: &[f32], mut each: impl FnMut(f64, f64)) {
        for k in 0..self.components {
            let (share, parameters) = (f64::from(row[k]).exp(), self.parameters(row, k));
            for (z, weight) in (0..NODES).map(|j| self.law.node(parameters, j)) {
                each(z, share * weight);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Noise, Purpose};

    /// Laws with awkward parameters.
    fn laws() -> Vec<(Law, [f64; 2])> {
        let beta = Law::Beta(Concentrations::default());
        let table = [
            (beta, vec![[1.0, 1.0], [0.5, 0.5], [0.5, 3.0], [2.5, 0.7], [50.0, 12.0], [1.3, 50.0]]),
            (Law::Gaussian, vec![[0.0, 1.0], [-3.0, 0.2], [40.0, 7.0]]),
            (Law::VonMises, vec![[0.0, 0.0], [1e-9, 0.0], [0.3, -0.2], [-2.0, 0.5], [-60.0, 20.0]]),
        ];
        table.into_iter().flat_map(|(law, all)| all.into_iter().map(move |p| (law, p))).collect()
    }

    /// Mixtures of such laws: the family, and outputs of a network.
    fn mixtures() -> Vec<(Mixture, Vec<f32>)> {
        let outputs: Vec<f32> = (0..9).map(|i| ((i * i + 1) as f32 * 0.7).sin() * 1.5).collect();
        let beta = Law::Beta(Concentrations::default());
        let of = |law, components: usize| (Mixture { law, components }, outputs[..3 * components].to_vec());
        [beta, Law::Gaussian, Law::VonMises].iter().flat_map(|law| [of(*law, 1), of(*law, 3)]).collect()
    }

    fn prepared((mixture, outputs): &(Mixture, Vec<f32>)) -> Vec<f32> {
        let mut row = outputs.clone();
        mixture.prepare(&mut row);
        row
    }

    /// Points in order, each with the measure around it: a fine rule that is not the laws' own.
    fn fine(law: Law) -> Vec<(f64, f64)> {
        const COUNT: usize = 200_000;
        let middle = |j: usize| (j as f64 + 0.5) / COUNT as f64;
        let one = |t: f64| match law {
            Law::Beta(_) => (t.powi(3) * (10.0 - 15.0 * t + 6.0 * t * t), 30.0 * (t * (1.0 - t)).powi(2)),
            Law::Gaussian => (200.0 * t - 100.0, 200.0),
            Law::VonMises => (TAU * t - PI, TAU),
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
                    assert!(
                        error < 1e-3 * (1.0 + numeric.abs()),
                        "{mixture:?} at {z}, output {at}: {numeric}"
                    );
                }
            }
        }
    }

    /// Kolmogorov's distance of draws from the law with this log-density up to a constant, times `sqrt(n)`.
    fn distance(law: Law, draws: &mut [f64], log_density: impl Fn(f64) -> f64) -> f64 {
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
        let folded = |law: Law, z: f64| if law == Law::VonMises { z - TAU * (z / TAU).round() } else { z };
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
            let mut draws: Vec<f64> = (0..20_000)
                .map(|i| folded(mixture.law, mixture.draw(&row, 1.0, &mut noise.stream(i))))
                .collect();
            let found = distance(mixture.law, &mut draws, |z| mixture.log_density(&row, z));
            assert!(found < 2.5, "{mixture:?}: {found}");
        }
    }

    /// Single components against their closed forms, mixtures' slopes against differences.
    #[test]
    fn divergences_are_those_of_closed_forms() {
        let mean = |law: Law, [a, b]: [f64; 2]| match law {
            Law::Beta(_) => [digamma(a) - digamma(a + b), digamma(b) - digamma(a + b)],
            Law::Gaussian => [a, b],
            Law::VonMises => {
                let ratio = bessel_ratio(a.hypot(b)) / a.hypot(b).max(1e-300);
                [ratio * a, ratio * b]
            }
        };
        let closed = |law: Law, p: [f64; 2], q: [f64; 2]| {
            let [m, n] = mean(law, p);
            match law {
                Law::Gaussian => {
                    (q[1] / p[1]).ln() + 0.5 * ((p[1].powi(2) + (p[0] - q[0]).powi(2)) / q[1].powi(2) - 1.0)
                }
                Law::Beta(_) => {
                    let log_beta = |[a, b]: [f64; 2]| ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
                    log_beta(q) - log_beta(p) + (p[0] - q[0]) * m + (p[1] - q[1]) * n
                }
                Law::VonMises => {
                    let log_bessel = |[a, b]: [f64; 2]| ln_bessel_i0(a.hypot(b));
                    log_bessel(q) - log_bessel(p) + (p[0] - q[0]) * m + (p[1] - q[1]) * n
                }
            }
        };
        for (law, p) in laws() {
            for (_, q) in laws().into_iter().filter(|(other, _)| *other == law) {
                let row = |[a, b]: [f64; 2]| [0.0, a as f32, b as f32];
                let found = Mixture { law, components: 1 }.divergence(&row(p), &row(q));
                let expected = closed(law, p, q);
                // Near an end the density is held constant.
                let tolerance = if p[0].min(p[1]) < 1.0 && law != Law::Gaussian { 1e-2 } else { 2e-4 };
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
        let law = Law::Beta(bounds);
        assert_eq!(law.parameters([0.0; 2]), [1.0; 2]);
        assert_eq!(law.parameters([-1e30, 1e30]), [0.2, 30.0]);
        assert!(law.parameters([f64::NAN, 0.0])[0].is_nan());
        assert_eq!(Law::Gaussian.parameters([-7.0, 0.0]), [-7.0, 1.0]);
        for (least, most) in [(0.0, 5.0), (1.0, 5.0), (f64::NAN, 5.0), (0.5, 1.0), (0.5, f64::INFINITY)] {
            let message = Concentrations::new(least, most).unwrap_err().to_string();
            assert!(message.contains("concentration") && message.contains("allowed"), "{message}");
        }
    }

    /// A network that answers no numbers makes draws that are no numbers, and ends.
    #[test]
    fn draws_end_whatever_the_parameters() {
        let noise = Noise::new(1, Purpose::Choice);
        for law in [Law::Beta(Concentrations::default()), Law::Gaussian, Law::VonMises] {
            for parameters in [[f64::NAN; 2], [f64::INFINITY; 2], [0.0, f64::NAN]] {
                law.draw(parameters, 1.0, &mut noise.stream(0));
            }
        }
    }
}
