//! Mixtures of products of one-dimensional laws.
//!
//! ```text
//! R(x) = sum_k w_k prod_d p(x_d; theta_kd),     log Z = ln sum_k w_k
//!
//! Beta        x^(a-1) (1-x)^(b-1) Gamma(a + b) / (Gamma(a) Gamma(b))      on [0, 1]
//! normal      e^(-(x - m)^2 / 2 s^2) / (s sqrt(2 pi))                     on the line
//! von Mises   e^(kappa cos(x - m)) / (2 pi I_0(kappa))                    on the circle
//!
//! gradient    sum_k r_k(x) grad log prod_d p(x_d; theta_kd),     r_k the share of component k in R(x)
//! ```

use std::f64::consts::TAU;

use super::Density;
use super::density::log_sum_exp_visit;
use crate::environment::continuous::Domain;
use crate::error::Problem;
use crate::math::special::{ln_bessel_i0, ln_gamma};
use crate::math::{Real, log_sum_exp};
use crate::rng::{Noise, Stream, log_gamma_draw, von_mises_draw};
use crate::target::{LARGEST, LEAST, within};
pub use recipe::MixtureRecipe;

mod recipe;

/// A mixture of products of laws.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// Where each coordinate lives, and so what its law is.
    domains: Vec<Domain>,
    /// `w_0 / Z, (w_0 + w_1) / Z, ...`, 1 at last.
    cumulative: Vec<f64>,
    log_z: f64,
    /// The logarithms of weights and laws' factors.
    log_scales: Vec<f64>,
    /// `[components, dimension]`: the two parameters of each law.
    first: Vec<f64>,
    second: Vec<f64>,
}

/// Checks the parameters of a law, and answers the logarithm of its factor less the `ln sqrt(2 pi)` of a normal one.
fn log_factor(domain: Domain, [a, b]: [f64; 2]) -> Result<f64, Problem> {
    match domain {
        Domain::Unit => {
            within("components", a, 1e-6, 1e12)?;
            within("components", b, 1e-6, 1e12)?;
            Ok(ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b))
        }
        Domain::Line => {
            within("components", a, -1e12, 1e12)?;
            within("components", b, 1e-12, 1e12)?;
            Ok(-b.ln())
        }
        Domain::Circle => {
            within("components", a, -1e12, 1e12)?;
            within("components", b, 0.0, 1e12)?;
            Ok(-TAU.ln() - ln_bessel_i0(b))
        }
    }
}

fn draw(domain: Domain, [a, b]: [f64; 2], stream: &mut Stream<'_>) -> f64 {
    match domain {
        Domain::Unit => {
            let [x, y] = [a, b].map(|shape| log_gamma_draw(shape, stream));
            1.0 / (1.0 + (y - x).exp())
        }
        Domain::Line => a + b * stream.normal(),
        Domain::Circle => (a + von_mises_draw(b, stream)).rem_euclid(TAU),
    }
}

/// The logarithm of a law without its factor.
fn exponent<T: Real>(domain: Domain, [a, b]: [f64; 2], x: T) -> T {
    match domain {
        Domain::Unit if (0.0..=1.0).contains(&x.value()) => {
            power(x.ln(), a - 1.0) + power((-x).ln_1p(), b - 1.0)
        }
        Domain::Unit => f64::NEG_INFINITY.into(),
        Domain::Line => ((x - a) / b).powi(2) * -0.5,
        Domain::Circle => (x - a).cos() * b,
    }
}

/// Its derivative by the coordinate.
fn slope<T: Real>(domain: Domain, [a, b]: [f64; 2], x: T) -> T {
    match domain {
        Domain::Unit => T::from(a - 1.0) / x - T::from(b - 1.0) / (-x + 1.0),
        Domain::Line => -(x - a) / (b * b),
        Domain::Circle => (x - a).sin() * -b,
    }
}

