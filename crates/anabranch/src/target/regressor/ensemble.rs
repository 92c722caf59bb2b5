//! An ensemble of perceptrons, each fitted to a bootstrap of the examples.
//!
//! ```text
//! f_m        fitted by squared error to n draws with replacement; it stops by the examples that it did not draw
//! m(x)       mean_m f_m(x)
//! s(x)       c sd_m f_m(x),      c^2 = sum_i max((y_i - m_i)^2 - noise^2 / n_i, 0) / sum_i var_i
//! ```
//!
//! with `m_i`, `var_i` the mean and the variance over the members that did not draw example `i`: members that learn alike disagree by less
//! than they err. Breiman, "Bagging predictors" (1996) and "Out-of-bag estimation" (1996); Lakshminarayanan, Pritzel, Blundell, "Simple
//! and scalable predictive uncertainty estimation using deep ensembles" (2017).

use rayon::prelude::*;

use super::inputs::Inputs;
use crate::environment::Cell;
use crate::network::Activation;
use crate::network::taped::{Mlp, NONE, Tape, TapedNetwork};
use crate::rng::{Noise, Purpose};
use crate::target::fitting::{BATCH, BLOCK, EPOCHS, Fit};

/// Steps that few examples are fitted by, and the most passes over them.
const STEPS: usize = 1500;
const MOST_EPOCHS: usize = 300;

/// An object with its standardised score and how many measurements it is the mean of.
#[derive(Debug, Clone)]
pub(super) struct Example {
    pub object: Box<[Cell]>,
    pub score: f64,
    pub count: usize,
}

/// Networks that were fitted to bootstraps.
#[derive(Debug)]
pub(super) struct Ensemble {
    network: Mlp,
    inputs: Inputs,
    members: Vec<Vec<f32>>,
    /// What the spread of the members is multiplied by.
    scale: f64,
}

/// Half the squared error, whose slope is the error.
fn loss(example: &&Example, outputs: &[f32], slopes: &mut [f64]) -> f64 {
    let error = f64::from(outputs[0]) - example.score;
    slopes[0] = error;
    0.5 * error * error
}

impl Ensemble {
    /// Fitted to examples, of whose scores one measurement has the variance `noise`.
    pub fn fit(
        examples: &[&Example],
        inputs: &Inputs,
        hidden: &[usize],
        members: usize,
        noise: f64,
        seed: u64,
    ) -> Self {
        let network = Mlp::new(inputs.count(), hidden, 1, Activation::Relu);
        let draws = Noise::new(seed, Purpose::Data);
        let count = examples.len();
        let encode = |example: &&Example, on: &mut Vec<u32>, dense: &mut Vec<f32>| {
            inputs.of(&example.object, on, dense);
        };
        let epochs = STEPS.div_ceil(count.div_ceil(BATCH)).clamp(EPOCHS, MOST_EPOCHS);
        let member = |member: usize| {
            let step = draws.step(1 + member as u32);
            let drawn: Vec<usize> = (0..count).map(|row| step.below(row, count)).collect();
            let mut out = vec![true; count];
            drawn.iter().for_each(|place| out[*place] = false);
            let training: Vec<&Example> = drawn.iter().map(|place| examples[*place]).collect();
            let rest: Vec<&Example> =
                (0..count).filter(|place| out[*place]).map(|place| examples[place]).collect();
            let validation = if rest.is_empty() { &training } else { &rest };
            let fit = Fit { network: &network, encode: &encode, loss: &loss, epochs };
            let [low, high, ..] = draws.words(member, 0);
            let weights = fit.weights(&training, validation, u64::from(high) << 32 | u64::from(low));
            let mut answers = Vec::with_capacity(count);
            fit.outputs(&weights, examples.iter(), |_, outputs| answers.push(f64::from(outputs[0])));
            let answers: Vec<Option<f64>> =
                answers.into_iter().zip(&out).map(|(answer, out)| out.then_some(answer)).collect();
            (weights, answers)
        };
        let fitted: Vec<(Vec<f32>, Vec<Option<f64>>)> = (0..members).into_par_iter().map(member).collect();
        let scale = scale(examples, &fitted, noise);
        let members = fitted.into_iter().map(|(weights, _)| weights).collect();
        Self { network, inputs: inputs.clone(), members, scale }
    }

    /// The mean and the standard deviation of the standardised score of each of `objects`, `[count, cells]`.
    pub fn predict(&self, objects: &[Cell], cells: usize) -> Vec<(f64, f64)> {
        let block = |objects: &[Cell]| self.block(objects, cells);
        objects.par_chunks(BLOCK * cells).flat_map_iter(block).collect()
    }

    fn block(&self, objects: &[Cell], cells: usize) -> Vec<(f64, f64)> {
        let mut tape = Tape::default();
        for object in objects.chunks_exact(cells) {
            tape.push(NONE, |on, dense| self.inputs.of(object, on, dense));
        }
        let mut answers = vec![Vec::with_capacity(self.members.len()); tape.rows()];
        for weights in &self.members {
            tape.forget();
            self.network.with(weights).evaluate(&mut tape, 0);
            let each = answers.iter_mut().enumerate();
            each.for_each(|(row, answers)| answers.push(f64::from(tape.output(row, 1)[0])));
        }
        answers
            .iter()
            .map(|answers| {
                let (mean, variance) = moments(answers);
                (mean, self.scale * variance.sqrt())
            })
            .collect()
    }
}

/// The mean and the unbiased variance; 0 of one number.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, if values.len() > 1 { squares / (n - 1.0) } else { 0.0 })
}

/// `c`, from what members say of examples that they did not draw; 1 where that says nothing.
fn scale(examples: &[&Example], fitted: &[(Vec<f32>, Vec<Option<f64>>)], noise: f64) -> f64 {
    let (mut errors, mut spreads) = (0.0, 0.0);
    for (place, example) in examples.iter().enumerate() {
        let answers: Vec<f64> = fitted.iter().filter_map(|(_, answers)| answers[place]).collect();
        if answers.len() > 1 {
            let (mean, variance) = moments(&answers);
            errors += ((example.score - mean).powi(2) - noise / example.count as f64).max(0.0);
            spreads += variance;
        }
    }
    if errors > 0.0 && spreads > 0.0 { (errors / spreads).sqrt() } else { 1.0 }
}
