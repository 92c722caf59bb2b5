//! Systematic resampling: draws with weights become draws without.
//!
//! ```text
//! u uniform on [0, 1);   draw i is the one in whose stretch of the summed weights (u + i) / count lies
//! ```
//!
//! A draw of weight `w` (of sum 1) is taken `floor(count w)` or one more times, `count w` on average (Kitagawa 1996): of all
//! unbiased ways the one with the least spread in how often.

use crate::math::log_sum_exp;
use crate::rng::{Noise, Purpose};

/// `count` places among the weights, in random order; `None` where no draw has weight.
pub fn systematic(log_weights: &[f64], count: usize, noise: &Noise) -> Option<Vec<usize>> {
    let log_sum = log_sum_exp(log_weights);
    if !log_sum.is_finite() {
        return None;
    }
    let noise = noise.purpose(Purpose::Choice);
    let u = (f64::from(noise.words(0, 0)[0]) + 0.5) / 4_294_967_296.0;
    let mut places = Vec::with_capacity(count);
    let (mut place, mut passed) = (0, 0.0);
    // Rounding may leave the last stretch short: it is then that of the last draw with weight.
    let last = log_weights.iter().rposition(|log_weight| *log_weight > f64::NEG_INFINITY)?;
    for i in 0..count {
        let wanted = (u + i as f64) / count as f64;
        let share = |place: usize| (log_weights[place] - log_sum).exp();
        while place < last && passed + share(place) <= wanted {
            passed += share(place);
            place += 1;
        }
        places.push(place);
    }
    let order = noise.step(1).permutation(count);
    Some(order.into_iter().map(|i| places[i]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_taken_as_often_as_they_weigh() {
        let log_weights = [0.0, f64::NEG_INFINITY, 2.5f64.ln(), 0.25f64.ln()];
        let noise = Noise::new(3, Purpose::Choice);
        let found = systematic(&log_weights, 375, &noise).unwrap();
        let taken = |place: usize| found.iter().filter(|found| **found == place).count();
        assert_eq!((found.len(), taken(1)), (375, 0));
        for (place, share) in [(0, 100.0), (2, 250.0), (3, 25.0)] {
            assert!((taken(place) as f64 - share).abs() <= 1.0, "{place}: {}", taken(place));
        }
        assert!(found.windows(2).any(|pair| pair[0] > pair[1]), "in random order");
        assert_eq!(systematic(&[f64::NEG_INFINITY; 3], 5, &noise), None);
        // On average exactly, whatever the remainder.
        let mean = |seed: u64| {
            let found = systematic(&[0.0, 1.0], 1, &Noise::new(seed, Purpose::Choice)).unwrap();
            found[0] as f64
        };
        let mean = (0..4000).map(mean).sum::<f64>() / 4000.0;
        let exact = 1f64.exp() / (1.0 + 1f64.exp());
        assert!((mean - exact).abs() < 4.0 * (exact * (1.0 - exact) / 4000.0).sqrt(), "{mean}");
    }
}
