//! Mixtures of products of one-dimensional laws.
//!
//! ```text
//! R(x) = sum_k w_k prod_d p(x_d; theta_kd),     log Z = ln sum_k w_k
//!
//! Beta        x^(a-1) (1-x)^(b-1) Gamma(a + b) / (Gamma(a) Gamma(b))      on [0, 1]
//! normal      e^(-(x - m)^2 / 2 s^2) / (s sqrt(2 pi))                     on the line
//! von Mises   e^(kappa cos(x - m)) / (2 pi I_0(kappa))                    on the circle
//! ```

use std::f64::consts::TAU;

use crate::environment::continuous::Domain;
use crate::error::Problem;
use crate::math::log_sum_exp;
use crate::math::special::{ln_bessel_i0, ln_gamma};
use crate::rng::{Noise, Stream, log_gamma_draw, von_mises_draw};
use crate::target::{Failure, LARGEST, LEAST, Target, fill_rows, within};

/// A mixture of products of laws.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    log_weights: Vec<f64>,
    /// `[components, dim]`.
    laws: Vec<Law>,
}

/// A law of one coordinate, with the logarithm of its normalising factor.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Law {
    Beta { a: f64, b: f64, log_factor: f64 },
    Normal { mean: f64, std: f64, log_factor: f64 },
    VonMises { mean: f64, concentration: f64, log_factor: f64 },
}

impl Law {
    fn beta([a, b]: [f64; 2]) -> Result<Self, Problem> {
        within("components", a, 1e-6, 1e12)?;
        within("components", b, 1e-6, 1e12)?;
        Ok(Self::Beta { a, b, log_factor: ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) })
    }

    fn normal([mean, std]: [f64; 2]) -> Result<Self, Problem> {
        within("components", mean, -1e12, 1e12)?;
        within("components", std, 1e-12, 1e12)?;
        Ok(Self::Normal { mean, std, log_factor: -std.ln() - 0.5 * TAU.ln() })
    }

    fn von_mises([mean, concentration]: [f64; 2]) -> Result<Self, Problem> {
        within("components", mean, -1e12, 1e12)?;
        within("components", concentration, 0.0, 1e12)?;
        Ok(Self::VonMises { mean, concentration, log_factor: -TAU.ln() - ln_bessel_i0(concentration) })
    }

    fn draw(&self, stream: &mut Stream<'_>) -> f64 {
        match *self {
            Self::Beta { a, b, .. } => {
                let [x, y] = [a, b].map(|shape| log_gamma_draw(shape, stream));
                1.0 / (1.0 + (y - x).exp())
            }
            Self::Normal { mean, std, .. } => mean + std * stream.normal(),
            Self::VonMises { mean, concentration, .. } => {
                (mean + von_mises_draw(concentration, stream)).rem_euclid(TAU)
            }
        }
    }

    fn log_density(&self, x: f64) -> f64 {
        match *self {
            Self::Beta { a, b, log_factor } => {
                if !(0.0..=1.0).contains(&x) {
                    return f64::NEG_INFINITY;
                }
                power(x.ln(), a - 1.0) + power((-x).ln_1p(), b - 1.0) + log_factor
            }
            Self::Normal { mean, std, log_factor } => log_factor - 0.5 * ((x - mean) / std).powi(2),
            Self::VonMises { mean, concentration, log_factor } => {
                concentration * (x - mean).cos() + log_factor
            }
        }
    }
}

/// The logarithm of a power: `0^0 = 1`.
fn power(log_base: f64, exponent: f64) -> f64 {
    if exponent == 0.0 { 0.0 } else { exponent * log_base }
}

/// The two parameters of a law of each coordinate of each component.
type Parameters = [Vec<[f64; 2]>];

impl Mixture {
    /// On the box: each coordinate of each component has its `[a, b]`.
    ///
    /// # Errors
    /// If there is no component or coordinate, components differ in their coordinates, or there is not a weight for each; if
    /// a weight or parameter is not positive.
    pub fn of_betas(weights: &[f64], components: &Parameters) -> Result<Self, Problem> {
        Self::with(weights, components, |_, parameters| Law::beta(parameters))
    }

    /// On the line, or more than one: each coordinate of each component has its `[mean, std]`.
    ///
    /// # Errors
    /// As [`Mixture::of_betas`], means aside.
    pub fn of_normals(weights: &[f64], components: &Parameters) -> Result<Self, Problem> {
        Self::with(weights, components, |_, parameters| Law::normal(parameters))
    }

