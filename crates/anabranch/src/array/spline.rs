//! The monotone rational-quadratic spline on lanes (Durkan et al. 2019), and its gradients.
//!
//! ```text
//! xi = (x - x_k) / w,  s = h / w,  e = xi (1 - xi)
//! A = s xi^2 + d_k e,  D = s + (d_k + d_{k+1} - 2 s) e,  N = d_{k+1} xi^2 + 2 s e + d_k (1 - xi)^2
//! y = y_k + h A / D,   log y' = log (s^2 N / D^2)
//! ```
//!
//! Both directions share the partial derivatives at fixed `xi`; what differs is how `xi` hangs on the input:
//! forward `xi = (x - x_k) / w`, backward implicitly by `y(xi) = v`, whose derivative is `w y'`.

use super::lane::{LANES, Lane, lanes};
use super::math::{exp, ln, sigmoid, softplus};
use super::shape::{RAW_SLOPE_ONE, SMALLEST};

/// One axis of the box: where the bin starts and how wide it is.
struct Span {
    start: Lane,
    size: Lane,
}

/// Replaces raw sizes by the shares that bins have of the interval beyond the smallest size (a softmax).
#[inline(always)]
fn softmax(raw: &mut [Lane]) {
    let mut largest = [f32::NEG_INFINITY; LANES];
    for row in raw.iter() {
        largest = lanes(|l| largest[l].max(row[l]));
    }
    let mut sum = [0.0; LANES];
    for row in raw.iter_mut() {
        *row = lanes(|l| exp(row[l] - largest[l]));
        sum = lanes(|l| sum[l] + row[l]);
    }
    let scale = lanes(|l| 1.0 / sum[l]);
    for row in raw.iter_mut() {
        *row = lanes(|l| row[l] * scale[l]);
    }
}

/// A bin's size for its share.
#[inline(always)]
fn size(share: f32, bins: usize, bound: f32) -> f32 {
    2.0 * bound * (SMALLEST + (1.0 - SMALLEST * bins as f32) * share)
}

/// The bin that holds `at`, and its span.
#[inline(always)]
fn find(shares: &[Lane], bound: f32, at: &Lane) -> (Lane, Span) {
    let bins = shares.len();
    let mut knot = [-bound; LANES];
    let mut bin = [0.0; LANES];
    let mut span = Span { start: knot, size: lanes(|l| size(shares[0][l], bins, bound)) };
    for k in 1..bins {
        knot = lanes(|l| knot[l] + size(shares[k - 1][l], bins, bound));
        bin = lanes(|l| if knot[l] <= at[l] { k as f32 } else { bin[l] });
        span.start = lanes(|l| if knot[l] <= at[l] { knot[l] } else { span.start[l] });
        let width = lanes(|l| size(shares[k][l], bins, bound));
        span.size = lanes(|l| if knot[l] <= at[l] { width[l] } else { span.size[l] });
    }
    (bin, span)
}

/// The span of a known bin.
#[inline(always)]
fn span(shares: &[Lane], bound: f32, bin: &Lane) -> Span {
    let bins = shares.len();
    let mut found = Span { start: [-bound; LANES], size: [0.0; LANES] };
    for (k, share) in shares.iter().enumerate() {
        let k = k as f32;
        let width = lanes(|l| size(share[l], bins, bound));
        found.start = lanes(|l| found.start[l] + if k < bin[l] { width[l] } else { 0.0 });
        found.size = lanes(|l| if k == bin[l] { width[l] } else { found.size[l] });
    }
    found
}

/// All that the formulas read, for the bin that holds each lane's input.
struct Bin {
    index: Lane,
    x: Span,
    y: Span,
    /// Raw slopes at both ends; those at the ends of the box are fixed.
    raw: [Lane; 2],
    d: [Lane; 2],
    xi: Lane,
}

