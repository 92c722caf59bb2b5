//! Activations with their slopes, each one exponential at most.

use super::math::{exp, sigmoid, tanh};

/// An activation that a kernel is specialised for.
pub(super) trait Pointwise {
    /// `act(x)`.
    fn value(x: f32) -> f32;
    /// `act(x)` and `act'(x)`.
    fn value_and_slope(x: f32) -> (f32, f32);
}

pub(super) struct Identity;
pub(super) struct Relu;
pub(super) struct Silu;
pub(super) struct Gelu;
pub(super) struct Tanh;
pub(super) struct Elu;

impl Pointwise for Identity {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn value_and_slope(x: f32) -> (f32, f32) {
        (x, 1.0)
    }
}

impl Pointwise for Relu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x.max(0.0)
    }

    #[inline(always)]
    fn value_and_slope(x: f32) -> (f32, f32) {
        (x.max(0.0), if x > 0.0 { 1.0 } else { 0.0 })
    }
}

impl Pointwise for Silu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x * sigmoid(x)
    }

    #[inline(always)]
    fn value_and_slope(x: f32) -> (f32, f32) {
        let s = sigmoid(x);
        (x * s, s * (1.0 + x * (1.0 - s)))
    }
}

const GELU_IN: f32 = 0.797_884_6;
const GELU_CUBE: f32 = 0.044_715;

impl Pointwise for Gelu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        Self::value_and_slope(x).0
    }

    #[inline(always)]
    fn value_and_slope(x: f32) -> (f32, f32) {
        let t = tanh(GELU_IN * (x + GELU_CUBE * x * x * x));
        let slope = 0.5 * x * (1.0 - t * t) * GELU_IN * (1.0 + 3.0 * GELU_CUBE * x * x);
        (0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + slope)
    }
}

impl Pointwise for Tanh {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        tanh(x)
    }

    #[inline(always)]
    fn value_and_slope(x: f32) -> (f32, f32) {
        let t = tanh(x);
        (t, 1.0 - t * t)
    }
}

impl Pointwise for Elu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        Self::value_and_slope(x).0
    }

    #[inline(always)]
    fn value_and_slope(x: f32) -> (f32, f32) {
        let e = exp(x.min(0.0));
        (if x > 0.0 { x } else { e - 1.0 }, if x > 0.0 { 1.0 } else { e })
    }
}
