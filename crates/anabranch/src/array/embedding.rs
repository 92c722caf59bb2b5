//! Sines and cosines of times at several frequencies, as one differentiable operation.
//!
//! ```text
//! e_j = sin(w_j u),  e_{h+j} = cos(w_j u),    de_j/du = w_j e_{h+j},  de_{h+j}/du = -w_j e_j
//! ```
//!
//! Angles of many turns are reduced to one turn in f64, so that fast frequencies lose no digits.

use std::sync::Arc;

use burn::tensor::Tensor;
use pulp::{Arch, NullaryFnOnce};

use super::bridge::{Fused, Saved, fused};
use super::math::sin_cos;

/// `[rows, 2 h]` for times `u`, `[rows, 1]`, and `h` angular frequencies.
pub fn sines_and_cosines(frequencies: Arc<[f64]>, times: Tensor<2>) -> Tensor<2> {
    let none = Tensor::<1>::zeros([1], &times.device());
    fused::<2, 1, 1>(Arc::new(SinesOp { frequencies }), times, none, None)
}

#[derive(Debug)]
struct SinesOp {
    frequencies: Arc<[f64]>,
}

struct Forward<'a> {
    frequencies: &'a [f64],
    times: &'a [f32],
    out: &'a mut [f32],
}

impl NullaryFnOnce for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let half = self.frequencies.len();
        for (row, time) in self.out.chunks_exact_mut(2 * half).zip(self.times) {
            let (sines, cosines) = row.split_at_mut(half);
            for j in 0..half {
                let turns = f64::from(*time) * (self.frequencies[j] * std::f64::consts::TAU.recip());
                // Adding 1.5 * 2^52 rounds to the nearest integer.
                let whole = (turns + 6_755_399_441_055_744.0) - 6_755_399_441_055_744.0;
                (sines[j], cosines[j]) = sin_cos((turns - whole) as f32);
            }
        }
    }
}

impl Fused for SinesOp {
    fn shape(&self, [times, ..]: [&[f32]; 3]) -> [usize; 2] {
        [times.len(), 2 * self.frequencies.len()]
    }

    fn forward(&self, [times, ..]: [&[f32]; 3]) -> Vec<f32> {
        let mut out = vec![0.0; times.len() * 2 * self.frequencies.len()];
        Arch::new().dispatch(Forward { frequencies: &self.frequencies, times, out: &mut out });
        out
    }

    fn forward_saving(&self, inputs: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        (self.forward(inputs), Arc::new(()))
    }

    fn backward(
        &self,
        inputs: [&[f32]; 3],
        _: &Saved,
        grad: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let half = self.frequencies.len();
        let slope = || {
            let values = self.forward(inputs);
            let rows = values.chunks_exact(2 * half).zip(grad.chunks_exact(2 * half));
            rows.map(|(value, grad)| {
                let term = |j: usize| {
                    let along = value[half + j] * grad[j] - value[j] * grad[half + j];
                    self.frequencies[j] * f64::from(along)
                };
                (0..half).map(term).sum::<f64>() as f32
            })
            .collect()
        };
        [wanted[0].then(slope), None, None]
    }
}
