//! Numbers that a formula is written over once: [`f64`], and dual numbers, which carry derivatives along.
//!
//! ```text
//! dual        x + x' e,   e^2 = 0:    f(x + x' e) = f(x) + f'(x) x' e
//! product     (a + a' e) (b + b' e) = a b + (a' b + a b') e
//! ```
//!
//! A formula over [`Real`] is evaluated at plain numbers as fast as one over `f64`, and at dual ones answers its exact derivative
//! along a direction besides (forward-mode differentiation, Wengert 1964). Of a formula that writes a gradient this is the Hessian
//! times the direction.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

/// A real number of a formula.
pub trait Real:
    Copy
    + Debug
    + Send
    + Sync
    + From<f64>
    + Sum
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
{
    /// The number alone.
    fn value(self) -> f64;

    /// `f(self)` for a function with this value and this derivative there.
    fn chain(self, value: f64, slope: impl FnOnce() -> f64) -> Self;

    /// `f(self, other)` for a function with this value and these derivatives by both there.
    fn chain_two(self, other: Self, value: f64, slopes: impl FnOnce() -> [f64; 2]) -> Self;

    /// `e^x`.
    fn exp(self) -> Self {
        let value = self.value().exp();
        self.chain(value, || value)
    }

    /// The natural logarithm.
    fn ln(self) -> Self {
        let x = self.value();
        self.chain(x.ln(), || 1.0 / x)
    }

    /// `ln(1 + x)`.
    fn ln_1p(self) -> Self {
        let x = self.value();
        self.chain(x.ln_1p(), || 1.0 / (1.0 + x))
    }

    /// `ln(1 + e^x)`, without overflow.
    fn softplus(self) -> Self {
        let x = self.value();
        self.chain(x.max(0.0) + (-x.abs()).exp().ln_1p(), || 1.0 / (1.0 + (-x).exp()))
    }

    /// `1 / (1 + e^-x)`.
    fn sigmoid(self) -> Self {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let x = self.value();
        self.chain(sigmoid(x), || sigmoid(x) * sigmoid(-x))
    }

    /// The square root.
    fn sqrt(self) -> Self {
        let value = self.value().sqrt();
        self.chain(value, || 0.5 / value)
    }

    /// `x^n`.
    fn powi(self, n: i32) -> Self {
        let x = self.value();
        self.chain(x.powi(n), || f64::from(n) * x.powi(n - 1))
    }

    /// The sine.
    fn sin(self) -> Self {
        let x = self.value();
        self.chain(x.sin(), || x.cos())
    }

    /// The cosine.
    fn cos(self) -> Self {
        let x = self.value();
        self.chain(x.cos(), || -x.sin())
    }

    /// `sqrt(x^2 + y^2)`; at the origin its derivative, which there is none, is called 0.
    fn hypot(self, other: Self) -> Self {
        let (x, y) = (self.value(), other.value());
        let value = x.hypot(y);
        self.chain_two(other, value, || if value > 0.0 { [x / value, y / value] } else { [0.0; 2] })
    }
}

impl Real for f64 {
    #[inline]
    fn value(self) -> f64 {
        self
    }

    #[inline]
    fn chain(self, value: f64, _: impl FnOnce() -> f64) -> Self {
        value
    }

    #[inline]
    fn chain_two(self, _: Self, value: f64, _: impl FnOnce() -> [f64; 2]) -> Self {
        value
    }
}

/// A number and its derivatives along so many directions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dual<const LANES: usize = 1> {
    /// The number.
    pub value: f64,
    /// Its derivatives.
    pub slopes: [f64; LANES],
}

impl<const LANES: usize> Dual<LANES> {
    fn with(value: f64, slope: impl FnMut(usize) -> f64) -> Self {
        Self { value, slopes: std::array::from_fn(slope) }
    }
}

/// A product in which 0 wins over what is no number: what a result does not depend on has no part in its derivative.
pub fn product_or_zero(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { a * b }
}

impl<const LANES: usize> Real for Dual<LANES> {
    fn value(self) -> f64 {
        self.value
    }

    fn chain(self, value: f64, slope: impl FnOnce() -> f64) -> Self {
        let slope = slope();
        Self::with(value, |k| product_or_zero(self.slopes[k], slope))
    }

