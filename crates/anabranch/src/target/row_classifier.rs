//! A classifier of rows of numbers, trained on labelled ones when the target is made: the likelihood of a class.
//!
//! ```text
//! R(x) = max(p(class | x), least)^beta,     p(k | x) = softmax_k f((x - mean) / std)
//!
//! f    a perceptron with one hidden layer;  mean, std   of each column of the training rows
//! grad log p(class | x) = sum_k (1[k = class] - p(k | x)) grad f_k
//! ```
//!
//! Of a prior over rows it makes the posterior given the class (Dhariwal, Nichol 2021). A fifth of the rows is held out, another tenth
//! tells when to stop: the weights are those of the epoch with the least logarithmic loss on it. All is a function of the seed.

use rayon::prelude::*;

use super::fitting::{BLOCK, EPOCHS, Fit};
use super::{Classified, Failure, Target, within};
use crate::array::matmul::row_stride;
use crate::data::Labelled;
use crate::error::Problem;
use crate::math::log_sum_exp;
use crate::network::Activation;
use crate::network::taped::{Inputs, Mlp, NONE, Tape, TapedNetwork};
use crate::rng::{Noise, Purpose};

/// The fewest rows of a class.
const FEWEST: usize = 10;

/// How a classifier of rows is trained and read.
#[derive(Debug, Clone, PartialEq)]
pub struct RowClassifierSettings {
    /// The class whose probability is the reward.
    pub class: usize,
    /// The width of the hidden layer.
    pub width: usize,
    /// The power of the probability.
    pub beta: f64,
    /// Smaller probabilities are raised to this one.
    pub least: f64,
    /// Of the split, the first weights and the order of rows.
    pub seed: u64,
}

impl RowClassifierSettings {
    /// Refuses numbers out of range; their keys are named.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self) -> Result<(), Problem> {
        within("width", self.width as f64, 1.0, 4096.0)?;
        within("beta", self.beta, 1e-6, 1e6)?;
        within("least", self.least, 1e-300, 0.5)
    }
}

/// The likelihood of a class by a classifier.
#[derive(Debug)]
pub struct RowClassifier {
    network: Mlp,
    weights: Vec<f32>,
    scaling: Scaling,
    settings: RowClassifierSettings,
    accuracy: f64,
}

/// A row with its class.
type Example<'a> = (&'a [f32], usize);

/// Columns to mean 0 and standard deviation 1; constant ones are 0.
#[derive(Debug)]
struct Scaling {
    mean: Vec<f32>,
    scale: Vec<f32>,
}

