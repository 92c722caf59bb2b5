//! Coupling layers: one part of the coordinates passes, and steers an element-wise map of the other.
//!
//! ```text
//! x_A = z_A,   x_B = h(z_B; theta(z_A))        log |det| = sum_B log h'
//! ```
//!
//! Dinh, Sohl-Dickstein, Bengio (RealNVP, 2017); with rational-quadratic splines Durkan et al. (2019).

use std::sync::Arc;

use burn::tensor::Tensor;

use super::Bijection;
use crate::chain::{LogWeight, State};
use crate::kernel::bijection::linear::Permutation;
use crate::kernel::transformer::Transform;
use crate::network::Network;
use crate::network::weights::Weights;

/// Which coordinates pass unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The first half passes.
    FirstHalf,
    /// The second half passes.
    SecondHalf,
    /// Those with an even index pass.
    Even,
    /// Those with an odd index pass.
    Odd,
}

impl Split {
    /// The indices that pass, then the indices that are transformed.
    pub fn indices(self, dimension: usize) -> (Vec<usize>, Vec<usize>) {
        (0..dimension).partition(|index| match self {
            Self::FirstHalf => *index < dimension / 2,
            Self::SecondHalf => *index >= dimension / 2,
            Self::Even => index % 2 == 0,
            Self::Odd => index % 2 == 1,
        })
    }

    /// The coordinates that pass and those that change.
    pub fn counts(self, dimension: usize) -> (usize, usize) {
        let (pass, change) = self.indices(dimension);
        (pass.len(), change.len())
    }
}

/// A coupling layer.
#[derive(Debug, Clone)]
pub struct Coupling {
    pass: usize,
    gather: Option<Arc<Permutation>>,
    transform: Transform,
    conditioner: Network,
}

impl Coupling {
    /// The conditioner maps the passing coordinates to `transform.raw_len()` numbers per changing coordinate.
    ///
    /// # Panics
    /// If the conditioner's sizes do not fit, or no coordinate passes or changes.
    pub fn new(dimension: usize, split: Split, transform: Transform, conditioner: Network) -> Self {
        let (pass, change) = split.indices(dimension);
        assert!(!pass.is_empty() && !change.is_empty(), "a coupling needs coordinates on both sides");
        assert_eq!(conditioner.input(), pass.len(), "the conditioner reads the passing coordinates");
        assert_eq!(conditioner.output(), change.len() * transform.raw_len(), "raw numbers per coordinate");
        let order: Vec<usize> = pass.iter().chain(&change).copied().collect();
        let in_order = order.iter().enumerate().all(|(index, value)| index == *value);
        let gather = (!in_order).then(|| Arc::new(Permutation::new(order)));
        Self { pass: pass.len(), gather, transform, conditioner }
    }

    fn apply(&self, state: State, inverse: bool) -> (State, LogWeight) {
        let [rows, dimension] = state.dims();
        let ordered = match &self.gather {
            Some(gather) => gather.inverse(state).0,
            None => state,
        };
        let pass = ordered.clone().slice([0..rows, 0..self.pass]);
        let change = ordered.slice([0..rows, self.pass..dimension]);
        let raw = self.conditioner.apply(pass.clone(), None);
        let (changed, log_det) = self.transform.apply(change, raw, inverse);
        let ordered = Tensor::cat(vec![pass, changed], 1);
        let state = match &self.gather {
            Some(gather) => gather.forward(ordered).0,
            None => ordered,
        };
        (state, log_det)
    }
}

impl Bijection for Coupling {
    fn forward(&self, z: State) -> (State, LogWeight) {
        self.apply(z, false)
    }

    fn inverse(&self, x: State) -> (State, LogWeight) {
        self.apply(x, true)
    }

    fn weights(&self) -> Vec<&Weights> {
        vec![self.conditioner.weights()]
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        vec![self.conditioner.weights_mut()]
    }

    fn boxed(&self) -> Box<dyn Bijection> {
        Box::new(self.clone())
    }
}