/// Finds the bin; shares replace the raw sizes in `raw`.
#[inline(always)]
fn locate(x: &Lane, raw: &mut [Lane], bins: usize, bound: f32, inverse: bool) -> Bin {
    let inside = lanes(|l| x[l].clamp(-bound, bound));
    let (widths, rest) = raw.split_at_mut(bins);
    let (heights, slopes) = rest.split_at_mut(bins);
    softmax(widths);
    softmax(heights);
    let (index, x, y) = if inverse {
        let (index, y) = find(heights, bound, &inside);
        let x = span(widths, bound, &index);
        (index, x, y)
    } else {
        let (index, x) = find(widths, bound, &inside);
        let y = span(heights, bound, &index);
        (index, x, y)
    };
    let mut raw = [[0.0; LANES]; 2];
    for (k, slope) in slopes.iter().enumerate() {
        let k = k as f32;
        raw[0] = lanes(|l| if k + 1.0 == index[l] { slope[l] } else { raw[0][l] });
        raw[1] = lanes(|l| if k == index[l] { slope[l] } else { raw[1][l] });
    }
    let last = (bins - 1) as f32;
    let slope = |raw: f32| softplus(raw + RAW_SLOPE_ONE) + SMALLEST;
    let d0 = lanes(|l| if index[l] == 0.0 { 1.0 } else { slope(raw[0][l]) });
    let d1 = lanes(|l| if index[l] == last { 1.0 } else { slope(raw[1][l]) });
    let xi = if inverse {
        lanes(|l| {
            let s = y.size[l] / x.size[l];
            let q = d0[l] + d1[l] - 2.0 * s;
            let t = inside[l] - y.start[l];
            let a = y.size[l] * (s - d0[l]) + t * q;
            let b = y.size[l] * d0[l] - t * q;
            let c = -s * t;
            let root = (b * b - 4.0 * a * c).max(1e-30).sqrt();
            (2.0 * c / (-b - root)).clamp(0.0, 1.0)
        })
    } else {
        lanes(|l| ((inside[l] - x.start[l]) / x.size[l]).clamp(0.0, 1.0))
    };
    Bin { index, x, y, raw, d: [d0, d1], xi }
}

/// The result and the log-slope of the direction taken; `raw` is used as scratch.
#[inline(always)]
pub(super) fn map(x: &Lane, raw: &mut [Lane], bins: usize, bound: f32, inverse: bool) -> (Lane, Lane) {
    let bin = locate(x, raw, bins, bound, inverse);
    let [d0, d1] = &bin.d;
    let (mut out, mut log_slope) = ([0.0; LANES], [0.0; LANES]);
    for l in 0..LANES {
        let xi = bin.xi[l];
        let s = bin.y.size[l] / bin.x.size[l];
        let e = xi * (1.0 - xi);
        let d = s + (d0[l] + d1[l] - 2.0 * s) * e;
        let n = d1[l] * xi * xi + 2.0 * s * e + d0[l] * (1.0 - xi) * (1.0 - xi);
        let slope = ln(s * s * n / (d * d));
        let mapped = if inverse {
            bin.x.start[l] + xi * bin.x.size[l]
        } else {
            bin.y.start[l] + bin.y.size[l] * (s * xi * xi + d0[l] * e) / d
        };
        let outside = x[l].abs() > bound;
        out[l] = if outside { x[l] } else { mapped };
        log_slope[l] = if outside { 0.0 } else { if inverse { -slope } else { slope } };
    }
    (out, log_slope)
}

