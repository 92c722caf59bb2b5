//! Special functions in f64, exact to rounding.

use std::f64::consts::TAU;

/// `ln Gamma(x)` for `x > 0`: the recurrence up to 10, Stirling's series from there; the absolute error is below 1e-13 for
/// x up to 100, the relative one below 1e-14 above.
pub fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < 10.0 {
        product *= x;
        x += 1.0;
    }
    const STIRLING: [f64; 7] = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
        1.0 / 156.0,
    ];
    let inverse = 1.0 / x;
    let series = STIRLING.iter().rev().fold(0.0, |sum, c| sum * inverse * inverse + c) * inverse;
    (x - 0.5) * x.ln() - x + 0.5 * TAU.ln() + series - f64::ln(product)
}

/// `ln I_0(x)` of the modified Bessel function of order 0: its power series up to 30, its asymptotic one above.
pub fn ln_bessel_i0(x: f64) -> f64 {
    let x = x.abs();
    if x < 30.0 {
        let quarter = 0.25 * x * x;
        let (mut term, mut sum, mut k) = (1.0, 1.0, 0.0);
        while term > 1e-17 * sum {
            k += 1.0;
            term *= quarter / (k * k);
            sum += term;
        }
        return f64::ln(sum);
    }
    // The terms shrink until k = 2 x, where they are far below rounding.
    let (mut term, mut sum, mut k) = (1.0, 1.0, 0.0);
    while term > 1e-17 {
        k += 1.0;
        term *= (2.0 * k - 1.0) * (2.0 * k - 1.0) / (8.0 * k * x);
        sum += term;
    }
    x - 0.5 * (TAU * x).ln() + f64::ln(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::ln_factorial;

    #[test]
    fn gamma_at_integers_halves_and_small_numbers() {
        for n in [1, 2, 3, 9, 10, 11, 50, 170] {
            let (found, exact) = (ln_gamma(f64::from(n)), ln_factorial(n as u64 - 1));
            assert!((found - exact).abs() < 1e-13 * exact.max(1.0), "{n}: {found}, {exact}");
        }
        // Gamma(n + 1/2) = sqrt(pi) prod_k (k - 1/2).
        let mut exact = 0.5 * std::f64::consts::PI.ln();
        for n in 1..40 {
            exact += (f64::from(n) - 0.5).ln();
            assert!((ln_gamma(f64::from(n) + 0.5) - exact).abs() < 1e-13 * exact.abs().max(1.0), "{n}");
        }
        // x Gamma(x) -> 1; the first correction is Euler's constant.
        let euler = 0.577_215_664_901_532_9;
        assert!((ln_gamma(1e-9) - (1e9f64.ln() - euler * 1e-9)).abs() < 1e-14 * 21.0);
        // Reflection: Gamma(x) Gamma(1 - x) = pi / sin(pi x).
        for x in [0.01, 0.2, 0.37, 0.9] {
            let exact = (std::f64::consts::PI / (std::f64::consts::PI * x).sin()).ln();
            assert!((ln_gamma(x) + ln_gamma(1.0 - x) - exact).abs() < 1e-13, "{x}");
        }
    }

    /// `I_0(x) = 1/pi int_0^pi e^(x cos t) dt`; the mean over equal steps converges faster than any power.
    #[test]
    fn bessel_functions_are_their_integrals() {
        let by_integral = |x: f64| {
            let n = 4000;
            let terms = (0..n).map(|i| (x * ((TAU * f64::from(i) / f64::from(n)).cos() - 1.0)).exp());
            x + (terms.sum::<f64>() / f64::from(n)).ln()
        };
        for x in [0.0, 1e-3, 0.5, 3.0, 17.0, 29.999, 30.0, 30.001, 100.0, 700.0, 5000.0] {
            let (found, exact) = (ln_bessel_i0(x), by_integral(x));
            assert!((found - exact).abs() < 4e-15 * exact.abs().max(1.0), "{x}: {found}, {exact}");
            assert_eq!(ln_bessel_i0(-x), found);
        }
    }
}
