//! Wasserstein distances: exact in one dimension, sliced in several.
//!
//! ```text
//! W_p^p(P, Q)  = integral over u in (0, 1) of |F_P^{-1}(u) - F_Q^{-1}(u)|^p
//! SW_p^p(P, Q) = mean over directions t, uniform on the unit sphere, of W_p^p(<t, x>, <t, y>)
//! ```
//!
//! Empirical quantile functions are steps of width 1/n and 1/m; their common refinement, counted in units of
//! 1/(n m), makes unequal sizes exact. Sources: Villani, "Topics in optimal transportation" (2003), theorem
//! 2.18; Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures" (2015).

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Points, Stream, noise, same_dimension};
use crate::error::{Problem, Result};

/// The exponent p of the transport cost |x - y|^p.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// W1, the earth mover's distance.
    One,
    /// W2.
    #[default]
    Two,
}

impl Order {
    fn cost(self, difference: f64) -> f64 {
        match self {
            Self::One => difference.abs(),
            Self::Two => difference * difference,
        }
    }

    /// The distance whose p-th power is `power`.
    pub(super) fn root(self, power: f64) -> f64 {
        match self {
            Self::One => power,
            Self::Two => power.sqrt(),
        }
    }
}

/// A sliced distance and its Monte-Carlo error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sliced {
    /// SW_p, in the units of the points.
    pub value: f64,
    /// Standard error over the directions alone (delta method), not over the samples; 0 in one dimension.
    pub standard_error: f64,
}

/// Exact W_p between two one-dimensional samples of any sizes, in the units of the points.
///
/// # Errors
/// [`Error::Input`](crate::error::Error::Input) unless both have dimension 1.
pub fn wasserstein(samples: Points<'_>, reference: Points<'_>, order: Order) -> Result<f64> {
    for (place, points) in [("samples", samples), ("reference", reference)] {
        if points.dimension() != 1 {
            return Err(Problem::new(place, format!("dimension {}", points.dimension()))
                .allowed("dimension 1; the sliced distance takes any")
                .into());
        }
    }
    let sorted = |points: Points<'_>| {
        let mut values: Vec<f64> = points.values().iter().map(|value| f64::from(*value)).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    Ok(order.root(transport(&sorted(samples), &sorted(reference), order)))
}

