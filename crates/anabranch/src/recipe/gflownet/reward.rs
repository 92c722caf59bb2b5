//! The hypergrid's original reward.
//!
//! ```text
//! R(x) = r0 + r1 prod_d [1/4 < |x_d / m - 1/2|] + r2 prod_d [3/10 < |x_d / m - 1/2| < 4/10],   m = side - 1
//! ```
//!
//! in integers, with `t = |2 x_d - m|`: the first product is `2 t > m`, the second `6 m < 10 t < 8 m`. Of the values of a
//! coordinate `a` are in the first and `b` in the second, so `Z = r0 side^dim + r1 a^dim + r2 b^dim`.
//!
//! Bengio et al. (2021), section 4.1.

use crate::environment::Cell;
use crate::math::log_sum_exp;
use crate::reward::{Failure, Reward};

/// The original reward of a hypergrid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bands {
    pub dim: usize,
    pub side: usize,
    pub r0: f64,
    pub r1: f64,
    pub r2: f64,
}

impl Bands {
    /// Whether a coordinate is outside the middle, and whether it is in the band.
    fn place(&self, x: Cell) -> (bool, bool) {
        let m = self.side as i64 - 1;
        let t = (2 * i64::from(x) - m).abs();
        (2 * t > m, 10 * t > 6 * m && 10 * t < 8 * m)
    }

    /// How many values of a coordinate are outside the middle, and how many in the band.
    fn counts(&self) -> (f64, f64) {
        let places = (0..self.side).map(|x| self.place(x as Cell));
        places.fold((0.0, 0.0), |(a, b), (outer, band)| {
            (a + f64::from(u8::from(outer)), b + f64::from(u8::from(band)))
        })
    }
}

impl Reward for Bands {
    fn log_rewards(&self, objects: &[Cell], _conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        for (object, out) in objects.chunks_exact(self.dim).zip(out) {
            let outer = object.iter().all(|x| self.place(*x).0);
            let band = object.iter().all(|x| self.place(*x).1);
            let [outer, band] = [outer, band].map(|inside| if inside { 1.0 } else { 0.0 });
            *out = (self.r0 + self.r1 * outer + self.r2 * band).ln();
        }
        Ok(())
    }

    fn log_z(&self, _condition: &[f32]) -> Option<f64> {
        let (a, b) = self.counts();
        let part = |weight: f64, values: f64| weight.ln() + self.dim as f64 * values.ln();
        Some(log_sum_exp(&[part(self.r0, self.side as f64), part(self.r1, a), part(self.r2, b)]))
    }

    fn is_mode(&self, object: &[Cell]) -> Option<bool> {
        Some(object.iter().all(|x| self.place(*x).1))
    }

    fn modes(&self) -> Option<f64> {
        Some(self.counts().1.powi(self.dim as i32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_the_known_ones() {
        for (dim, side, [r0, r1, r2], log_z) in [
            (2, 8, [0.1, 0.5, 2.0], 3.109_061),
            (4, 8, [0.1, 0.5, 2.0], 6.344_934),
            (2, 16, [0.1, 0.5, 2.0], 4.183_576),
            (4, 32, [0.1, 0.5, 2.0], 11.850_951),
            (4, 20, [1e-3, 0.5, 2.0], 8.643_297),
            (4, 20, [1e-4, 1.0, 3.0], 9.285_819),
            (2, 5, [1e-3, 0.5, 2.0], 0.705_570),
        ] {
            let bands = Bands { dim, side, r0, r1, r2 };
            assert!((bands.log_z(&[]).unwrap() - log_z).abs() < 1e-6, "{dim}, {side}");
            if dim == 2 {
                let side = side as Cell;
                let objects: Vec<Cell> = (0..side * side).flat_map(|i| [i / side, i % side]).collect();
                let mut log_rewards = vec![0.0; objects.len() / 2];
                bands.log_rewards(&objects, &[], &mut log_rewards).unwrap();
                assert!((log_sum_exp(&log_rewards) - log_z).abs() < 1e-6);
                let modes = objects.chunks(2).filter(|x| bands.is_mode(x) == Some(true)).count();
                assert_eq!(bands.modes(), Some(modes as f64));
            }
        }
    }
}
