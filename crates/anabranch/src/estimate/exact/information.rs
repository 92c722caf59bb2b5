//! Entropies and mutual information by enumeration.
//!
//! ```text
//! H(X) = log Z - sum_x R(x)/Z log R(x)
//! H(B | A) = H(A, B) - H(A),   I(A; B) = sum_ab p(a, b) log [p(a, b) / (p(a) p(b))] = H(A) - H(A | B)
//! ```
//!
//! `A` and `B` are functions of an object, given as a label of each. All in nats.
//!
//! Bengio et al., "GFlowNet Foundations" (2023), section 6.

use super::relative;
use crate::math::log_sum_exp;

/// The entropy of the law proportional to `exp(log_weights)`; weights of 0 add nothing.
pub fn entropy(log_weights: &[f64]) -> f64 {
    let log_z = log_sum_exp(log_weights);
    -log_weights.iter().map(|log_weight| relative(log_weight - log_z, 0.0)).sum::<f64>()
}

/// What two functions of the same object say of each other. Nats.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Joint {
    /// `H(A)`.
    pub entropy_a: f64,
    /// `H(B)`.
    pub entropy_b: f64,
    /// `H(A, B)`.
    pub entropy: f64,
    /// `H(A | B)`.
    pub entropy_a_given_b: f64,
    /// `H(B | A)`.
    pub entropy_b_given_a: f64,
    /// `I(A; B)`.
    pub mutual_information: f64,
}

impl Joint {
    /// For objects of unnormalised log-probabilities `log_weights`, with their labels; all `[objects]`.
    ///
    /// # Panics
    /// If lengths differ.
    pub fn of(log_weights: &[f64], a: &[u32], b: &[u32]) -> Self {
        assert!(a.len() == log_weights.len() && b.len() == log_weights.len(), "labels of each object");
        let log_z = log_sum_exp(log_weights);
        let normalised = log_weights.iter().map(|log_weight| log_weight - log_z);
        let joint = grouped(a.iter().copied().zip(b.iter().copied()).zip(normalised).collect());
        let law_a = grouped(joint.iter().map(|((a, _), log_p)| (*a, *log_p)).collect());
        let law_b = grouped(joint.iter().map(|((_, b), log_p)| (*b, *log_p)).collect());
        let of = |law: &[(u32, f64)], label: u32| {
            law[law.binary_search_by_key(&label, |(label, _)| *label).expect("a label of an object")].1
        };
        let sum = |term: &dyn Fn(f64, f64, f64) -> f64| -> f64 {
            joint.iter().map(|((a, b), log_p)| term(*log_p, of(&law_a, *a), of(&law_b, *b))).sum()
        };
        let entropy_of =
            |law: &[(u32, f64)]| -law.iter().map(|(_, log_p)| relative(*log_p, 0.0)).sum::<f64>();
        Self {
            entropy_a: entropy_of(&law_a),
            entropy_b: entropy_of(&law_b),
            entropy: -sum(&|log_p, _, _| relative(log_p, 0.0)),
            entropy_a_given_b: -sum(&|log_p, _, log_b| relative(log_p, log_b)),
            entropy_b_given_a: -sum(&|log_p, log_a, _| relative(log_p, log_a)),
            mutual_information: sum(&|log_p, log_a, log_b| relative(log_p, log_a + log_b)),
        }
    }
}

/// Sums the probabilities of equal labels; labels ascend.
fn grouped<L: Ord + Copy>(mut labelled: Vec<(L, f64)>) -> Vec<(L, f64)> {
    labelled.sort_by_key(|(label, _)| *label);
    let group = |group: &[(L, f64)]| {
        let log_probs: Vec<f64> = group.iter().map(|(_, log_p)| *log_p).collect();
        (group[0].0, log_sum_exp(&log_probs))
    };
    labelled.chunk_by(|(a, _), (b, _)| a == b).map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two bits with weights 1, 1, 1, 3 for 00, 01, 10, 11.
    #[test]
    fn two_bits_have_their_known_information() {
        let log_weights = [0.0, 0.0, 0.0, 3f64.ln()];
        let joint = Joint::of(&log_weights, &[0, 0, 1, 1], &[7, 9, 7, 9]);
        let expected = [0.636514, 0.636514, 1.242453, 0.605939, 0.605939, 0.030575];
        let found = [
            joint.entropy_a,
            joint.entropy_b,
            joint.entropy,
            joint.entropy_a_given_b,
            joint.entropy_b_given_a,
            joint.mutual_information,
        ];
        found.iter().zip(expected).for_each(|(found, expected)| assert!((found - expected).abs() < 5e-7));
        assert!((entropy(&log_weights) - joint.entropy).abs() < 1e-15);
    }

    /// Labels that are not one to one, asymmetric laws, weights far from 1, an impossible object.
    #[test]
    fn information_obeys_its_identities() {
        let log_weights = [-900.0, -901.5, -902.0, -899.0, -900.5, f64::NEG_INFINITY, -903.0];
        let (a, b) = ([0, 0, 1, 1, 2, 2, 0], [4, 5, 4, 5, 5, 4, 5]);
        let joint = Joint::of(&log_weights, &a, &b);
        assert!((joint.entropy_b_given_a - (joint.entropy - joint.entropy_a)).abs() < 1e-12);
        assert!((joint.entropy_a_given_b - (joint.entropy - joint.entropy_b)).abs() < 1e-12);
        assert!((joint.mutual_information - (joint.entropy_a - joint.entropy_a_given_b)).abs() < 1e-12);
        assert!(joint.mutual_information > 0.01 && joint.entropy_a > joint.entropy_b);
        // A function of an object says all of itself, and nothing of a constant.
        let own = Joint::of(&log_weights, &a, &a);
        assert!(
            (own.mutual_information - joint.entropy_a).abs() < 1e-12 && own.entropy_a_given_b.abs() < 1e-12
        );
        assert!(Joint::of(&log_weights, &a, &[3; 7]).mutual_information.abs() < 1e-12);
        assert!((entropy(&[5.0; 8]) - 8f64.ln()).abs() < 1e-15 && entropy(&[f64::NEG_INFINITY, 3.0]) == 0.0);
    }
}
