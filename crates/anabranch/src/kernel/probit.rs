//! Ordered probit as a kernel: a value of few is told by the cell that a latent number lies in.
//!
//! ```text
//! forward    x = k  where  c_k <= z < c_{k+1},  a point mass
//! backward   z | x = k:  the standard normal on the cell,  log q = log N(z; 0, 1) - log f_k
//! ```
//!
//! The chain's bound is on the *mass* of such a value. Cells have the values' shares among the data, so that a latent standard normal, with
//! which a model begins, has exactly these: `log N(z) - log q(z | k) = log f_k` whatever `z` is. Coordinates that are real pass as they are,
//! so that rows of both kinds are one state: a Gaussian copula (Hoff 2007) for a model that is a Gaussian.

use std::sync::Arc;

use crate::array::weights::{matrix, to_vec, vector};
use crate::chain::{Given, LogWeight, State};
use crate::data::Discrete;
use crate::kernel::law::{HALF_LOG_TAU, Law, PointMass};
use crate::kernel::pair::{Conditional, Pair};
use crate::math::Thresholds;
use crate::rng::Noise;

/// Coordinates of few values among real ones.
#[derive(Debug, Clone)]
pub struct Columns {
    dimension: usize,
    /// The coordinate, its first value, and the cells of all.
    each: Arc<[(usize, f32, Thresholds)]>,
}

impl Columns {
    /// Of `dimension` coordinates, those of `discrete` columns.
    ///
    /// # Panics
    /// If one of them is not among the coordinates.
    pub fn new(dimension: usize, discrete: &[Discrete]) -> Self {
        assert!(discrete.iter().all(|found| found.column < dimension), "columns of the rows");
        let each = discrete.iter().map(|found| (found.column, found.first as f32, found.thresholds()));
        Self { dimension, each: each.collect() }
    }

    /// Rows `[rows, dimension]` with the value that its latent number stands for in each coordinate of few values.
    pub fn values(&self, latent: &[f32]) -> Vec<f32> {
        let mut rows = latent.to_vec();
        for row in rows.chunks_exact_mut(self.dimension) {
            for (column, first, thresholds) in self.each.iter() {
                row[*column] = first + thresholds.index(row[*column]) as f32;
            }
        }
        rows
    }

    /// Latent rows `[rows, dimension]` behind rows of values, drawn from the backward law.
    ///
    /// A value that is none of its coordinate's has no latent number: NaN.
    pub fn latent(&self, values: &[f32], noise: &Noise) -> Vec<f32> {
        let mut rows = values.to_vec();
        let uniform = noise.uniform(values.len() / self.dimension, self.dimension);
        for (row, uniform) in rows.chunks_exact_mut(self.dimension).zip(uniform.chunks_exact(self.dimension))
        {
            for (column, first, thresholds) in self.each.iter() {
                row[*column] = cell(row[*column], *first, thresholds)
                    .map_or(f32::NAN, |k| thresholds.point(k, f64::from(uniform[*column])));
            }
        }
        rows
    }

    /// `log q(z | x)` of each row, nats; minus infinity where a latent number is not in its value's cell, or a real coordinate is not the
    /// same.
    pub fn log_densities(&self, values: &[f32], latent: &[f32]) -> Vec<f64> {
        let pairs = values.chunks_exact(self.dimension).zip(latent.chunks_exact(self.dimension));
        pairs.map(|(x, z)| self.log_density(x, z)).collect()
    }

    fn log_density(&self, x: &[f32], z: &[f32]) -> f64 {
        let (mut sum, mut discrete) = (0.0, self.each.iter().peekable());
        for (column, (x, z)) in x.iter().zip(z).enumerate() {
            let Some((_, first, thresholds)) = discrete.next_if(|(other, ..)| *other == column) else {
                if x != z {
                    return f64::NEG_INFINITY;
                }
                continue;
            };
            match cell(*x, *first, thresholds) {
                Some(k) if thresholds.index(*z) == k => {
                    sum -= 0.5 * f64::from(*z).powi(2) + f64::from(HALF_LOG_TAU) + thresholds.log_mass(k);
                }
                _ => return f64::NEG_INFINITY,
            }
        }
        sum
    }
}

/// The cell of a value, if it is one of the coordinate's.
fn cell(value: f32, first: f32, thresholds: &Thresholds) -> Option<usize> {
    let k = value - first;
    (k.fract() == 0.0 && (0.0..thresholds.count() as f32).contains(&k)).then_some(k as usize)
}

/// The value that each latent number stands for.
#[derive(Debug, Clone)]
pub struct Told(Columns);

impl Conditional for Told {
    fn law(&self, state: &State, _: &Given) -> Box<dyn Law + '_> {
        let values = self.0.values(&to_vec(state.clone()));
        Box::new(PointMass { value: matrix(values, self.0.dimension, &state.device()) })
    }
}

/// Latent numbers behind values.
#[derive(Debug, Clone)]
pub struct Behind(Columns);

impl Conditional for Behind {
    fn law(&self, state: &State, _: &Given) -> Box<dyn Law + '_> {
        Box::new(Truncated { columns: &self.0, values: state.clone() })
    }
}

/// Standard normals on the cells of values, and the real coordinates as they are.
struct Truncated<'a> {
    columns: &'a Columns,
    values: State,
}

impl Law for Truncated<'_> {
    fn sample(&self, noise: &Noise) -> State {
        let latent = self.columns.latent(&to_vec(self.values.clone()), noise);
        matrix(latent, self.columns.dimension, &self.values.device())
    }

    fn log_density(&self, latent: &State) -> LogWeight {
        let (values, latent) = (to_vec(self.values.clone()), to_vec(latent.clone()));
        let all = self.columns.log_densities(&values, &latent);
        vector(all.into_iter().map(|value| value as f32).collect(), &self.values.device())
    }
}

/// The kernel pair of rows with such coordinates.
pub fn probit(columns: &Columns) -> Pair<Told, Behind> {
    Pair { forward: Told(columns.clone()), backward: Behind(columns.clone()) }
}
