//! Autoregressive flows: every coordinate is mapped given those before it.
//!
//! ```text
//! MAF   z_i = h(x_i; theta_i(x_1 .. x_{i-1}, c))      encoding in parallel, generating in sequence
//! IAF   x_i = h(z_i; theta_i(z_1 .. z_{i-1}, c))      generating in parallel, encoding in sequence
//! ```
//!
//! with `c` the condition, which every coordinate reads.
//!
//! Papamakarios, Pavlakou, Murray (2017); Kingma et al. (2016). The sequential direction costs one evaluation
//! of the masked network in total, because a hidden unit of degree `m` is ready once coordinates `<= m` are; where a
//! gradient is recorded it costs one evaluation per coordinate.

use serde_json::json;

use super::Bijection;
use crate::array::described::Described;
use crate::array::shape::Transform;
use crate::array::weights::Weights;
use crate::chain::{Given, LogWeight, State};
use crate::network::MaskedNetwork;

/// Which direction is parallel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Masked autoregressive flow: encoding is parallel, for maximum likelihood.
    Maf,
    /// Inverse autoregressive flow: generating is parallel, for reverse KL.
    Iaf,
}

/// An autoregressive layer.
#[derive(Debug, Clone)]
pub struct Autoregressive {
    direction: Direction,
    transform: Transform,
    conditioner: MaskedNetwork,
}

impl Autoregressive {
    /// The masked conditioner maps `[batch, dimension]`, and the condition as its context, to `transform.raw_len()` numbers per
    /// coordinate.
    ///
    /// # Panics
    /// If the conditioner's output does not fit.
    pub fn new(direction: Direction, transform: Transform, conditioner: MaskedNetwork) -> Self {
        assert_eq!(conditioner.answers(), transform.raw_len(), "raw numbers per coordinate");
        Self { direction, transform, conditioner }
    }

    /// `h(u_i; theta_i(u_<i))`, one network evaluation.
    fn parallel(&self, state: State, given: &Given) -> (State, LogWeight) {
        let raw =
            self.conditioner.apply(state.clone(), given.read(self.conditioner.context(), &state.device()));
        self.transform.apply(state, raw, false)
    }

    /// The inverse of [`Self::parallel`], coordinate by coordinate.
    fn sequential(&self, state: State, given: &Given) -> (State, LogWeight) {
        let context = given.read(self.conditioner.context(), &state.device());
        self.conditioner.invert(&self.transform, state, context)
    }
}

impl Bijection for Autoregressive {
    fn forward(&self, z: State, given: &Given) -> (State, LogWeight) {
        match self.direction {
            Direction::Maf => self.sequential(z, given),
            Direction::Iaf => self.parallel(z, given),
        }
    }

    fn inverse(&self, x: State, given: &Given) -> (State, LogWeight) {
        match self.direction {
            Direction::Maf => self.parallel(x, given),
            Direction::Iaf => self.sequential(x, given),
        }
    }

    fn weights(&self) -> Vec<&Weights> {
        vec![self.conditioner.weights()]
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        vec![self.conditioner.weights_mut()]
    }

    fn described(&self) -> Option<Described> {
        let (network, mask) = self.conditioner.described()?;
        let settings = json!({
            "inverse": self.direction == Direction::Iaf,
            "transform": self.transform.described(),
            "network": network,
        });
        Some(Described::new("autoregressive", settings).with("mask", vec![mask.len()], mask))
    }

    fn boxed(&self) -> Box<dyn Bijection> {
        Box::new(self.clone())
    }
}
