//! How far a learned law P is from a target law Q over the same finitely many objects.
//!
//! ```text
//! L1   = sum_x |p - q|                               in [0, 2]; peers that report l1_dist mean this sum
//! TV   = L1 / 2                                      in [0, 1]
//! JSD  = KL(P || M)/2 + KL(Q || M)/2, M = (P + Q)/2  in [0, ln 2]
//! KL(P || Q) = sum_x p log(p / q)                    reverse; KL(Q || P) forward
//! chi^2(P || Q) = sum_x (p - q)^2 / q                1/ESS - 1 of importance weights p / q
//! ```
//!
//! The empirical law of N exact samples is away from Q, too. Its mean distance is the floor below which no sampler can be
//! told from a perfect one: with `K ~ Binomial(N, q)`, `v = floor(N q) + 1`,
//!
//! ```text
//! E TV = sum_x E|K - N q| / (2 N) = sum_x v/N C(N, v) q^v (1 - q)^(N - v + 1)  ~  sum_x sqrt(q (1 - q) / (2 pi N))
//! ```
//!
//! Lin, "Divergence measures based on the Shannon entropy" (1991), with weights 1/2; de Moivre's mean absolute deviation
//! in Diaconis and Zabell, "Closed form summation for classical distributions" (1991).

use crate::math::correlation::{pearson, spearman};
use crate::math::{ln_factorial, log_sum_exp};

/// The distances between two laws. Nats where they are logarithms.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Comparison {
    /// The sum of absolute differences.
    pub l1: f64,
    /// Total variation, half of it.
    pub tv: f64,
    /// The Jensen-Shannon divergence.
    pub jsd: f64,
    /// `KL(P || Q)`: infinite where the learned law has objects that the target has not.
    pub reverse_kl: f64,
    /// `KL(Q || P)`: infinite where the learned law misses objects.
    pub forward_kl: f64,
    /// `chi^2(P || Q)`.
    pub chi_square: f64,
}

impl Comparison {
    /// Between the learned law `log_p` and the target `log_q`, log-probabilities `[objects]`, both normalised.
    ///
    /// # Panics
    /// If lengths differ.
    pub fn of(log_p: &[f64], log_q: &[f64]) -> Self {
        assert_eq!(log_p.len(), log_q.len(), "two laws over the same objects");
        let mut sums = Sums::default();
        log_p.iter().zip(log_q).for_each(|(log_p, log_q)| sums.add(*log_p, *log_q));
        sums.comparison()
    }
}

/// `log(2 a / (a + b))` of two probabilities that are not both 0, with their logarithms; 0 where `a` is 0, as then its share
/// of a divergence is.
fn log_share(log_a: f64, log_b: f64, a: f64, b: f64) -> f64 {
    // log(1 + d) stays exact as a and b meet, but not where a is far below b, and d is -1 to rounding.
    let d = (a - b) / (a + b);
    if a == 0.0 {
        0.0
    } else if d > -0.5 {
        d.ln_1p()
    } else {
        std::f64::consts::LN_2 - (log_b - log_a) - (log_a - log_b).exp().ln_1p()
    }
}

/// The sums of a comparison, object by object.
#[derive(Debug, Default)]
pub(super) struct Sums {
    l1: f64,
    jsd: f64,
    reverse_kl: f64,
    forward_kl: f64,
    chi_square: f64,
}

impl Sums {
    pub fn add(&mut self, log_p: f64, log_q: f64) {
        let (p, q) = (log_p.exp(), log_q.exp());
        if p == 0.0 && q == 0.0 {
            return;
        }
        self.l1 += (p - q).abs();
        self.jsd += 0.5 * (p * log_share(log_p, log_q, p, q) + q * log_share(log_q, log_p, q, p));
        self.reverse_kl += if p > 0.0 { p * (log_p - log_q) } else { 0.0 };
        self.forward_kl += if q > 0.0 { q * (log_q - log_p) } else { 0.0 };
        self.chi_square += (p - q) * (p - q) / q;
    }

    /// Objects of target probability `q` in all, none of which the learned law has.
    pub fn add_missed(&mut self, q: f64) {
        if q > 0.0 {
            self.l1 += q;
            self.jsd += 0.5 * std::f64::consts::LN_2 * q;
            self.forward_kl = f64::INFINITY;
            self.chi_square += q;
        }
    }

    pub fn comparison(&self) -> Comparison {
        Comparison {
            l1: self.l1,
            tv: 0.5 * self.l1,
            jsd: self.jsd.clamp(0.0, std::f64::consts::LN_2),
            reverse_kl: self.reverse_kl,
            forward_kl: self.forward_kl,
            chi_square: self.chi_square,
        }
    }
}

