//! The two ends of a diffusion's training term: noise goes in, and the squared error of its estimate comes out.
//!
//! ```text
//! z = alpha x + sigma eps,    dx = alpha g,   dalpha = sum_i x_i g_i,   dsigma = sum_i eps_i g_i    per row
//! d = |eps - e|^2,            de = -2 (eps - e) g
//! ```

use std::sync::Arc;

use burn::tensor::Tensor;

use super::bridge::{Fused, Saved, fused};

/// `alpha x + sigma eps`, `[rows, columns]`, for `x` of that shape and `alpha` and `sigma` one per row, `[rows, 1]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn noised(x: Tensor<2>, alpha: Tensor<2>, sigma: Tensor<2>, eps: &Arc<Vec<f32>>) -> Tensor<2> {
    let [rows, columns] = x.dims();
    assert_eq!((alpha.dims(), sigma.dims(), eps.len()), ([rows, 1], [rows, 1], rows * columns), "the shapes");
    fused(Arc::new(NoisedOp { eps: eps.clone(), columns }), x, alpha, Some(sigma))
}

/// `|eps - e|^2` of each row, `[rows]`, for an estimate `e`, `[rows, columns]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn squared_error(estimate: Tensor<2>, eps: &Arc<Vec<f32>>) -> Tensor<1> {
    let [rows, columns] = estimate.dims();
    assert_eq!(eps.len(), rows * columns, "the shapes");
    let none = Tensor::<1>::zeros([1], &estimate.device());
    let op = Arc::new(SquaredErrorOp { eps: eps.clone(), columns });
    fused::<2, 1, 1>(op, estimate, none, None).squeeze_dim(1)
}

/// `sum_i term(a_i, b_i)`, in eight partial sums.
pub(super) fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0f32; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += term(*a, *b));
    }
    sums.iter().sum()
}

#[derive(Debug)]
struct NoisedOp {
    eps: Arc<Vec<f32>>,
    columns: usize,
}

impl Fused for NoisedOp {
    fn shape(&self, [x, ..]: [&[f32]; 3]) -> [usize; 2] {
        [x.len() / self.columns, self.columns]
    }

    fn forward(&self, [x, alpha, sigma]: [&[f32]; 3]) -> Vec<f32> {
        let mut out = Vec::with_capacity(x.len());
        let rows = x.chunks_exact(self.columns).zip(self.eps.chunks_exact(self.columns));
        for ((x, eps), (alpha, sigma)) in rows.zip(alpha.iter().zip(sigma)) {
            out.extend(x.iter().zip(eps).map(|(x, eps)| alpha * x + sigma * eps));
        }
        out
    }

    fn forward_saving(&self, inputs: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        (self.forward(inputs), Arc::new(()))
    }

    fn backward(
        &self,
        [x, alpha, _]: [&[f32]; 3],
        _: &Saved,
        grad: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let rows = || grad.chunks_exact(self.columns);
        let along = |values: &[f32]| {
            rows().zip(values.chunks_exact(self.columns)).map(|(g, v)| sum(g, v, |g, v| g * v)).collect()
        };
        let scaled = || rows().zip(alpha).flat_map(|(g, alpha)| g.iter().map(move |g| alpha * g)).collect();
        [wanted[0].then(scaled), wanted[1].then(|| along(x)), wanted[2].then(|| along(&self.eps))]
    }
}

#[derive(Debug)]
struct SquaredErrorOp {
    eps: Arc<Vec<f32>>,
    columns: usize,
}

impl Fused for SquaredErrorOp {
    fn shape(&self, [estimate, ..]: [&[f32]; 3]) -> [usize; 2] {
        [estimate.len() / self.columns, 1]
    }

    fn forward(&self, [estimate, ..]: [&[f32]; 3]) -> Vec<f32> {
        let rows = self.eps.chunks_exact(self.columns).zip(estimate.chunks_exact(self.columns));
        rows.map(|(eps, e)| sum(eps, e, |eps, e| (eps - e) * (eps - e))).collect()
    }

    fn forward_saving(&self, inputs: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        (self.forward(inputs), Arc::new(()))
    }

    fn backward(
        &self,
        [estimate, ..]: [&[f32]; 3],
        _: &Saved,
        grad: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let slope = || {
            let rows = self.eps.chunks_exact(self.columns).zip(estimate.chunks_exact(self.columns));
            let mut slope = Vec::with_capacity(estimate.len());
            for ((eps, e), g) in rows.zip(grad) {
                slope.extend(eps.iter().zip(e).map(|(eps, e)| -2.0 * g * (eps - e)));
            }
            slope
        };
        [wanted[0].then(slope), None, None]
    }
}
