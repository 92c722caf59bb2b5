//! Fidelity and diversity by nearest neighbours: precision, recall, density, coverage.
//!
//! B(z) is the closed ball around z that reaches its k-th nearest neighbour within z's own sample. With
//! samples X (n rows) and reference Y (m rows):
//!
//! ```text
//! precision = #{ x in X : x lies in B(y) for some y in Y } / n
//! recall    = #{ y in Y : y lies in B(x) for some x in X } / m
//! density   = #{ (x, y) : x lies in B(y) } / (k n)
//! coverage  = #{ y in Y : B(y) holds some x in X } / m
//! ```
//!
//! Sources: Kynkäänniemi et al., "Improved precision and recall metric for assessing generative models"
//! (NeurIPS 2019), eqs. 1-3; Naeem et al., "Reliable fidelity and diversity metrics for generative models"
//! (ICML 2020), eqs. 4-6. The values mean something only in a space where Euclidean distance does: see
//! [`features`](super::features).

use rayon::prelude::*;

use super::pairs::Pairs;
use crate::error::{Problem, Result};

/// The four values; all lie in `[0, 1]`, except density, which may exceed 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Manifold {
    /// Fraction of samples inside the reference's manifold: fidelity.
    pub precision: f64,
    /// Fraction of the reference inside the samples' manifold: diversity.
    pub recall: f64,
    /// Mean number of reference balls around a sample, over k: fidelity, robust against outliers of Y.
    pub density: f64,
    /// Fraction of reference balls that hold a sample: diversity, robust against outliers of X.
    pub coverage: f64,
}