    /// On the torus: each coordinate of each component has its `[mean, kappa]`; angles in radians.
    ///
    /// # Errors
    /// As [`Mixture::of_betas`], means aside; a concentration may be 0.
    pub fn of_von_mises(weights: &[f64], components: &Parameters) -> Result<Self, Problem> {
        Self::with(weights, components, |_, parameters| Law::von_mises(parameters))
    }

    /// On a product of domains: a coordinate of each component has the parameters of the law of its domain.
    ///
    /// # Errors
    /// As the others; or if a component has not a coordinate for each domain.
    pub fn over(domains: &[Domain], weights: &[f64], components: &Parameters) -> Result<Self, Problem> {
        if let Some((k, component)) = components.iter().enumerate().find(|(_, c)| c.len() != domains.len()) {
            let found = format!("{} coordinates", component.len());
            return Err(Problem::new(format!("components.{k}"), found)
                .allowed(format!("{}, each with the two parameters of its law", domains.len())));
        }
        Self::with(weights, components, |d, parameters| match domains[d] {
            Domain::Unit => Law::beta(parameters),
            Domain::Line => Law::normal(parameters),
            Domain::Circle => Law::von_mises(parameters),
        })
    }

    /// `law` is told the coordinate and its parameters.
    fn with(
        weights: &[f64],
        components: &Parameters,
        law: impl Fn(usize, [f64; 2]) -> Result<Law, Problem>,
    ) -> Result<Self, Problem> {
        let dim = components.first().map_or(0, Vec::len);
        if dim == 0 || components.iter().any(|component| component.len() != dim) {
            let lengths: Vec<String> =
                components.iter().map(|component| component.len().to_string()).collect();
            let found = format!("components of [{}] coordinates", lengths.join(", "));
            return Err(Problem::new("components", found).allowed("at least one, all of the same number"));
        }
        if weights.len() != components.len() {
            let found = format!("{} weights for {} components", weights.len(), components.len());
            return Err(Problem::new("weights", found).allowed("one per component"));
        }
        weights.iter().try_for_each(|weight| within("weights", *weight, LEAST, LARGEST))?;
        let coordinates = components.iter().flat_map(|component| component.iter().enumerate());
        let laws = coordinates.map(|(d, parameters)| law(d, *parameters)).collect::<Result<_, _>>()?;
        Ok(Self { log_weights: weights.iter().map(|weight| weight.ln()).collect(), laws })
    }

    /// How many coordinates a point has.
    pub fn dim(&self) -> usize {
        self.laws.len() / self.log_weights.len()
    }

    fn log_density(&self, point: &[f32]) -> f64 {
        let components = self.log_weights.iter().zip(self.laws.chunks_exact(point.len()));
        let terms = components.map(|(weight, laws)| {
            weight + laws.iter().zip(point).map(|(law, x)| law.log_density(f64::from(*x))).sum::<f64>()
        });
        terms.fold(f64::NEG_INFINITY, |sum, term| log_sum_exp(&[sum, term]))
    }
}

impl Target for Mixture {
    fn log_rewards(&self, objects: &[f32], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        fill_rows(objects, out, |point| self.log_density(point));
        Ok(())
    }

