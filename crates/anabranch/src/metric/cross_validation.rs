//! Classifier two-sample test by cross-validation, as benchmarks of simulation-based inference run it.
//!
//! ```text
//! the rows of X and of Y, standardised by mean and standard deviation of X, are shuffled and cut into 5 parts
//! accuracy = mean over parts of the share of its rows that a classifier trained on the other four parts predicts right
//! classifier  two hidden layers of 10 d units (rectifiers), sigmoid output, cross-entropy + 1e-4 |W|^2 / (2 rows of a batch)
//! training    Adam, rate 1e-3, batches of 200 rows in a new order each epoch, until the mean loss of ten epochs in a row is
//!             not 1e-4 below the least so far
//! ```
//!
//! 1/2 where the laws agree, 1 where they are told apart; with few rows it can fall below 1/2, since each part lacks the rows that
//! the classifier has learned. Protocol: Lueckmann et al., "Benchmarking simulation-based inference" (2021), appendix A.4, with the
//! classifier's settings as in the published program (scikit-learn's `MLPClassifier`); its random numbers are this crate's. All five
//! classifiers are trained at once; [`c2st`](super::c2st::c2st) is the quicker test, with a p-value.

use rayon::prelude::*;

use super::{Points, Stream, at_least, noise, same_dimension};
use crate::array::matmul::row_stride;
use crate::error::Result;
use crate::math::Estimate;
use crate::network::Activation;
use crate::network::taped::{Inputs, Mlp, NONE, Tape, TapedNetwork};
use crate::optim::OptimizerRecipe;
use crate::optim::adam::{Moments, Update, adam_step};
use crate::rng::Noise;

const FOLDS: usize = 5;
/// Units of a hidden layer for each coordinate.
const UNITS: usize = 10;
const BATCH: usize = 200;
const RATE: f64 = 1e-3;
const DECAY: f32 = 1e-4;
const TOLERANCE: f64 = 1e-4;
const PATIENCE: usize = 10;
const MOST_EPOCHS: usize = 10_000;

/// The accuracy of classifiers that tell samples `[n, dimension]` from a reference `[m, dimension]`: its mean over the parts and that
/// mean's standard error.
///
/// # Errors
/// [`Error::Input`](crate::error::Error::Input) if the dimensions differ or either sample has fewer than ten rows.
pub fn cross_validated(samples: Points<'_>, reference: Points<'_>, seed: u64) -> Result<Estimate> {
    same_dimension(samples, reference)?;
    at_least("samples", samples.rows(), 10, "a cross-validated classifier")?;
    at_least("reference", reference.rows(), 10, "a cross-validated classifier")?;
    let dimension = samples.dimension();
    let rows = standardised(samples, reference);
    let noise = noise(seed, Stream::Folds);
    let order = noise.permutation(rows.len() / dimension);
    // The first parts have the rows that are left over.
    let (each, more) = (order.len() / FOLDS, order.len() % FOLDS);
    let start = |fold: usize| fold * each + fold.min(more);
    let accuracy = |fold: usize| {
        let (tested, before) = (start(fold)..start(fold + 1), &order[..start(fold)]);
        let trained: Vec<usize> = before.iter().chain(&order[tested.end..]).copied().collect();
        let data = Labelled { rows: &rows, dimension, first: samples.rows() };
        data.accuracy(&trained, &order[tested], &noise.step(noise.current_step() + 16 * (1 + fold as u32)))
    };
    let each: Vec<f64> = (0..FOLDS).into_par_iter().map(accuracy).collect();
    Ok(Estimate::mean(&each))
}

/// All rows, the samples' first, by the samples' mean and standard deviation.
fn standardised(samples: Points<'_>, reference: Points<'_>) -> Vec<f32> {
    let (dimension, rows) = (samples.dimension(), samples.rows() as f64);
    let moments = |column: usize| {
        let values = || (0..samples.rows()).map(|row| f64::from(samples.row(row)[column]));
        let mean = values().sum::<f64>() / rows;
        let deviation = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / (rows - 1.0)).sqrt();
        (mean, if deviation > 0.0 { deviation } else { 1.0 })
    };
    let moments: Vec<(f64, f64)> = (0..dimension).map(moments).collect();
    let both = samples.values().iter().chain(reference.values()).zip(moments.iter().cycle());
    both.map(|(value, (mean, deviation))| ((f64::from(*value) - mean) / deviation) as f32).collect()
}

/// Rows of which the `first` ones are samples, the others of the reference.
struct Labelled<'a> {
    rows: &'a [f32],
    dimension: usize,
    first: usize,
}

