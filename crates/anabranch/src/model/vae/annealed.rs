//! Langevin steps behind an encoder, from its draw towards the posterior of the latent code: a tighter bound on `log p(x)`.
//!
//! ```text
//! gamma_k(z) = q(z | x)^{1 - b_k} (p(x | z) N(z; 0, I))^{b_k},      b_k = sum_{j <= k} softmax(a)_j
//! z_0 ~ q(. | x),    z_k ~ F_k = N(z_{k-1} + e_k grad log gamma_k(z_{k-1}), 2 e_k)
//! B_k(z_{k-1} | z_k) = N(z_k + e_k grad log gamma_k(z_k) + e_k s(z_k, x, k), 2 e_k)
//! log p(x | z_K) - log q(z_0 | x) + sum_k [log B_k - log F_k]        with log N(z_K; 0, I): at most log p(x) on average
//! ```
//!
//! With `s = 0` this is unadjusted Langevin annealed importance sampling; a network for `s`, the score of what the steps have made
//! of the encoder's law, is Monte Carlo diffusion (Doucet, Grathwohl, Matthews and Strathmann 2022, who tighten the bound of a VAE by
//! it). Step sizes and the ladder are learned with the rest. The decoder is asked once for every state, and the encoder once.

use burn::tensor::{Tensor, activation};

use super::{Decoder, NetworkGaussian, ObservationModel, bounded, halves};
use crate::array::weights::{Weights, layout, matrix, sum_rows};
use crate::chain::{Given, LogWeight, Score, State, Step, Transition, double};
use crate::error::{Failure, Problem};
use crate::kernel::law::{DiscretisedLogistic, Gaussian, Law, LogStd};
use crate::kernel::pair::Conditional;
use crate::network::Network;
use crate::network::embedding::sinusoidal;
use crate::rng::{Noise, Purpose};

/// The width of the embedding of a step's place.
pub(super) const EMBEDDING: usize = 16;

/// The steps behind an encoder.
#[derive(Debug, Clone)]
pub struct Refinement {
    weights: Weights,
    /// The score of the steps' own law, where it is learned.
    score: Option<Network>,
}

impl Refinement {
    /// `steps` Langevin steps of size `step` to begin with; the network takes a latent state, and as its context the data and the
    /// embedding of a step.
    pub fn new(name: impl Into<String>, steps: usize, step: f32, score: Option<Network>) -> Self {
        let slots = layout([("log_step", vec![steps]), ("log_increments", vec![steps])]);
        let values = [vec![step.ln(); steps], vec![0.0; steps]].concat();
        Self { weights: Weights::new(name, slots, values), score }
    }

    fn steps(&self) -> usize {
        self.weights.len() / 2
    }

    /// All weights.
    pub(super) fn weights(&self) -> Vec<&Weights> {
        std::iter::once(&self.weights).chain(self.score.iter().map(|network| network.weights())).collect()
    }

    /// All weights, to update.
    pub(super) fn weights_mut(&mut self) -> Vec<&mut Weights> {
        let score = self.score.iter_mut().map(|network| network.weights_mut());
        std::iter::once(&mut self.weights).chain(score).collect()
    }

    /// `e_k` and `b_k`, `[1, 1]` each.
    fn schedule(&self) -> Vec<[Tensor<2>; 2]> {
        let sizes = self.weights.matrix("log_step").exp();
        let places = activation::softmax(self.weights.matrix("log_increments"), 1).cumsum(1);
        let at = |all: &Tensor<2>, k: usize| all.clone().slice([0..1, k..k + 1]);
        (0..self.steps()).map(|k| [at(&sizes, k), at(&places, k)]).collect()
    }

