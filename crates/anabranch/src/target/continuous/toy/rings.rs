//! Four circles convolved with an isotropic normal, in closed form.
//!
//! ```text
//! p(x) = (1 / 4) sum_R  1 / (2 pi s^2)  exp(-(|x| - R)^2 / (2 s^2))  e^{-z} I_0(z),     z = |x| R / s^2
//! d log(.) / d|x| = (R I_1(z) / I_0(z) - |x|) / s^2
//! ```
//!
//! with `I` the modified Bessel functions: the power series below `z = 30`, Hankel's asymptotic series above
//! (Abramowitz and Stegun 9.6.10, 9.7.1), both to rounding.

use std::f64::consts::TAU;

use crate::math::Real;
use crate::target::continuous::density::log_sum_exp_visit;

const RADII: [f64; 4] = [0.75, 1.5, 2.25, 3.0];
const STD: f64 = 0.06;

/// The point of circle `floor(4 u_0)` at `u_1` turns, displaced.
pub fn point(u: [f64; 3], n: [f64; 2]) -> [f64; 2] {
    let radius = RADII[((u[0] * 4.0) as usize).min(3)];
    let (sin, cos) = (TAU * u[1]).sin_cos();
    [radius * cos + STD * n[0], radius * sin + STD * n[1]]
}

/// The log-density and its gradient.
pub fn log_density<T: Real>(x: [T; 2]) -> (T, [T; 2]) {
    let radius = x[0].hypot(x[1]);
    let variance = STD * STD;
    let bessel = RADII.map(|ring| bessel(radius * (ring / variance)));
    let term = |k: usize| bessel[k].0 - (radius - RADII[k]).powi(2) / (2.0 * variance);
    let (mut slope, mut curvature) = (T::from(0.0), T::from(0.0));
    let log_sum = log_sum_exp_visit(RADII.len(), term, |k, weight| {
        slope += weight * (bessel[k].1 * RADII[k] - radius) / variance;
        // At the centre, where I_1(z) / I_0(z) is z / 2.
        curvature += weight * (0.5 * RADII[k] * RADII[k] / variance - 1.0) / variance;
    });
    let over_radius = if radius.value() > 0.0 { slope / radius } else { curvature };
    (log_sum - (4.0 * TAU * variance).ln(), x.map(|v| over_radius * v))
}

/// `log(e^{-z} I_0(z))`, of derivative `r - 1`, and `r = I_1(z) / I_0(z)`, of derivative `1 - r / z - r^2`.
fn bessel<T: Real>(z: T) -> (T, T) {
    let (zero, ratio) = bessel_values(z.value());
    let bend = || 1.0 - ratio * ratio - if z.value() > 0.0 { ratio / z.value() } else { 0.5 };
    (z.chain(zero.ln(), || ratio - 1.0), z.chain(ratio, bend))
}

/// `e^{-z} I_0(z)` and `I_1(z) / I_0(z)` for `z >= 0`.
fn bessel_values(z: f64) -> (f64, f64) {
    let (mut first, mut second) = (1.0, 1.0);
    let (mut zero, mut one) = (1.0, 1.0);
    if z < 30.0 {
        let quarter = 0.25 * z * z;
        for k in 1..100 {
            let k = f64::from(k);
            first *= quarter / (k * k);
            second *= quarter / (k * (k + 1.0));
            zero += first;
            one += second;
            if first < 1e-17 * zero {
                break;
            }
        }
        return (zero * (-z).exp(), 0.5 * z * one / zero);
    }
    for k in 1..=20 {
        let k = f64::from(k);
        let odd = (2.0 * k - 1.0).powi(2);
        first *= odd / (8.0 * k * z);
        second *= (odd - 4.0) / (8.0 * k * z);
        zero += first;
        one += second;
    }
    (zero / (TAU * z).sqrt(), one / zero)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Dual;

    /// `e^{-z} I_n(z) = (1 / pi) int_0^pi exp(z (cos a - 1)) cos(n a) da`, by the midpoint rule, which converges
    /// exponentially for a periodic integrand.
    #[test]
    fn bessel_functions_agree_with_their_integral() {
        for z in [0.0, 1e-3, 0.5, 1.0, 7.3, 29.999, 30.0, 31.0, 200.0, 2500.0, 1e5] {
            let n = 4000;
            let (mut zero, mut one) = (0.0, 0.0);
            for i in 0..n {
                let angle = std::f64::consts::PI * (f64::from(i) + 0.5) / f64::from(n);
                let value = (-2.0 * z * (0.5 * angle).sin().powi(2)).exp() / f64::from(n);
                zero += value;
                one += value * angle.cos();
            }
            let (found, ratio) = bessel_values(z);
            assert!((found / zero - 1.0).abs() < 1e-12, "{z}: {found} and {zero}");
            assert!((ratio - one / zero).abs() < 1e-12, "{z}: {ratio} and {}", one / zero);
        }
    }

    #[test]
    fn the_centre_is_flat() {
        let (value, score) = log_density([0.0f64, 0.0]);
        assert!(value.is_finite() && score == [0.0; 2]);
        assert_eq!(log_density([2.0, 1.0]).0, log_density([-1.0, 2.0]).0);
    }

    /// Around the centre the score is the Hessian's product with the way there.
    #[test]
    fn the_centre_bends_as_its_surroundings() {
        let along = |k: usize| Dual::<1> { value: 0.0, slopes: [[0.6, -0.8][k]] };
        let (_, bend) = log_density([along(0), along(1)]);
        let (_, near) = log_density([0.6e-6, -0.8e-6]);
        for (bend, near) in bend.iter().zip(near) {
            assert!((bend.slopes[0] - near / 1e-6).abs() < 1e-6 * bend.slopes[0].abs(), "{bend:?} {near}");
        }
    }
}