/// A learned terminating law against the law of a reward, over all objects.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Learned {
    /// The distances to `R / Z`.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// `log Z = log sum_x R(x)`, nats.
    pub log_z_exact: f64,
    /// What was learned of it less what it is, nats.
    pub log_z_error: Option<f64>,
    /// Pearson's correlation of `log P_T(x)` and `log R(x)` over objects that have both; none where one is constant.
    pub pearson: Option<f64>,
    /// Spearman's, over the same objects.
    pub spearman: Option<f64>,
}

impl Learned {
    /// From `log P_T` and `log R`, `[objects]`, and the `log Z` of the model, where it has one.
    ///
    /// # Panics
    /// If lengths differ.
    pub fn of(log_probs: &[f64], log_rewards: &[f64], log_z: Option<f64>) -> Self {
        let log_z_exact = log_sum_exp(log_rewards);
        let target: Vec<f64> = log_rewards.iter().map(|log_reward| log_reward - log_z_exact).collect();
        let both = log_probs.iter().zip(log_rewards).filter(|(p, r)| p.is_finite() && r.is_finite());
        let (x, y): (Vec<f64>, Vec<f64>) = both.map(|(p, r)| (*p, *r)).unzip();
        Self {
            comparison: Comparison::of(log_probs, &target),
            log_z_exact,
            log_z_error: log_z.map(|log_z| log_z - log_z_exact),
            pearson: pearson(&x, &y),
            spearman: spearman(&x, &y),
        }
    }
}

