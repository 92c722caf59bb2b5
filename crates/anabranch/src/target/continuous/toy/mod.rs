//! Two-dimensional toy densities within about [-4, 4]^2: exact samplers and exact log-densities, `log Z = 0`.
//!
//! ```text
//! eight-gaussians  centres 2 sqrt(2) (cos, sin)(k pi / 4), std 0.5 / sqrt(2)
//! checkerboard     uniform on the 8 cells of side 2 of the board [-4, 4]^2 with floor(x / 2) + floor(y / 2) even
//! spirals          radius 3 t, angle 3 pi t, t = sqrt(uniform), two arms, std 0.1
//! moons            two half circles of radius 1 offset by (1, 1/2), scaled by 2, std 0.1 before scaling
//! rings            radii 1, 2, 3, 4 scaled by 3 / 4, std 0.06
//! pinwheel         five arms: radial N(1, 0.3^2), tangential N(0, 0.1^2), turned by 0.25 e^radius, scaled by 2
//! swiss-roll       angle t in 3 pi / 2 (1 + 2 u), (t cos t, t sin t) / 5, std 0.1
//! ```
//!
//! All but two are a measure on points or curves convolved with an isotropic normal; the pinwheel is a mixture of
//! normals turned by a map that keeps area; the checkerboard is constant on its cells and zero elsewhere, so that
//! nothing can be learned from its gradient.

mod checkerboard;
mod curve;
mod pinwheel;
mod rings;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Density;
use super::entry::{Built, Entry, Result, shared};
use crate::environment::continuous::Domain;
use crate::error::Problem;
use crate::math::Real;
use crate::papers;
use crate::rng::{Noise, Purpose};
use curve::Curve;

/// The names of the toy densities.
pub const NAMES: [&str; 7] =
    ["eight-gaussians", "checkerboard", "spirals", "moons", "rings", "pinwheel", "swiss-roll"];

/// A toy density in a recipe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToyRecipe {
    /// The density's name.
    #[schemars(extend("enum" = NAMES))]
    pub name: String,
}

impl ToyRecipe {
    fn toy(&self) -> Result<Toy> {
        Toy::named(&self.name)
            .ok_or_else(|| Problem::new("name", format!("\"{}\"", self.name)).choices(&NAMES))
    }
}

impl Entry for ToyRecipe {
    fn formula(&self) -> String {
        format!("toy density: {}", self.name)
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![papers::toy(&self.name)]
    }

    fn dimension(&self) -> Option<usize> {
        Some(2)
    }

    fn check(&self) -> Result<()> {
        self.toy().map(|_| ())
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(self.toy()?)
    }
}

/// A toy density.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toy {
    /// Eight normals on a circle.
    EightGaussians,
    /// Uniform on every other cell of a board.
    Checkerboard,
    /// Two spirals.
    Spirals,
    /// Two half circles.
    Moons,
    /// Four circles.
    Rings,
    /// Five curved arms.
    Pinwheel,
    /// One long spiral.
    SwissRoll,
}

impl Toy {
    /// All of them, in the order of [`NAMES`].
    pub const ALL: [Self; 7] = [
        Self::EightGaussians,
        Self::Checkerboard,
        Self::Spirals,
        Self::Moons,
        Self::Rings,
        Self::Pinwheel,
        Self::SwissRoll,
    ];

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().position(|known| *known == name).map(|index| Self::ALL[index])
    }

    /// Where it is a convolved curve, that curve.
    fn curve(self) -> Option<&'static Curve> {
        match self {
            Self::EightGaussians => Some(&curve::EIGHT_GAUSSIANS),
            Self::Spirals => Some(&curve::SPIRALS),
            Self::Moons => Some(&curve::MOONS),
            Self::SwissRoll => Some(&curve::SWISS_ROLL),
            Self::Checkerboard | Self::Rings | Self::Pinwheel => None,
        }
    }

    /// The point that three uniforms and two normals make.
    fn point(self, u: [f64; 3], n: [f64; 2]) -> [f64; 2] {
        match self {
            Self::Checkerboard => checkerboard::point(u),
            Self::Rings => rings::point(u, n),
            Self::Pinwheel => pinwheel::point(u, n),
            Self::EightGaussians | Self::Spirals | Self::Moons | Self::SwissRoll => {
                self.curve().expect("these four are curves").point(u, n)
            }
        }
    }

    /// The log-density at a point, in nats, and its gradient there.
    pub fn log_density_at<T: Real>(self, x: [T; 2]) -> (T, [T; 2]) {
        match self {
            Self::Checkerboard => (checkerboard::log_density(x.map(T::value)).into(), [T::from(0.0); 2]),
            Self::Rings => rings::log_density(x),
            Self::Pinwheel => pinwheel::log_density(x),
            Self::EightGaussians | Self::Spirals | Self::Moons | Self::SwissRoll => {
                self.curve().expect("these four are curves").log_density(x)
            }
        }
    }
}

