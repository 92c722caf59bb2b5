//! How far the kernels of each level move: tuned at warm-up, then frozen.

use crate::array::weights::{Weights, layout};
use crate::kernel::mcmc::Stride;

/// A step size, a scale of each coordinate or a factor of a covariance, and a centre, for each of `K` levels.
#[derive(Debug, Clone)]
pub struct Strides {
    weights: Weights,
    levels: usize,
    dimension: usize,
    dense: bool,
}

impl Strides {
    /// The same step size at all levels, unit scales, centres at 0.
    pub fn new(name: impl Into<String>, levels: usize, dimension: usize, step: f32) -> Self {
        Self::of(name, [levels, dimension], step, false)
    }

    /// [`Strides::new`] with a factor of a covariance at each level, the identity to begin with.
    pub fn dense(name: impl Into<String>, levels: usize, dimension: usize, step: f32) -> Self {
        Self::of(name, [levels, dimension], step, true)
    }

    fn of(name: impl Into<String>, [levels, d]: [usize; 2], step: f32, dense: bool) -> Self {
        let mut slots =
            vec![("log_step", vec![levels]), ("log_scale", vec![levels, d]), ("centre", vec![levels, d])];
        let mut values = [vec![step.ln(); levels], vec![0.0; 2 * levels * d]].concat();
        if dense {
            slots.push(("factor", vec![levels, d, d]));
            let identity = (0..d * d).map(|place| if place % (d + 1) == 0 { 1.0 } else { 0.0 });
            values.extend(identity.collect::<Vec<f32>>().repeat(levels));
        }
        Self { weights: Weights::new(name, layout(slots), values), levels, dimension: d, dense }
    }

    /// Whether each level has a factor of a covariance.
    pub fn is_dense(&self) -> bool {
        self.dense
    }

    /// The strides of all levels, each with its centre.
    pub fn all(&self) -> Vec<(Stride, Vec<f32>)> {
        let (values, levels, d) = (self.weights.values(), self.levels, self.dimension);
        let (steps, rest) = values.split_at(levels);
        let (scales, rest) = rest.split_at(levels * d);
        let (centres, factors) = rest.split_at(levels * d);
        let of = |level: usize| {
            let row = |all: &[f32]| all[level * d..(level + 1) * d].to_vec();
            let scale = row(scales).into_iter().map(f32::exp).collect();
            let factor = factors.get(level * d * d..(level + 1) * d * d).unwrap_or_default().to_vec();
            (Stride { step: steps[level].exp(), scale, factor }, row(centres))
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
        let factors = all.iter().flat_map(|(stride, _)| stride.factor.iter().copied());
        self.weights.set(steps.chain(scales).chain(centres).chain(factors).collect());
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
