//! Mixing of coordinates by an LU-factored matrix, as one differentiable operation.
//!
//! With `P = U^T`, `Q = L^T` and `M = P Q` for row vectors,
//!
//! ```text
//! forward   x = z M + b             dM = z^T g_x,     g_z = g_x M^T,        db = sum g_x
//! inverse   z = (x - b) M^{-1}      dM = -z^T g_x,    g_x = g_z M^{-T},     db = -sum g_x
//! log |det| = +- sum_i log P_ii     dP = dM Q^T,      dQ = P^T dM
//! ```
//!
//! The matrix and its inverse, by substitution, are found in f64.

use std::sync::Arc;

use burn::tensor::Tensor;
use pulp::{Arch, NullaryFnOnce};

use super::bridge::{Fused, Saved, fused};

/// What is added to a diagonal entry, so that none is 0.
pub(crate) const SMALLEST: f32 = 1e-3;

/// Maps `x`, `[rows, d]`, with weights `theta`: `L^T`, `U^T`, the raw diagonal and the shift, behind each other; returns
/// `[rows, d + 1]`: the results, then the log-determinant of the direction taken.
pub fn apply(x: Tensor<2>, theta: Tensor<1>, inverse: bool) -> Tensor<2> {
    let dimension = x.dims()[1];
    fused::<2, 1, 1>(Arc::new(LuOp { dimension, inverse }), x, theta, None)
}

#[derive(Debug)]
struct LuOp {
    dimension: usize,
    inverse: bool,
}

/// The matrices of some weights.
struct Factors {
    /// `U^T` and `L^T`, row-major.
    p: Vec<f64>,
    q: Vec<f64>,
    /// The matrix of the direction taken.
    matrix: Vec<f32>,
    /// `+- sum_i log P_ii`.
    log_det: f64,
}

/// Weights, cut into parts.
struct Parts<'a> {
    lower: &'a [f32],
    upper: &'a [f32],
    diagonal: &'a [f32],
    shift: &'a [f32],
}

fn parts(theta: &[f32], d: usize) -> Parts<'_> {
    let (lower, rest) = theta.split_at(d * d);
    let (upper, rest) = rest.split_at(d * d);
    let (diagonal, shift) = rest.split_at(d);
    Parts { lower, upper, diagonal, shift }
}

fn softplus(raw: f32) -> f64 {
    let raw = f64::from(raw);
    raw.max(0.0) + (-raw.abs()).exp().ln_1p()
}

/// `A B` of square matrices.
fn product(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    let mut out = vec![0.0; d * d];
    for (row, out) in a.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
        for (x, b) in row.iter().zip(b.chunks_exact(d)).filter(|(x, _)| **x != 0.0) {
            out.iter_mut().zip(b).for_each(|(out, b)| *out += x * b);
        }
    }
    out
}

fn transposed(a: &[f64], d: usize) -> Vec<f64> {
    (0..d * d).map(|at| a[at % d * d + at / d]).collect()
}

/// The inverse of a lower triangular matrix, row by row.
fn inverse_lower(a: &[f64], d: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; d * d];
    for i in 0..d {
        let (above, row) = inverse.split_at_mut(i * d);
        let row = &mut row[..d];
        for (x, above) in a[i * d..i * d + i].iter().zip(above.chunks_exact(d)) {
            row.iter_mut().zip(above).for_each(|(to, above)| *to -= x * above);
        }
        row[i] += 1.0;
        row.iter_mut().for_each(|to| *to /= a[i * d + i]);
    }
    inverse
}

impl LuOp {
    fn factors(&self, theta: &[f32]) -> Factors {
        let d = self.dimension;
        let Parts { lower, upper, diagonal, .. } = parts(theta, d);
        let (mut p, mut q) = (vec![0.0; d * d], vec![0.0; d * d]);
        let mut log_det = 0.0;
        for i in 0..d {
            for j in 0..i {
                p[i * d + j] = f64::from(upper[i * d + j]);
                q[j * d + i] = f64::from(lower[j * d + i]);
            }
            p[i * d + i] = softplus(diagonal[i]) + f64::from(SMALLEST);
            q[i * d + i] = 1.0;
            log_det += p[i * d + i].ln();
        }
        let matrix = if self.inverse {
            let of_q = transposed(&inverse_lower(&transposed(&q, d), d), d);
            product(&of_q, &inverse_lower(&p, d), d)
        } else {
            product(&p, &q, d)
        };
        let matrix = matrix.into_iter().map(|value| value as f32).collect();
        Factors { p, q, matrix, log_det: if self.inverse { -log_det } else { log_det } }
    }
}

/// `out += x M` of one row.
#[inline(always)]
fn row_times(x: &[f32], matrix: &[f32], d: usize, out: &mut [f32]) {
    for (x, matrix) in x.iter().zip(matrix.chunks_exact(d)) {
        out.iter_mut().zip(matrix).for_each(|(out, m)| *out = x.mul_add(*m, *out));
    }
}

/// The rows of a result.
struct Map<'a> {
    op: &'a LuOp,
    factors: &'a Factors,
    shift: &'a [f32],
    x: &'a [f32],
    out: &'a mut [f32],
}

