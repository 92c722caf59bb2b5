//! What the Gaussian kernels of controlled chains are made of, each as one step of the tape.
//!
//! ```text
//! m = a x + b y + c      dx = a g,   dy = b g,   da = sum x g,   db = sum y g,   dc = sum g      a, b, c per column
//! d = |x - y|^2          dx = 2 (x - y) g,   dy = -dx                                            per row
//! ```

use std::sync::Arc;

use burn::tensor::Tensor;

use super::bridge::{Fused, Saved, fused};

/// `a x + b y + c`, `[rows, columns]`, for `x` and `y` of that shape and the rows `a`, `b`, `c` of `coefficients`, `[3, columns]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn combined(x: Tensor<2>, y: Tensor<2>, coefficients: Tensor<2>) -> Tensor<2> {
    let columns = x.dims()[1];
    assert_eq!((y.dims(), coefficients.dims()), (x.dims(), [3, columns]), "the shapes");
    fused(Arc::new(CombineOp { columns }), x, y, Some(coefficients))
}

/// `|x - y|^2` of each row, `[rows]`, for two tensors `[rows, columns]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn squared_distance(x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
    let columns = x.dims()[1];
    assert_eq!(x.dims(), y.dims(), "the shapes");
    fused::<2, 2, 1>(Arc::new(DistanceOp { columns }), x, y, None).squeeze_dim(1)
}

#[derive(Debug)]
struct CombineOp {
    columns: usize,
}

impl Fused for CombineOp {
    fn shape(&self, [x, ..]: [&[f32]; 3]) -> [usize; 2] {
        [x.len() / self.columns, self.columns]
    }

    fn forward(&self, [x, y, coefficients]: [&[f32]; 3]) -> Vec<f32> {
        let (a, rest) = coefficients.split_at(self.columns);
        let (b, c) = rest.split_at(self.columns);
        let mut out = Vec::with_capacity(x.len());
        for (x, y) in x.chunks_exact(self.columns).zip(y.chunks_exact(self.columns)) {
            let of_column = a.iter().zip(b).zip(c);
            out.extend(x.iter().zip(y).zip(of_column).map(|((x, y), ((a, b), c))| a * x + b * y + c));
        }
        out
    }

    fn forward_saving(&self, inputs: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        (self.forward(inputs), Arc::new(()))
    }

    fn backward(
        &self,
        [x, y, coefficients]: [&[f32]; 3],
        _: &Saved,
        grad: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let columns = self.columns;
        let scaled = |row: usize| {
            let factor = &coefficients[row * columns..][..columns];
            let rows = grad.chunks_exact(columns);
            rows.flat_map(|g| g.iter().zip(factor).map(|(g, factor)| g * factor)).collect()
        };
        let summed = || {
            let mut sums = vec![0.0; 3 * columns];
            let (a, rest) = sums.split_at_mut(columns);
            let (b, c) = rest.split_at_mut(columns);
            let rows = x.chunks_exact(columns).zip(y.chunks_exact(columns)).zip(grad.chunks_exact(columns));
            for ((x, y), g) in rows {
                a.iter_mut().zip(x).zip(g).for_each(|((sum, x), g)| *sum += x * g);
                b.iter_mut().zip(y).zip(g).for_each(|((sum, y), g)| *sum += y * g);
                c.iter_mut().zip(g).for_each(|(sum, g)| *sum += g);
            }
            sums
        };
        [wanted[0].then(|| scaled(0)), wanted[1].then(|| scaled(1)), wanted[2].then(summed)]
    }
}

#[derive(Debug)]
struct DistanceOp {
    columns: usize,
}

impl Fused for DistanceOp {
    fn shape(&self, [x, ..]: [&[f32]; 3]) -> [usize; 2] {
        [x.len() / self.columns, 1]
    }

    fn forward(&self, [x, y, _]: [&[f32]; 3]) -> Vec<f32> {
        let rows = x.chunks_exact(self.columns).zip(y.chunks_exact(self.columns));
        rows.map(|(x, y)| super::noising::sum(x, y, |x, y| (x - y) * (x - y))).collect()
    }

    fn forward_saving(&self, inputs: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        (self.forward(inputs), Arc::new(()))
    }

    fn backward(
        &self,
        [x, y, _]: [&[f32]; 3],
        _: &Saved,
        grad: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let slope = |sign: f32| {
            let mut slope = Vec::with_capacity(x.len());
            let rows = x.chunks_exact(self.columns).zip(y.chunks_exact(self.columns));
            for ((x, y), g) in rows.zip(grad) {
                slope.extend(x.iter().zip(y).map(|(x, y)| sign * 2.0 * g * (x - y)));
            }
            slope
        };
        [wanted[0].then(|| slope(1.0)), wanted[1].then(|| slope(-1.0)), None]
    }
}
