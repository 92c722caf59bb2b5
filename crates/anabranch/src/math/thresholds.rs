//! Thresholds that cut the standard normal into cells of given masses: ordered probit (Aitchison and Silvey 1957).
//!
//! ```text
//! k  <=>  c_k <= z < c_{k+1},     c_0 = -inf,  c_k = F^-1(f_0 + ... + f_{k-1}),  c_V = inf
//! z given k:   N(0, 1) on the cell,   log q(z | k) = -z^2/2 - log(2 pi)/2 - log f_k
//! ```
//!
//! Cuts are f32 and masses those between the cuts as they are, so that the law is exact whatever f32 tells apart.

use super::{normal_cdf, normal_quantile};

/// Where the standard normal is cut.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// `c_1, ..., c_{V-1}`.
    cuts: Vec<f32>,
    log_masses: Vec<f64>,
}

impl Thresholds {
    /// Cells of these masses, which sum to one.
    ///
    /// # Panics
    /// If there is none, or f32 does not tell a cell from nothing.
    pub fn new(masses: &[f64]) -> Self {
        assert!(!masses.is_empty(), "a cell at least");
        let mut above: Vec<f64> = Vec::with_capacity(masses.len());
        let mut sum = 0.0;
        masses.iter().rev().for_each(|mass| {
            sum += mass;
            above.push(sum);
        });
        let mut below = 0.0;
        let cut = |(k, mass): (usize, &f64)| {
            below += mass;
            // The smaller of the two tails is the exact one.
            let above = above[masses.len() - 2 - k];
            let cut = if below < above { normal_quantile(below) } else { -normal_quantile(above) };
            cut as f32
        };
        let cuts: Vec<f32> = masses[..masses.len() - 1].iter().enumerate().map(cut).collect();
        let mut cells = Self { cuts, log_masses: Vec::new() };
        cells.log_masses = (0..masses.len()).map(|k| cells.mass(k).ln()).collect();
        assert!(cells.log_masses.iter().all(|mass| mass.is_finite()), "f32 tells a cell from nothing");
        cells
    }

    /// How many cells there are.
    pub fn count(&self) -> usize {
        self.log_masses.len()
    }

    /// The cuts between cells, ascending.
    pub fn cuts(&self) -> &[f32] {
        &self.cuts
    }

    /// The ends of a cell.
    fn ends(&self, k: usize) -> [f64; 2] {
        let low = if k == 0 { f64::NEG_INFINITY } else { self.cuts[k - 1].into() };
        let high = self.cuts.get(k).map_or(f64::INFINITY, |cut| f64::from(*cut));
        [low, high]
    }

    fn mass(&self, k: usize) -> f64 {
        let [low, high] = self.ends(k);
        if low > 0.0 { normal_cdf(-low) - normal_cdf(-high) } else { normal_cdf(high) - normal_cdf(low) }
    }

    /// The cell that `z` lies in.
    pub fn index(&self, z: f32) -> usize {
        self.cuts.partition_point(|cut| *cut <= z)
    }

    /// `log f_k`.
    pub fn log_mass(&self, k: usize) -> f64 {
        self.log_masses[k]
    }

    /// The point of cell `k` below which lies the share `u` of its mass, of which 1e-8 at either end are not told apart.
    pub fn point(&self, k: usize, u: f64) -> f32 {
        let u = u.clamp(1e-9, 1.0 - 1e-8);
        let [low, high] = self.ends(k);
        let between = |low: f64, high: f64, u: f64| {
            let (low, high) = (normal_cdf(low), normal_cdf(high));
            normal_quantile(low + u * (high - low))
        };
        let z = if low > 0.0 { -between(-high, -low, 1.0 - u) } else { between(low, high, u) } as f32;
        let last = self.cuts.get(k).map_or(f32::MAX, |cut| cut.next_down());
        z.clamp(if k == 0 { f32::MIN } else { self.cuts[k - 1] }, last)
    }

    /// The mean of cell `k`.
    pub fn mean(&self, k: usize) -> f64 {
        let density = |z: f64| (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
        let [low, high] = self.ends(k);
        (density(low) - density(high)) / self.mass(k)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::gauss_legendre;

    const MASSES: [&[f64]; 4] =
        [&[1.0], &[0.3, 0.7], &[1e-6, 0.2, 2e-6, 0.6, 0.2 - 3e-6], &[0.999_997, 1e-6, 2e-6]];

    #[test]
    fn cells_have_their_masses_and_points_lie_within() {
        for masses in MASSES {
            let cells = Thresholds::new(masses);
            assert_eq!(cells.count(), masses.len());
            for (k, mass) in masses.iter().enumerate() {
                assert!(
                    (cells.log_mass(k) - mass.ln()).abs() < 0.1,
                    "{masses:?}: {}",
                    cells.log_mass(k).exp()
                );
                for u in [0.0, 1e-7, 0.1, 0.5, 0.9, 1.0 - 1e-7, 1.0] {
                    assert_eq!(cells.index(cells.point(k, u)), k);
                }
            }
            let total: f64 = (0..masses.len()).map(|k| cells.log_mass(k).exp()).sum();
            assert!((total - 1.0).abs() < 1e-12);
        }
    }

    /// Points are spread as the normal is on the cell, and the mean is theirs.
    #[test]
    fn points_follow_the_truncated_normal() {
        for masses in MASSES {
            let cells = Thresholds::new(masses);
            for k in 0..masses.len() {
                let rule = gauss_legendre(200);
                let mean: f64 = rule.iter().map(|(u, w)| w * f64::from(cells.point(k, *u))).sum();
                assert!(
                    (mean - cells.mean(k)).abs() < 2e-4 * (1.0 + mean.abs()),
                    "{masses:?} {k}: {mean} {}",
                    cells.mean(k)
                );
                let [low, middle] = [cells.ends(k)[0], f64::from(cells.point(k, 0.3))];
                let below = if low > 0.0 {
                    normal_cdf(-low) - normal_cdf(-middle)
                } else {
                    normal_cdf(middle) - normal_cdf(low)
                };
                assert!((below / cells.mass(k) - 0.3).abs() < 0.05, "{masses:?} {k}: {below}");
            }
        }
    }
}
