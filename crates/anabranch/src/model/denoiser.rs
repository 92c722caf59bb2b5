//! Denoisers: what a diffusion knows of its data.
//!
//! A denoiser is asked for one of several quantities that are equivalent at any noise level ([`Prediction`]); with
//! `z = alpha x + sigma eps`, signal and noise follow from each:
//!
//! ```text
//! noise      eps          x = (z - sigma eps) / alpha
//! signal     x            eps = (z - alpha x) / sigma
//! velocity   v            x = alpha z - sigma v,   eps = sigma z + alpha v       (Salimans and Ho 2022)
//! score      s            x = (z + sigma^2 s) / alpha,   eps = -sigma s
//! levels     logits a_k   x = sum_k c_k p_k,  p_k ~ exp(a_k - (z - alpha c_k)^2 / (2 sigma^2))
//! ```
//!
//! The last is for integer data: the network gives a prior over each coordinate's levels, and Bayes' rule adds what
//! the coordinate's own noisy value says, so that the estimate snaps to a level as the noise vanishes.

use std::fmt::Debug;
use std::sync::Arc;

use burn::tensor::Tensor;
use serde_json::Value;

use super::schedule::Level;
use crate::array::lattice;
use crate::array::weights::{Weights, matrix, to_vec};
use crate::chain::{Given, State, beside};
use crate::network::Network;
use crate::network::embedding::sinusoidal;

/// What a denoiser answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Prediction {
    /// The noise `eps`.
    Noise,
    /// The signal `x`.
    Signal,
    /// `v = alpha eps - sigma x`.
    Velocity,
    /// The score `-eps / sigma`.
    Score,
    /// Logits over the levels with these centres, for each coordinate: `[batch, dimension * levels]`.
    Levels(Arc<[f32]>),
}

/// A coefficient: one for all rows, or one per row `[batch, 1]`.
#[derive(Debug, Clone)]
pub enum Coefficient {
    /// The same for all rows.
    Shared(f32),
    /// One per row, `[batch, 1]`.
    Each(Tensor<2>),
}

impl Coefficient {
    /// `self * values`.
    pub fn times(&self, values: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Shared(c) => values * *c,
            Self::Each(c) => values * c.clone(),
        }
    }

    /// `values / self`.
    pub fn divide(&self, values: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Shared(c) => values * c.recip(),
            Self::Each(c) => values / c.clone(),
        }
    }
}

/// Signal and noise factors of a batch.
#[derive(Debug, Clone)]
pub struct Factors {
    /// `alpha`.
    pub alpha: Coefficient,
    /// `sigma`.
    pub sigma: Coefficient,
}

impl From<Level> for Factors {
    fn from(level: Level) -> Self {
        Self {
            alpha: Coefficient::Shared(level.alpha() as f32),
            sigma: Coefficient::Shared(level.sigma() as f32),
        }
    }
}

impl Prediction {
    /// The noise estimate from the denoiser's output at `z`.
    pub fn noise(&self, output: State, z: &State, factors: &Factors) -> State {
        let Factors { alpha, sigma } = factors;
        match self {
            Self::Noise => output,
            Self::Velocity => sigma.times(z.clone()) + alpha.times(output),
            Self::Score => -sigma.times(output),
            Self::Signal | Self::Levels(_) => {
                sigma.divide(z.clone() - alpha.times(self.signal(output, z, factors)))
            }
        }
    }

    /// The signal estimate from the denoiser's output at `z`.
    pub fn signal(&self, output: State, z: &State, factors: &Factors) -> State {
        let Factors { alpha, sigma } = factors;
        match self {
            Self::Noise => alpha.divide(z.clone() - sigma.times(output)),
            Self::Signal => output,
            Self::Velocity => alpha.times(z.clone()) - sigma.times(output),
            Self::Score => alpha.divide(z.clone() + sigma.times(sigma.times(output))),
            Self::Levels(centres) => {
                let precision = match (alpha, sigma) {
                    (Coefficient::Shared(alpha), Coefficient::Shared(sigma)) => {
                        Tensor::full([z.dims()[0], 1], (alpha / sigma).powi(2), &z.device())
                    }
                    _ => {
                        let ratio = alpha.times(sigma.divide(Tensor::ones([z.dims()[0], 1], &z.device())));
                        ratio.square()
                    }
                };
                let pull = alpha.times(sigma.divide(sigma.divide(z.clone())));
                lattice::mean(centres, output, pull, precision)
            }
        }
    }

    /// How many numbers the denoiser gives per coordinate.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Levels(centres) => centres.len(),
            _ => 1,
        }
    }
}

