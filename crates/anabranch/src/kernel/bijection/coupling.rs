//! Coupling layers: one part of the coordinates passes, and steers an element-wise map of the other.
//!
//! ```text
//! x_A = z_A,   x_B = h(z_B; theta(z_A, c))        log |det| = sum_B log h'
//! ```
//!
//! `c` is the condition, if there is one. The passing part may go through a map of its own, x_A = h(z_A; phi), whose parameters depend on nothing.
//!
//! Dinh, Sohl-Dickstein, Bengio (RealNVP, 2017); with rational-quadratic splines Durkan et al. (2019).

use std::sync::Arc;

use burn::tensor::Tensor;
use serde_json::json;

use super::Bijection;
use crate::array::described::Described;
use crate::array::shape::Transform;
use crate::array::weights::{Weights, layout};
use crate::chain::{Given, LogWeight, State};
use crate::kernel::bijection::linear::Permutation;
use crate::network::Network;

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
    /// The coordinates that change.
    change: Arc<[usize]>,
    gather: Option<Arc<Permutation>>,
    transform: Transform,
    conditioner: Network,
    /// `phi`, shared by all rows.
    pass_parameters: Option<Weights>,
}

impl Coupling {
    /// The conditioner maps the passing coordinates, and the condition as its context, to `transform.raw_len()` numbers per
    /// changing coordinate.
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
        Self {
            pass: pass.len(),
            change: change.into(),
            gather,
            transform,
            conditioner,
            pass_parameters: None,
        }
    }

    /// Sends the passing coordinates through a map of their own too, started at the identity.
    pub fn with_pass_transform(mut self, name: impl Into<String>) -> Self {
        let count = self.pass * self.transform.raw_len();
        self.pass_parameters = Some(Weights::new(name, layout([("raw", vec![count])]), vec![0.0; count]));
        self
    }

    fn apply_to_pass(&self, pass: State, inverse: bool) -> (State, Option<LogWeight>) {
        let Some(parameters) = &self.pass_parameters else { return (pass, None) };
        let (pass, log_det) = self.transform.apply(pass, parameters.matrix("raw"), inverse);
        (pass, Some(log_det))
    }

    fn apply(&self, state: State, given: &Given, inverse: bool) -> (State, LogWeight) {
        if self.pass_parameters.is_some() {
            return self.apply_to_both(state, given, inverse);
        }
        let rows = state.dims()[0];
        let pass = match &self.gather {
            Some(gather) => gather.inverse_head(state.clone(), self.pass),
            None => state.clone().slice([0..rows, 0..self.pass]),
        };
        let raw = self.conditioner.apply(pass, self.context(&state, given));
        self.transform.apply_at(&self.change, state, raw, inverse)
    }

    fn context(&self, state: &State, given: &Given) -> Option<Tensor<2>> {
        given.read(self.conditioner.context(), &state.device())
    }

    fn apply_to_both(&self, state: State, given: &Given, inverse: bool) -> (State, LogWeight) {
        let [rows, dimension] = state.dims();
        let ordered = match &self.gather {
            Some(gather) => gather.inverse(state, given).0,
            None => state,
        };
        let pass = ordered.clone().slice([0..rows, 0..self.pass]);
        let change = ordered.slice([0..rows, self.pass..dimension]);
        // The conditioner reads the passing coordinates as they are on the source's side.
        let (source, target, pass_log_det) = match inverse {
            false => {
                let (mapped, log_det) = self.apply_to_pass(pass.clone(), false);
                (pass, mapped.clone(), log_det)
            }
            true => {
                let (mapped, log_det) = self.apply_to_pass(pass, true);
                (mapped.clone(), mapped, log_det)
            }
        };
        let context = self.context(&source, given);
        let raw = self.conditioner.apply(source, context);
        let (changed, mut log_det) = self.transform.apply(change, raw, inverse);
        if let Some(more) = pass_log_det {
            log_det = log_det + more;
        }
        let ordered = Tensor::cat(vec![target, changed], 1);
        let state = match &self.gather {
            Some(gather) => gather.forward(ordered, given).0,
            None => ordered,
        };
        (state, log_det)
    }
}

impl Bijection for Coupling {
    fn forward(&self, z: State, given: &Given) -> (State, LogWeight) {
        self.apply(z, given, false)
    }

    fn inverse(&self, x: State, given: &Given) -> (State, LogWeight) {
        self.apply(x, given, true)
    }

    fn weights(&self) -> Vec<&Weights> {
        [self.conditioner.weights()].into_iter().chain(&self.pass_parameters).collect()
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        [self.conditioner.weights_mut()].into_iter().chain(&mut self.pass_parameters).collect()
    }

    fn described(&self) -> Option<Described> {
        let settings = json!({
            "change": &self.change[..],
            "transform": self.transform.described(),
            "network": self.conditioner.described()?,
            "pass": self.pass_parameters.as_ref().map(Weights::name),
        });
        Some(Described::new("coupling", settings))
    }

    fn boxed(&self) -> Box<dyn Bijection> {
        Box::new(self.clone())
    }
}