impl Scaling {
    fn of(rows: &[Example<'_>], columns: usize) -> Self {
        let n = rows.len() as f64;
        let of_column = |c: usize| {
            let values = || rows.iter().map(|(row, _)| f64::from(row[c]));
            let mean = values().sum::<f64>() / n;
            let std = (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
            (mean as f32, if std > 1e-6 * mean.abs().max(1e-30) { std.recip() as f32 } else { 0.0 })
        };
        let (mean, scale) = (0..columns).map(of_column).unzip();
        Self { mean, scale }
    }

    /// Appends a row's inputs.
    fn apply(&self, row: &[f32], dense: &mut Vec<f32>) {
        let scales = self.mean.iter().zip(&self.scale);
        dense.extend(row.iter().zip(scales).map(|(x, (mean, scale))| (x - mean) * scale));
    }
}

/// `-log p(class)` of logits; writes its slopes by them.
fn loss((_, class): &Example<'_>, logits: &[f32], slopes: &mut [f64]) -> f64 {
    let logits: Vec<f64> = logits.iter().map(|logit| f64::from(*logit)).collect();
    let log_sum = log_sum_exp(&logits);
    for (k, (slope, logit)) in slopes.iter_mut().zip(&logits).enumerate() {
        *slope = (logit - log_sum).exp() - f64::from(u8::from(k == *class));
    }
    log_sum - logits[*class]
}

/// The class with the largest output.
fn likeliest(outputs: &[f32]) -> usize {
    (0..outputs.len()).fold(0, |best, k| if outputs[k] > outputs[best] { k } else { best })
}

impl RowClassifier {
    /// Trained on labelled rows.
    ///
    /// # Errors
    /// If a number is not allowed, there is no such class or no other one, or fewer than 10 rows of one.
    pub fn train(data: &Labelled, settings: &RowClassifierSettings) -> Result<Self, Problem> {
        settings.check()?;
        let count = data.count;
        if count < 2 {
            return Err(Problem::new("label", "one class").allowed("two or more"));
        }
        if settings.class >= count {
            let allowed = format!("a class of the data: an integer from 0 to {}", count - 1);
            return Err(Problem::new("class", settings.class.to_string()).allowed(allowed));
        }
        let rows_of = |class| data.classes.iter().filter(|known| **known == class).count();
        if let Some(class) = (0..count).find(|class| rows_of(*class) < FEWEST) {
            let found = format!("{} rows of class {class}", rows_of(class));
            return Err(Problem::new("label", found).allowed(format!("at least {FEWEST} of each")));
        }
        let columns = data.table.columns;
        let row = |i: &usize| (&data.table.values[i * columns..(i + 1) * columns], data.classes[*i]);
        let order = Noise::new(settings.seed, Purpose::Data).permutation(data.classes.len());
        let shuffled: Vec<Example<'_>> = order.iter().map(row).collect();
        let (held_out, rest) = shuffled.split_at(shuffled.len() / 5);
        let (validation, training) = rest.split_at(shuffled.len() / 10);
        let scaling = Scaling::of(training, columns);
        let inputs = Inputs { features: 0, dense: columns };
        let network = Mlp::new(inputs, &[settings.width], count, Activation::Relu);
        let encode =
            |(row, _): &Example<'_>, _: &mut Vec<u32>, dense: &mut Vec<f32>| scaling.apply(row, dense);
        let fit = Fit { network: &network, encode: &encode, loss: &loss, epochs: EPOCHS };
        let weights = fit.weights(training, validation, settings.seed);
        let mut right = 0;
        fit.outputs(&weights, held_out.iter(), |(_, class), outputs| {
            right += usize::from(likeliest(outputs) == *class);
        });
        let accuracy = right as f64 / held_out.len() as f64;
        Ok(Self { network, weights, scaling, settings: settings.clone(), accuracy })
    }

    /// The numbers of a row.
    pub fn dimension(&self) -> usize {
        self.scaling.mean.len()
    }

    /// The share of held-out rows that are told rightly.
    pub fn accuracy(&self) -> f64 {
        self.accuracy
    }

    /// The class with the largest probability of each row, `[count]`.
    pub fn classes(&self, rows: &[f32]) -> Vec<usize> {
        let columns = self.dimension();
        let block = |rows: &[f32]| {
            let tape = self.evaluated(rows);
            let outputs = self.network.outputs();
            (0..rows.len() / columns).map(|row| likeliest(tape.output(row, outputs))).collect::<Vec<_>>()
        };
        rows.par_chunks(BLOCK * columns).flat_map_iter(block).collect()
    }

    /// A tape with the logits of rows.
    fn evaluated(&self, rows: &[f32]) -> Tape {
        let mut tape = Tape::default();
        tape.clear();
        for row in rows.chunks_exact(self.dimension()) {
            tape.push(NONE, |_, dense| self.scaling.apply(row, dense));
        }
        self.network.with(&self.weights).evaluate(&mut tape, 0);
        tape
    }

    /// `log R` of a block of rows, and their scores where there is room for them.
    fn block(&self, rows: &[f32], out: &mut [f64], scores: &mut [f64]) {
        let (columns, outputs) = (self.dimension(), self.network.outputs());
        let RowClassifierSettings { class, beta, least, .. } = self.settings;
        let mut tape = self.evaluated(rows);
        let (mut slope, stride) = (vec![0.0; outputs], row_stride(outputs));
        let mut slopes = vec![0.0; if scores.is_empty() { 0 } else { out.len() * stride }];
        for (row, out) in out.iter_mut().enumerate() {
            let log_p = -loss(&(&[], class), tape.output(row, outputs), &mut slope);
            *out = beta * log_p.max(least.ln());
            // Below the floor it is flat.
            if !slopes.is_empty() && log_p > least.ln() {
                let written = slopes[row * stride..].iter_mut().zip(&slope);
                written.for_each(|(to, slope)| *to = (-beta * slope) as f32);
            }
        }
        if scores.is_empty() {
            return;
        }
        let mut of_inputs = vec![0.0; out.len() * columns];
        let mut gradient = vec![0.0; self.weights.len()];
        let evaluator = self.network.with(&self.weights);
        evaluator.gradients(&mut tape, &slopes, &mut gradient, Some(&mut of_inputs));
        let scaled = of_inputs.chunks_exact(columns).flat_map(|row| row.iter().zip(&self.scaling.scale));
        scores.iter_mut().zip(scaled).for_each(|(score, (slope, scale))| *score = f64::from(slope * scale));
    }
}

impl Target for RowClassifier {
    fn log_rewards(&self, objects: &[f32], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let blocks = objects.par_chunks(BLOCK * self.dimension()).zip(out.par_chunks_mut(BLOCK));
        blocks.for_each(|(rows, out)| self.block(rows, out, &mut []));
        Ok(())
    }

    fn has_scores(&self) -> bool {
        true
    }

    fn log_rewards_with_scores(
        &self,
        objects: &[f32],
        _: &[f32],
        out: &mut [f64],
        scores: &mut [f64],
    ) -> Result<(), Failure> {
        let size = BLOCK * self.dimension();
        let blocks = objects.par_chunks(size).zip(out.par_chunks_mut(BLOCK)).zip(scores.par_chunks_mut(size));
        blocks.for_each(|((rows, out), scores)| self.block(rows, out, scores));
        Ok(())
    }

    fn positive_everywhere(&self) -> bool {
        true
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![("proxy_accuracy", self.accuracy)]
    }

    fn classify(&self, objects: &[f32]) -> Option<Classified> {
        let classes = self.classes(objects);
        Some(Classified { classes, count: self.network.outputs(), wanted: self.settings.class })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::embedded_labelled;

    fn settings(class: usize) -> RowClassifierSettings {
        RowClassifierSettings { class, width: 64, beta: 1.0, least: 1e-6, seed: 0 }
    }

    fn digits(settings: &RowClassifierSettings) -> (Labelled, RowClassifier) {
        let data = embedded_labelled("digits").unwrap();
        let trained = RowClassifier::train(&data, settings).unwrap();
        (data, trained)
    }

    /// Digits are told apart, whatever rows stand beside them; the probabilities of all classes add up to 1.
    #[test]
    fn digits_are_told_apart() {
        let (data, three) = digits(&settings(3));
        assert!(three.accuracy() > 0.95, "{}", three.accuracy());
        let rows = &data.table.values[..300 * 64];
        let found = three.classify(rows).unwrap();
        let right = found.classes.iter().zip(&data.classes).filter(|(a, b)| a == b).count();
        assert!(right > 285 && (found.count, found.wanted) == (10, 3), "{right} of 300");
        let mut all = vec![0.0; 300];
        three.log_rewards(rows, &[], &mut all).unwrap();
        let mut alone = [0.0];
        three.log_rewards(&rows[299 * 64..], &[], &mut alone).unwrap();
        assert!((alone[0] - all[299]).abs() < 1e-5, "{} {}", alone[0], all[299]);
        let mut sum = [0.0; 3];
        for class in 0..10 {
            let of_class = RowClassifier {
                settings: RowClassifierSettings { class, least: 1e-300, ..settings(class) },
                ..digits(&settings(class)).1
            };
            let mut out = [0.0; 3];
            of_class.log_rewards(&rows[..3 * 64], &[], &mut out).unwrap();
            sum.iter_mut().zip(out).for_each(|(sum, log_p)| *sum += log_p.exp());
        }
        assert!(sum.iter().all(|sum| (sum - 1.0).abs() < 1e-9), "{sum:?}");
    }

    /// Scores are the derivatives: against central differences, of rows above the floor.
    #[test]
    fn scores_are_derivatives() {
        let (data, three) = digits(&RowClassifierSettings { beta: 1.5, least: 1e-30, ..settings(3) });
        let row = data.table.values[64..128].to_vec();
        let (mut out, mut scores) = ([0.0], [0.0; 64]);
        three.log_rewards_with_scores(&row, &[], &mut out, &mut scores).unwrap();
        let at = |column: usize, by: f32| {
            let mut moved = row.clone();
            moved[column] += by;
            let mut out = [0.0];
            three.log_rewards(&moved, &[], &mut out).unwrap();
            out[0]
        };
        for column in [2, 3, 19, 36, 60] {
            let difference = (at(column, 0.02) - at(column, -0.02)) / 0.04;
            assert!((difference - scores[column]).abs() < 2e-2 * scores[column].abs().max(0.1), "{column}");
        }
        assert!(scores.iter().any(|score| score.abs() > 1e-2));
    }

    #[test]
    fn wrong_settings_are_refused() {
        let data = embedded_labelled("digits").unwrap();
        let message = |settings: RowClassifierSettings, data: &Labelled| {
            RowClassifier::train(data, &settings).unwrap_err().to_string()
        };
        assert!(message(settings(10), &data).starts_with("class: found 10; allowed: a class of the data"));
        assert!(
            message(RowClassifierSettings { width: 0, ..settings(1) }, &data).starts_with("width: found 0")
        );
        let few = Labelled { classes: vec![0; 1797], count: 1, ..data.clone() };
        assert!(message(settings(0), &few).starts_with("label: found one class"));
        let mut classes = vec![0; 1797];
        classes[..3].fill(1);
        let few = Labelled { classes, count: 2, ..data };
        assert!(message(settings(0), &few).starts_with("label: found 3 rows of class 1"));
    }
}
