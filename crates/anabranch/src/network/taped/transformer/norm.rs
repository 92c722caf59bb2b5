//! Normalisation of rows to mean 0 and variance 1, and its derivative.
//!
//! ```text
//! n = r (x - mean(x)),    r = 1 / sqrt(var(x) + 1e-5)
//! dx = r (dn - mean(dn) - n mean(dn n))
//! ```
//!
//! There is no gain and no shift: a linear map follows, which has both.

use pulp::NullaryFnOnce;

const LANES: usize = 16;
const LEAST_VARIANCE: f32 = 1e-5;

/// The sum of `f` over both slices, in an order that depends on the length alone.
#[inline(always)]
fn reduce(a: &[f32], b: &[f32], f: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let ((wide_a, rest_a), (wide_b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in wide_a.iter().zip(wide_b) {
        for i in 0..LANES {
            sums[i] = f(a[i], b[i], sums[i]);
        }
    }
    for (i, (a, b)) in rest_a.iter().zip(rest_b).enumerate() {
        sums[i] = f(*a, *b, sums[i]);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            sums[i] += sums[i + width];
        }
        width /= 2;
    }
    sums[0]
}

/// The sum of a slice.
#[inline(always)]
pub fn sum(values: &[f32]) -> f32 {
    reduce(values, values, |a, _, sum| sum + a)
}

/// The scalar product of two slices.
#[inline(always)]
pub fn sum_of_products(a: &[f32], b: &[f32]) -> f32 {
    reduce(a, b, |a, b, sum| a.mul_add(b, sum))
}

/// Rows normalised.
pub struct Norm<'a> {
    pub width: usize,
    pub padded: usize,
    /// `[rows, padded]`.
    pub x: &'a [f32],
    /// `[rows, padded]`, zero beyond the width.
    pub out: &'a mut [f32],
    /// `r`, `[rows]`.
    pub scales: &'a mut [f32],
}

impl NullaryFnOnce for Norm<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { width, padded, x, out, scales } = self;
        for ((x, out), scale) in x.chunks_exact(padded).zip(out.chunks_exact_mut(padded)).zip(scales) {
            let x = &x[..width];
            let mean = sum(x) / width as f32;
            let variance = reduce(x, x, |x, _, sum| (x - mean).mul_add(x - mean, sum)) / width as f32;
            *scale = 1.0 / (variance + LEAST_VARIANCE).sqrt();
            out[width..].fill(0.0);
            out.iter_mut().zip(x).for_each(|(out, x)| *out = *scale * (x - mean));
        }
    }
}

/// The derivative of [`Norm`], added to `out`.
pub struct NormBack<'a> {
    pub width: usize,
    pub padded: usize,
    /// `n`, `[rows, padded]`.
    pub normed: &'a [f32],
    /// `r`, `[rows]`.
    pub scales: &'a [f32],
    /// By `n`, `[rows, padded]`.
    pub grad: &'a [f32],
    /// By `x`, `[rows, padded]`.
    pub out: &'a mut [f32],
}

impl NullaryFnOnce for NormBack<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { width, padded, normed, scales, grad, out } = self;
        let rows = normed.chunks_exact(padded).zip(grad.chunks_exact(padded));
        for ((out, (normed, grad)), scale) in out.chunks_exact_mut(padded).zip(rows).zip(scales) {
            let (normed, grad) = (&normed[..width], &grad[..width]);
            let mean = sum(grad) / width as f32;
            let along = sum_of_products(grad, normed) / width as f32;
            for ((out, normed), grad) in out.iter_mut().zip(normed).zip(grad) {
                *out += scale * (grad - mean - normed * along);
            }
        }
    }
}
