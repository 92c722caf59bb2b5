//! One-dimensional laws of continuous moves, with slopes by the outputs of a network.
//!
//! ```text
//! Beta        z in (0, 1)       ln f = (a - 1) ln z + (b - 1) ln(1 - z) - ln B(a, b),      a, b between two bounds
//! Gaussian    z in R            ln f = -((z - m) / s)^2 / 2 - ln s - ln(2 pi) / 2,         ln s = L tanh(output / L)
//! von Mises   z on the circle   ln f = u cos z + v sin z - ln(2 pi I_0(|(u, v)|)),         concentration |(u, v)|
//! ```
//!
//! Where both outputs are 0, the law is the plain one of its domain: uniform, or standard normal.
//!
//! Lahlou et al., "A theory of continuous generative flow networks" (2023), appendix; Mardia and Jupp, "Directional
//! Statistics" (2000), 3.5.4.

use std::f64::consts::{PI, TAU};
use std::sync::LazyLock;

use crate::error::{Problem, Result};
use crate::math::gauss_legendre;
use crate::math::special::{bessel_ratio, digamma, ln_bessel_i0, ln_gamma};
use crate::rng::{Stream, log_gamma_draw, von_mises_draw};

/// How near to an end of the unit interval a coordinate comes: states in f32 tell no finer.
const EDGE: f64 = 1e-6;

/// The largest `|ln s|` of a Gaussian: with much wider ones, outliers lead training astray.
const WIDEST: f64 = 3.0;

/// Nodes of the quadrature of a component.
pub(super) const NODES: usize = 128;

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
pub(super) enum CoordinateLaw {
    Beta(Concentrations),
    Gaussian,
    VonMises,
}

impl CoordinateLaw {
    /// From two outputs of a network to the two parameters.
    pub(super) fn parameters(self, outputs: [f64; 2]) -> [f64; 2] {
        match self {
            Self::Beta(bounds) => outputs.map(|output| bounds.at(output)),
            Self::Gaussian => [outputs[0], (WIDEST * (outputs[1] / WIDEST).tanh()).exp()],
            Self::VonMises => outputs,
        }
    }

    /// `ln f(z)`, nats.
    pub(super) fn log_density(self, [a, b]: [f64; 2], z: f64) -> f64 {
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
    pub(super) fn slopes(self, [a, b]: [f64; 2], z: f64) -> [f64; 2] {
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
    pub(super) fn draw(self, [a, b]: [f64; 2], temperature: f64, stream: &mut Stream<'_>) -> f64 {
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
    pub(super) fn node(self, parameters: [f64; 2], j: usize) -> (f64, f64) {
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
                    Self::Gaussian => (a, 8.0 * b),
                    _ => (b.atan2(a), PI.min(8.0 / a.hypot(b).sqrt())),
                };
                let step = 2.0 * half / NODES as f64;
                (centre - half + (j as f64 + 0.5) * step, step)
            }
        };
        (z, weight * self.log_density(parameters, z).exp())
    }
}