/// Computes the four values with `neighbours` = k.
///
/// # Errors
/// [`Error::Input`](crate::error::Error::Input) unless 1 <= k, and both samples have more than k rows.
pub fn manifold(pairs: &Pairs, neighbours: usize) -> Result<Manifold> {
    let (n, m) = (pairs.samples(), pairs.reference());
    if neighbours == 0 || neighbours >= n.min(m) {
        return Err(Problem::new("neighbours", neighbours.to_string())
            .allowed(format!("1 or more, and fewer than the rows of either sample ({n} and {m})"))
            .into());
    }
    let radii: Vec<f32> = (0..n + m)
        .into_par_iter()
        .with_min_len(32)
        .map(|row| {
            let (x, y) = pairs.row(row);
            let mut own = if row < n { x.to_vec() } else { y.to_vec() };
            // Position 0 of the sorted row is the point itself.
            *own.select_nth_unstable_by(neighbours, f32::total_cmp).1
        })
        .collect();
    let (radii_x, radii_y) = radii.split_at(n);
    // Per sample: how many reference balls hold it.
    let held: Vec<usize> = (0..n)
        .into_par_iter()
        .with_min_len(32)
        .map(|row| pairs.row(row).1.iter().zip(radii_y).filter(|(squared, radius)| squared <= radius).count())
        .collect();
    // Per reference point: whether a sample's ball holds it, and whether its own ball holds a sample.
    let reached: Vec<(bool, bool)> = (0..m)
        .into_par_iter()
        .with_min_len(32)
        .map(|row| {
            let x = pairs.row(n + row).0;
            let recalled = x.iter().zip(radii_x).any(|(squared, radius)| squared <= radius);
            (recalled, x.iter().any(|squared| *squared <= radii_y[row]))
        })
        .collect();
    let fraction = |count: usize, of: usize| count as f64 / of as f64;
    Ok(Manifold {
        precision: fraction(held.iter().filter(|count| **count > 0).count(), n),
        recall: fraction(reached.iter().filter(|(recalled, _)| *recalled).count(), m),
        density: fraction(held.iter().sum(), neighbours * n),
        coverage: fraction(reached.iter().filter(|(_, covered)| *covered).count(), m),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Points;
    use crate::rng::{Noise, Purpose};

    fn of(x: &[f32], y: &[f32], dimension: usize, neighbours: usize) -> Result<Manifold> {
        let (x, y) = (Points::new(x, dimension).unwrap(), Points::new(y, dimension).unwrap());
        manifold(&Pairs::new(x, y).unwrap(), neighbours)
    }

    #[test]
    fn a_line_by_hand() {
        // Y = {0, 1, 3}: radii 1, 1, 2. X = {0.5, 2.5, 9, 20}: radii 2, 2, 6.5, 11.
        // 0.5 lies in B(0), B(1); 2.5 in B(3); 9 and 20 in none. B(0.5) holds 0, 1; B(2.5) holds 1, 3.
        let found = of(&[0.5, 2.5, 9.0, 20.0], &[0.0, 1.0, 3.0], 1, 1).unwrap();
        assert_eq!(found, Manifold { precision: 0.5, recall: 1.0, density: 0.75, coverage: 1.0 });
        // The other way round: B(9) = [2.5, 15.5] and B(20) = [9, 31] are covered only in part.
        let found = of(&[0.0, 1.0, 3.0], &[0.5, 2.5, 9.0, 20.0], 1, 1).unwrap();
        // 0 in B(0.5); 1 in B(0.5), B(2.5); 3 in B(2.5), B(9): 5 memberships. B(20) holds none.
        assert_eq!(found, Manifold { precision: 1.0, recall: 0.5, density: 5.0 / 3.0, coverage: 0.75 });
    }

    #[test]
    fn identical_samples_are_perfect_even_when_constant() {
        let x = Noise::new(1, Purpose::Target).normal(50, 3);
        let found = of(&x, &x, 3, 5).unwrap();
        assert_eq!((found.precision, found.recall, found.coverage), (1.0, 1.0, 1.0));
        let found = of(&[2.0; 8], &[2.0; 8], 1, 3).unwrap();
        assert_eq!((found.precision, found.recall, found.coverage), (1.0, 1.0, 1.0));
    }

    #[test]
    fn equal_laws_have_density_one_and_the_known_coverage() {
        // B(y) holds no x if the k nearest of all other points are of Y, which gives
        // E coverage = 1 - (m-1)...(m-k) / ((n+m-1)...(n+m-k)) (Naeem et al., section 3.3).
        let (n, k, runs) = (60, 3, 60);
        let found: Vec<Manifold> = (0..runs)
            .map(|seed| {
                let draw = |offset| Noise::new(2 * seed as u64 + offset, Purpose::Target).normal(n, 2);
                of(&draw(0), &draw(1), 2, k).unwrap()
            })
            .collect();
        let within = |value: fn(&Manifold) -> f64, expected: f64| {
            let mean = found.iter().map(value).sum::<f64>() / runs as f64;
            let variance = found.iter().map(|f| (value(f) - mean).powi(2)).sum::<f64>() / (runs - 1) as f64;
            let error = (mean - expected).abs();
            assert!(error < 4.0 * (variance / runs as f64).sqrt(), "{mean} against {expected}");
        };
        let misses: f64 = (0..k).map(|i| (n - 1 - i) as f64 / (2 * n - 1 - i) as f64).product();
        within(|found| found.coverage, 1.0 - misses);
        // A sample lies closer to y than its k-th of m - 1 neighbours with probability k / m.
        within(|found| found.density, 1.0);
        within(|found| found.precision - found.recall, 0.0);
    }

    #[test]
    fn collapse_costs_recall_and_noise_costs_precision() {
        let y = Noise::new(1, Purpose::Target).normal(300, 4);
        let narrow: Vec<f32> =
            Noise::new(2, Purpose::Target).normal(300, 4).iter().map(|v| 0.2 * v).collect();
        let wide: Vec<f32> = Noise::new(2, Purpose::Target).normal(300, 4).iter().map(|v| 3.0 * v).collect();
        let (narrow, wide) = (of(&narrow, &y, 4, 5).unwrap(), of(&wide, &y, 4, 5).unwrap());
        assert!(narrow.precision > 0.95 && narrow.recall < 0.1 && narrow.coverage < 0.3, "{narrow:?}");
        assert!(wide.precision < 0.4 && wide.recall > 0.9 && wide.density < 0.3, "{wide:?}");
    }

    #[test]
    fn neighbours_must_exist() {
        for neighbours in [0, 3, 9] {
            let message = of(&[0.0, 1.0, 2.0], &[0.0; 5], 1, neighbours).unwrap_err().to_string();
            assert!(message.contains("neighbours") && message.contains("3 and 5"), "{message}");
        }
    }
}