    fn log_z_tempered(&self, beta: f64, _: &[f32]) -> Option<f64> {
        (beta == 1.0).then(|| log_sum_exp(&self.log_weights))
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let log_z = log_sum_exp(&self.log_weights);
        let mut points = Vec::with_capacity(count * self.dim());
        for i in 0..count {
            let stream = &mut noise.stream(i);
            let mut left = stream.uniform();
            let chosen = self.log_weights.iter().position(|log_weight| {
                left -= (log_weight - log_z).exp();
                left < 0.0
            });
            let k = chosen.unwrap_or(self.log_weights.len() - 1);
            let laws = &self.laws[k * self.dim()..][..self.dim()];
            points.extend(laws.iter().map(|law| law.draw(stream) as f32));
        }
        Some(points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::gauss_legendre;

    /// The integral over `[low, high]^dim` of a mixture, by quadrature in f32 points.
    fn integral(reward: &Mixture, dim: usize, low: f64, high: f64, nodes: usize) -> f64 {
        let rule = gauss_legendre(nodes);
        let mut sum = 0.0;
        for at in 0..nodes.pow(dim as u32) {
            let chosen: Vec<(f64, f64)> = (0..dim).map(|d| rule[at / nodes.pow(d as u32) % nodes]).collect();
            let point: Vec<f32> = chosen.iter().map(|(x, _)| (low + (high - low) * x) as f32).collect();
            let weight: f64 = chosen.iter().map(|(_, w)| w * (high - low)).product();
            let mut out = [0.0];
            reward.log_rewards(&point, &[], &mut out).unwrap();
            sum += weight * out[0].exp();
        }
        sum
    }

    #[test]
    fn mixtures_integrate_to_their_weights() {
        let betas =
            Mixture::of_betas(&[0.5, 2.0], &[vec![[2.0, 5.0], [3.5, 1.0]], vec![[8.0, 2.0], [1.0, 1.0]]])
                .unwrap();
        let found = integral(&betas, 2, 0.0, 1.0, 60);
        assert!((found - 2.5).abs() < 1e-5, "{found}");
        assert!((betas.log_z(&[]).unwrap() - 2.5f64.ln()).abs() < 1e-15);
        let normals = Mixture::of_normals(&[0.3, 0.6], &[vec![[-1.0, 0.5]], vec![[2.0, 1.5]]]).unwrap();
        let found = integral(&normals, 1, -12.0, 14.0, 400);
        assert!((found - 0.9).abs() < 1e-5, "{found}");
        for kappa in [0.0, 0.7, 5.0, 60.0] {
            let angles = [vec![[0.4, kappa], [3.0, 1.0]], vec![[-2.0, 2.0], [1.0, kappa]]];
            let torus = Mixture::of_von_mises(&[1.0, 0.25], &angles).unwrap();
            let found = integral(&torus, 2, 0.0, TAU, 120);
            assert!((found - 1.25).abs() < 2e-5, "{kappa}: {found}");
        }
    }

    #[test]
    fn densities_by_hand() {
        let one = |reward: &Mixture, x: f32| {
            let mut out = [0.0];
            reward.log_rewards(&[x], &[], &mut out).unwrap();
            out[0]
        };
        // Beta(2, 3) has the density 12 x (1 - x)^2.
        let beta = Mixture::of_betas(&[1.0], &[vec![[2.0, 3.0]]]).unwrap();
        assert!((one(&beta, 0.25) - (12.0f64 * 0.25 * 0.5625).ln()).abs() < 1e-14);
        assert_eq!((one(&beta, 0.0), one(&beta, 1.5)), (f64::NEG_INFINITY, f64::NEG_INFINITY));
        let flat = Mixture::of_betas(&[1.0], &[vec![[1.0, 1.0]]]).unwrap();
        assert!(one(&flat, 0.0).abs() < 1e-14 && one(&flat, 1.0).abs() < 1e-14);
        let normal = Mixture::of_normals(&[3.0], &[vec![[1.0, 2.0]]]).unwrap();
        let exact = 3f64.ln() - 0.5 * 2.25 - 2f64.ln() - 0.5 * TAU.ln();
        assert!((one(&normal, 4.0) - exact).abs() < 1e-14);
        let circle = Mixture::of_von_mises(&[1.0], &[vec![[1.0, 2.0]]]).unwrap();
        assert!((one(&circle, 3.0) - one(&circle, 3.0 - std::f32::consts::TAU)).abs() < 1e-6);
    }

    #[test]
    fn wrong_parameters_are_named() {
        let message = |result: Result<Mixture, Problem>| result.unwrap_err().to_string();
        assert!(
            message(Mixture::of_betas(&[], &[]))
                .starts_with("components: found components of [] coordinates")
        );
        let ragged = [vec![[1.0, 1.0]], vec![[1.0, 1.0], [1.0, 1.0]]];
        assert!(message(Mixture::of_betas(&[1.0, 1.0], &ragged)).contains("of [1, 2] coordinates"));
        assert!(
            message(Mixture::of_normals(&[1.0, 2.0], &[vec![[0.0, 1.0]]]))
                .starts_with("weights: found 2 weights for 1")
        );
        assert!(message(Mixture::of_normals(&[0.0], &[vec![[0.0, 1.0]]])).starts_with("weights: found 0"));
        assert!(message(Mixture::of_normals(&[1.0], &[vec![[0.0, 0.0]]])).starts_with("components: found 0"));
        assert!(
            message(Mixture::of_von_mises(&[1.0], &[vec![[0.0, -1.0]]])).starts_with("components: found -1")
        );
    }
}
