//! Rewards on the grid `{0, ..., H - 1}^D`, which every state is an object of.
//!
//! With `t(x) = |2 x - (H - 1)|`, twice the distance of a coordinate from the middle, and a product over coordinates:
//!
//! ```text
//! band        R0 + R1 prod [outer] + R2 prod [band]         outer  2 t > H - 1
//!                                                           band   6 (H - 1) < 10 t < 8 (H - 1)
//! deceptive   R0 + R1 (1 - prod [far]) + R2 prod [band]     far    10 t > 2 (H - 1)
//! sparse      R0 + [every x_d in {1, H - 2}, not all 1]
//! cosine      R0 + R1 prod_d f(x_d)                         f(x) = (cos 50 a + 1) N(5 a; 0, 1),  a = t / (2 (H - 1))
//! ```
//!
//! The inequalities are of integers: in floating point they break where 5 divides `H - 1`. Modes are the points in all bands,
//! the targets of the sparse reward, and for the cosine the points whose product is at least 0.8^D of its largest. In the
//! first three a point's reward follows from which properties all its coordinates have, so
//!
//! ```text
//! Z = sum over classes of R times the number of points,   points that have a property: (coordinates that have it)^D
//! ```
//!
//! and in the last `Z = R0 H^D + R1 (sum_x f(x))^D`.
//!
//! Band: Bengio et al. (2021), section 4.1. Sparse: Pan et al. (2023). Deceptive: Kim et al. (2025), as their program has it.
//! Cosine: torchgfn, `hypergrid.py`.

use std::f64::consts::TAU;

use super::{Failure, LARGEST, LEAST, Target, fill_rows, within};
use crate::environment::Cell;
use crate::error::Problem;
use crate::math::log_sum_exp;

/// A reward on the grid.
#[derive(Debug, Clone, PartialEq)]
pub struct GridReward {
    dim: usize,
    side: usize,
    landscape: Landscape,
}

#[derive(Debug, Clone, PartialEq)]
enum Landscape {
    Classes {
        /// Two properties of each value of a coordinate, as bits.
        properties: Vec<u8>,
        /// `log R` by the properties that all coordinates have.
        log_rewards: [f64; 4],
        /// The properties of a mode.
        mode: u8,
    },
    Cosine {
        /// `ln f` of each value of a coordinate.
        ln_factors: Vec<f64>,
        r0: f64,
        r1: f64,
    },
}

/// The larger part of the cosine's peak that a mode's factors have on average (torchgfn's `mode_gamma`).
const NEAR_PEAK: f64 = 0.8;

impl GridReward {
    /// The band reward: a floor `r0`, corners `r1` above it, and modes `r2` above those.
    ///
    /// # Errors
    /// If the grid has no coordinate or fewer than 2 values, `r0` is not positive, or `r1` or `r2` negative.
    pub fn band(dim: usize, side: usize, [r0, r1, r2]: [f64; 3]) -> Result<Self, Problem> {
        check(dim, side, &[("r0", r0), ("r1", r1), ("r2", r2)])?;
        let properties = |t: usize, m: usize| [2 * t > m, in_band(t, m)];
        // What is in the band is in the outer part.
        Ok(Self::by_classes(dim, side, properties, [r0, r0 + r1, r0 + r2, r0 + r1 + r2], 3))
    }

    /// The deceptive reward: the modes are surrounded by a desert `r0`, and the cross through the middle is `r1` above it.
    ///
    /// # Errors
    /// As [`GridReward::band`].
    pub fn deceptive(dim: usize, side: usize, [r0, r1, r2]: [f64; 3]) -> Result<Self, Problem> {
        check(dim, side, &[("r0", r0), ("r1", r1), ("r2", r2)])?;
        let properties = |t: usize, m: usize| [10 * t > 2 * m, in_band(t, m)];
        Ok(Self::by_classes(dim, side, properties, [r0 + r1, r0, r0 + r1 + r2, r0 + r2], 3))
    }