/// The gradient of `x`; `raw` is replaced by its gradient.
#[inline(always)]
pub(super) fn back(
    x: &Lane,
    raw: &mut [Lane],
    bins: usize,
    bound: f32,
    inverse: bool,
    grad_y: &Lane,
    grad_slope: &Lane,
) -> Lane {
    let bin = locate(x, raw, bins, bound, inverse);
    let mut grad_x = [0.0; LANES];
    let [mut x_start, mut x_size, mut y_start, mut y_size] = [[0.0; LANES]; 4];
    let [mut slope_0, mut slope_1] = [[0.0; LANES]; 2];
    for l in 0..LANES {
        let (xi, w, h) = (bin.xi[l], bin.x.size[l], bin.y.size[l]);
        let (d0, d1) = (bin.d[0][l], bin.d[1][l]);
        let s = h / w;
        let q = d0 + d1 - 2.0 * s;
        let (e, back) = (xi * (1.0 - xi), 1.0 - xi);
        let d = s + q * e;
        let n = d1 * xi * xi + 2.0 * s * e + d0 * back * back;
        let a = (s * xi * xi + d0 * e) / d;
        let y_xi = w * s * s * n / (d * d);
        let bend = 1.0 - 2.0 * xi;
        let log_xi = 2.0 * (d1 * xi + s * bend - d0 * back) / n - 2.0 * q * bend / d;

        let inside = x[l].abs() <= bound;
        let grad = if inside { grad_y[l] } else { 0.0 };
        let grad_slope = if inside { grad_slope[l] } else { 0.0 };
        let (grad_out, grad_log) = if inverse {
            let grad_log = -grad_slope;
            (-(grad * w + grad_log * log_xi) / y_xi, grad_log)
        } else {
            (grad, grad_slope)
        };
        let over_n = 1.0 / n;
        let over_d = 1.0 / d;
        let grad_s = grad_out * h * (xi * xi - a * (1.0 - 2.0 * e)) * over_d
            + grad_log * (2.0 / s + 2.0 * e * over_n - 2.0 * (1.0 - 2.0 * e) * over_d);
        slope_0[l] =
            grad_out * h * e * (1.0 - a) * over_d + grad_log * (back * back * over_n - 2.0 * e * over_d);
        slope_1[l] = -grad_out * h * e * a * over_d + grad_log * (xi * xi * over_n - 2.0 * e * over_d);
        y_start[l] = grad_out;
        y_size[l] = grad_out * a + grad_s / w;
        let along = if inverse { grad * w } else { -(grad * y_xi + grad_log * log_xi) };
        x_start[l] = along / w;
        x_size[l] = along * xi / w - grad_s * s / w;
        let found = if inverse { -grad_out } else { -along / w };
        grad_x[l] = if inside { found } else { grad_y[l] };
    }
    let (widths, rest) = raw.split_at_mut(bins);
    let (heights, slopes) = rest.split_at_mut(bins);
    spread(widths, bound, &bin.index, &x_start, &x_size);
    spread(heights, bound, &bin.index, &y_start, &y_size);
    let outer = lanes(|l| slope_0[l] * sigmoid(bin.raw[0][l] + RAW_SLOPE_ONE));
    let inner = lanes(|l| slope_1[l] * sigmoid(bin.raw[1][l] + RAW_SLOPE_ONE));
    for (k, slope) in slopes.iter_mut().enumerate() {
        let k = k as f32;
        *slope = lanes(|l| {
            let left = if k + 1.0 == bin.index[l] { outer[l] } else { 0.0 };
            let right = if k == bin.index[l] { inner[l] } else { 0.0 };
            left + right
        });
    }
    grad_x
}

/// Replaces shares by the gradient of the raw sizes, given that of the bin's start and size.
#[inline(always)]
fn spread(shares: &mut [Lane], bound: f32, bin: &Lane, start: &Lane, size: &Lane) {
    let scale = 2.0 * bound * (1.0 - SMALLEST * shares.len() as f32);
    let of_bin = |k: f32, l: usize| {
        let before = if k < bin[l] { start[l] } else { 0.0 };
        let here = if k == bin[l] { size[l] } else { 0.0 };
        before + here
    };
    let mut mean = [0.0; LANES];
    for (k, share) in shares.iter().enumerate() {
        mean = lanes(|l| mean[l] + share[l] * of_bin(k as f32, l));
    }
    for (k, share) in shares.iter_mut().enumerate() {
        *share = lanes(|l| scale * share[l] * (of_bin(k as f32, l) - mean[l]));
    }
}
