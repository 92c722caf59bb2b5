//! What a sampler of objects has found: the empirical law of the last samples, the best objects, the modes.
//!
//! ```text
//! P_N(x) = #{ i in the last N : x_i = x } / N
//! TV(P_N, Q) = [ sum_{x seen} |P_N(x) - Q(x)| + 1 - sum_{x seen} Q(x) ] / 2
//! ```
//!
//! Only objects that were seen enter, so that a law `Q = R / Z` of known Z needs no enumeration. The mean distance of a
//! perfect sampler is [`noise_floor`](super::distribution::noise_floor).

use super::distribution::{Comparison, Sums};
use crate::environment::{Cell, Distinct};

/// The last N objects of a sampler, first in first out, with exact counts. Memory is that of N objects at most.
#[derive(Debug, Clone)]
pub struct Recent {
    capacity: usize,
    distinct: Distinct,
    /// By the number of the object.
    counts: Vec<u32>,
    log_rewards: Vec<f64>,
    /// Numbers of the objects in a ring, the oldest at `next` once it is full.
    ring: Vec<u32>,
    next: usize,
}

impl Recent {
    /// Of the last `capacity` objects, of `cells` numbers each.
    ///
    /// # Panics
    /// If `capacity` is 0.
    pub fn new(cells: usize, capacity: usize) -> Self {
        assert!(capacity > 0, "an empirical law needs samples");
        let (counts, log_rewards, ring) = (Vec::new(), Vec::new(), Vec::new());
        Self { capacity, distinct: Distinct::new(cells), counts, log_rewards, ring, next: 0 }
    }

    /// Takes the next object with its log-reward, and forgets the oldest if there are more than N.
    pub fn push(&mut self, object: &[Cell], log_reward: f64) {
        if self.ring.len() == self.capacity {
            let oldest = self.ring[self.next] as usize;
            self.counts[oldest] -= 1;
            if self.counts[oldest] == 0 {
                self.distinct.remove(oldest);
            }
        }
        let (number, new) = self.distinct.insert(object);
        if new && number == self.counts.len() {
            self.counts.push(0);
            self.log_rewards.push(0.0);
        }
        self.counts[number] += 1;
        self.log_rewards[number] = log_reward;
        if self.ring.len() < self.capacity {
            self.ring.push(number as u32);
        } else {
            self.ring[self.next] = number as u32;
            self.next = (self.next + 1) % self.capacity;
        }
    }

    /// How many objects are remembered.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether there are none yet.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// How often an object is among them.
    pub fn count(&self, object: &[Cell]) -> u32 {
        self.distinct.find(object).map_or(0, |number| self.counts[number])
    }

    /// The different objects: each with its count and log-reward.
    pub fn objects(&self) -> impl Iterator<Item = (&[Cell], u32, f64)> {
        let seen = (0..self.counts.len()).filter(|number| self.counts[*number] > 0);
        seen.map(|number| (self.distinct.state(number), self.counts[number], self.log_rewards[number]))
    }

    /// How many of the different objects are such, for instance modes.
    pub fn count_distinct(&self, mut is_such: impl FnMut(&[Cell]) -> bool) -> usize {
        self.objects().filter(|(object, ..)| is_such(object)).count()
    }

    /// The distances of the empirical law from `R / Z`; none if it is empty.
    pub fn compare(&self, log_z: f64) -> Option<Comparison> {
        let log_n = (self.len() as f64).ln();
        let mut sums = Sums::default();
        let mut missed = 1.0;
        for (_, count, log_reward) in self.objects() {
            sums.add(f64::from(count).ln() - log_n, log_reward - log_z);
            missed -= (log_reward - log_z).exp();
        }
        // Below this it is the rounding of sums near 1.
        sums.add_missed(if missed > 1e-12 { missed } else { 0.0 });
        (!self.is_empty()).then(|| sums.comparison())
    }
}

/// The k different objects of the largest reward.
#[derive(Debug, Clone)]
pub struct Best {
    capacity: usize,
    distinct: Distinct,
    /// Log-reward and number, the best first; of equal rewards the earlier.
    ranking: Vec<(f64, u32)>,
}