    /// The sparse reward: 1 above a floor `r0` at the points of `{1, H - 2}^D` but `(1, ..., 1)`.
    ///
    /// # Errors
    /// As [`GridReward::band`]; the side must be at least 4.
    pub fn sparse(dim: usize, side: usize, r0: f64) -> Result<Self, Problem> {
        check(dim, side, &[("r0", r0)])?;
        if side < 4 {
            return Err(Problem::new("side", side.to_string()).allowed("at least 4, for a sparse reward"));
        }
        // A coordinate and its distance from the middle: those next to an end have t = m - 2.
        let mut reward = Self::by_classes(dim, side, |t, m| [t + 2 == m, false], [r0, r0 + 1.0, r0, r0], 1);
        if let Landscape::Classes { properties, .. } = &mut reward.landscape {
            properties[1] |= 2;
        }
        Ok(reward)
    }

    /// The cosine reward: a floor `r0` and waves of height `r1` under a Gaussian.
    ///
    /// # Errors
    /// As [`GridReward::band`].
    pub fn cosine(dim: usize, side: usize, [r0, r1]: [f64; 2]) -> Result<Self, Problem> {
        check(dim, side, &[("r0", r0), ("r1", r1)])?;
        let ln_factor = |x: usize| {
            let a = distance(x, side) as f64 / (2 * (side - 1)) as f64;
            ((50.0 * a).cos() + 1.0).ln() - 0.5 * (25.0 * a * a + TAU.ln())
        };
        let ln_factors = (0..side).map(ln_factor).collect();
        Ok(Self { dim, side, landscape: Landscape::Cosine { ln_factors, r0, r1 } })
    }

    fn by_classes(
        dim: usize,
        side: usize,
        properties: impl Fn(usize, usize) -> [bool; 2],
        rewards: [f64; 4],
        mode: u8,
    ) -> Self {
        let bits = |x| properties(distance(x, side), side - 1).map(u8::from);
        let properties = (0..side).map(bits).map(|[first, second]| first | second << 1).collect();
        let log_rewards = rewards.map(f64::ln);
        Self { dim, side, landscape: Landscape::Classes { properties, log_rewards, mode } }
    }

    /// The share of all points whose coordinates all have exactly the properties of each class.
    fn shares(&self, properties: &[u8]) -> [f64; 4] {
        let all_have = |bits| (self.dim as f64 * (having(properties, bits) / self.side as f64).ln()).exp();
        let (first, second, both) = (all_have(1), all_have(2), all_have(3));
        [(1.0 - first - second + both).max(0.0), first - both, second - both, both]
    }

    fn ln_points(&self) -> f64 {
        self.dim as f64 * (self.side as f64).ln()
    }
}

/// Twice the distance of a coordinate from the middle.
fn distance(x: usize, side: usize) -> usize {
    (2 * x).abs_diff(side - 1)
}

fn in_band(t: usize, m: usize) -> bool {
    10 * t > 6 * m && 10 * t < 8 * m
}

/// How many values of a coordinate have these properties.
fn having(properties: &[u8], bits: u8) -> f64 {
    properties.iter().filter(|have| *have & bits == bits).count() as f64
}

/// The properties that all coordinates of a point have.
fn class(properties: &[u8], point: &[Cell]) -> u8 {
    point.iter().fold(3, |common, x| common & properties[usize::from(*x)])
}

fn check(dim: usize, side: usize, rewards: &[(&str, f64)]) -> Result<(), Problem> {
    within("dim", dim as f64, 1.0, 65535.0)?;
    within("side", side as f64, 2.0, 65536.0)?;
    rewards.iter().try_for_each(|(key, value)| {
        let least = if *key == "r0" { LEAST } else { 0.0 };
        within(key, *value, least, LARGEST)
    })
}

impl Target<Cell> for GridReward {
    fn log_rewards(&self, objects: &[Cell], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        match &self.landscape {
            Landscape::Classes { properties, log_rewards, .. } => {
                fill_rows(objects, out, |point| log_rewards[usize::from(class(properties, point))]);
            }
            Landscape::Cosine { ln_factors, r0, r1 } => fill_rows(objects, out, |point| {
                let product: f64 = point.iter().map(|x| ln_factors[usize::from(*x)]).sum();
                (r0 + r1 * product.exp()).ln()
            }),
        }
        Ok(())
    }