impl NullaryFnOnce for Map<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { op, factors, shift, x, out } = self;
        let d = op.dimension;
        let mut moved = vec![0.0; d];
        for (x, out) in x.chunks_exact(d).zip(out.chunks_exact_mut(d + 1)) {
            out[d] = factors.log_det as f32;
            if op.inverse {
                moved.iter_mut().zip(x.iter().zip(shift)).for_each(|(to, (x, b))| *to = x - b);
                row_times(&moved, &factors.matrix, d, &mut out[..d]);
            } else {
                out[..d].copy_from_slice(shift);
                row_times(x, &factors.matrix, d, &mut out[..d]);
            }
        }
    }
}

/// The gradients of the rows, of `M` and of the shift, but for their signs.
struct Back<'a> {
    op: &'a LuOp,
    /// The transpose of the matrix of the direction taken.
    matrix: &'a [f32],
    x: &'a [f32],
    out: &'a [f32],
    grad: &'a [f32],
    grad_x: &'a mut [f32],
    of_matrix: &'a mut [f32],
    of_shift: &'a mut [f32],
}

impl NullaryFnOnce for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { op, matrix, x, out, grad, grad_x, of_matrix, of_shift } = self;
        let d = op.dimension;
        let rows = x.chunks_exact(d).zip(out.chunks_exact(d + 1)).zip(grad.chunks_exact(d + 1));
        for (((x, out), grad), grad_x) in rows.zip(grad_x.chunks_exact_mut(d)) {
            row_times(&grad[..d], matrix, d, grad_x);
            // The side of z, and the gradient on the side of x.
            let (z, of_x) = if op.inverse { (&out[..d], &*grad_x) } else { (x, &grad[..d]) };
            for (z, to) in z.iter().zip(of_matrix.chunks_exact_mut(d)) {
                to.iter_mut().zip(of_x).for_each(|(to, g)| *to = z.mul_add(*g, *to));
            }
            of_shift.iter_mut().zip(of_x).for_each(|(to, g)| *to += g);
        }
    }
}

/// What a forward pass keeps.
struct Tape {
    out: Vec<f32>,
    factors: Factors,
}

impl LuOp {
    fn map(&self, [x, theta, _]: [&[f32]; 3]) -> (Vec<f32>, Factors) {
        let d = self.dimension;
        let (factors, shift) = (self.factors(theta), parts(theta, d).shift);
        let mut out = vec![0.0; x.len() / d * (d + 1)];
        Arch::new().dispatch(Map { op: self, factors: &factors, shift, x, out: &mut out });
        (out, factors)
    }
}

impl Fused for LuOp {
    fn shape(&self, [x, ..]: [&[f32]; 3]) -> [usize; 2] {
        [x.len() / self.dimension, self.dimension + 1]
    }

    fn forward(&self, inputs: [&[f32]; 3]) -> Vec<f32> {
        self.map(inputs).0
    }

    fn forward_saving(&self, inputs: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        let (out, factors) = self.map(inputs);
        (out.clone(), Arc::new(Tape { out, factors }))
    }

    fn backward(
        &self,
        [x, theta, _]: [&[f32]; 3],
        saved: &Saved,
        grad: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let d = self.dimension;
        let Tape { out, factors } = saved.downcast_ref().expect("this operation's own tape");
        let back: Vec<f32> = (0..d * d).map(|at| factors.matrix[at % d * d + at / d]).collect();
        let mut grad_x = vec![0.0; x.len()];
        let (mut of_matrix, mut of_shift) = (vec![0.0f32; d * d], vec![0.0f32; d]);
        Arch::new().dispatch(Back {
            op: self,
            matrix: &back,
            x,
            out,
            grad,
            grad_x: &mut grad_x,
            of_matrix: &mut of_matrix,
            of_shift: &mut of_shift,
        });
        let of_log_det: f64 = grad.chunks_exact(d + 1).map(|row| f64::from(row[d])).sum();
        let theta_gradient = wanted[1].then(|| {
            let sign = if self.inverse { -1.0 } else { 1.0 };
            let of_matrix: Vec<f64> = of_matrix.iter().map(|g| sign * f64::from(*g)).collect();
            let of_p = product(&of_matrix, &transposed(&factors.q, d), d);
            let of_q = product(&transposed(&factors.p, d), &of_matrix, d);
            let mut gradient = vec![0.0; theta.len()];
            let raw = parts(theta, d).diagonal;
            for i in 0..d {
                for j in 0..i {
                    gradient[j * d + i] = of_q[j * d + i] as f32;
                    gradient[d * d + i * d + j] = of_p[i * d + j] as f32;
                }
                let of_diagonal = of_p[i * d + i] + sign * of_log_det / factors.p[i * d + i];
                let slope = 1.0 / (1.0 + (-f64::from(raw[i])).exp());
                gradient[2 * d * d + i] = (of_diagonal * slope) as f32;
                gradient[2 * d * d + d + i] = sign as f32 * of_shift[i];
            }
            gradient
        });
        [wanted[0].then_some(grad_x), theta_gradient, None]
    }
}
