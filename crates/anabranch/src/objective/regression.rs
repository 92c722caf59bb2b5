//! Regression functions `g`: what a balance residual costs.
//!
//! ```text
//! squared        t^2                          reverse KL where the data are on-policy; zero-forcing
//! half-squared   t^2 / 2
//! huber          t^2 / 2, beyond delta a line
//! shifted-cosh   e^t + e^-t - 2               zero-forcing and zero-avoiding
//! linex          (e^{a t} - a t - 1) / a^2    a = 1: forward KL, zero-avoiding
//! ```
//!
//! `g(0) = g'(0) = 0` and `g` is convex; a residual is the forward side minus the backward side, so the sign matters to Linex.
//! Hu et al., "Beyond squared error" (2025).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use crate::error::Result;

/// The exponent beyond which an exponential goes on as its tangent: `e^30` squared is still a number of single precision, and
/// the slope still points home.
pub(super) const LARGEST_EXPONENT: f64 = 30.0;

/// `e^x` and its slope, a line beyond the largest exponent.
pub(super) fn exponential(x: f64) -> (f64, f64) {
    let inside = x.min(LARGEST_EXPONENT);
    let slope = inside.exp();
    (slope * (1.0 + x - inside), slope)
}

/// What a residual costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Regression {
    /// `t^2`.
    Squared {},
    /// `t^2 / 2`.
    HalfSquared {},
    /// `t^2 / 2` up to `|t| = delta`, `delta (|t| - delta / 2)` beyond.
    Huber {
        /// Where the parabola ends, nats.
        #[serde(default = "one")]
        #[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0))]
        delta: f64,
    },
    /// `e^t + e^-t - 2`.
    ShiftedCosh {},
    /// `(e^{alpha t} - alpha t - 1) / alpha^2`.
    Linex {
        /// 1 is the forward KL, 1/2 lies between the two; negative is zero-forcing.
        #[serde(default = "one")]
        alpha: f64,
    },
}

fn one() -> f64 {
    1.0
}

impl Default for Regression {
    fn default() -> Self {
        Self::Squared {}
    }
}

impl Regression {
    /// `g(t)`.
    pub fn value(&self, t: f64) -> f64 {
        let inside = self.clamp(t);
        let (value, slope) = self.inside(inside);
        value + slope * (t - inside)
    }

    /// `g'(t)`.
    pub fn slope(&self, t: f64) -> f64 {
        self.inside(self.clamp(t)).1
    }

    /// The factor `c` of `g(t) = c t^2`, where it is a parabola.
    pub fn parabola(&self) -> Option<f64> {
        match self {
            Self::Squared {} => Some(1.0),
            Self::HalfSquared {} => Some(0.5),
            _ => None,
        }
    }

    /// The nearest residual at which no exponent is too large: beyond it `g` is its tangent.
    fn clamp(&self, t: f64) -> f64 {
        match self {
            Self::ShiftedCosh {} => t.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT),
            Self::Linex { alpha } if alpha * t > LARGEST_EXPONENT => LARGEST_EXPONENT / alpha,
            _ => t,
        }
    }

    fn inside(&self, t: f64) -> (f64, f64) {
        match *self {
            Self::Squared {} => (t * t, 2.0 * t),
            Self::HalfSquared {} => (0.5 * t * t, t),
            Self::Huber { delta } if t.abs() > delta => (delta * (t.abs() - 0.5 * delta), delta * t.signum()),
            Self::Huber { .. } => (0.5 * t * t, t),
            Self::ShiftedCosh {} => (4.0 * (0.5 * t).sinh().powi(2), 2.0 * t.sinh()),
            Self::Linex { alpha } => {
                let grown = (alpha * t).exp_m1();
                ((grown - alpha * t) / (alpha * alpha), grown / alpha)
            }
        }
    }

    /// Refuses parameters at which `g` is none.
    pub(super) fn check(&self, check: &Check<'_>) -> Result<()> {
        match *self {
            Self::Huber { delta } => check.positive("regression.delta", delta, 1e6),
            Self::Linex { alpha } => check.that(
                "regression.alpha",
                alpha,
                (1e-3..=1e3).contains(&alpha.abs()),
                "a number from 0.001 to 1000, or from -1000 to -0.001",
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Regression; 7] = [
        Regression::Squared {},
        Regression::HalfSquared {},
        Regression::Huber { delta: 0.7 },
        Regression::ShiftedCosh {},
        Regression::Linex { alpha: 1.0 },
        Regression::Linex { alpha: 0.5 },
        Regression::Linex { alpha: -0.5 },
    ];

    #[test]
    fn regressions_are_convex_with_their_minimum_at_zero() {
        for g in ALL {
            assert_eq!((g.value(0.0), g.slope(0.0)), (0.0, 0.0), "{g:?}");
            let mut before = g.slope(-120.0);
            for step in -119..=120 {
                let t = f64::from(step);
                assert!(g.value(t) >= 0.0 && g.slope(t) >= before && g.slope(t).is_finite(), "{g:?} at {t}");
                before = g.slope(t);
            }
        }
    }

    #[test]
    fn slopes_agree_with_differences_also_beyond_the_largest_exponent() {
        for g in ALL {
            for t in [-95.0, -31.0, -2.3, -0.6, -0.05, 0.01, 0.69, 1.7, 29.0, 33.0, 61.0] {
                let h = 1e-5;
                let numeric = (g.value(t + h) - g.value(t - h)) / (2.0 * h);
                let found = g.slope(t);
                assert!(
                    (numeric - found).abs() < 1e-4 * (1.0 + found.abs()),
                    "{g:?} at {t}: {found}, {numeric}"
                );
            }
        }
    }

    #[test]
    fn the_exponential_goes_on_as_its_tangent() {
        assert_eq!(exponential(1.5), (1.5f64.exp(), 1.5f64.exp()));
        let (value, slope) = exponential(LARGEST_EXPONENT + 2.0);
        assert_eq!((value, slope), (3.0 * LARGEST_EXPONENT.exp(), LARGEST_EXPONENT.exp()));
    }

    #[test]
    fn regressions_have_their_published_values() {
        let e = std::f64::consts::E;
        assert_eq!(Regression::Squared {}.value(-3.0), 9.0);
        assert_eq!(Regression::HalfSquared {}.value(-3.0), 4.5);
        assert_eq!(Regression::Huber { delta: 1.0 }.value(-3.0), 2.5);
        assert_eq!(Regression::Huber { delta: 1.0 }.value(0.5), 0.125);
        assert!((Regression::ShiftedCosh {}.value(1.0) - (e + 1.0 / e - 2.0)).abs() < 1e-14);
        assert!((Regression::Linex { alpha: 1.0 }.value(1.0) - (e - 2.0)).abs() < 1e-14);
        assert!((Regression::Linex { alpha: -2.0 }.value(-0.5) - (e - 2.0) / 4.0).abs() < 1e-14);
        assert!((Regression::Linex { alpha: 1.0 }.value(-1.0) - 1.0 / e).abs() < 1e-14);
    }
}
