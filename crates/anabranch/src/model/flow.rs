//! Normalizing flows and the fixed maps around data: segments made of bijections, and dequantisation.

pub mod fixed;
pub mod probit;
pub mod recipe;

use serde_json::json;

use super::Segment;
use crate::array::described::Described;
use crate::array::weights::Weights;
use crate::chain::{Given, State, Transition};
use crate::kernel::bijection::{Bijection, BijectionStep};
use crate::kernel::pair::Pair;
use crate::kernel::quantise::{Rounding, UniformNoise, dequantisation};

/// Bijections one after the other, the first next to the source.
pub struct Flow {
    dimension: usize,
    layers: Vec<Box<dyn Bijection>>,
}

impl Flow {
    /// A flow over `dimension` coordinates.
    pub fn new(dimension: usize, layers: Vec<Box<dyn Bijection>>) -> Self {
        Self { dimension, layers }
    }

    /// The layers, the first next to the source.
    pub fn layers(&self) -> &[Box<dyn Bijection>] {
        &self.layers
    }
}

impl Segment for Flow {
    fn kind(&self) -> &'static str {
        "flow"
    }

    fn inner_dimension(&self) -> usize {
        self.dimension
    }

    fn outer_dimension(&self) -> usize {
        self.dimension
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        self.layers
            .iter()
            .map(|layer| Box::new(BijectionStep(layer.as_ref())) as Box<dyn Transition>)
            .collect()
    }

    fn weights(&self) -> Vec<&Weights> {
        self.layers.iter().flat_map(|layer| layer.weights()).collect()
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        self.layers.iter_mut().flat_map(|layer| layer.weights_mut()).collect()
    }

    fn initialise(&mut self, x: &State, given: &Given) {
        let mut x = x.clone();
        for layer in self.layers.iter_mut().rev() {
            layer.initialise(&x);
            x = layer.inverse(x, given).0;
        }
    }

    fn described(&self) -> Option<Vec<(Described, usize)>> {
        self.layers.iter().map(|layer| Some((layer.described()?, 1))).collect()
    }

    fn boxed(&self) -> Box<dyn Segment> {
        let layers = self.layers.iter().map(|layer| layer.boxed()).collect();
        Box::new(Self { dimension: self.dimension, layers })
    }
}

/// Integers as the rounding of a continuous state: the last segment before data with levels.
#[derive(Debug, Clone)]
pub struct Dequantise {
    dimension: usize,
    kernel: Pair<Rounding, UniformNoise>,
}

impl Dequantise {
    /// For `dimension` coordinates with `levels` integer levels each.
    ///
    /// # Panics
    /// If there are more than 2^23 levels: between larger integers f32 has no numbers.
    pub fn new(dimension: usize, levels: u32) -> Self {
        assert!(levels <= 1 << 23, "f32 tells {levels} levels from what lies between them");
        Self { dimension, kernel: dequantisation(levels) }
    }
}

impl Segment for Dequantise {
    fn kind(&self) -> &'static str {
        "dequantise"
    }

    fn inner_dimension(&self) -> usize {
        self.dimension
    }

    fn outer_dimension(&self) -> usize {
        self.dimension
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        vec![Box::new(self.kernel.clone())]
    }

    fn described(&self) -> Option<Vec<(Described, usize)>> {
        Some(vec![(Described::new("dequantise", json!({})), 1)])
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}
