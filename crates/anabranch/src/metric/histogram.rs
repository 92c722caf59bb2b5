//! What states two sequences have, and how often, wherever they stand.
//!
//! ```text
//! H(a, b)^2 = 1 - sum_k sqrt(p_k q_k)        Hellinger distance of the shares p, q of each state in a and in b, from 0 to 1
//! outliers  = share of the states of a that b does not have anywhere
//! ```
//!
//! Campbell et al., "A continuous time framework for discrete denoising models" (2022), section 6.3, and Sun et al., "Score-based
//! continuous-time discrete diffusion models" (2023), section 6.3, for what is drawn after a prefix beside what came after it.

use std::collections::BTreeMap;

fn shares(states: &[f32]) -> BTreeMap<u32, f64> {
    let mut shares = BTreeMap::new();
    states.iter().for_each(|state| *shares.entry(*state as u32).or_default() += 1.0 / states.len() as f64);
    shares
}

/// The Hellinger distance of the shares of each state in two sequences.
pub fn hellinger(a: &[f32], b: &[f32]) -> f64 {
    let (p, q) = (shares(a), shares(b));
    let both: f64 = p.iter().filter_map(|(state, p)| Some((p * q.get(state)?).sqrt())).sum();
    (1.0 - both).max(0.0).sqrt()
}

/// The share of the states of `a` that `b` does not have.
pub fn outliers(a: &[f32], b: &[f32]) -> f64 {
    a.iter().filter(|state| !b.contains(state)).count() as f64 / a.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_compared_by_what_they_have() {
        let (a, b) = ([1.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 1.0]);
        assert!(hellinger(&a, &b) < 1e-7 && outliers(&a, &b) == 0.0);
        assert_eq!((hellinger(&a, &[4.0]), outliers(&a, &[4.0])), (1.0, 1.0));
        // Shares 1/2, 1/4, 1/4 and 1/2, 1/2.
        let expected = (1.0 - 0.5 - (0.25f64 * 0.5).sqrt()).sqrt();
        assert!((hellinger(&a, &[1.0, 2.0]) - expected).abs() < 1e-12);
        assert_eq!(outliers(&a, &[1.0, 2.0]), 0.25);
        assert_eq!(outliers(&[1.0, 2.0], &a), 0.0);
    }
}