    fn partial(&self, states: &[Cell], conditions: &[f32], out: &mut [f64]) -> Result<bool, Failure> {
        self.log_rewards(states, conditions, out).map(|()| true)
    }

    fn log_z_tempered(&self, beta: f64, _: &[f32]) -> Option<f64> {
        match &self.landscape {
            Landscape::Classes { properties, log_rewards, .. } => {
                let shares = self.shares(properties);
                let terms: [f64; 4] = std::array::from_fn(|c| shares[c].ln() + beta * log_rewards[c]);
                Some(self.ln_points() + log_sum_exp(&terms))
            }
            Landscape::Cosine { ln_factors, r0, r1 } => (beta == 1.0).then(|| {
                let waves = self.dim as f64 * log_sum_exp(ln_factors);
                log_sum_exp(&[r0.ln() + self.ln_points(), r1.ln() + waves])
            }),
        }
    }

    fn is_mode(&self, object: &[Cell]) -> Option<bool> {
        Some(match &self.landscape {
            Landscape::Classes { properties, mode, .. } => class(properties, object) == *mode,
            Landscape::Cosine { ln_factors, .. } => {
                let least = self.dim as f64 * (NEAR_PEAK * 2.0 / TAU.sqrt()).ln();
                object.iter().map(|x| ln_factors[usize::from(*x)]).sum::<f64>() >= least
            }
        })
    }

