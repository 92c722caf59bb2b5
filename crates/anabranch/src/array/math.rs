//! Elementary functions that the compiler can vectorise: branch-free, in fused multiply-adds, which give the same bits
//! on every machine.

/// `e^x` for `x` in [-87, 88], relative error below 3e-7.
#[inline(always)]
#[allow(clippy::excessive_precision)] // The coefficients stand as published.
fn exp_inside(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to the nearest integer, which then stands in the lowest bits.
    let shifted = x.mul_add(std::f32::consts::LOG2_E, 12_582_912.0);
    let n = shifted - 12_582_912.0;
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_375, x));
    let mut p = 1.987_569_1e-4f32;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.000_000_1e-1] {
        p = p.mul_add(r, c);
    }
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    (p.mul_add(r * r, r) + 1.0) * power
}

/// `e^x`, relative error below 3e-7; 0 below -87, finite above 88.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let value = exp_inside(x.clamp(-87.0, 88.0));
    if x < -87.0 { 0.0 } else { value }
}

/// `1 / (1 + e^{-x})`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp_inside((-x).clamp(-87.0, 88.0)))
}

/// The hyperbolic tangent, absolute error below 3e-7.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp_inside((2.0 * x).clamp(-87.0, 88.0)))
}

/// The natural logarithm of a positive normal number, relative error below 3e-7 (absolute near 1).
#[inline(always)]
#[allow(clippy::excessive_precision)] // The coefficients stand as published.
pub fn ln(x: f32) -> f32 {
    // x = 2^n m with m in [sqrt(1/2), sqrt(2)).
    let bits = x.to_bits() as i32;
    let n = (bits - 0x3f35_04f3) >> 23;
    let m = f32::from_bits((bits - (n << 23)) as u32) - 1.0;
    let mut p = 7.037_683_629_2e-2f32;
    for c in [
        -1.151_461_031_0e-1,
        1.167_699_874_0e-1,
        -1.242_014_084_6e-1,
        1.424_932_278_7e-1,
        -1.666_805_766_5e-1,
        2.000_071_476_5e-1,
        -2.499_999_399_3e-1,
        3.333_333_117_4e-1,
    ] {
        p = p.mul_add(m, c);
    }
    let z = m * m;
    let n = n as f32;
    let low = n.mul_add(-2.121_944_4e-4, z * p.mul_add(m, -0.5));
    n.mul_add(0.693_359_375, m + low)
}

/// `ln (1 + e^x)`.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    x.max(0.0) + ln(1.0 + exp(-x.abs()))
}

/// Sine and cosine of `turn` turns for `turn` in [-1/2, 1/2], absolute error below 2e-7.
#[inline(always)]
#[allow(clippy::excessive_precision)] // The coefficients stand as published.
pub fn sin_cos(turn: f32) -> (f32, f32) {
    // The nearest quarter, and what is left: within an eighth of a turn.
    let shifted = turn.mul_add(4.0, 12_582_912.0);
    let quarter = shifted.to_bits();
    let x = (shifted - 12_582_912.0).mul_add(-0.25, turn) * std::f32::consts::TAU;
    let z = x * x;
    let sin = (x * z).mul_add(z.mul_add(z.mul_add(-1.951_529_589e-4, 8.332_160_87e-3), -1.666_665_46e-1), x);
    let cos = (z * z).mul_add(
        z.mul_add(z.mul_add(2.443_315_71e-5, -1.388_731_63e-3), 4.166_664_57e-2),
        z.mul_add(-0.5, 1.0),
    );
    let (a, b) = if quarter & 1 == 0 { (sin, cos) } else { (cos, sin) };
    let a = f32::from_bits(a.to_bits() ^ (quarter & 2) << 30);
    let b = f32::from_bits(b.to_bits() ^ (quarter.wrapping_add(1) & 2) << 30);
    (a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elementary_functions_agree_with_std() {
        for i in -9000..9000 {
            let x = i as f32 * 0.01;
            assert!((exp(x) / x.clamp(-87.0, 88.0).exp() - 1.0).abs() < 4e-7 || x < -87.0, "{x}");
            assert!((sigmoid(x) - 1.0 / (1.0 + (-x).exp())).abs() < 3e-7, "{x}");
            assert!((tanh(x) - x.tanh()).abs() < 3e-7, "{x}");
        }
        for i in 1..20_000 {
            let x = (i as f32 * 0.01 - 87.0).exp();
            assert!((ln(x) - x.ln()).abs() <= 3e-7 * x.ln().abs().max(1.0), "{x}");
            let y = i as f32 * 0.01 - 100.0;
            let exact = f64::from(y).exp().ln_1p() as f32;
            assert!((softplus(y) - exact).abs() <= 4e-7 * exact.max(1.0), "{y}");
        }
        for i in -5000..=5000 {
            let turn = i as f32 * 1e-4;
            let (sin, cos) = sin_cos(turn);
            let angle = f64::from(turn) * std::f64::consts::TAU;
            assert!((f64::from(sin) - angle.sin()).abs() < 2e-7, "{turn}");
            assert!((f64::from(cos) - angle.cos()).abs() < 2e-7, "{turn}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(1e30).is_finite() && tanh(1e30) == 1.0 && sigmoid(-1e30) < 1e-37);
    }
}
