//! Special functions of the laws of continuous actions, in f64.
//!
//! ```text
//! ln Gamma(x) = (x - 1/2) ln x - x + ln(2 pi) / 2 + sum_k B_2k / (2k (2k - 1) x^(2k-1))        x large
//! psi(x)      = ln x - 1 / (2x) - sum_k B_2k / (2k x^2k)
//! I_n(x)      = (x/2)^n sum_k (x^2/4)^k / (k! (k + n)!)
//!             = e^x / sqrt(2 pi x) sum_k prod_{j <= k} ((2j - 1)^2 - 4 n^2) / (8 j x)          x large
//! ```
//!
//! with `B_2k` Bernoulli's numbers. A small argument of the first two is raised by their recurrences.
//!
//! Abramowitz and Stegun, "Handbook of Mathematical Functions" (1964), 6.1.40, 6.3.18, 9.6.10, 9.7.1.

/// Where the asymptotic series of the gamma function begin: their first neglected terms are below 1e-15.
const LARGE_GAMMA: f64 = 10.0;

/// Where the asymptotic series of the Bessel functions begin.
const LARGE_BESSEL: f64 = 30.0;

/// `ln Gamma(x)` for `x > 0`, with an error of some 1e-15 beside the larger of 1 and the value.
pub fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 6] =
        [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0];
    let (mut large, mut product) = (x, 1.0);
    while large < LARGE_GAMMA {
        product *= large;
        large += 1.0;
    }
    let series = polynomial(&TERMS, 1.0 / (large * large)) / large;
    (large - 0.5) * large.ln() - large + 0.5 * std::f64::consts::TAU.ln() + series - product.ln()
}

/// `psi(x) = d ln Gamma(x) / dx`, the digamma function, for `x > 0`.
pub fn digamma(x: f64) -> f64 {
    const TERMS: [f64; 6] =
        [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0, 1.0 / 132.0, -691.0 / 32_760.0];
    let (mut large, mut sum) = (x, 0.0);
    while large < LARGE_GAMMA {
        sum += 1.0 / large;
        large += 1.0;
    }
    let square = 1.0 / (large * large);
    large.ln() - 0.5 / large - polynomial(&TERMS, square) * square - sum
}

/// `ln I_0(x)` for `x >= 0`, the modified Bessel function of order 0.
pub fn ln_bessel_i0(x: f64) -> f64 {
    if x < LARGE_BESSEL {
        return (series(x, 0.0) - 1.0).ln_1p();
    }
    x - 0.5 * (std::f64::consts::TAU * x).ln() + asymptotic(x, 0.0).ln()
}

/// `I_1(x) / I_0(x)` for `x >= 0`, the slope of `ln I_0`: the mean resultant length of von Mises' law.
pub fn bessel_ratio(x: f64) -> f64 {
    if x < LARGE_BESSEL {
        return 0.5 * x * series(x, 1.0) / series(x, 0.0);
    }
    asymptotic(x, 1.0) / asymptotic(x, 0.0)
}

/// `terms[0] + terms[1] x + terms[2] x^2 + ...`.
fn polynomial(terms: &[f64], x: f64) -> f64 {
    terms.iter().rev().fold(0.0, |sum, term| sum * x + term)
}

/// `sum_k (x^2/4)^k n! / (k! (k + n)!)`; all terms are positive.
fn series(x: f64, n: f64) -> f64 {
    let quarter = 0.25 * x * x;
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > f64::EPSILON * 0.1 * sum {
        term *= quarter / (k * (k + n));
        sum += term;
        k += 1.0;
    }
    sum
}

/// `I_n(x) sqrt(2 pi x) / e^x`.
fn asymptotic(x: f64, n: f64) -> f64 {
    let (mut term, mut sum) = (1.0f64, 1.0);
    for j in 1..30 {
        let odd = f64::from(2 * j - 1);
        term *= (odd * odd - 4.0 * n * n) / (8.0 * f64::from(j) * x);
        sum += term;
        if term.abs() < f64::EPSILON * 0.1 {
            break;
        }
    }
    sum
}

#[cfg(test)]
#[allow(clippy::excessive_precision)] // Values stand as they were computed.
mod tests {
    use super::*;

    /// Asserts an error of at most `1e-14` beside the larger of 1 and the value.
    fn close(name: &str, x: f64, found: f64, expected: f64) {
        let error = (found - expected).abs() / expected.abs().max(1.0);
        assert!(error < 1e-14, "{name}({x}) = {found}, {expected} expected: off by {error:e}");
    }

    /// Values of mpmath 1.3 at 40 digits.
    #[test]
    fn gamma_functions_have_their_values() {
        let table = [
            (0.01, 4.599_479_878_042_022, -100.560_885_457_868_67),
            (0.1, 2.252_712_651_734_206, -10.423_754_940_411_077),
            (0.5, 0.572_364_942_924_700_1, -1.963_510_026_021_423_5),
            (1.0, 0.0, -0.577_215_664_901_532_9),
            (1.5, -0.120_782_237_635_245_22, 0.036_489_973_978_576_52),
            (2.0, 0.0, 0.422_784_335_098_467_14),
            (3.7, 1.428_072_326_665_387_9, 1.167_153_539_361_511_4),
            (9.999, 12.799_575_780_077_412, 2.251_647_417_205_735),
            (10.001, 12.804_079_285_251_863, 2.251_857_749_877_872),
            (57.25, 173.361_912_830_627_24, 4.038_668_593_357_127),
            (1000.0, 5_905.220_423_209_181, 6.907_255_195_648_812),
            (1e6, 12_815_504.569_147_611, 13.815_510_057_964_19),
        ];
        for (x, log, slope) in table {
            close("ln_gamma", x, ln_gamma(x), log);
            close("digamma", x, digamma(x), slope);
        }
    }

    #[test]
    fn bessel_functions_have_their_values() {
        let table = [
            (0.0, 0.0, 0.0),
            (1e-6, 2.499_999_999_999_843_8e-13, 4.999_999_999_999_375e-7),
            (0.1, 0.002_498_439_233_876_243_4, 0.049_937_603_987_938_92),
            (1.0, 0.235_914_358_507_178_65, 0.446_389_965_896_534_5),
            (3.75, 2.210_354_211_972_019, 0.853_170_459_453_068_5),
            (10.0, 7.942_972_083_118_695_6, 0.948_599_825_954_846),
            (29.5, 26.893_178_122_058_44, 0.982_902_063_667_817_2),
            (30.5, 27.876_366_092_542_707, 0.983_467_536_699_444_5),
            (100.0, 96.779_732_689_942_58, 0.994_987_373_005_168_8),
            (700.0, 695.805_699_998_443_4, 0.999_285_458_818_426_1),
            (5000.0, 4_994.822_489_873_588, 0.999_899_994_998_999_7),
            (1e6, 999_992.173_306_312_8, 0.999_999_499_999_875),
        ];
        for (x, log, ratio) in table {
            close("ln_bessel_i0", x, ln_bessel_i0(x), log);
            close("bessel_ratio", x, bessel_ratio(x), ratio);
        }
    }
}