impl Best {
    /// Of at most `capacity` objects, of `cells` numbers each.
    pub fn new(cells: usize, capacity: usize) -> Self {
        Self { capacity, distinct: Distinct::new(cells), ranking: Vec::with_capacity(capacity + 1) }
    }

    /// Takes an object into account. A log-reward that is no number never ranks.
    pub fn push(&mut self, object: &[Cell], log_reward: f64) {
        let full = self.ranking.len() == self.capacity;
        let ranks = !full || self.ranking.last().is_some_and(|(worst, _)| log_reward > *worst);
        if !ranks || log_reward.is_nan() || self.distinct.find(object).is_some() {
            return;
        }
        if full && let Some((_, worst)) = self.ranking.pop() {
            self.distinct.remove(worst as usize);
        }
        let at = self.ranking.partition_point(|(other, _)| *other >= log_reward);
        self.ranking.insert(at, (log_reward, self.distinct.insert(object).0 as u32));
    }

    /// The objects with their log-rewards, the best first.
    pub fn objects(&self) -> impl ExactSizeIterator<Item = (&[Cell], f64)> {
        self.ranking.iter().map(|(log_reward, number)| (self.distinct.state(*number as usize), *log_reward))
    }

    /// The mean of their log-rewards, nats; none if there are none.
    pub fn mean_log_reward(&self) -> Option<f64> {
        let sum: f64 = self.ranking.iter().map(|(log_reward, _)| log_reward).sum();
        (!self.ranking.is_empty()).then(|| sum / self.ranking.len() as f64)
    }

    /// The mean distance of two of them; none if there are fewer than two.
    pub fn mean_distance(&self, distance: impl Fn(&[Cell], &[Cell]) -> f64) -> Option<f64> {
        let k = self.ranking.len();
        let pairs = (0..k).flat_map(|i| (i + 1..k).map(move |j| (i, j)));
        let object = |i: usize| self.distinct.state(self.ranking[i].1 as usize);
        let sum: f64 = pairs.map(|(i, j)| distance(object(i), object(j))).sum();
        (k > 1).then(|| sum / (k * (k - 1) / 2) as f64)
    }
}

/// In how many cells two states differ.
pub fn hamming(a: &[Cell], b: &[Cell]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a != b).count() as f64
}

/// The different modes that a sampler has ever found. Memory is that of the modes.
#[derive(Debug, Clone)]
pub struct Modes(Distinct);

impl Modes {
    /// None yet, of `cells` numbers each.
    pub fn new(cells: usize) -> Self {
        Self(Distinct::new(cells))
    }

    /// Takes a mode; answers whether it is new.
    pub fn push(&mut self, mode: &[Cell]) -> bool {
        self.0.insert(mode).1
    }

