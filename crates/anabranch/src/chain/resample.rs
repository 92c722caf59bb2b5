//! Resampling: draws with weights become draws without.
//!
//! ```text
//! w_1, ..., w_n, of sum 1:   draw i is taken so often that the mean is count w_i
//! multinomial   each draw at random, by its weight
//! stratified    the one in whose stretch of the summed weights (u_i + i) / count lies, u_i uniform on [0, 1) each
//! systematic    the same with one u for all
//! residual      floor(count w_i) times, and the rest multinomially by what is left
//! ```
//!
//! All are unbiased; by systematic resampling a draw is taken `floor(count w_i)` or one more times, with the least spread (Kitagawa
//! 1996; Douc, Cappé and Moulines 2005 compare all four).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math::log_sum_exp;
use crate::rng::{Noise, Purpose};

/// A scheme of resampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resampling {
    /// Each draw at random.
    Multinomial,
    /// One draw in each of even stretches.
    Stratified,
    /// At the same place in each of even stretches.
    #[default]
    Systematic,
    /// Whole shares for certain, the rest at random.
    Residual,
}

/// A uniform on (0, 1) from 32 bits.
fn unit(word: u32) -> f64 {
    (f64::from(word) + 0.5) / 4_294_967_296.0
}

/// Where on the summed weights each of `count` draws lies, in `[0, 1)`, rising but for [`Resampling::Multinomial`].
fn points(count: usize, noise: &Noise, stratified: bool) -> impl Iterator<Item = f64> {
    let first = unit(noise.words(0, 0)[0]);
    let each = noise.clone();
    (0..count).map(move |i| {
        let u = if stratified { unit(each.words(0, 1 + i as u32)[0]) } else { first };
        (i as f64 + u) / count as f64
    })
}

impl Resampling {
    /// `count` places among the weights, in random order; `None` where no draw has weight.
    pub fn places(self, log_weights: &[f64], count: usize, noise: &Noise) -> Option<Vec<u32>> {
        let log_sum = log_sum_exp(log_weights);
        if !log_sum.is_finite() {
            return None;
        }
        let noise = noise.purpose(Purpose::Choice);
        let shares: Vec<f64> = log_weights.iter().map(|weight| (weight - log_sum).exp()).collect();
        let places = match self {
            Self::Systematic => at(&shares, points(count, &noise, false)),
            Self::Stratified => at(&shares, points(count, &noise, true)),
            Self::Multinomial => at_random(&shares, count, &noise),
            Self::Residual => {
                let whole = |share: &f64| (share * count as f64).floor();
                let sure =
                    |(place, share): (usize, &f64)| std::iter::repeat_n(place as u32, whole(share) as usize);
                let mut places: Vec<u32> = shares.iter().enumerate().flat_map(sure).take(count).collect();
                let left = shares.iter().map(|share| share * count as f64 - whole(share));
                let left: Vec<f64> = left.collect();
                places.extend(at_random(&left, count - places.len(), &noise));
                places
            }
        };
        let order = noise.step(noise.current_step().wrapping_add(1)).permutation(count);
        Some(order.into_iter().map(|i| places[i]).collect())
    }
}

/// The weights in whose stretches rising points of `[0, 1)` lie.
fn at(shares: &[f64], points: impl Iterator<Item = f64>) -> Vec<u32> {
    let whole: f64 = shares.iter().sum();
    // Rounding may leave the last stretch short: it is then that of the last draw with weight.
    let last = shares.iter().rposition(|share| *share > 0.0).unwrap_or(0);
    let (mut place, mut passed) = (0, 0.0);
    points
        .map(|point| {
            while place < last && passed + shares[place] <= point * whole {
                passed += shares[place];
                place += 1;
            }
            place as u32
        })
        .collect()
}

fn at_random(shares: &[f64], count: usize, noise: &Noise) -> Vec<u32> {
    let mut drawn: Vec<f64> = (0..count).map(|i| unit(noise.words(0, 1 + i as u32)[0])).collect();
    drawn.sort_unstable_by(f64::total_cmp);
    at(shares, drawn.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Resampling; 4] =
        [Resampling::Multinomial, Resampling::Stratified, Resampling::Systematic, Resampling::Residual];

    /// Every scheme takes a draw as often as it weighs, on average; all but the multinomial one nearly so each time.
    #[test]
    fn draws_are_taken_as_often_as_they_weigh() {
        let log_weights = [0.0, f64::NEG_INFINITY, 2.5f64.ln(), 0.23f64.ln()];
        let whole = 1.0 + 2.5 + 0.23;
        for scheme in ALL {
            let (count, repeats) = (20, 4000);
            let mut sums = [0.0; 4];
            for seed in 0..repeats {
                let found = scheme.places(&log_weights, count, &Noise::new(seed, Purpose::Choice)).unwrap();
                assert_eq!(found.len(), count);
                let taken = |place: u32| found.iter().filter(|found| **found == place).count() as f64;
                for (place, sum) in sums.iter_mut().enumerate() {
                    let (taken, exact) =
                        (taken(place as u32), count as f64 * log_weights[place].exp() / whole);
                    *sum += taken;
                    let most = match scheme {
                        Resampling::Systematic => 1.0,
                        Resampling::Stratified => 2.0,
                        Resampling::Residual if taken < exact => 1.0,
                        _ => count as f64,
                    };
                    assert!((taken - exact).abs() <= most, "{scheme:?}: {place} {taken} times for {exact}");
                }
            }
            for (place, sum) in sums.into_iter().enumerate() {
                let share = log_weights[place].exp() / whole;
                let error = (count as f64 * share * (1.0 - share) / repeats as f64).sqrt();
                let mean = sum / repeats as f64;
                assert!((mean - count as f64 * share).abs() <= 4.0 * error, "{scheme:?}: {place} {mean}");
            }
            assert_eq!(scheme.places(&[f64::NEG_INFINITY; 3], 5, &Noise::new(1, Purpose::Choice)), None);
        }
    }

    #[test]
    fn places_come_in_random_order() {
        for scheme in ALL {
            let found = scheme.places(&[0.0; 50], 50, &Noise::new(3, Purpose::Choice)).unwrap();
            assert!(found.windows(2).any(|pair| pair[0] > pair[1]), "{scheme:?}");
        }
    }
}
