//! Learned drifts: what a network adds to the mean of a Gaussian kernel.
//!
//! ```text
//! s(x, u) = network((x - c) / a; embedding of u) / a        u in [0, 1] along the path, 0 everywhere at first
//! ```
//!
//! in units of a score, for states around `c` of scale `a`.

use burn::tensor::Tensor;

use crate::array::weights::Weights;
use crate::chain::{Given, State, beside};
use crate::network::Network;
use crate::network::embedding::sinusoidal;

/// A network that answers for a state at a place of the path.
#[derive(Debug, Clone)]
pub struct Drift {
    network: Network,
    /// Numbers of the embedding.
    embedding: usize,
    centre: f32,
    scale: f32,
}

impl Drift {
    /// States are around `centre` and of size `scale`. The width of the embedding is what the network's context has besides a condition
    /// of `condition` numbers.
    pub fn new(network: Network, condition: usize, centre: f32, scale: f32) -> Self {
        Self { embedding: network.context() - condition, network, centre, scale }
    }

    /// `s(x, u)`, `[batch, outputs]`.
    pub fn at(&self, x: &State, u: f32, given: &Given) -> State {
        let device = x.device();
        let condition = given.read(self.network.context() - self.embedding, &device);
        let context = beside(sinusoidal(Tensor::full([1, 1], u, &device), self.embedding), condition);
        let centred = if self.centre == 0.0 { x.clone() } else { x.clone() - self.centre };
        if self.scale == 1.0 {
            return self.network.apply(centred, Some(context));
        }
        self.network.apply(centred * self.scale.recip(), Some(context)) * self.scale.recip()
    }

    /// The weights.
    pub fn weights(&self) -> &Weights {
        self.network.weights()
    }

    /// The weights, to update.
    pub fn weights_mut(&mut self) -> &mut Weights {
        self.network.weights_mut()
    }
}
