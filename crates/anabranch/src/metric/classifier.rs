//! A small classifier that tells samples X from a reference Y.
//!
//! ```text
//! s(x) = network((x - mean) / deviation),   minimise  mean over X of ln(1 + e^(-s)) + mean over Y of ln(1 + e^s)
//! ```
//!
//! The logit s estimates ln p_X / p_Y, the log density ratio. The network has two hidden layers of 64 units and is
//! trained by AdamW; mean and deviation are the pooled training rows'. Source: Sugiyama, Suzuki and Kanamori,
//! "Density ratio estimation in machine learning" (2012), chapter 4.

use burn::tensor::activation;

use super::{Points, Stream, noise, same_dimension};
use crate::array::weights::{matrix, to_vec};
use crate::error::Result;
use crate::network::{Activation, Feedforward, Network};
use crate::optim::adam::{Moments, Update, adam_step};
use crate::optim::{OptimizerRecipe, learning_rate};
use crate::rng::Noise;

const HIDDEN: [usize; 2] = [64, 64];
/// Rows of each sample in one step.
const BATCH: usize = 64;
/// Passes over the larger sample, and the least and most steps.
const EPOCHS: usize = 20;
const STEPS: [usize; 2] = [200, 1000];
const RATE: f64 = 3e-3;
/// Strong, for the network has more weights than a small sample has rows.
const DECAY: f64 = 3.0;
/// Standardised inputs are cut off here, so that no logit overflows.
const LIMIT: f32 = 1e3;

/// A trained classifier.
#[derive(Debug, Clone)]
pub struct Classifier {
    mean: Vec<f32>,
    deviation: Vec<f32>,
    network: Network,
}

impl Classifier {
    /// Trains on samples `[n, dimension]` and a reference `[m, dimension]`; both count alike, whatever their sizes.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) if the dimensions differ.
    pub fn train(samples: Points<'_>, reference: Points<'_>, seed: u64) -> Result<Self> {
        same_dimension(samples, reference)?;
        let noise = noise(seed, Stream::Classifier);
        let shape = Feedforward {
            input: samples.dimension(),
            context: 0,
            hidden: HIDDEN.to_vec(),
            output: 1,
            activation: Activation::Relu,
            residual: false,
        };
        // Weights of its own, not those that a model of the same seed begins with.
        let [low, high, ..] = noise.words(0, 0);
        let network = Network::new("classifier", shape, u64::from(high) << 32 | u64::from(low), 0, true);
        let (mean, deviation) = standardisation(samples, reference);
        let mut classifier = Self { mean, deviation, network };
        classifier.fit(samples, reference, &noise);
        Ok(classifier)
    }

    /// The logit of every row: positive where it is rather a sample's than the reference's.
    ///
    /// # Panics
    /// If the dimension is not that of the training rows.
    pub fn logits(&self, points: Points<'_>) -> Vec<f32> {
        let dimension = self.mean.len();
        assert_eq!(points.dimension(), dimension, "the classifier was trained in another dimension");
        let inputs = matrix(self.standardised(points.values()), dimension, &self.network.weights().device());
        to_vec(self.network.apply(inputs, None))
    }

    fn standardised(&self, values: &[f32]) -> Vec<f32> {
        let row = |row: &[f32]| -> Vec<f32> {
            let entries = row.iter().zip(&self.mean).zip(&self.deviation);
            entries.map(|((x, mean), deviation)| ((x - mean) / deviation).clamp(-LIMIT, LIMIT)).collect()
        };
        values.chunks_exact(self.mean.len()).flat_map(row).collect()
    }

    /// Minimises the loss over batches that take equally many rows of either side.
    fn fit(&mut self, samples: Points<'_>, reference: Points<'_>, noise: &Noise) {
        let dimension = self.mean.len();
        let recipe =
            OptimizerRecipe { learning_rate: RATE, weight_decay: DECAY, ..OptimizerRecipe::default() };
        let batch = BATCH.min(samples.rows()).min(reference.rows());
        let steps = (EPOCHS * samples.rows().max(reference.rows()) / batch).clamp(STEPS[0], STEPS[1]);
        self.network.weights_mut().track();
        let device = self.network.weights().device();
        let signs = matrix([vec![1.0; batch], vec![-1.0; batch]].concat(), 1, &device);
        let mut values = self.network.weights().values();
        let (mut first, mut second) = (vec![0.0; values.len()], vec![0.0; values.len()]);
        let all = 0..values.len();
        let mut orders = [Vec::new(), Vec::new()];
        for step in 0..steps {
            let mut rows = Vec::with_capacity(2 * batch * dimension);
            for (side, points) in [samples, reference].into_iter().enumerate() {
                // A pass ends when no whole batch is left.
                let (pass, place) = (step / (points.rows() / batch), step % (points.rows() / batch));
                if place == 0 {
                    let address = 1 + 2 * pass + side;
                    orders[side] = noise.from_trajectory(address as u64).permutation(points.rows());
                }
                rows.extend(self.standardised(&points.gather(&orders[side][place * batch..][..batch])));
            }
            let logits = self.network.apply(matrix(rows, dimension, &device), None);
            // ln(1 + e^-z) at z = s for samples and z = -s for the reference.
            let loss = -activation::log_sigmoid(logits * signs.clone()).mean();
            let mut gradients = loss.backward();
            let weights = self.network.weights_mut();
            let gradient = weights.gradient(&mut gradients).expect("every weight takes part in the loss");
            let moments = Moments { first: &mut first, second: &mut second };
            let rate = learning_rate(&recipe, step as u64, steps as u64);
            let update =
                Update { rate, time: step as u64 + 1, scale: 1.0, decayed: std::slice::from_ref(&all) };
            adam_step(&recipe, update, &mut values, &gradient, moments);
            weights.set(values.clone());
        }
        self.network.weights_mut().freeze();
    }
}

