//! Three rings in the plane.
//!
//! ```text
//! log R = -100 min_i (|x| - r_i)^2,     r = 1, 3, 5
//! Z     = 2 pi sum_i r_i sqrt(pi / 100)     = 18 pi^(3/2) / 10,    log Z = 2.304881
//! ```
//!
//! Not normalised, and without a gradient half way between rings and at the centre, where one side's is answered. What the formula
//! of Z leaves out, between rings and beyond the centre, is below `e^-100`. Not to be mistaken for the toy density of that name.

use std::f64::consts::PI;
use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Density;
use super::entry::{Built, Entry, shared};
use super::quantiles::Quantiles;
use crate::environment::continuous::Domain;
use crate::math::Real;
use crate::rng::Noise;

/// Three rings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rings {}

const RADII: [f64; 3] = [1.0, 3.0, 5.0];
const PRECISION: f64 = 100.0;

/// The ring that a distance from the centre is nearest to.
fn nearest(radius: f64) -> f64 {
    RADII[usize::from(radius > 2.0) + usize::from(radius > 4.0)]
}

/// The distance from the centre that a share lies below.
fn quantile(u: f64) -> f64 {
    static TABLE: OnceLock<Quantiles> = OnceLock::new();
    let density = |radius: f64| radius * (-PRECISION * (radius - nearest(radius)).powi(2)).exp();
    TABLE.get_or_init(|| Quantiles::of([0.0, 6.0], 1 << 14, density)).at(u)
}

impl Density for Rings {
    fn dimension(&self) -> usize {
        2
    }

    fn at<T: Real>(&self, point: &[T], score: Option<&mut [T]>) -> T {
        let radius = point[0].hypot(point[1]);
        let away = radius - nearest(radius.value());
        if let Some(score) = score {
            let slope = away * (-2.0 * PRECISION);
            let centre = radius.value() == 0.0;
            let of = |x: T| if centre { 0.0.into() } else { slope * x / radius };
            score.iter_mut().zip(point).for_each(|(to, x)| *to = of(*x));
        }
        away * away * -PRECISION
    }

    /// Where the rings are narrow enough to be apart.
    fn log_z_tempered(&self, beta: f64) -> Option<f64> {
        let sum: f64 = RADII.iter().sum();
        (beta >= 0.5).then(|| (2.0 * PI * sum * (PI / (beta * PRECISION)).sqrt()).ln())
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let uniforms = noise.uniform(count, 2);
        let points = uniforms.chunks_exact(2).flat_map(|u| {
            let radius = quantile(f64::from(u[0]));
            let (sin, cos) = (2.0 * PI * f64::from(u[1])).sin_cos();
            [(radius * cos) as f32, (radius * sin) as f32]
        });
        Some(points.collect())
    }
}

impl Entry for Rings {
    fn formula(&self) -> String {
        "rings: -100 min_i (|x| - r_i)^2, r = 1, 3, 5".to_owned()
    }

    fn dimension(&self) -> Option<usize> {
        Some(2)
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_constant() {
        assert!((Rings {}.log_z_tempered(1.0).unwrap() - 2.304_881).abs() < 5e-7);
    }
}
