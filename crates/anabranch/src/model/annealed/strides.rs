//! How far the kernels of each level move: tuned at warm-up, then frozen.

use crate::array::weights::{Weights, layout};
use crate::kernel::mcmc::Stride;

/// A step size, a scale of each coordinate and a centre, for each of `K` levels.
#[derive(Debug, Clone)]
pub struct Strides {
    weights: Weights,
    dimension: usize,
}

impl Strides {
    /// The same step size at all levels, unit scales, centres at 0.
    pub fn new(name: impl Into<String>, levels: usize, dimension: usize, step: f32) -> Self {
        let slots = layout([
            ("log_step", vec![levels]),
            ("log_scale", vec![levels, dimension]),
            ("centre", vec![levels, dimension]),
        ]);
        let rest = 2 * levels * dimension;
        let values = [vec![step.ln(); levels], vec![0.0; rest]].concat();
        Self { weights: Weights::new(name, slots, values), dimension }
    }

    fn levels(&self) -> usize {
        self.weights.len() / (1 + 2 * self.dimension)
    }

    /// The strides of all levels, each with its centre.
    pub fn all(&self) -> Vec<(Stride, Vec<f32>)> {
        let (values, levels, d) = (self.weights.values(), self.levels(), self.dimension);
        let (steps, rest) = values.split_at(levels);
        let (scales, centres) = rest.split_at(levels * d);
        let of = |level: usize| {
            let row = |all: &[f32]| all[level * d..(level + 1) * d].to_vec();
            let scale = row(scales).into_iter().map(f32::exp).collect();
            (Stride { step: steps[level].exp(), scale }, row(centres))
        };
        (0..levels).map(of).collect()
    }

    /// Replaces them.
    ///
    /// # Panics
    /// If they are not as many, or have other dimensions.
    pub fn set(&mut self, all: &[(Stride, Vec<f32>)]) {
        let steps = all.iter().map(|(stride, _)| stride.step.ln());
        let scales = all.iter().flat_map(|(stride, _)| stride.scale.iter().map(|s| s.ln()));
        let centres = all.iter().flat_map(|(_, centre)| centre.iter().copied());
        self.weights.set(steps.chain(scales).chain(centres).collect());
    }

    /// The weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weights, to update.
    pub fn weights_mut(&mut self) -> &mut Weights {
        &mut self.weights
    }
}
