//! How evenly samples cover the modes of a target.
//!
//! ```text
//! EMC = -sum_k p_k log_K p_k,   p_k = share of mode k of K among the samples that hit a mode
//! ```
//!
//! 1 where all modes are hit alike, 0 where one has everything. Source: Blessing, Jia, Esslinger, Vargas and Neumann, "Beyond ELBOs"
//! (ICML 2024), section 4 (entropic mode coverage), for targets whose modes are all alike.

use std::collections::HashMap;

/// The entropic mode coverage of samples that hit modes `hits` (each a mode, once for each sample that hits it) of `modes`; `None`
/// where there are fewer than two modes or none is hit.
pub fn entropic_mode_coverage(hits: impl IntoIterator<Item = usize>, modes: f64) -> Option<f64> {
    let mut counts: HashMap<usize, u64> = HashMap::new();
    hits.into_iter().for_each(|mode| *counts.entry(mode).or_default() += 1);
    let total = counts.values().sum::<u64>() as f64;
    if modes < 2.0 || total == 0.0 {
        return None;
    }
    let mut counts: Vec<u64> = counts.into_values().collect();
    // Sums do not depend on the order in which a map gives its entries.
    counts.sort_unstable();
    let entropy: f64 =
        counts.iter().map(|count| *count as f64 / total).map(|share| -share * share.ln()).sum();
    Some(entropy / modes.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_and_lone_modes() {
        assert!((entropic_mode_coverage([0, 1, 2, 3, 3, 2, 1, 0], 4.0).unwrap() - 1.0).abs() < 1e-15);
        assert_eq!(entropic_mode_coverage([7; 5], 4.0), Some(0.0));
        // Two of four alike: ln 2 / ln 4.
        assert!((entropic_mode_coverage([0, 3], 4.0).unwrap() - 0.5).abs() < 1e-15);
        // Shares 3/4 and 1/4 of two.
        let expected = (0.75 * (4.0f64 / 3.0).ln() + 0.25 * 4f64.ln()) / 2f64.ln();
        assert!((entropic_mode_coverage([1, 1, 1, 0], 2.0).unwrap() - expected).abs() < 1e-15);
        assert_eq!(entropic_mode_coverage([], 4.0), None);
        assert_eq!(entropic_mode_coverage([0, 0], 1.0), None);
    }
}
