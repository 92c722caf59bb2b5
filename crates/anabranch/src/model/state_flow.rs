//! State flows of chains: `log F(s, r | c)` of the state `s` before the `r`-th kernel, given the condition `c`.
//!
//! ```text
//! log F(s, r | c) = network(s; embedding of r / m, c)
//! ```
//!
//! With them objectives of transitions and of sub-trajectories hold on any chain: `F(s_0) = Z mu(s_0)` and `F(x) = R(x)`.
//!
//! Zhang et al., "Diffusion generative flow samplers" (2024), section 3.2.

use burn::tensor::Tensor;

use crate::array::weights::Weights;
use crate::chain::{Given, LogWeight, State, beside, double};
use crate::network::embedding::sinusoidal;
use crate::network::{Activation, Feedforward, Network};

/// Numbers of the embedding of a kernel's place.
pub const EMBEDDING: usize = 32;

/// A network that answers `log F` of states of one dimension.
#[derive(Debug, Clone)]
pub struct StateFlow {
    network: Network,
}

impl StateFlow {
    /// A network over states of `dimension` numbers, and over a condition, 0 everywhere at first.
    pub fn new(
        [dimension, condition]: [usize; 2],
        hidden: &[usize],
        activation: Activation,
        seed: u64,
    ) -> Self {
        let shape = Feedforward {
            input: dimension,
            context: EMBEDDING + condition,
            hidden: hidden.to_vec(),
            output: 1,
            activation,
            residual: false,
        };
        Self { network: Network::new("state_flow", shape, seed, u32::MAX >> 8, true) }
    }

    /// A network over conditions alone, 0 everywhere at first: `log Z(c)`, of which the flow before the first kernel is made.
    pub fn of_conditions(condition: usize, hidden: &[usize], activation: Activation, seed: u64) -> Self {
        let shape = Feedforward {
            input: condition,
            context: EMBEDDING,
            hidden: hidden.to_vec(),
            output: 1,
            activation,
            residual: false,
        };
        Self { network: Network::new("log_z", shape, seed, (u32::MAX >> 8) - 1, true) }
    }

    /// The same network with other numbers, untracked.
    ///
    /// # Panics
    /// If they do not fit.
    pub fn with_weights(&self, values: &[f32]) -> Self {
        let mut flow = self.clone();
        flow.network.weights_mut().freeze();
        flow.network.weights_mut().set(values.to_vec());
        flow
    }

    /// Its weights.
    pub fn weights(&self) -> &Weights {
        self.network.weights()
    }

    /// Its weights, to update.
    pub fn weights_mut(&mut self) -> &mut Weights {
        self.network.weights_mut()
    }

    /// `log F` of states before kernel `index` of `count`, `[batch]`, nats, f64.
    pub fn log_flow(&self, state: &State, index: usize, count: usize, given: &Given) -> LogWeight {
        let (rows, device) = (state.dims()[0], self.network.weights().device());
        let time = Tensor::<2>::full([rows, 1], index as f32 / count as f32, &device);
        let conditions = given.tensor(&device).map(|condition| condition.expand([rows, given.width()]));
        let context = beside(sinusoidal(time, EMBEDDING), conditions);
        double(self.network.apply(state.clone().to_device(&device), Some(context)).squeeze_dim::<1>(1))
    }

    /// `log F` before every kernel, `[batch]` each, from the states there.
    pub fn log_flows(&self, before: &[State], given: &Given) -> Vec<LogWeight> {
        let Some(first) = before.first() else { return Vec::new() };
        let (rows, device) = (first.dims()[0], self.network.weights().device());
        let count = before.len();
        let time = |r: usize| Tensor::<2>::full([rows, 1], r as f32 / count as f32, &device);
        let times = Tensor::cat((0..count).map(time).collect(), 0);
        let states = before.iter().map(|state| state.clone().to_device(&device)).collect();
        let states = Tensor::cat(states, 0);
        let conditions = given.tensor(&device).map(|condition| {
            let width = given.width();
            condition.expand([rows, width]).repeat_dim(0, count)
        });
        let context = beside(sinusoidal(times, EMBEDDING), conditions);
        let flows = double(self.network.apply(states, Some(context)).squeeze_dim::<1>(1));
        flows.chunk(count, 0)
    }
}