impl Density for Toy {
    fn dimension(&self) -> usize {
        2
    }

    fn at<T: Real>(&self, point: &[T], score: Option<&mut [T]>) -> T {
        let (value, gradient) = self.log_density_at([point[0], point[1]]);
        if let Some(score) = score {
            score.copy_from_slice(&gradient);
        }
        value
    }

    fn log_z_tempered(&self, beta: f64) -> Option<f64> {
        match self {
            Self::Checkerboard => Some((1.0 - beta) * checkerboard::AREA.ln()),
            _ => (beta == 1.0).then_some(0.0),
        }
    }

    fn entropy(&self) -> Option<f64> {
        (*self == Self::Checkerboard).then(|| checkerboard::AREA.ln())
    }

    fn positive_everywhere(&self) -> bool {
        *self != Self::Checkerboard
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let uniforms = noise.uniform(count, 4);
        let normals = noise.step(noise.current_step() + 1).normal(count, 2);
        let pairs = uniforms.chunks_exact(4).zip(normals.chunks_exact(2));
        let points = pairs.flat_map(|(u, n)| {
            let [u0, u1, u2] = [f64::from(u[0]), f64::from(u[1]), f64::from(u[2])];
            self.point([u0, u1, u2], [f64::from(n[0]), f64::from(n[1])])
        });
        Some(points.map(|v| v as f32).collect())
    }
}

/// The negative log-likelihood of the density itself (its entropy), nats, where it is known in closed form.
pub fn entropy(name: &str) -> Option<f64> {
    Toy::named(name).and_then(|toy| Density::entropy(&toy))
}

/// `rows` exact samples, row-major.
///
/// # Panics
/// If there is no density of that name.
pub fn sample(name: &str, rows: usize, seed: u64) -> Vec<f32> {
    let toy = Toy::named(name).unwrap_or_else(|| panic!("no toy density is called {name}"));
    Density::draw(&toy, rows, &Noise::new(seed, Purpose::Target)).expect("every toy has an exact sampler")
}

/// The exact log-density of each of the row-major `rows`, nats: its mean's negative over test rows is what no model's
/// expected negative log-likelihood can go below.
///
/// # Panics
/// If there is no density of that name, or `rows` is not a whole number of pairs.
pub fn log_density(name: &str, rows: &[f32]) -> Vec<f64> {
    let toy = Toy::named(name).unwrap_or_else(|| panic!("no toy density is called {name}"));
    assert!(rows.len().is_multiple_of(2), "rows of two columns");
    rows.par_chunks(2).map(|row| toy.log_density_at([f64::from(row[0]), f64::from(row[1])]).0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_toy_stays_on_its_board() {
        for name in NAMES {
            let values = sample(name, 2000, 3);
            assert_eq!(values.len(), 4000);
            assert!(values.iter().all(|v| v.abs() < 6.0), "{name}");
            assert!(log_density(name, &values).iter().all(|value| value.is_finite()), "{name}");
        }
        assert_eq!(Toy::named("moon"), None);
        assert!(sample("moons", 0, 1).is_empty() && log_density("moons", &[]).is_empty());
    }

    #[test]
    fn the_checkerboard_fills_its_eight_cells_evenly() {
        let n = 80_000;
        let mut counts = std::collections::BTreeMap::new();
        for point in sample("checkerboard", n, 1).chunks_exact(2) {
            let cell = ((point[0] / 2.0).floor() as i32, (point[1] / 2.0).floor() as i32);
            assert_eq!((cell.0 + cell.1).rem_euclid(2), 0, "{point:?}");
            *counts.entry(cell).or_insert(0usize) += 1;
        }
        assert_eq!(counts.len(), 8);
        let (p, n) = (0.125, n as f64);
        assert!(
            counts.values().all(|c| (*c as f64 - n * p).abs() < 4.5 * (n * p * (1.0 - p)).sqrt()),
            "{counts:?}"
        );
    }
}
