//! The affine map on lanes: `y = e^s x + b` with `s = cap tanh(raw_0 / cap)`, `b = raw_1`, and its gradients.

use super::lane::{Lane, lanes};
use super::math::{exp, tanh};

/// The result and the log-slope of the direction taken.
#[inline(always)]
pub(super) fn map(x: &Lane, raw: &[Lane], cap: f32, inverse: bool) -> (Lane, Lane) {
    let s = lanes(|l| cap * tanh(raw[0][l] / cap));
    if inverse {
        (lanes(|l| (x[l] - raw[1][l]) * exp(-s[l])), lanes(|l| -s[l]))
    } else {
        (lanes(|l| x[l] * exp(s[l]) + raw[1][l]), s)
    }
}

/// The gradient of `x`; `raw` is replaced by its gradient.
#[inline(always)]
pub(super) fn back(
    x: &Lane,
    raw: &mut [Lane],
    cap: f32,
    inverse: bool,
    grad_y: &Lane,
    grad_slope: &Lane,
) -> Lane {
    let t = lanes(|l| tanh(raw[0][l] / cap));
    let scale = lanes(|l| exp(if inverse { -cap * t[l] } else { cap * t[l] }));
    let grad_x = lanes(|l| grad_y[l] * scale[l]);
    let grad_s = if inverse {
        lanes(|l| -grad_x[l] * (x[l] - raw[1][l]) - grad_slope[l])
    } else {
        lanes(|l| grad_x[l] * x[l] + grad_slope[l])
    };
    raw[0] = lanes(|l| grad_s[l] * (1.0 - t[l] * t[l]));
    raw[1] = if inverse { lanes(|l| -grad_x[l]) } else { *grad_y };
    grad_x
}
