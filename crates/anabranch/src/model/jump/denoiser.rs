//! What a jump process knows of its data: logits of the values of every coordinate, given all of them at a time.

use std::fmt::Debug;

use burn::tensor::Tensor;

use crate::array::weights::{Weights, matrix};
use crate::chain::{Given, State, beside};
use crate::kernel::categorical::categories;
use crate::network::embedding::sinusoidal;
use crate::network::{HollowNetwork, HollowTransformer, Network};

/// A denoiser of categories: a trained network, or an exact one where the law of the data is known.
pub trait CategoricalDenoiser: Debug + Send + Sync {
    /// Coordinates of the data.
    fn dimension(&self) -> usize;

    /// Logits, `[batch, dimension * states]` with those of a mask unread, at the states `x`, `[batch, dimension]`, and the times
    /// `[batch, 1]` or `[1, 1]` in [0, 1], of data with the condition that is `given`.
    fn logits(&self, x: &State, time: Tensor<2>, given: &Given) -> Tensor<2>;

    /// The trainable weights.
    fn weights(&self) -> Vec<&Weights> {
        Vec::new()
    }

    /// The trainable weights, to update.
    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        Vec::new()
    }

    /// A copy behind a new box.
    fn boxed(&self) -> Box<dyn CategoricalDenoiser>;
}

impl Clone for Box<dyn CategoricalDenoiser> {
    fn clone(&self) -> Self {
        self.boxed()
    }
}

/// A denoiser whose logits are divided by a temperature: every law that it answers is raised to its inverse.
#[derive(Debug, Clone)]
pub struct Tempered {
    denoiser: Box<dyn CategoricalDenoiser>,
    inverse: f32,
}

impl Tempered {
    /// A denoiser at a temperature; at 1 it is itself.
    pub fn at(denoiser: Box<dyn CategoricalDenoiser>, temperature: f64) -> Box<dyn CategoricalDenoiser> {
        match temperature {
            1.0 => denoiser,
            _ => Box::new(Self { denoiser, inverse: temperature.recip() as f32 }),
        }
    }
}

impl CategoricalDenoiser for Tempered {
    fn dimension(&self) -> usize {
        self.denoiser.dimension()
    }

    fn logits(&self, x: &State, time: Tensor<2>, given: &Given) -> Tensor<2> {
        self.denoiser.logits(x, time, given) * self.inverse
    }

    fn weights(&self) -> Vec<&Weights> {
        self.denoiser.weights()
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        self.denoiser.weights_mut()
    }

    fn boxed(&self) -> Box<dyn CategoricalDenoiser> {
        Box::new(self.clone())
    }
}

/// Categories `[batch, dimension]` as `[batch, dimension * states]` indicators, `sqrt(states)` for 1 so that they have the second
/// moment 1 that networks are laid out for.
pub fn one_hot(x: &State, states: usize) -> State {
    let (columns, all) = (x.dims()[1], categories(x));
    let mut values = vec![0.0; all.len() * states];
    for (own, state) in values.chunks_exact_mut(states).zip(all) {
        own[usize::from(state)] = (states as f32).sqrt();
    }
    matrix(values, columns * states, &x.device())
}

/// The network behind a denoiser.
#[derive(Debug, Clone)]
pub enum Classifier {
    /// One that sees every coordinate.
    Open(Network),
    /// One that does not see a coordinate where it answers for it.
    Hollow(HollowNetwork),
    /// The same as a transformer.
    HollowTransformer(HollowTransformer),
}

/// A network that reads indicators of categories, and as its context a sinusoidal embedding of the time, if that has a width, and the
/// condition.
#[derive(Debug, Clone)]
pub struct NetworkDenoiser {
    /// The network, of `dimension * states` inputs and outputs.
    pub network: Classifier,
    /// States of a coordinate.
    pub states: usize,
    /// Numbers of the embedding.
    pub embedding: usize,
}

impl NetworkDenoiser {
    /// Coordinates, and numbers of the context.
    fn sizes(&self) -> [usize; 2] {
        match &self.network {
            Classifier::Open(network) => [network.input() / self.states, network.context()],
            Classifier::Hollow(network) => [network.input() / self.states, network.context()],
            Classifier::HollowTransformer(network) => [network.columns(), network.context()],
        }
    }
}

/// A denoiser of what stands behind a prefix: the condition is the states of the first coordinates, which the network reads beside the
/// others and which never jump.
#[derive(Debug, Clone)]
pub struct Prefixed {
    /// The denoiser of all coordinates, without a condition.
    pub denoiser: NetworkDenoiser,
    /// How many of them are the prefix.
    pub prefix: usize,
}

impl CategoricalDenoiser for Prefixed {
    fn dimension(&self) -> usize {
        self.denoiser.dimension() - self.prefix
    }

    fn logits(&self, x: &State, time: Tensor<2>, given: &Given) -> Tensor<2> {
        let rows = x.dims()[0];
        let prefix = matrix(given.each(rows).into_owned(), self.prefix, &x.device());
        let whole = Tensor::cat(vec![prefix, x.clone()], 1);
        let logits = self.denoiser.logits(&whole, time, &Given::nothing());
        let states = self.denoiser.states;
        logits.slice([0..rows, self.prefix * states..(self.prefix + x.dims()[1]) * states])
    }

    fn weights(&self) -> Vec<&Weights> {
        self.denoiser.weights()
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        self.denoiser.weights_mut()
    }

    fn boxed(&self) -> Box<dyn CategoricalDenoiser> {
        Box::new(self.clone())
    }
}

impl NetworkDenoiser {
    /// Itself, or what it is behind a prefix of so many of its coordinates.
    pub fn behind(self, prefix: usize) -> Box<dyn CategoricalDenoiser> {
        match prefix {
            0 => Box::new(self),
            prefix => Box::new(Prefixed { denoiser: self, prefix }),
        }
    }
}

impl CategoricalDenoiser for NetworkDenoiser {
    fn dimension(&self) -> usize {
        self.sizes()[0]
    }

    fn logits(&self, x: &State, time: Tensor<2>, given: &Given) -> Tensor<2> {
        let condition = given.read(self.sizes()[1] - self.embedding, &time.device());
        let context = match self.embedding {
            0 => condition,
            width => Some(beside(sinusoidal(time, width), condition)),
        };
        match &self.network {
            Classifier::Open(network) => network.apply(one_hot(x, self.states), context),
            Classifier::Hollow(network) => network.apply(one_hot(x, self.states), context),
            Classifier::HollowTransformer(network) => network.apply(x.clone(), context),
        }
    }

    fn weights(&self) -> Vec<&Weights> {
        match &self.network {
            Classifier::Open(network) => vec![network.weights()],
            Classifier::Hollow(network) => network.weights(),
            Classifier::HollowTransformer(network) => network.weights(),
        }
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        match &mut self.network {
            Classifier::Open(network) => vec![network.weights_mut()],
            Classifier::Hollow(network) => network.weights_mut(),
            Classifier::HollowTransformer(network) => network.weights_mut(),
        }
    }

    fn boxed(&self) -> Box<dyn CategoricalDenoiser> {
        Box::new(self.clone())
    }
}