/// The logarithm of a power: `0^0 = 1`.
fn power<T: Real>(log_base: T, exponent: f64) -> T {
    if exponent == 0.0 { 0.0.into() } else { log_base * exponent }
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
        Self::with(|_| Domain::Unit, weights, components)
    }

    /// On the line, or more than one: each coordinate of each component has its `[mean, std]`.
    ///
    /// # Errors
    /// As [`Mixture::of_betas`], means aside.
    pub fn of_normals(weights: &[f64], components: &Parameters) -> Result<Self, Problem> {
        Self::with(|_| Domain::Line, weights, components)
    }

    /// On the torus: each coordinate of each component has its `[mean, kappa]`; angles in radians.
    ///
    /// # Errors
    /// As [`Mixture::of_betas`], means aside; a concentration may be 0.
    pub fn of_von_mises(weights: &[f64], components: &Parameters) -> Result<Self, Problem> {
        Self::with(|_| Domain::Circle, weights, components)
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
        Self::with(|d| domains[d], weights, components)
    }

    fn with(
        domain: impl Fn(usize) -> Domain,
        weights: &[f64],
        components: &Parameters,
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
        let domains: Vec<Domain> = (0..dim).map(domain).collect();
        let of_component = |component: &Vec<[f64; 2]>| {
            let laws = domains.iter().zip(component);
            laws.map(|(domain, parameters)| log_factor(*domain, *parameters)).sum::<Result<f64, Problem>>()
        };
        let factors = components.iter().map(of_component).collect::<Result<Vec<f64>, _>>()?;
        let parameters = |k: usize| components.iter().flatten().map(|pair| pair[k]).collect();
        let log_weights: Vec<f64> = weights.iter().map(|weight| weight.ln()).collect();
        Ok(Self::of_parts(domains, &log_weights, &factors, [parameters(0), parameters(1)]))
    }

    /// From checked parts: `factors` as [`log_factor`] answers them, summed over coordinates.
    fn of_parts(
        domains: Vec<Domain>,
        log_weights: &[f64],
        factors: &[f64],
        [first, second]: [Vec<f64>; 2],
    ) -> Self {
        let normals = domains.iter().filter(|domain| **domain == Domain::Line).count();
        let normal = 0.5 * normals as f64 * TAU.ln();
        let log_z = log_sum_exp(log_weights);
        let mut sum = 0.0;
        let cumulative = log_weights.iter().map(|log_weight| {
            sum += (log_weight - log_z).exp();
            sum
        });
        Self {
            cumulative: cumulative.collect(),
            log_scales: log_weights.iter().zip(factors).map(|(weight, f)| weight + f - normal).collect(),
            domains,
            log_z,
            first,
            second,
        }
    }

    /// A mixture of diagonal Gaussians, normalised: component `k` has weight `weights[k] / sum`, means `means[k]` and standard
    /// deviations `stds[k]`.
    ///
    /// # Panics
    /// If there is no component, or the numbers of weights, means, deviations or coordinates differ.
    pub fn new(weights: &[f64], means: &[Vec<f64>], stds: &[Vec<f64>]) -> Self {
        let (count, dimension) = (weights.len(), means[0].len());
        assert!(means.len() == count && stds.len() == count, "one mean and deviation per weight");
        assert!(means.iter().chain(stds).all(|row| row.len() == dimension), "rows of one dimension");
        let total: f64 = weights.iter().sum();
        let log_weights: Vec<f64> = weights.iter().map(|weight| (weight / total).ln()).collect();
        let factors: Vec<f64> = stds.iter().map(|std| -std.iter().map(|s| s.ln()).sum::<f64>()).collect();
        let parts = [means.concat(), stds.concat()];
        Self { log_z: 0.0, ..Self::of_parts(vec![Domain::Line; dimension], &log_weights, &factors, parts) }
    }

    /// The number of components.
    pub fn components(&self) -> usize {
        self.log_scales.len()
    }

    /// The means of normal components, `[components, dimension]`.
    pub fn means(&self) -> &[f64] {
        &self.first
    }

    /// The standard deviations of normal components, `[components, dimension]`.
    pub fn stds(&self) -> &[f64] {
        &self.second
    }

    fn is_normal(&self) -> bool {
        self.domains.iter().all(|domain| *domain == Domain::Line)
    }

    fn law(&self, k: usize, i: usize) -> [f64; 2] {
        let at = k * self.domains.len() + i;
        [self.first[at], self.second[at]]
    }

    /// `log w_k p_k(x)` of a component of normal laws, and of one of any.
    fn log_normal<T: Real>(&self, k: usize, point: &[T]) -> T {
        let range = k * point.len()..(k + 1) * point.len();
        let laws = self.first[range.clone()].iter().zip(&self.second[range]);
        let squares = point.iter().zip(laws).map(|(x, (mean, std))| ((*x - *mean) / *std).powi(2));
        squares.sum::<T>() * -0.5 + self.log_scales[k]
    }

    fn log_product<T: Real>(&self, k: usize, point: &[T]) -> T {
        let coordinates = self.domains.iter().zip(point).enumerate();
        let exponents = coordinates.map(|(i, (domain, x))| exponent(*domain, self.law(k, i), *x));
        exponents.sum::<T>() + self.log_scales[k]
    }

    fn sum<T: Real>(
        &self,
        point: &[T],
        term: impl Fn(&Self, usize, &[T]) -> T,
        score: Option<&mut [T]>,
    ) -> T {
        let term = |k: usize| term(self, k, point);
        let Some(score) = score else {
            return log_sum_exp_visit(self.components(), term, |_, _| {});
        };
        score.fill(0.0.into());
        log_sum_exp_visit(self.components(), term, |k, share| {
            for (i, to) in score.iter_mut().enumerate() {
                *to += share * slope(self.domains[i], self.law(k, i), point[i]);
            }
        })
    }
}