    fn modes(&self) -> Option<f64> {
        match &self.landscape {
            Landscape::Classes { properties, mode, .. } => {
                let all_have = |bits| having(properties, bits).powi(self.dim as i32);
                Some(if *mode == 3 { all_have(3) } else { all_have(*mode) - all_have(3) })
            }
            Landscape::Cosine { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINAL: [f64; 3] = [0.1, 0.5, 2.0];
    const EASY: [f64; 3] = [1e-3, 0.5, 2.0];
    const HARD: [f64; 3] = [1e-4, 1.0, 3.0];

    fn rewards(reward: &GridReward, objects: &[Cell]) -> Vec<f64> {
        let mut out = vec![0.0; objects.len() / reward.dim];
        reward.log_rewards(objects, &[], &mut out).unwrap();
        out
    }

    #[test]
    fn published_log_partition_functions() {
        for (dim, side, rewards, log_z) in [
            (2, 8, ORIGINAL, 3.109_061),
            (4, 8, ORIGINAL, 6.344_934),
            (4, 8, [0.01, 0.5, 2.0], 5.303_106),
            (4, 8, [0.001, 0.5, 2.0], 5.100_452),
            (2, 16, ORIGINAL, 4.183_576),
            (4, 16, ORIGINAL, 9.063_417),
            (4, 32, ORIGINAL, 11.850_951),
            (4, 20, EASY, 8.643_297),
            (4, 20, HARD, 9.285_819),
            (2, 5, EASY, 0.705_570),
            (2, 10, EASY, 3.261_935),
            (2, 20, EASY, 4.411_585),
        ] {
            let found = GridReward::band(dim, side, rewards).unwrap().log_z(&[]).unwrap();
            assert!((found - log_z).abs() < 5e-7, "{dim}, {side}: {found}, {log_z}");
        }
        // Too many points for a floating-point number.
        let large = GridReward::band(1000, 128, ORIGINAL).unwrap();
        assert!((large.log_z(&[]).unwrap() - (1000.0 * 128f64.ln() + 0.1f64.ln())).abs() < 1e-9);
    }

    /// Thresholds lie on points of these grids, where floating point errs.
    #[test]
    fn thresholds_are_exact() {
        for (side, band) in [(11, vec![]), (16, vec![2, 13]), (21, vec![3, 17]), (31, vec![4, 5, 25, 26])] {
            let reward = GridReward::band(1, side, ORIGINAL).unwrap();
            let modes: Vec<Cell> = (0..side as Cell).filter(|x| reward.is_mode(&[*x]).unwrap()).collect();
            assert_eq!(modes, band);
            assert_eq!(reward.modes(), Some(band.len() as f64));
        }
        // |x / 20 - 1/2| > 1/4 leaves out 5 and 15, |x / 20 - 1/2| > 1/10 leaves out 8 and 12.
        let outer = |x: Cell| rewards(&GridReward::band(1, 21, ORIGINAL).unwrap(), &[x])[0] > 0.1f64.ln();
        assert_eq!((outer(4), outer(5), outer(15), outer(16)), (true, false, false, true));
        let cross = |x: Cell| rewards(&GridReward::deceptive(1, 21, EASY).unwrap(), &[x])[0] > -5.0;
        assert_eq!((cross(7), cross(8), cross(12), cross(13)), (false, true, true, false));
    }

    #[test]
    fn landscapes_by_hand() {
        let band = rewards(&GridReward::band(2, 8, ORIGINAL).unwrap(), &[3, 3, 0, 3, 0, 7, 1, 6, 1, 0]);
        for (found, exact) in band.iter().zip([0.1f64, 0.1, 0.6, 2.6, 0.6]) {
            assert!((found - exact.ln()).abs() < 1e-15);
        }
        // The picture in torchgfn's source: a cross through the middle, modes at 2 and 13.
        let deceptive = GridReward::deceptive(2, 16, [1e-5, 0.1, 2.0]).unwrap();
        let found = rewards(&deceptive, &[0, 0, 7, 7, 0, 9, 6, 15, 2, 13, 2, 8, 5, 5]);
        for (found, exact) in found.iter().zip([1e-5f64, 0.10001, 0.10001, 0.10001, 2.00001, 0.10001, 1e-5]) {
            assert!((found - exact.ln()).abs() < 1e-12);
        }
        let sparse = GridReward::sparse(2, 6, 1e-12).unwrap();
        let found = rewards(&sparse, &[1, 4, 4, 1, 4, 4, 1, 1, 0, 4]);
        assert_eq!(
            found.iter().map(|value| *value > -1.0).collect::<Vec<_>>(),
            [true, true, true, false, false]
        );
        assert_eq!(sparse.modes(), Some(3.0));
        // torch: CosineReward(8, 3, R0=.1, R1=.5)([0, 3, 5]), in f64 by its formula.
        let a = [0.5f64, 0.5 / 7.0, 1.5 / 7.0];
        let wave = |a: f64| ((a * 50.0).cos() + 1.0) * (-(5.0 * a).powi(2) / 2.0).exp() / TAU.sqrt();
        let exact = (0.1 + 0.5 * a.iter().map(|a| wave(*a)).product::<f64>()).ln();
        let cosine = GridReward::cosine(3, 8, [0.1, 0.5]).unwrap();
        assert!((rewards(&cosine, &[0, 3, 5])[0] - exact).abs() < 1e-14);
        assert!(GridReward::cosine(2, 101, [0.1, 0.5]).unwrap().is_mode(&[50, 50]).unwrap());
        assert!(!cosine.is_mode(&[0, 3, 5]).unwrap());
    }

    #[test]
    fn wrong_parameters_are_named() {
        let message = |result: Result<GridReward, Problem>| result.unwrap_err().to_string();
        assert_eq!(
            message(GridReward::band(2, 8, [0.0, 0.5, 2.0])),
            "r0: found 0; allowed: a number from 1e-300 to 1e300"
        );
        assert!(message(GridReward::band(2, 8, [0.1, -1.0, 2.0])).starts_with("r1: found -1"));
        assert!(message(GridReward::band(2, 8, [0.1, 1.0, f64::NAN])).starts_with("r2: found NaN"));
        assert!(message(GridReward::band(2, 1, ORIGINAL)).starts_with("side: found 1"));
        assert!(message(GridReward::cosine(0, 8, [0.1, 0.5])).starts_with("dim: found 0"));
        assert!(message(GridReward::sparse(2, 3, 1e-12)).starts_with("side: found 3; allowed: at least 4"));
    }
}