/// A denoiser: a trained network, or an exact one where the data's law is simple.
pub trait Denoiser: Debug + Send + Sync {
    /// The dimension of the data.
    fn dimension(&self) -> usize;

    /// The predicted quantity at `z`, `[batch, dimension]` ([`Prediction::Levels`]: times the number of levels), where
    /// the noise level has `factors` and stands at `time`, `[batch, 1]` or `[1, 1]`, in the noise range, of data with the
    /// condition that is `given`.
    fn output(&self, z: &State, time: Tensor<2>, factors: &Factors, given: &Given) -> State;

    /// [`Denoiser::output`] and its derivative along each of `tangents`, `[batch * count, dimension]`, the `count` directions
    /// of a row next to each other: `[batch * count, outputs]`. Nothing is recorded for a gradient.
    ///
    /// # Panics
    /// If there are not equally many tangents for each row.
    fn push_forward(
        &self,
        z: &State,
        time: Tensor<2>,
        factors: &Factors,
        given: &Given,
        tangents: &Tensor<2>,
    ) -> (State, Tensor<2>);

    /// [`Denoiser::output`] and the derivatives of each coordinate's own outputs with respect to that coordinate, laid out
    /// as the output: what the Jacobian's trace is made of.
    fn own_derivatives(
        &self,
        z: &State,
        time: Tensor<2>,
        factors: &Factors,
        given: &Given,
    ) -> (State, Tensor<2>) {
        let [rows, d] = z.dims();
        let tangents =
            Tensor::eye(d, &z.device()).reshape([1, d, d]).repeat_dim(0, rows).reshape([rows * d, d]);
        let (output, derivatives) = self.push_forward(z, time, factors, given, &tangents);
        let outputs = output.dims()[1];
        let per = outputs / d;
        let own = to_vec(derivatives)
            .chunks_exact(outputs)
            .enumerate()
            .flat_map(|(at, row)| row[at % d * per..][..per].to_vec())
            .collect();
        (output, matrix(own, outputs, &z.device()))
    }

    /// The trainable weights.
    fn weights(&self) -> Vec<&Weights> {
        Vec::new()
    }

    /// The trainable weights, to update.
    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        Vec::new()
    }

    /// What a reader of exported weights must know of it besides them ([`Network::described`]), where it can be told, and as
    /// `embedding` how many numbers of its context embed the time.
    fn described(&self) -> Option<Value> {
        None
    }

    /// A copy behind a new box.
    fn boxed(&self) -> Box<dyn Denoiser>;
}

impl Clone for Box<dyn Denoiser> {
    fn clone(&self) -> Self {
        self.boxed()
    }
}

/// A network that reads `z`, and as its context a sinusoidal embedding of the time and the condition.
#[derive(Debug, Clone)]
pub struct NetworkDenoiser {
    network: Network,
    /// Numbers of the embedding.
    embedding: usize,
}

impl NetworkDenoiser {
    /// The width of the time embedding is what the network's context has besides a condition of `condition` numbers.
    pub fn new(network: Network, condition: usize) -> Self {
        Self { embedding: network.context() - condition, network }
    }

    fn context(&self, time: Tensor<2>, given: &Given) -> Option<Tensor<2>> {
        let condition = given.read(self.network.context() - self.embedding, &time.device());
        Some(beside(sinusoidal(time, self.embedding), condition))
    }
}

impl Denoiser for NetworkDenoiser {
    fn dimension(&self) -> usize {
        self.network.input()
    }

    fn output(&self, z: &State, time: Tensor<2>, _: &Factors, given: &Given) -> State {
        self.network.apply(z.clone(), self.context(time, given))
    }

    fn push_forward(
        &self,
        z: &State,
        time: Tensor<2>,
        _: &Factors,
        given: &Given,
        tangents: &Tensor<2>,
    ) -> (State, Tensor<2>) {
        self.network.push_forward(z, self.context(time, given), tangents)
    }

    fn own_derivatives(&self, z: &State, time: Tensor<2>, _: &Factors, given: &Given) -> (State, Tensor<2>) {
        self.network.own_derivatives(z, self.context(time, given))
    }

    fn weights(&self) -> Vec<&Weights> {
        vec![self.network.weights()]
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        vec![self.network.weights_mut()]
    }

    fn described(&self) -> Option<Value> {
        let mut network = self.network.described()?;
        network["embedding"] = self.embedding.into();
        Some(network)
    }

    fn boxed(&self) -> Box<dyn Denoiser> {
        Box::new(self.clone())
    }
}