/// SW_p between samples `[n, dimension]` and `[m, dimension]`, over `projections` random directions; in one
/// dimension it is exact W_p. The directions depend on `seed` and the dimension alone.
///
/// # Errors
/// [`Error::Input`](crate::error::Error::Input) if the dimensions differ or `projections` is 0.
pub fn sliced_wasserstein(
    samples: Points<'_>,
    reference: Points<'_>,
    order: Order,
    projections: usize,
    seed: u64,
) -> Result<Sliced> {
    same_dimension(samples, reference)?;
    let directions = directions(samples.dimension(), projections, seed)?;
    let powers: Vec<f64> = directions
        .par_chunks(samples.dimension())
        .map(|direction| {
            let sorted = |points| {
                let mut values = project(points, direction);
                values.sort_unstable_by(f64::total_cmp);
                values
            };
            transport(&sorted(samples), &sorted(reference), order)
        })
        .collect();
    let count = powers.len() as f64;
    let mean = powers.iter().sum::<f64>() / count;
    let variance = powers.iter().map(|power| (power - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let value = order.root(mean);
    let error = (variance / count).sqrt();
    let standard_error = match order {
        Order::Two if value > 0.0 => error / (2.0 * value),
        _ => error,
    };
    Ok(Sliced { value, standard_error })
}

/// Unit vectors `[projections, dimension]`; in one dimension the single direction 1.
pub(super) fn directions(dimension: usize, projections: usize, seed: u64) -> Result<Vec<f64>> {
    if projections == 0 {
        return Err(Problem::new("projections", "0").allowed("at least 1").into());
    }
    if dimension == 1 {
        return Ok(vec![1.0]);
    }
    let normals = noise(seed, Stream::Projections).normal(projections, dimension);
    let mut directions: Vec<f64> = normals.into_iter().map(f64::from).collect();
    for direction in directions.chunks_exact_mut(dimension) {
        let norm = direction.iter().map(|value| value * value).sum::<f64>().sqrt();
        direction.iter_mut().for_each(|value| *value /= norm);
    }
    Ok(directions)
}

/// The inner products of every row with `direction`.
pub(super) fn project(points: Points<'_>, direction: &[f64]) -> Vec<f64> {
    const LANES: usize = 8;
    pulp::Arch::new().dispatch(|| {
        let (head, tail) = direction.as_chunks::<LANES>();
        points
            .values()
            .chunks_exact(direction.len())
            .map(|row| {
                let (row_head, row_tail) = row.as_chunks::<LANES>();
                let mut sums = [0.0; LANES];
                for (values, weights) in row_head.iter().zip(head) {
                    for lane in 0..LANES {
                        sums[lane] += f64::from(values[lane]) * weights[lane];
                    }
                }
                let rest: f64 =
                    row_tail.iter().zip(tail).map(|(value, weight)| f64::from(*value) * weight).sum();
                sums.iter().sum::<f64>() + rest
            })
            .collect()
    })
}

/// W_p^p between two sorted samples, by the coupling of their quantiles.
pub(super) fn transport(x: &[f64], y: &[f64], order: Order) -> f64 {
    let (mut i, mut j, mut total) = (0, 0, 0.0);
    // What is left to move of x_i and y_j, in units of 1/(n m).
    let (mut left_x, mut left_y) = (y.len(), x.len());
    while i < x.len() && j < y.len() {
        let moved = left_x.min(left_y);
        total += moved as f64 * order.cost(x[i] - y[j]);
        left_x -= moved;
        left_y -= moved;
        if left_x == 0 {
            (i, left_x) = (i + 1, y.len());
        }
        if left_y == 0 {
            (j, left_y) = (j + 1, x.len());
        }
    }
    total / (x.len() as f64 * y.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Noise, Purpose};

    fn one(values: &[f32]) -> Points<'_> {
        Points::new(values, 1).unwrap()
    }

    #[test]
    fn small_cases_by_hand() {
        // {0, 3} to {1, 1, 4}: thirds 0-1, then 0|3 split at 1/2 against 1, then 3-4.
        let w1 = wasserstein(one(&[3.0, 0.0]), one(&[4.0, 1.0, 1.0]), Order::One).unwrap();
        assert!((w1 - (1.0 / 3.0 + 1.0 / 6.0 + 2.0 / 6.0 + 1.0 / 3.0)).abs() < 1e-12);
        let w2 = wasserstein(one(&[3.0, 0.0]), one(&[4.0, 1.0, 1.0]), Order::Two).unwrap();
        assert!((w2 * w2 - (1.0 / 3.0 + 1.0 / 6.0 + 4.0 / 6.0 + 1.0 / 3.0)).abs() < 1e-12);
    }

    #[test]
    fn shifts_and_scales_move_by_their_closed_form() {
        let x = Noise::new(1, Purpose::Target).normal(501, 1);
        let shifted: Vec<f32> = x.iter().map(|value| value - 1.5).collect();
        for order in [Order::One, Order::Two] {
            assert!((wasserstein(one(&x), one(&shifted), order).unwrap() - 1.5).abs() < 1e-6);
            assert_eq!(wasserstein(one(&x), one(&x), order).unwrap(), 0.0);
            // Repeating every point leaves the empirical law, whatever the sizes.
            let twice = [&x[..], &x[..]].concat();
            assert!(wasserstein(one(&x), one(&twice), order).unwrap() < 1e-9);
        }
        // Scaling by 3 moves x to 3 x monotonically: W1 = 2 mean |x|, W2^2 = 4 mean x^2.
        let scaled: Vec<f32> = x.iter().map(|value| 3.0 * value).collect();
        let mean = |f: fn(f64) -> f64| x.iter().map(|value| f(f64::from(*value))).sum::<f64>() / 501.0;
        let w1 = wasserstein(one(&x), one(&scaled), Order::One).unwrap();
        assert!((w1 - 2.0 * mean(f64::abs)).abs() < 1e-6);
        let w2 = wasserstein(one(&x), one(&scaled), Order::Two).unwrap();
        assert!((w2 - 2.0 * mean(|value| value * value).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn sliced_w2_of_a_shift_is_its_length_over_root_dimension() {
        for dimension in [2, 64] {
            let x = Noise::new(2, Purpose::Target).normal(100, dimension);
            let mut y = x.clone();
            y.chunks_exact_mut(dimension).for_each(|row| row[0] += 2.0);
            let (x, y) = (Points::new(&x, dimension).unwrap(), Points::new(&y, dimension).unwrap());
            let found = sliced_wasserstein(x, y, Order::Two, 400, 7).unwrap();
            // SW2^2 = |shift|^2 E t_1^2 = |shift|^2 / dimension.
            let expected = 2.0 / (dimension as f64).sqrt();
            let error = (found.value - expected).abs();
            assert!(error < 4.0 * found.standard_error, "{dimension}: {found:?} against {expected}");
            assert!(found.standard_error < 0.1 * found.value);
        }
    }

    #[test]
    fn one_dimension_needs_no_directions() {
        let (x, y) = ([0.0, 1.0, 5.0], [2.0, 2.5]);
        let found = sliced_wasserstein(one(&x), one(&y), Order::One, 17, 3).unwrap();
        let exact = wasserstein(one(&x), one(&y), Order::One).unwrap();
        assert_eq!(found, Sliced { value: exact, standard_error: 0.0 });
        assert!(sliced_wasserstein(one(&x), one(&y), Order::One, 0, 3).unwrap_err().is_input());
        let plane = Points::new(&[0.0, 1.0], 2).unwrap();
        assert!(wasserstein(plane, one(&y), Order::One).unwrap_err().is_input());
    }
}
