//! One number for each row of a tensor, with its slopes found on the way.
//!
//! ```text
//! y_r = f_r(x_r)      dx_r = f_r'(x_r) g_r
//! ```

use std::fmt::Debug;
use std::sync::Arc;

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::bridge::{Fused, Saved, fused_of_one};

/// A function of rows.
pub trait RowFunction: Debug + Send + Sync + 'static {
    /// How many numbers a row has.
    fn width(&self) -> usize;

    /// Its value at a row, whose number may matter; writes its slopes, which are 0 at first, where they are asked for.
    fn row(&self, row: usize, x: &[f32], slopes: Option<&mut [f32]>) -> f32;
}

/// `f(x)`, `[rows]`, for `x` `[rows, width]`; rows are found in parallel.
pub fn of_rows(function: impl RowFunction, x: Tensor<2>) -> Tensor<1> {
    fused_of_one(Arc::new(Rowwise(function)), x).squeeze_dim(1)
}

#[derive(Debug)]
struct Rowwise<F>(F);

impl<F: RowFunction> Fused for Rowwise<F> {
    fn shape(&self, [x, ..]: [&[f32]; 3]) -> [usize; 2] {
        [x.len() / self.0.width(), 1]
    }

    fn forward(&self, [x, ..]: [&[f32]; 3]) -> Vec<f32> {
        let rows = x.par_chunks(self.0.width()).enumerate();
        rows.map(|(row, x)| self.0.row(row, x, None)).collect()
    }

    fn forward_saving(&self, [x, ..]: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        let width = self.0.width();
        let mut slopes = vec![0.0; x.len()];
        let rows = x.par_chunks(width).zip(slopes.par_chunks_mut(width)).enumerate();
        let values = rows.map(|(row, (x, slopes))| self.0.row(row, x, Some(slopes))).collect();
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
        let rows = slopes.chunks_exact(self.0.width()).zip(grad);
        let pulled =
            wanted[0].then(|| rows.flat_map(|(row, grad)| row.iter().map(move |s| s * grad)).collect());
        [pulled, None, None]
    }
}
