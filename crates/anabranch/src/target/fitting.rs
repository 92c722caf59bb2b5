//! Fitting the networks of classifiers and regressors to examples.
//!
//! ```text
//! minimise   mean over a batch of a loss,  -log p(label | f(example)) or (f(example) - score)^2 / 2,     by Adam with decoupled weight decay
//! kept       the weights of the epoch with the least sum of it over other examples
//! ```
//!
//! All is a function of the seed.

use crate::array::matmul::row_stride;
use crate::network::taped::{Mlp, NONE, Tape, TapedNetwork};
use crate::optim::OptimizerRecipe;
use crate::optim::adam::{Moments, Update, adam_step};
use crate::rng::{Noise, Purpose};

/// Examples that are evaluated at a time.
pub(super) const BLOCK: usize = 256;
/// Examples of a training step.
pub(super) const BATCH: usize = 64;
/// Passes over the examples, where there are thousands of them.
pub(super) const EPOCHS: usize = 30;

/// Appends the binary features that are on in an example, and its real inputs.
type Encode<'a, E> = dyn Fn(&E, &mut Vec<u32>, &mut Vec<f32>) + 'a;

/// The loss of an example at a network's outputs, nats; writes its slopes by these.
type Loss<E> = dyn Fn(&E, &[f32], &mut [f64]) -> f64;

/// A network over examples `E`, with the loss that it is fitted by.
pub(super) struct Fit<'a, E> {
    /// The network.
    pub network: &'a Mlp,
    /// What it reads of an example.
    pub encode: &'a Encode<'a, E>,
    /// What it costs.
    pub loss: &'a Loss<E>,
    /// How often all examples are passed.
    pub epochs: usize,
}

impl<E> Fit<'_, E> {
    /// Calls `each` with the network's outputs for every example, in their order.
    pub fn outputs<'e>(
        &self,
        weights: &[f32],
        examples: impl Iterator<Item = &'e E> + Clone,
        mut each: impl FnMut(&E, &[f32]),
    ) where
        E: 'e,
    {
        let (evaluator, outputs) = (self.network.with(weights), self.network.outputs());
        let mut tape = Tape::default();
        let mut rest = examples;
        loop {
            let block = rest.clone().take(BLOCK);
            tape.clear();
            block.clone().for_each(|example| {
                tape.push(NONE, |on, dense| (self.encode)(example, on, dense));
            });
            if tape.rows() == 0 {
                return;
            }
            evaluator.evaluate(&mut tape, 0);
            block.enumerate().for_each(|(row, example)| each(example, tape.output(row, outputs)));
            rest.nth(tape.rows() - 1);
        }
    }

    /// The weights of the epoch with the least loss over `validation`, each epoch one pass over `training`.
    pub fn weights(&self, training: &[E], validation: &[E], seed: u64) -> Vec<f32> {
        let (network, outputs) = (self.network, self.network.outputs());
        let optimizer = OptimizerRecipe { weight_decay: 1e-2, ..OptimizerRecipe::default() };
        let mut weights = network.initial(&Noise::new(seed, Purpose::Network));
        let [mut first, mut second, mut gradient] = [0; 3].map(|_| vec![0.0; weights.len()]);
        let all = 0..weights.len();
        let mut tape = Tape::default();
        let mut slope = vec![0.0; outputs];
        let (mut best, mut kept, mut time) = (f64::INFINITY, weights.clone(), 0);
        for epoch in 0..self.epochs {
            let order = Noise::new(seed, Purpose::Network).step(1 + epoch as u32).permutation(training.len());
            for batch in order.chunks(BATCH) {
                tape.clear();
                for i in batch {
                    tape.push(NONE, |on, dense| (self.encode)(&training[*i], on, dense));
                }
                let evaluator = network.with(&weights);
                evaluator.evaluate(&mut tape, 0);
                let mut slopes = vec![0.0; batch.len() * row_stride(outputs)];
                for (row, i) in batch.iter().enumerate() {
                    (self.loss)(&training[*i], tape.output(row, outputs), &mut slope);
                    let written = slopes[row * row_stride(outputs)..].iter_mut().zip(&slope);
                    written.for_each(|(to, slope)| *to = (slope / batch.len() as f64) as f32);
                }
                evaluator.backward(&mut tape, &slopes, &mut gradient);
                drop(evaluator);
                time += 1;
                let moments = Moments { first: &mut first, second: &mut second };
                let update = Update { rate: 1e-3, time, scale: 1.0, decayed: std::slice::from_ref(&all) };
                adam_step(&optimizer, update, &mut weights, &gradient, moments);
            }
            let mut loss = 0.0;
            self.outputs(&weights, validation.iter(), |example, found| {
                loss += (self.loss)(example, found, &mut slope);
            });
            if loss < best {
                (best, kept) = (loss, weights.clone());
            }
        }
        kept
    }
}