/// The mean total variation between a law, log-probabilities `[objects]`, and the empirical law of `samples` exact samples
/// of it.
///
/// # Panics
/// If there are no samples.
pub fn noise_floor(log_probs: &[f64], samples: u64) -> f64 {
    assert!(samples > 0, "an empirical law needs samples");
    let n = samples as f64;
    let of_all = ln_factorial(samples);
    let deviation = |log_q: &f64| {
        let q = log_q.exp();
        let v = (n * q).floor() + 1.0;
        if q == 0.0 || v > n {
            return 0.0;
        }
        let log_choices = of_all - ln_factorial(v as u64) - ln_factorial(samples - v as u64);
        v / n * (log_choices + v * log_q + (n - v + 1.0) * (-q).ln_1p()).exp()
    };
    log_probs.iter().map(deviation).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::{LN_2, TAU};

    fn logs(values: &[f64]) -> Vec<f64> {
        values.iter().map(|value| value.ln()).collect()
    }

    #[test]
    fn small_laws_by_hand() {
        let found = Comparison::of(&logs(&[0.5, 0.25, 0.25, 0.0]), &logs(&[0.25, 0.25, 0.5, 0.0]));
        assert_eq!((found.l1, found.tv, found.chi_square), (0.5, 0.25, 0.375));
        assert!(
            (found.reverse_kl - 0.25 * LN_2).abs() < 1e-15 && (found.forward_kl - 0.25 * LN_2).abs() < 1e-15
        );
        // M = (3/8, 1/4, 3/8): each side is .5 log(4/3) + .25 log(2/3).
        let jsd = 0.5 * (4f64 / 3.0).ln() + 0.25 * (2f64 / 3.0).ln();
        assert!((found.jsd - jsd).abs() < 1e-15);
        // One direction is infinite where the other law has no mass.
        let found = Comparison::of(&logs(&[1.0, 0.0]), &logs(&[0.25, 0.75]));
        assert_eq!((found.tv, found.forward_kl, found.chi_square), (0.75, f64::INFINITY, 3.0));
        assert!((found.reverse_kl - 4f64.ln()).abs() < 1e-15);
        let found = Comparison::of(&logs(&[0.25, 0.75]), &logs(&[1.0, 0.0]));
        assert_eq!((found.reverse_kl, found.chi_square), (f64::INFINITY, f64::INFINITY));
        assert!((found.forward_kl - 4f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn ten_thousand_bins_neither_add_nor_lose() {
        let weights: Vec<f64> = (0..10_000).map(|x| 1.0 / f64::from(x + 1)).collect();
        let sum: f64 = weights.iter().sum();
        let p = logs(&weights.iter().map(|weight| weight / sum).collect::<Vec<_>>());
        let same = Comparison::of(&p, &p);
        assert_eq!((same.jsd, same.l1, same.reverse_kl, same.chi_square), (0.0, 0.0, 0.0, 0.0));
        let empty = vec![f64::NEG_INFINITY; p.len()];
        let (first, second) = ([&p[..], &empty].concat(), [&empty[..], &p].concat());
        let disjoint = Comparison::of(&first, &second);
        assert!(
            (disjoint.jsd - LN_2).abs() < 1e-12 && disjoint.jsd <= LN_2 && (disjoint.tv - 1.0).abs() < 1e-12
        );
        assert_eq!((disjoint.reverse_kl, disjoint.forward_kl), (f64::INFINITY, f64::INFINITY));
    }

    /// To second order in a small difference all divergences are the same quadratic form.
    #[test]
    fn close_laws_keep_their_digits() {
        let (p, step) = ([0.1, 0.2, 0.7], 1e-7);
        let q = [0.1 + step, 0.2 - 3.0 * step, 0.7 + 2.0 * step];
        let chi_square = step * step * (1.0 / 0.1 + 9.0 / 0.2 + 4.0 / 0.7);
        let found = Comparison::of(&logs(&p), &logs(&q));
        assert!((found.chi_square / chi_square - 1.0).abs() < 1e-5);
        assert!((found.jsd / (chi_square / 8.0) - 1.0).abs() < 1e-2, "{}", found.jsd);
    }

    /// A law that has almost forgotten an object is about as far from the target as one that has lost it.
    #[test]
    fn probabilities_far_apart_keep_the_divergence() {
        let lost = Comparison::of(&logs(&[0.0, 1.0]), &logs(&[0.75, 0.25])).jsd;
        for log_least in [-2.0, -20.0, -36.0, -37.0, -50.0, -300.0, -744.0, -800.0] {
            let (p, q) = ([log_least, (-f64::exp(log_least)).ln_1p()], logs(&[0.75, 0.25]));
            let term = |a: f64, b: f64| if a > 0.0 { 0.5 * a * (2.0 * a / (a + b)).ln() } else { 0.0 };
            let terms = p.iter().zip(&q).map(|(p, q)| (p.exp(), q.exp()));
            let jsd: f64 = terms.map(|(p, q)| term(p, q) + term(q, p)).sum();
            for found in [Comparison::of(&p, &q).jsd, Comparison::of(&q, &p).jsd] {
                assert!((found - jsd).abs() < 1e-15, "{log_least}: {found}, {jsd}");
                assert!(log_least > -36.0 || (found - lost).abs() < 1e-13, "{log_least}: {found}, {lost}");
            }
        }
    }

    #[test]
    fn the_floor_of_perfect_samplers_is_exact() {
        // Two coins of probability q, three tosses: E|K - 3 q| by enumeration.
        for q in [0.1f64, 1.0 / 3.0, 0.5, 0.9] {
            let law = [(1.0 - q).powi(3), 3.0 * q * (1.0 - q).powi(2), 3.0 * q * q * (1.0 - q), q.powi(3)];
            let mean: f64 = law.iter().zip(0..).map(|(p, k)| p * (f64::from(k) - 3.0 * q).abs()).sum();
            // Both outcomes deviate by the same amount.
            let floor = noise_floor(&logs(&[q, 1.0 - q]), 3);
            assert!((floor - mean / 3.0).abs() < 1e-14, "{q}: {floor}");
        }
        assert_eq!(noise_floor(&[0.0, f64::NEG_INFINITY], 5), 0.0);
        assert!((noise_floor(&logs(&[0.25; 4]), 1) - 0.75).abs() < 1e-15);
    }

    /// The grid of side 16 with the original reward: four modes of 2.6, 60 of .6, 192 of .1.
    #[test]
    fn the_floor_nears_its_asymptote() {
        let weights = [(4, 2.6), (60, 0.6), (192, 0.1)];
        let law: Vec<f64> =
            weights.iter().flat_map(|(count, weight)| vec![f64::ln(weight / 65.6); *count]).collect();
        for (samples, floor, within) in [(10_000, 0.056, 5e-4), (100_000, 0.018, 5e-4)] {
            let asymptote: f64 =
                law.iter().map(|log_q| (log_q.exp() * -log_q.exp_m1() / (TAU * samples as f64)).sqrt()).sum();
            let exact = noise_floor(&law, samples);
            assert!((asymptote - floor).abs() < within, "{asymptote}");
            assert!((exact / asymptote - 1.0).abs() < 0.01, "{exact} against {asymptote}");
        }
    }

    #[test]
    fn a_learned_law_is_summed_up() {
        let log_rewards = [1f64, 2.0, 5.0, 0.0].map(f64::ln);
        let found = Learned::of(&logs(&[0.25, 0.25, 0.5, 0.0]), &log_rewards, Some(2.0));
        assert!((found.log_z_exact - 8f64.ln()).abs() < 1e-15);
        assert!((found.log_z_error.unwrap() - (2.0 - 8f64.ln())).abs() < 1e-15);
        assert!((found.comparison.tv - 0.125).abs() < 1e-15);
        // Over the three objects that have both: ranks (1.5, 1.5, 3) and (1, 2, 3).
        assert!((found.spearman.unwrap() - 0.75f64.sqrt()).abs() < 1e-14);
        assert!(found.pearson.unwrap() > 0.9 && found.pearson.unwrap() < 1.0);
    }
}