/// Mean and standard deviation of every coordinate over the rows of both; 1 for a constant coordinate.
fn standardisation(samples: Points<'_>, reference: Points<'_>) -> (Vec<f32>, Vec<f32>) {
    let rows = (samples.rows() + reference.rows()) as f64;
    let moments = |column: usize| {
        let values = |points: Points<'_>| {
            (0..points.rows()).map(move |row| f64::from(points.row(row)[column])).collect::<Vec<f64>>()
        };
        let values = [values(samples), values(reference)].concat();
        let mean = values.iter().sum::<f64>() / rows;
        let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / rows).sqrt() as f32;
        (mean as f32, if deviation > 0.0 { deviation } else { 1.0 })
    };
    (0..samples.dimension()).map(moments).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    fn normal(seed: u64, rows: usize, dimension: usize) -> Vec<f32> {
        Noise::new(seed, Purpose::Target).normal(rows, dimension)
    }

    #[test]
    fn logits_approach_the_log_density_ratio() {
        // N(1, 1) against N(-1, 1), in units of 100 around 5000: ln p_X / p_Y = 2 z.
        let draw = |seed, shift: f32| -> Vec<f32> {
            normal(seed, 2000, 1).iter().map(|z| 5000.0 + 100.0 * (z + shift)).collect()
        };
        let (x, y) = (draw(1, 1.0), draw(2, -1.0));
        let (x, y) = (Points::new(&x, 1).unwrap(), Points::new(&y, 1).unwrap());
        let classifier = Classifier::train(x, y, 3).unwrap();
        let at: Vec<f32> = [-1.0, -0.5, 0.0, 0.5, 1.0].iter().map(|z| 5000.0 + 100.0 * z).collect();
        let found = classifier.logits(Points::new(&at, 1).unwrap());
        for (logit, expected) in found.iter().zip([-2.0, -1.0, 0.0, 1.0, 2.0]) {
            assert!((logit - expected).abs() < 0.5, "{found:?}");
        }
    }

    #[test]
    fn the_boundary_may_be_curved() {
        // Signs equal against signs opposed: no linear classifier does better than chance.
        let draw = |seed, sign: f32| -> Vec<f32> {
            normal(seed, 400, 2)
                .chunks_exact(2)
                .flat_map(|z| [z[0], sign * z[0].signum() * z[1].abs()])
                .collect()
        };
        let (x, y) = (draw(1, 1.0), draw(2, -1.0));
        let classifier =
            Classifier::train(Points::new(&x, 2).unwrap(), Points::new(&y, 2).unwrap(), 3).unwrap();
        let (x, y) = (draw(4, 1.0), draw(5, -1.0));
        let positive = |values: &[f32]| {
            let logits = classifier.logits(Points::new(values, 2).unwrap());
            logits.iter().filter(|logit| **logit > 0.0).count()
        };
        assert!(positive(&x) > 360 && positive(&y) < 40, "{} {}", positive(&x), positive(&y));
    }

    #[test]
    fn extremes_stay_finite() {
        // One row each, a constant coordinate, and test points far outside.
        let (x, y) = ([1e-30, 2.0, 7.0], [-1e-30, 2.0, 9.0]);
        let classifier =
            Classifier::train(Points::new(&x, 3).unwrap(), Points::new(&y, 3).unwrap(), 1).unwrap();
        let far = [1e16, -1e16, 1e16, 1e-30, 2.0, 7.0];
        let logits = classifier.logits(Points::new(&far, 3).unwrap());
        assert!(logits.iter().all(|logit| logit.is_finite()) && logits[1] > 0.0, "{logits:?}");
        let plane = Points::new(&x[..2], 2).unwrap();
        assert!(Classifier::train(plane, Points::new(&y, 3).unwrap(), 1).unwrap_err().is_input());
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let (x, y) = (normal(1, 300, 5), normal(2, 170, 5));
        let (x, y) = (Points::new(&x, 5).unwrap(), Points::new(&y, 5).unwrap());
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Classifier::train(x, y, 4).unwrap().logits(x))
        };
        assert_eq!(run(1), run(3));
    }
}
