//! Rosenbrock's function as a density of known constant: the hybrid Rosenbrock distribution.
//!
//! ```text
//! log R = -a (x_1 - m)^2 - b sum_j sum_{i = 2..k} (x_{j,i} - x_{j,i-1}^2)^2,     x_{j,1} = x_1 for every block j
//! log Z = (d ln pi - ln a - (d - 1) ln b) / 2,     d = blocks (k - 1) + 1
//! entropy              d / 2 + log Z
//! log int R^beta       log Z - d ln(beta) / 2
//! ```
//!
//! Each coordinate is normal given the one before it, so that it is sampled directly. `a = 1/20`, `b = 5`, `m = 1` and one block of
//! `k = 2` is the function in the plane at temperature 20. Pagani, Wiegand and Nadarajah (2022), equation 8. The function in more
//! dimensions that optimisers know has a coordinate on both sides of two squares and no closed Z: it is another target.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Density;
use super::entry::{Built, Entry, LARGEST, Result, check_count, check_finite, check_std, problem, shared};
use crate::environment::continuous::Domain;
use crate::math::Real;
use crate::papers::ROSENBROCK;
use crate::rng::Noise;

/// The hybrid Rosenbrock distribution: the first coordinate, then the others block by block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rosenbrock {
    /// How many blocks share the first coordinate.
    #[serde(default = "one_block")]
    pub blocks: usize,
    /// Coordinates of a block, with the first.
    #[serde(default = "two")]
    pub length: usize,
    /// The first coordinate's mean.
    #[serde(default = "one")]
    pub mean: f64,
    /// The weight of the first coordinate's square.
    #[serde(default = "first")]
    pub a: f64,
    /// The weight of the other squares.
    #[serde(default = "others")]
    pub b: f64,
}

fn one_block() -> usize {
    1
}

fn two() -> usize {
    2
}

fn one() -> f64 {
    1.0
}

fn first() -> f64 {
    0.05
}

fn others() -> f64 {
    5.0
}

impl Default for Rosenbrock {
    fn default() -> Self {
        Self { blocks: one_block(), length: two(), mean: one(), a: first(), b: others() }
    }
}

impl Rosenbrock {
    fn size(&self) -> usize {
        self.blocks * (self.length - 1) + 1
    }

    /// For each coordinate but the first, which one it follows.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let inner = self.length - 1;
        (1..self.size()).map(move |i| (i, if (i - 1).is_multiple_of(inner) { 0 } else { i - 1 }))
    }
}

impl Density for Rosenbrock {
    fn dimension(&self) -> usize {
        self.size()
    }

    #[inline]
    fn at<T: Real>(&self, point: &[T], score: Option<&mut [T]>) -> T {
        let away = |(i, before): (usize, usize)| point[i] - point[before] * point[before];
        let first = point[0] - self.mean;
        if let Some(score) = score {
            score.fill(0.0.into());
            score[0] = first * (-2.0 * self.a);
            for (i, before) in self.pairs() {
                let slope = away((i, before)) * (-2.0 * self.b);
                score[i] += slope;
                score[before] -= slope * point[before] * 2.0;
            }
        }
        let squares: T = self.pairs().map(away).map(|away| away * away).sum();
        first * first * -self.a - squares * self.b
    }

    fn log_z_tempered(&self, beta: f64) -> Option<f64> {
        let d = self.size() as f64;
        Some(0.5 * (d * (PI / beta).ln() - self.a.ln() - (d - 1.0) * self.b.ln()))
    }

    fn entropy(&self) -> Option<f64> {
        self.log_z_tempered(1.0).map(|log_z| log_z + 0.5 * self.size() as f64)
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let d = self.size();
        let normals = noise.normal(count, d);
        let mut points = Vec::with_capacity(normals.len());
        let mut x = vec![0.0; d];
        for row in normals.chunks_exact(d) {
            x[0] = self.mean + f64::from(row[0]) / (2.0 * self.a).sqrt();
            for (i, before) in self.pairs() {
                x[i] = x[before] * x[before] + f64::from(row[i]) / (2.0 * self.b).sqrt();
            }
            points.extend(x.iter().map(|x| *x as f32));
        }
        Some(points)
    }
}

impl Entry for Rosenbrock {
    fn formula(&self) -> String {
        let Self { mean, a, b, .. } = self;
        format!("Rosenbrock: -{a} (x_1 - {mean})^2 - {b} sum (x_i - x_{{i-1}}^2)^2")
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![ROSENBROCK]
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.blocks.saturating_mul(self.length.saturating_sub(1)).saturating_add(1))
    }

    fn check(&self) -> Result<()> {
        check_count("blocks", self.blocks, 1, LARGEST)?;
        check_count("length", self.length, 2, LARGEST)?;
        if self.size() > LARGEST {
            let found = format!("{} coordinates in all", self.size());
            return problem("blocks", found, &format!("at most {LARGEST}"));
        }
        check_finite("mean", [self.mean])?;
        check_std("a", [self.a])?;
        check_std("b", [self.b])
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(self.clone())
    }
}