    /// How many there are.
    pub fn found(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::distribution::noise_floor;
    use crate::rng::{Noise, Purpose};
    use std::collections::VecDeque;

    /// Objects `[k, 7 k mod 5]` of weights `k + 1`, k below `bound`.
    fn object(k: usize) -> [Cell; 2] {
        [k as Cell, (7 * k % 5) as Cell]
    }

    /// Draws k with probability proportional to k + 1, below 12: the larger of two uniform ones, nearly.
    fn draw(step: usize) -> usize {
        let sum = 12 * 13 / 2;
        let at = Noise::new(9, Purpose::Target).step(step as u32).below(0, sum);
        (0..12).find(|k| (k + 1) * (k + 2) / 2 > at).unwrap()
    }

    #[test]
    fn counts_are_those_of_the_last_objects() {
        let (mut recent, mut queue) = (Recent::new(2, 20), VecDeque::new());
        assert!(recent.compare(0.0).is_none());
        for step in 0..500 {
            let k = draw(step);
            recent.push(&object(k), (k as f64 + 1.0).ln());
            queue.push_back(k);
            if queue.len() > 20 {
                queue.pop_front();
            }
            let counts: Vec<usize> = (0..12).map(|k| queue.iter().filter(|x| **x == k).count()).collect();
            assert!((0..12).all(|k| recent.count(&object(k)) as usize == counts[k]));
            assert_eq!(
                (recent.len(), recent.objects().count()),
                (queue.len(), counts.iter().filter(|c| **c > 0).count())
            );
            // The same distances as over all objects.
            let law = |values: Vec<f64>| values.into_iter().map(f64::ln).collect::<Vec<_>>();
            let n = queue.len() as f64;
            let empirical = law(counts.iter().map(|count| *count as f64 / n).collect());
            let target = law((0..12).map(|k| (k as f64 + 1.0) / 78.0).collect());
            let (found, expected) =
                (recent.compare(78f64.ln()).unwrap(), Comparison::of(&empirical, &target));
            let close = |a: f64, b: f64| a == b || (a - b).abs() < 1e-12;
            assert!(close(found.l1, expected.l1) && close(found.jsd, expected.jsd), "{found:?} {expected:?}");
            assert!(
                close(found.reverse_kl, expected.reverse_kl) && close(found.forward_kl, expected.forward_kl)
            );
            assert!(close(found.chi_square, expected.chi_square) && found.tv == found.l1 / 2.0);
        }
        assert!(recent.counts.len() <= 12, "memory does not grow");
        assert_eq!(recent.count_distinct(|object| object[0] == 11), 1);
    }

    /// The mean over many windows is the floor, within the standard error.
    #[test]
    fn a_perfect_sampler_is_at_the_floor() {
        let (windows, n) = (400, 50);
        let distances: Vec<f64> = (0..windows)
            .map(|window| {
                let mut recent = Recent::new(2, n);
                (0..n)
                    .map(|i| draw(window * n + i))
                    .for_each(|k| recent.push(&object(k), (k as f64 + 1.0).ln()));
                recent.compare(78f64.ln()).unwrap().tv
            })
            .collect();
        let law: Vec<f64> = (0..12).map(|k| ((f64::from(k) + 1.0) / 78.0).ln()).collect();
        let (found, floor) = (crate::math::Estimate::mean(&distances), noise_floor(&law, n as u64));
        assert!((found.value - floor).abs() < 4.0 * found.error, "{found:?} against {floor}");
        assert!(found.error < 0.02 * floor);
    }

    #[test]
    fn the_best_are_different_and_in_order() {
        let mut best = Best::new(3, 4);
        assert_eq!((best.mean_log_reward(), best.mean_distance(hamming)), (None, None));
        let pushed: [([Cell; 3], f64); 9] = [
            ([0, 0, 0], 1.0),
            ([0, 0, 1], 3.0),
            ([0, 0, 1], 3.0),
            ([5, 5, 5], f64::NAN),
            ([0, 2, 1], 2.0),
            ([9, 9, 9], 1.0),
            ([8, 8, 8], 1.0),
            ([0, 3, 1], 2.0),
            ([7, 7, 7], f64::NEG_INFINITY),
        ];
        pushed.iter().for_each(|(object, log_reward)| best.push(object, *log_reward));
        // [9, 9, 9] was as good as [0, 0, 0] but came later, and went first.
        let expected: [(&[Cell], f64); 4] =
            [(&[0, 0, 1], 3.0), (&[0, 2, 1], 2.0), (&[0, 3, 1], 2.0), (&[0, 0, 0], 1.0)];
        assert_eq!(best.objects().collect::<Vec<_>>(), expected);
        assert_eq!(best.mean_log_reward(), Some(2.0));
        // Distances 1, 1, 1 of the first to the others; 1, 2; 2.
        assert_eq!(best.mean_distance(hamming), Some(8.0 / 6.0));
        let mut none = Best::new(3, 0);
        none.push(&[1, 2, 3], 1.0);
        assert_eq!(none.objects().len(), 0);
    }

    #[test]
    fn modes_are_counted_once() {
        let mut modes = Modes::new(2);
        assert!(modes.push(&[1, 2]) && !modes.push(&[1, 2]) && modes.push(&[2, 1]));
        assert_eq!(modes.found(), 2);
    }
}