impl Labelled<'_> {
    /// The share of the `tested` rows that a classifier trained on the `trained` ones predicts right.
    fn accuracy(&self, trained: &[usize], tested: &[usize], noise: &Noise) -> f64 {
        let network = Mlp::new(
            Inputs { features: 0, dense: self.dimension },
            &[UNITS * self.dimension; 2],
            1,
            Activation::Relu,
        );
        let weights = self.fit(&network, trained, noise);
        let mut tape = Tape::default();
        tested.iter().for_each(|row| self.push(&mut tape, *row));
        network.with(&weights).evaluate(&mut tape, 0);
        let right = |(place, row): (usize, &usize)| (tape.output(place, 1)[0] > 0.0) == (*row >= self.first);
        tested.iter().enumerate().filter(|at| right(*at)).count() as f64 / tested.len() as f64
    }

    fn push(&self, tape: &mut Tape, row: usize) {
        tape.push(NONE, |_, dense| dense.extend(&self.rows[row * self.dimension..][..self.dimension]));
    }

    /// Weights that minimise the loss over the `trained` rows.
    fn fit(&self, network: &Mlp, trained: &[usize], noise: &Noise) -> Vec<f32> {
        let recipe = OptimizerRecipe { learning_rate: RATE, ..OptimizerRecipe::default() };
        let layout = network.layout();
        let mut weights = initial(network, &noise.step(noise.current_step() + 1));
        let (mut first, mut second) = (vec![0.0; weights.len()], vec![0.0; weights.len()]);
        let mut gradient = vec![0.0; weights.len()];
        let (mut tape, mut slopes) = (Tape::default(), Vec::new());
        let stride = row_stride(1);
        let (mut least, mut since, mut time) = (f64::INFINITY, 0, 0);
        for epoch in 0..MOST_EPOCHS {
            let order = noise.from_trajectory(1 + epoch as u64).permutation(trained.len());
            let mut total = 0.0;
            for batch in order.chunks(BATCH) {
                tape.clear();
                batch.iter().for_each(|at| self.push(&mut tape, trained[*at]));
                let evaluator = network.with(&weights);
                evaluator.evaluate(&mut tape, 0);
                slopes.clear();
                slopes.resize(batch.len() * stride, 0.0);
                let count = batch.len() as f32;
                for (place, at) in batch.iter().enumerate() {
                    let logit = tape.output(place, 1)[0];
                    let sign = if trained[*at] >= self.first { 1.0 } else { -1.0 };
                    // ln(1 + e^(-sign logit)) and its slope.
                    let margin = sign * logit;
                    total += f64::from((-margin.abs()).exp().ln_1p() + (-margin).max(0.0));
                    slopes[place * stride] = -sign / ((1.0 + margin.exp()) * count);
                }
                evaluator.backward(&mut tape, &slopes, &mut gradient);
                drop(evaluator);
                let mut square = 0.0;
                for slot in layout.iter().filter(|slot| slot.name.ends_with("weight")) {
                    for at in slot.range.clone() {
                        square += f64::from(weights[at] * weights[at]);
                        gradient[at] += DECAY * weights[at] / count;
                    }
                }
                total += 0.5 * f64::from(DECAY) * square;
                time += 1;
                let update = Update { rate: RATE, time, scale: 1.0, decayed: &[] };
                let moments = Moments { first: &mut first, second: &mut second };
                adam_step(&recipe, update, &mut weights, &gradient, moments);
            }
            let loss = total / trained.len() as f64;
            since = if loss > least - TOLERANCE { since + 1 } else { 0 };
            least = least.min(loss);
            if since > PATIENCE {
                break;
            }
        }
        weights
    }
}

/// Uniform within `sqrt(6 / (inputs + outputs))` of a layer, biases too (Glorot and Bengio 2010).
fn initial(network: &Mlp, noise: &Noise) -> Vec<f32> {
    let layout = network.layout();
    let mut weights = noise.uniform(layout.last().map_or(0, |slot| slot.range.end), 1);
    for pair in layout.chunks_exact(2) {
        let shape = &pair[0].shape;
        let bound = (6.0 / (shape[0] + shape[1]) as f32).sqrt();
        let range = pair[0].range.start..pair[1].range.end;
        weights[range].iter_mut().for_each(|weight| *weight = bound * (2.0 * *weight - 1.0));
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    fn normal(seed: u64, rows: usize, dimension: usize) -> Vec<f32> {
        Noise::new(seed, Purpose::Target).normal(rows, dimension)
    }

    fn of(x: &[f32], y: &[f32], dimension: usize) -> Estimate {
        cross_validated(Points::new(x, dimension).unwrap(), Points::new(y, dimension).unwrap(), 1).unwrap()
    }

    #[test]
    fn equal_laws_are_not_told_apart() {
        let found = of(&normal(1, 2000, 2), &normal(2, 2000, 2), 2);
        assert!((found.value - 0.5).abs() < 0.03, "{found:?}");
    }

    /// N(1, I) against N(-1, I) in one coordinate of three, in units of 100 around 5000: Bayes' accuracy is Phi(1) = 0.8413.
    #[test]
    fn a_shift_is_told_as_well_as_it_can_be() {
        let shifted = |seed, by: f32| -> Vec<f32> {
            let row = |z: &[f32]| [5000.0 + 100.0 * (z[0] + by), z[1], z[2]];
            normal(seed, 1500, 3).chunks_exact(3).flat_map(row).collect()
        };
        let found = of(&shifted(1, 1.0), &shifted(2, -1.0), 3);
        assert!((found.value - 0.8413).abs() < 0.03, "{found:?}");
    }

    #[test]
    fn samples_may_be_of_two_sizes_and_hold_constants() {
        let x: Vec<f32> = normal(1, 300, 1).iter().flat_map(|z| [*z, 2.0]).collect();
        let y: Vec<f32> = normal(2, 205, 1).iter().flat_map(|z| [*z + 4.0, 2.0]).collect();
        let found = of(&x, &y, 2);
        assert!(found.value > 0.93, "{found:?}");
        let few = Points::new(&x[..10], 2).unwrap();
        assert!(cross_validated(few, few, 1).unwrap_err().to_string().contains("samples: found 5 rows"));
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let (x, y) = (normal(1, 150, 2), normal(2, 130, 2));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| of(&x, &y, 2))
        };
        assert_eq!(run(1), run(3));
    }
}
