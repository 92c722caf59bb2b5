//! Points of the plane as bits, so that what is learned on bits can be looked at.
//!
//! ```text
//! coordinate   sign bit, then n = trunc(|x| scale) as a 15-bit Gray code n ^ (n >> 1), the highest bit first
//! scale        2^15 / (f + 1),  f = max |x| + 1 over all coordinates of some points
//! ```
//!
//! Neighbours on the line differ in one bit of the code, but for the sign's. Dai et al. (2020), "Learning discrete energy-based models
//! via auxiliary-variable local exploration", section 4.1, as Sun et al. (2023) have it: two coordinates, 32 bits.

/// Bits of a coordinate.
pub const BITS: usize = 16;

/// The largest magnitude, `2^15 - 1`.
const LARGEST: u32 = (1 << (BITS - 1)) - 1;

/// The scale of points.
pub fn int_scale(points: &[f32]) -> f64 {
    let largest = points.iter().fold(0.0f64, |most, x| most.max(f64::from(x.abs())));
    f64::from(LARGEST + 1) / (largest + 2.0)
}

/// Coordinates as bits, 16 numbers 0 or 1 for each; magnitudes beyond the largest code become it.
pub fn encode(points: &[f32], scale: f64) -> Vec<f32> {
    let mut bits = Vec::with_capacity(points.len() * BITS);
    for x in points {
        let whole = ((f64::from(x.abs()) * scale) as u32).min(LARGEST);
        let code = whole ^ whole >> 1;
        bits.push(f32::from(u8::from(*x < 0.0)));
        bits.extend((0..BITS - 1).rev().map(|bit| (code >> bit & 1) as f32));
    }
    bits
}

/// The coordinates that bits stand for; what is no 1 counts as 0.
pub fn decode(bits: &[f32], scale: f64) -> Vec<f32> {
    let coordinate = |bits: &[f32]| {
        let (mut whole, mut bit) = (0u32, 0);
        for code in &bits[1..] {
            bit ^= u32::from(*code == 1.0);
            whole = whole << 1 | bit;
        }
        let size = (f64::from(whole) / scale) as f32;
        if bits[0] == 1.0 { -size } else { size }
    };
    bits.chunks_exact(BITS).map(coordinate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_come_back_within_a_step() {
        let points = [0.0, 1.25, -3.999, 4.0, -0.0004, 2.5182];
        let scale = int_scale(&points);
        assert!((scale - 32768.0 / 6.0).abs() < 1e-9);
        let bits = encode(&points, scale);
        assert_eq!(bits.len(), points.len() * BITS);
        for (x, back) in points.iter().zip(decode(&bits, scale)) {
            assert!((x - back).abs() < 1.01 / scale as f32, "{x} and {back}");
            assert!(back.abs() <= x.abs());
        }
        // Neighbours differ in one bit.
        for whole in 0..LARGEST {
            let [a, b] = [whole, whole + 1].map(|n| encode(&[(f64::from(n) + 0.5) as f32], 1.0));
            assert_eq!(a.iter().zip(&b).filter(|(a, b)| a != b).count(), 1);
        }
        assert_eq!(encode(&[1e9], 1.0), encode(&[LARGEST as f32], 1.0));
    }
}
