//! Elementary functions in f64 that the compiler can vectorise: branch-free, in fused multiply-adds, which give the same bits on
//! every machine.
//!
//! ```text
//! e^x        = 2^n e^r,   n = round(x / ln 2),  |r| <= ln 2 / 2,   e^r by its series to r^13
//! ln (1 + t) = 2 artanh(t / (2 + t)),   by its series in t / (2 + t) <= 1 / 3
//! ```

/// `1 / 13!, 1 / 12!, ..., 1`.
const EXPONENTIAL: [f64; 14] = {
    let mut all = [1.0; 14];
    let mut place = 13;
    while place > 0 {
        all[place - 1] = all[place] / (14 - place) as f64;
        place -= 1;
    }
    all
};

/// `1 / 33, 1 / 31, ..., 1`.
const AREA_TANGENT: [f64; 17] = {
    let mut all = [1.0; 17];
    let mut place = 0;
    while place < 17 {
        all[place] = 1.0 / (33 - 2 * place) as f64;
        place += 1;
    }
    all
};

/// `e^x` for `x` in [-700, 700], and at the nearer end beyond; relative error below 1e-15.
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    // Adding 1.5 * 2^52 rounds to the nearest integer, which then stands in the lowest bits.
    let shifted = x.mul_add(std::f64::consts::LOG2_E, 6_755_399_441_055_744.0);
    let n = shifted - 6_755_399_441_055_744.0;
    let r = n.mul_add(-1.908_214_929_270_587_7e-10, n.mul_add(-0.693_147_180_369_123_8, x));
    let mut p = EXPONENTIAL[0];
    for c in &EXPONENTIAL[1..] {
        p = p.mul_add(r, *c);
    }
    p * f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52)
}

/// `ln (1 + t)` for `t` in [0, 1]; relative error below 1e-15.
#[inline(always)]
pub fn ln_1p(t: f64) -> f64 {
    let z = t / (2.0 + t);
    let square = z * z;
    let mut p = AREA_TANGENT[0];
    for c in &AREA_TANGENT[1..] {
        p = p.mul_add(square, *c);
    }
    2.0 * z * p
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_the_library() {
        for i in -70_000..=70_000 {
            let x = 0.01 * f64::from(i) + 1e-3 * f64::from(i).sin();
            let (found, exact) = (exp(x), x.clamp(-700.0, 700.0).exp());
            assert!((found - exact).abs() <= 1e-15 * exact, "e^{x} = {found}, {exact}");
        }
        for i in 0..=10_000 {
            let t = (f64::from(i) / 1e4).powi(3);
            let (found, exact) = (ln_1p(t), t.ln_1p());
            assert!((found - exact).abs() <= 1e-15 * exact, "ln (1 + {t}) = {found}, {exact}");
        }
        assert_eq!((exp(0.0), ln_1p(0.0)), (1.0, 0.0));
    }
}