    fn chain_two(self, other: Self, value: f64, slopes: impl FnOnce() -> [f64; 2]) -> Self {
        let [first, second] = slopes();
        Self::with(value, |k| {
            product_or_zero(self.slopes[k], first) + product_or_zero(other.slopes[k], second)
        })
    }
}

impl<const LANES: usize> From<f64> for Dual<LANES> {
    fn from(value: f64) -> Self {
        Self { value, slopes: [0.0; LANES] }
    }
}

impl<const LANES: usize> Neg for Dual<LANES> {
    type Output = Self;
    fn neg(self) -> Self {
        Self::with(-self.value, |k| -self.slopes[k])
    }
}

impl<const LANES: usize> Add for Dual<LANES> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::with(self.value + other.value, |k| self.slopes[k] + other.slopes[k])
    }
}

impl<const LANES: usize> Sub for Dual<LANES> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::with(self.value - other.value, |k| self.slopes[k] - other.slopes[k])
    }
}

impl<const LANES: usize> Mul for Dual<LANES> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        self.chain_two(other, self.value * other.value, || [other.value, self.value])
    }
}

impl<const LANES: usize> Div for Dual<LANES> {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        self.chain_two(other, value, || [1.0 / other.value, -value / other.value])
    }
}

impl<const LANES: usize> Add<f64> for Dual<LANES> {
    type Output = Self;
    fn add(self, other: f64) -> Self {
        Self { value: self.value + other, ..self }
    }
}

impl<const LANES: usize> Sub<f64> for Dual<LANES> {
    type Output = Self;
    fn sub(self, other: f64) -> Self {
        Self { value: self.value - other, ..self }
    }
}

impl<const LANES: usize> Mul<f64> for Dual<LANES> {
    type Output = Self;
    fn mul(self, other: f64) -> Self {
        Self::with(self.value * other, |k| self.slopes[k] * other)
    }
}

impl<const LANES: usize> Div<f64> for Dual<LANES> {
    type Output = Self;
    fn div(self, other: f64) -> Self {
        Self::with(self.value / other, |k| self.slopes[k] / other)
    }
}

impl<const LANES: usize> AddAssign for Dual<LANES> {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<const LANES: usize> SubAssign for Dual<LANES> {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl<const LANES: usize> Sum for Dual<LANES> {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(0.0.into(), |sum, term| sum + term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A formula of everything there is.
    fn formula<T: Real>(x: T, y: T) -> T {
        let mut sum: T = [x * 2.0, y.powi(3) / x, -x - y, (x + 4.0) / 3.0 - 1.0].into_iter().sum();
        sum += (x * y).sin() * y.cos() + (x.exp() + y.softplus()).ln();
        sum -= x.sqrt() * y.sigmoid() + (x * 0.1).ln_1p();
        sum + x.hypot(y * 2.0) * 0.5
    }

    #[test]
    fn derivatives_are_difference_quotients() {
        for (x, y) in [(0.7, -1.3), (2.5, 0.4), (1.1, 30.0)] {
            let directions = [[1.0, 0.0], [0.3, -2.0]];
            let dual = |value, k: usize| Dual::<2> { value, slopes: directions.map(|v| v[k]) };
            let found = formula(dual(x, 0), dual(y, 1));
            assert_eq!(found.value, formula(x, y));
            for (slope, [a, b]) in found.slopes.into_iter().zip(directions) {
                let quotient =
                    |h: f64| (formula(x + h * a, y + h * b) - formula(x - h * a, y - h * b)) / (2.0 * h);
                let expected = (4.0 * quotient(1e-4) - quotient(2e-4)) / 3.0;
                assert!((slope - expected).abs() < 1e-8 * (1.0 + expected.abs()), "{slope}, {expected}");
            }
        }
    }

    #[test]
    fn what_does_not_change_has_no_derivative() {
        let constant = Dual::<1>::from(0.0);
        assert_eq!(constant.sqrt().slopes, [0.0]);
        assert_eq!(constant.hypot(constant).slopes, [0.0]);
        assert_eq!((product_or_zero(0.0, f64::INFINITY), product_or_zero(f64::NAN, 0.0)), (0.0, 0.0));
        assert!(product_or_zero(1.0, f64::NAN).is_nan());
    }
}
