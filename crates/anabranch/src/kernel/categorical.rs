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
use rayon::prelude::*;

use crate::array::bridge::{Fused, Saved, fused_of_one};
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
    fused_of_one(Arc::new(LogMasses { asked, columns, states, values }), logits).squeeze_dim(1)
}

#[derive(Debug)]
struct LogMasses {
    asked: Arc<[u16]>,
    columns: usize,
    states: usize,
    values: usize,
}

impl LogMasses {
    /// The sum over a row; writes its slopes by the row's logits.
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

impl Fused for LogMasses {
    fn shape(&self, [logits, ..]: [&[f32]; 3]) -> [usize; 2] {
        [logits.len() / (self.columns * self.states), 1]
    }

    fn forward(&self, [logits, ..]: [&[f32]; 3]) -> Vec<f32> {
        let rows = logits.par_chunks(self.columns * self.states).enumerate();
        rows.map(|(row, logits)| self.row(row, logits, None)).collect()
    }

    fn forward_saving(&self, [logits, ..]: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        let width = self.columns * self.states;
        let mut slopes = vec![0.0; logits.len()];
        let rows = logits.par_chunks(width).zip(slopes.par_chunks_mut(width)).enumerate();
        let values = rows.map(|(row, (logits, slopes))| self.row(row, logits, Some(slopes))).collect();
        (values, Arc::new(slopes))
    }

    fn backward(
        &self,
        _: [&[f32]; 3],
        saved: &Saved,
        grad: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let slopes = saved.downcast_ref::<Vec<f32>>().expect("this operation's own slopes");
        let rows = slopes.chunks_exact(self.columns * self.states).zip(grad);
        let pulled =
            wanted[0].then(|| rows.flat_map(|(row, grad)| row.iter().map(move |s| s * grad)).collect());
        [pulled, None, None]
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
