//! Where on the way from the base to the target the densities of a path lie.
//!
//! ```text
//! 0 = b_0 < b_1 < ... < b_K = 1,      b_k = sum_{j <= k} softmax(a)_j
//! ```

use burn::tensor::{Tensor, activation};

use crate::array::weights::{Weights, layout};

/// The places of `K` densities, learned or not.
#[derive(Debug, Clone)]
pub struct Ladder {
    weights: Weights,
    learned: bool,
}

impl Ladder {
    /// `steps` densities, evenly spaced to begin with.
    pub fn new(name: impl Into<String>, steps: usize, learned: bool) -> Self {
        let slots = layout([("log_increments", vec![steps])]);
        Self { weights: Weights::new(name, slots, vec![0.0; steps]), learned }
    }

    /// `K`.
    pub fn steps(&self) -> usize {
        self.weights.len()
    }

    /// Whether it is learned by gradients.
    pub fn is_learned(&self) -> bool {
        self.learned
    }

    /// Puts the densities at these places, the last of which is 1.
    ///
    /// # Panics
    /// If they do not rise, or are not as many.
    pub fn set(&mut self, places: &[f64]) {
        let before = std::iter::once(&0.0).chain(places);
        let increments: Vec<f64> = places.iter().zip(before).map(|(place, before)| place - before).collect();
        assert!(increments.iter().all(|increment| *increment > 0.0), "a ladder rises: {places:?}");
        self.weights.set(increments.iter().map(|increment| increment.ln() as f32).collect());
    }

    /// `b_1`, ..., `b_K`.
    pub fn places(&self) -> Vec<f64> {
        let values: Vec<f64> = self.weights.values().iter().map(|a| f64::from(*a)).collect();
        let log_sum = crate::math::log_sum_exp(&values);
        let mut sum = 0.0;
        let mut places: Vec<f64> = values
            .iter()
            .map(|value| {
                sum += (value - log_sum).exp();
                sum.min(1.0)
            })
            .collect();
        if let Some(last) = places.last_mut() {
            *last = 1.0;
        }
        places
    }

    /// `b_1`, ..., `b_K` on the tape where they are learned, `[1, K]`.
    pub fn on_tape(&self) -> Option<Tensor<2>> {
        let places = || activation::softmax(self.weights.matrix("log_increments"), 1).cumsum(1);
        (self.learned && self.weights.is_tracked()).then(places)
    }

    /// The weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weights, to update.
    pub fn weights_mut(&mut self) -> &mut Weights {
        &mut self.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_what_they_were_set_to() {
        let mut ladder = Ladder::new("ladder", 4, false);
        let near =
            |found: Vec<f64>, exact: [f64; 4]| found.iter().zip(exact).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near(ladder.places(), [0.25, 0.5, 0.75, 1.0]));
        ladder.set(&[0.001, 0.2, 0.9, 1.0]);
        assert!(near(ladder.places(), [0.001, 0.2, 0.9, 1.0]), "{:?}", ladder.places());
        assert!(ladder.on_tape().is_none());
    }
}