impl Density for Mixture {
    fn dimension(&self) -> usize {
        self.domains.len()
    }

    fn at<T: Real>(&self, point: &[T], score: Option<&mut [T]>) -> T {
        if self.is_normal() {
            self.sum(point, Self::log_normal::<T>, score)
        } else {
            self.sum(point, Self::log_product::<T>, score)
        }
    }

    fn log_z_tempered(&self, beta: f64) -> Option<f64> {
        (beta == 1.0).then_some(self.log_z)
    }

    fn entropy(&self) -> Option<f64> {
        let each = 0.5 * self.domains.len() as f64;
        (self.components() == 1 && self.is_normal()).then(|| each - (self.log_scales[0] - self.log_z))
    }

    /// A Beta law ends with its interval.
    fn positive_everywhere(&self) -> bool {
        !self.domains.contains(&Domain::Unit)
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let d = self.domains.len();
        let chosen = |u: f64| self.cumulative.partition_point(|sum| *sum <= u).min(self.components() - 1);
        if self.is_normal() {
            let mut values = noise.step(noise.current_step() + 1).normal(count, d);
            for (row, u) in values.chunks_exact_mut(d).zip(noise.uniform(count, 1)) {
                let k = chosen(f64::from(u));
                for (i, value) in row.iter_mut().enumerate() {
                    let [mean, std] = self.law(k, i);
                    *value = (mean + std * f64::from(*value)) as f32;
                }
            }
            return Some(values);
        }
        let mut points = Vec::with_capacity(count * d);
        for i in 0..count {
            let stream = &mut noise.stream(i);
            let k = chosen(stream.uniform());
            let laws = self.domains.iter().enumerate();
            points.extend(laws.map(|(i, domain)| draw(*domain, self.law(k, i), stream) as f32));
        }
        Some(points)
    }

    /// A mode of each normal component: what lies within two of its standard deviations in every coordinate.
    fn modes(&self) -> usize {
        if self.is_normal() { self.components() } else { 0 }
    }

    fn modes_of(&self, point: &[f32], found: &mut dyn FnMut(usize)) {
        let near = |k: &usize| {
            point.iter().enumerate().all(|(i, x)| {
                let [mean, std] = self.law(*k, i);
                (f64::from(*x) - mean).abs() <= 2.0 * std
            })
        };
        if self.is_normal() {
            (0..self.components()).filter(near).for_each(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::gauss_legendre;
    use crate::target::Target;

    #[test]
    fn points_belong_to_the_modes_that_they_are_near() {
        let target =
            Mixture::new(&[1.0, 3.0], &[vec![0.0, 0.0], vec![4.0, 1.0]], &[vec![1.0, 0.5], vec![1.5, 1.0]]);
        let of = |point: [f32; 2]| {
            let mut found = Vec::new();
            Target::modes_of(&target, &point, &mut |mode| found.push(mode));
            (found, target.is_mode(&point))
        };
        assert_eq!(Target::modes(&target), Some(2.0));
        assert_eq!(of([0.5, -0.9]), (vec![0], Some(true)));
        assert_eq!(of([1.5, 0.5]), (vec![0, 1], Some(true)));
        assert_eq!(of([0.0, 1.1]), (vec![], Some(false)));
        assert_eq!(of([6.9, 2.9]), (vec![1], Some(true)));
    }

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
