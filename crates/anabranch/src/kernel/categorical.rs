//! Laws of categories by logits.
//!
//! ```text
//! p(k)   = exp(a_k) / sum_j exp(a_j)                              of a coordinate
//! log p  = sum_d log p_d(x_d),   d log p / d a_dk = [k = x_d] - p_d(k)     over the coordinates that are asked about
//! ```
//!
//! States hold categories as floats `0, 1, ...`, what is masked as the number of values.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use crate::array::rowwise::{RowFunction, of_rows};
use crate::array::weights::{matrix, to_vec};
use crate::chain::{LogWeight, State};

/// A coordinate that is not asked about.
pub const UNASKED: u16 = u16::MAX;

/// The categories of states that hold them as floats, one row behind the other.
pub fn categories(state: &State) -> Vec<u16> {
    to_vec(state.clone()).into_iter().map(|value| value as u16).collect()
}

/// Categories as floats, `[rows, columns]`.
pub fn state_of(categories: &[u16], columns: usize, device: &Device) -> State {
    matrix(categories.iter().map(|value| f32::from(*value)).collect(), columns, device)
}

/// One number per row as a tensor.
pub fn numbers(values: Vec<f64>, device: &Device) -> LogWeight {
    matrix(values.into_iter().map(|value| value as f32).collect(), 1, device).squeeze_dim(1)
}

/// A draw from masses of sum 1 by a uniform; where the sum rounds to less, the last state that has a mass.
pub fn drawn(masses: &[f64], uniform: f32) -> u16 {
    let mut sum = 0.0;
    let passed = masses.iter().position(|mass| {
        sum += mass;
        f64::from(uniform) < sum
    });
    passed.or_else(|| masses.iter().rposition(|mass| *mass > 0.0)).unwrap_or(0) as u16
}

/// Writes the masses that logits give.
pub fn softmax(logits: &[f32], masses: &mut [f64]) {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    masses.iter_mut().zip(logits).for_each(|(mass, logit)| *mass = f64::from(logit - most).exp());
    let total: f64 = masses.iter().sum();
    masses.iter_mut().for_each(|mass| *mass /= total);
}

/// `sum_d log p_d(x_d)` of each row, `[rows]`, for logits `[rows, columns * states]` of which the first `values` of each coordinate are
/// read, and the categories `asked`, `[rows, columns]`, some of them [`UNASKED`].
///
/// # Panics
/// If the shapes do not fit.
pub fn log_masses(logits: Tensor<2>, asked: Arc<[u16]>, [columns, states, values]: [usize; 3]) -> LogWeight {
    let [rows, width] = logits.dims();
    assert_eq!((width, asked.len()), (columns * states, rows * columns), "the shapes");
    of_rows(LogMasses { asked, columns, states, values }, logits)
}

#[derive(Debug)]
struct LogMasses {
    asked: Arc<[u16]>,
    columns: usize,
    states: usize,
    values: usize,
}

impl RowFunction for LogMasses {
    fn width(&self) -> usize {
        self.columns * self.states
    }

    fn row(&self, row: usize, logits: &[f32], mut slopes: Option<&mut [f32]>) -> f32 {
        let asked = &self.asked[row * self.columns..][..self.columns];
        let mut sum = 0.0;
        for (column, x) in asked.iter().enumerate().filter(|(_, x)| **x != UNASKED) {
            let from = column * self.states;
            let logits = &logits[from..from + self.values];
            let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let total: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
            let own = logits.get(usize::from(*x)).copied().unwrap_or(f32::NEG_INFINITY);
            sum += f64::from(own - most) - total.ln();
            if let Some(slopes) = &mut slopes {
                let slopes = &mut slopes[from..from + self.values];
                for (k, (slope, logit)) in slopes.iter_mut().zip(logits).enumerate() {
                    let own = if k == usize::from(*x) { 1.0 } else { 0.0 };
                    *slope = (own - f64::from(logit - most).exp() / total) as f32;
                }
            }
        }
        sum as f32
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::activation;

    use super::*;

    /// The sum and its gradient are those of burn's own operations.
    #[test]
    fn masses_agree_with_burn() {
        let device = Device::flex().autodiff();
        let (rows, columns, states, values) = (3, 2, 4, 3);
        let raw: Vec<f32> =
            (0..rows * columns * states).map(|i| ((i * 37 % 19) as f32 - 9.0) * 0.4).collect();
        let asked: Arc<[u16]> = [0, 2, UNASKED, 1, 2, UNASKED].into();
        let logits = matrix(raw, columns * states, &device).require_grad();
        let weight = Tensor::<1>::from_floats([0.5, -1.0, 2.0], &device);
        let fused = log_masses(logits.clone(), asked.clone(), [columns, states, values]);
        let per = logits.clone().reshape([rows * columns, states]).slice([0..rows * columns, 0..values]);
        let logs = activation::log_softmax(per, 1).reshape([rows * columns * values]);
        let chosen = (0..rows * columns).flat_map(|at| {
            (0..values).map({
                let asked = asked[at];
                move |k| f32::from(u8::from(usize::from(asked) == k))
            })
        });
        let mask = matrix(chosen.collect(), columns * values, &device);
        let composed: Tensor<1> = (logs.reshape([rows, columns * values]) * mask).sum_dim(1).squeeze_dim(1);
        let results = [fused, composed].map(|sum| {
            let values = to_vec(sum.clone());
            let gradients = (sum * weight.clone()).sum().backward();
            (values, to_vec(logits.grad(&gradients).expect("logits take part")))
        });
        for (a, b) in results[0].0.iter().zip(&results[1].0).chain(results[0].1.iter().zip(&results[1].1)) {
            assert!((a - b).abs() < 2e-6, "{a} and {b}");
        }
    }
}