    /// `s(z, x, k)`; none where it is not learned.
    fn score(&self, z: &State, x: &State, k: usize) -> Option<State> {
        let network = self.score.as_ref()?;
        let rows = z.dims()[0];
        let time = Tensor::full([rows, 1], (k + 1) as f32 / self.steps() as f32, &z.device());
        let context = Tensor::cat(vec![x.clone(), sinusoidal(time, EMBEDDING)], 1);
        Some(network.apply(z.clone(), Some(context)))
    }
}

/// A decoder against an encoder with steps behind it.
pub(super) struct RefinedPair<'a> {
    pub decoder: &'a Decoder,
    pub encoder: &'a NetworkGaussian,
    pub refinement: &'a Refinement,
}

/// What is known at a latent state.
struct Latent {
    z: State,
    /// `log p(x | z)`, `[batch]`.
    log_likelihood: LogWeight,
    /// The scores of `q(z | x)` and of `p(x | z) N(z; 0, I)`.
    scores: [State; 2],
}

impl Latent {
    /// The score of the level at a place.
    fn score(&self, place: &Tensor<2>) -> State {
        let [of_encoder, of_posterior] = self.scores.clone();
        of_encoder * (-place.clone() + 1.0) + of_posterior * place.clone()
    }
}

/// `-|v|^2 / 2` of standardised residuals: the constants of `F_k` and `B_k` are the same.
fn residual(v: State) -> LogWeight {
    sum_rows(v.square()) * -0.5
}

impl RefinedPair<'_> {
    /// `mean, log_std` of `q(z | x)`.
    fn encoded(&self, x: &State, given: &Given) -> [State; 2] {
        let input = self.encoder.scale.map_or_else(|| x.clone(), |model| model.scaled(x));
        let network = &self.encoder.network;
        let (mean, raw) = halves(network.apply(input, given.read(network.context(), &x.device())));
        [mean, bounded(raw, 6.0)]
    }

    fn at(&self, z: State, x: &State, [mean, log_std]: &[State; 2], given: &Given) -> Latent {
        let (log_likelihood, slope) = self.decoder.with_score(&z, x, given);
        let of_encoder = (mean.clone() - z.clone()) * (log_std.clone() * -2.0).exp();
        let scores = [of_encoder, slope - z.clone()];
        Latent { z, log_likelihood, scores }
    }

    /// The mean of `F_k` from a state.
    fn forward_mean(&self, from: &Latent, [size, place]: &[Tensor<2>; 2]) -> State {
        from.z.clone() + from.score(place) * size.clone()
    }

    /// The mean of `B_k` from a state.
    fn backward_mean(&self, from: &Latent, x: &State, k: usize, schedule: &[Tensor<2>; 2]) -> State {
        let mean = self.forward_mean(from, schedule);
        match self.refinement.score(&from.z, x, k) {
            Some(score) => mean + score * schedule[0].clone(),
            None => mean,
        }
    }

    fn scaled(&self, x: &State) -> State {
        self.decoder.model.scaled(x)
    }
}

/// The normals of all steps, one state after the other.
fn normals(noise: &Noise, like: &State, count: usize) -> Vec<State> {
    let [rows, columns] = like.dims();
    let all = matrix(noise.normal(rows, columns * count), columns * count, &like.device());
    (0..count).map(|k| all.clone().slice([0..rows, k * columns..(k + 1) * columns])).collect()
}

