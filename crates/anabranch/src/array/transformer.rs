//! Monotone element-wise maps with given parameters: the transformers of flows.
//!
//! ```text
//! affine   y = e^s x + b,  s = cap tanh(raw / cap)                                       log h' = s
//! spline   rational-quadratic on K bins over [-B, B], identity outside (Durkan et al. 2019, eq. 4..8)
//! ```
//!
//! A spline reads `3 K - 1` raw numbers per coordinate: K widths, K heights, K - 1 inner slopes. Equal widths and
//! heights and inner slopes of one give the identity, which is where a zero network starts.

use std::sync::Arc;

use burn::tensor::{Int, Tensor, activation};

use super::shape::{RAW_SLOPE_ONE, SMALLEST, Transform};
use super::weights::sum_rows;

impl Transform {
    /// Maps `x`, `[rows, n]`, with parameters `raw`, `[rows, n * raw_len]` or, shared by all rows, `[1, n * raw_len]`,
    /// forward or back; returns the result and the log-determinant of the direction taken, `[rows]`.
    pub fn apply(self, x: Tensor<2>, raw: Tensor<2>, inverse: bool) -> (Tensor<2>, Tensor<1>) {
        let [rows, columns] = x.dims();
        let joined = crate::array::transform::apply(self, x, raw, inverse);
        let log_det = joined.clone().slice([0..rows, columns..columns + 1]).squeeze_dim(1);
        (joined.slice([0..rows, 0..columns]), log_det)
    }

    /// Maps the coordinates `places` of `x`, `[rows, d]`, with parameters `raw`, `[rows, places * raw_len]`; the others stay.
    pub fn apply_at(
        self,
        places: &Arc<[usize]>,
        x: Tensor<2>,
        raw: Tensor<2>,
        inverse: bool,
    ) -> (Tensor<2>, Tensor<1>) {
        let [rows, columns] = x.dims();
        let joined = crate::array::transform::apply_at(self, places, x, raw, inverse);
        let log_det = joined.clone().slice([0..rows, columns..columns + 1]).squeeze_dim(1);
        (joined.slice([0..rows, 0..columns]), log_det)
    }

    /// [`Transform::apply`] composed of burn's own operations: the oracle of the fused kernel.
    pub fn apply_composed(self, x: Tensor<2>, raw: Tensor<2>, inverse: bool) -> (Tensor<2>, Tensor<1>) {
        let [rows, columns] = x.dims();
        let raw = raw.expand([rows, columns * self.raw_len()]);
        let raw = raw.reshape([rows * columns, self.raw_len()]);
        let flat = x.reshape([rows * columns, 1]);
        let (y, log_slope) = match self {
            Self::Affine { cap } => affine(flat, raw, cap, inverse),
            Self::Spline { bins, bound } => spline(flat, raw, bins, bound, inverse),
        };
        (y.reshape([rows, columns]), sum_rows(log_slope.reshape([rows, columns])))
    }
}

fn affine(x: Tensor<2>, raw: Tensor<2>, cap: f32, inverse: bool) -> (Tensor<2>, Tensor<2>) {
    let n = x.dims()[0];
    let log_scale = (raw.clone().slice([0..n, 0..1]) * cap.recip()).tanh() * cap;
    let shift = raw.slice([0..n, 1..2]);
    if inverse {
        ((x - shift) * (-log_scale.clone()).exp(), -log_scale)
    } else {
        (x * log_scale.clone().exp() + shift, log_scale)
    }
}

/// Knots from raw sizes: `[n, K + 1]` positions from `-B` to `B`, and `[n, K]` sizes.
fn knots(raw: Tensor<2>, bound: f32) -> (Tensor<2>, Tensor<2>) {
    let [n, bins] = raw.dims();
    let share = activation::softmax(raw, 1) * (1.0 - SMALLEST * bins as f32) + SMALLEST;
    let sizes = share * (2.0 * bound);
    let inner = sizes.clone().slice([0..n, 0..bins - 1]).cumsum(1) - bound;
    let device = inner.device();
    let (first, last) = (Tensor::full([n, 1], -bound, &device), Tensor::full([n, 1], bound, &device));
    (Tensor::cat(vec![first, inner, last], 1), sizes)
}

fn spline(x: Tensor<2>, raw: Tensor<2>, bins: usize, bound: f32, inverse: bool) -> (Tensor<2>, Tensor<2>) {
    let n = x.dims()[0];
    let device = x.device();
    let (x_knots, widths) = knots(raw.clone().slice([0..n, 0..bins]), bound);
    let (y_knots, heights) = knots(raw.clone().slice([0..n, bins..2 * bins]), bound);
    let ones = Tensor::ones([n, 1], &device);
    let inner =
        activation::softplus(raw.slice([0..n, 2 * bins..3 * bins - 1]) + RAW_SLOPE_ONE, 1.0) + SMALLEST;
    let slopes = Tensor::cat(vec![ones.clone(), inner, ones], 1);

    // The box is entered before anything is computed, so that the branch outside leaves no NaN in a gradient.
    let inside = x.clone().clamp(-bound, bound);
    let search = if inverse { y_knots.clone() } else { x_knots.clone() };
    let above = search.slice([0..n, 1..bins]).lower_equal(inside.clone().expand([n, bins - 1]));
    let bin: Tensor<2, Int> = above.int().sum_dim(1);
    let at = |values: &Tensor<2>| values.clone().gather(1, bin.clone());
    let next = |values: &Tensor<2>| values.clone().gather(1, bin.clone() + 1);
    let (x0, width, y0, height) = (at(&x_knots), at(&widths), at(&y_knots), at(&heights));
    let (d0, d1) = (at(&slopes), next(&slopes));
    let s = height.clone() / width.clone();
    let q = d0.clone() + d1.clone() - s.clone() * 2.0;

    let xi = if inverse {
        let t = inside.clone() - y0.clone();
        let a = height.clone() * (s.clone() - d0.clone()) + t.clone() * q.clone();
        let b = height.clone() * d0.clone() - t.clone() * q.clone();
        let c = -s.clone() * t;
        let root = (b.clone().square() - a * c.clone() * 4.0).clamp_min(1e-30).sqrt();
        ((c * 2.0) / (-b - root)).clamp(0.0, 1.0)
    } else {
        ((inside.clone() - x0.clone()) / width.clone()).clamp(0.0, 1.0)
    };
    let e = xi.clone() * (-xi.clone() + 1.0);
    let denominator = s.clone() + q * e.clone();
    let numerator =
        d1 * xi.clone().square() + s.clone() * e.clone() * 2.0 + d0.clone() * (-xi.clone() + 1.0).square();
    let log_slope = s.clone().log() * 2.0 + numerator.log() - denominator.clone().log() * 2.0;
    let (mapped, log_slope) = if inverse {
        (x0 + xi * width, -log_slope)
    } else {
        (y0 + height * (s * xi.square() + d0 * e) / denominator, log_slope)
    };
    let outside = x.clone().abs().greater_elem(bound);
    (mapped.mask_where(outside.clone(), x), log_slope.mask_fill(outside, 0.0))
}