impl Transition for RefinedPair<'_> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let x = self.decoder.law(&from, given).sample(noise);
        let encoded = self.encoded(&x, given);
        let network_x = self.scaled(&x);
        let schedules = self.refinement.schedule();
        let normals = normals(&noise.purpose(Purpose::Choice), &from, schedules.len());
        let mut here = self.at(from, &x, &encoded, given);
        let mut log_ratio = -double(here.log_likelihood.clone());
        for (k, (schedule, n)) in schedules.iter().zip(normals).enumerate().rev() {
            let width = (schedule[0].clone() * 2.0).sqrt();
            let mean = self.backward_mean(&here, &network_x, k, schedule);
            let before = self.at(mean + n.clone() * width.clone(), &x, &encoded, given);
            let forward = (here.z.clone() - self.forward_mean(&before, schedule)) / width;
            log_ratio = log_ratio + double(residual(forward)) - double(residual(n));
            here = before;
        }
        let [mean, log_std] = encoded;
        let law = Gaussian { mean, log_std: LogStd::Each(log_std) };
        Ok(Step::of_ratio(x, log_ratio + double(law.log_density(&here.z))))
    }

    fn backward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let encoded = self.encoded(&from, given);
        let network_x = self.scaled(&from);
        let schedules = self.refinement.schedule();
        let mut normals = normals(noise, &encoded[0], schedules.len() + 1).into_iter();
        let [mean, log_std] = encoded.clone();
        let first = normals.next().expect("the encoder's draw has some");
        let law = Gaussian { mean: mean.clone(), log_std: LogStd::Each(log_std.clone()) };
        let z = mean + first * log_std.exp();
        let mut log_ratio = -double(law.log_density(&z));
        let mut here = self.at(z, &from, &encoded, given);
        for (k, (schedule, n)) in schedules.iter().zip(normals).enumerate() {
            let width = (schedule[0].clone() * 2.0).sqrt();
            let mean = self.forward_mean(&here, schedule);
            let after = self.at(mean + n.clone() * width.clone(), &from, &encoded, given);
            let backward = (here.z.clone() - self.backward_mean(&after, &network_x, k, schedule)) / width;
            log_ratio = log_ratio + double(residual(backward)) - double(residual(n));
            here = after;
        }
        Ok(Step::of_ratio(here.z, log_ratio + double(here.log_likelihood)))
    }

    fn sample(&self, from: State, given: &Given, noise: &Noise) -> Result<State, Failure> {
        Ok(self.decoder.law(&from, given).sample(noise))
    }

    fn score(&self, _: &State, _: &State, _: &Given) -> Result<Score, Failure> {
        Err(Problem::new(
            "the encoder",
            "steps between its draw and the code, which a pair of states does not tell",
        )
        .allowed("an objective that draws its paths backward")
        .into())
    }
}

impl Decoder {
    /// `log p(x | z)`, `[batch]`, and its gradient by `z`, `[batch, latent]`, both differentiable once more.
    fn with_score(&self, z: &State, x: &State, given: &Given) -> (LogWeight, State) {
        let context = given.read(self.network.context(), &z.device());
        let slope = |output: &State| self.slope(output, x);
        let (output, score) = self.network.pulled_back(z.clone(), context, slope);
        (self.of_output(output).log_density(x), score)
    }

    /// The derivative of `log p(x | z)` by the network's output.
    fn slope(&self, output: &State, x: &State) -> State {
        match self.model {
            ObservationModel::Bernoulli => x.clone() - activation::sigmoid(output.clone()),
            ObservationModel::DiscretisedLogistic(levels) => {
                let (mean, raw) = halves(output.clone());
                let law = DiscretisedLogistic { mean, log_scale: bounded(raw.clone(), 4.0) - 3.0, levels };
                let [by_mean, by_scale] = law.slopes(x);
                Tensor::cat(vec![by_mean, by_scale * bounded_slope(raw, 4.0)], 1)
            }
            ObservationModel::Gaussian => {
                let (mean, raw) = halves(output.clone());
                let precision = (bounded(raw.clone(), 6.0) * -2.0).exp();
                let centred = x.clone() - mean;
                let by_mean = centred.clone() * precision.clone();
                let by_scale = centred.square() * precision - 1.0;
                Tensor::cat(vec![by_mean, by_scale * bounded_slope(raw, 6.0)], 1)
            }
        }
    }
}

/// The derivative of [`bounded`].
fn bounded_slope(raw: Tensor<2>, bound: f32) -> Tensor<2> {
    -(raw * bound.recip()).tanh().square() + 1.0
}
