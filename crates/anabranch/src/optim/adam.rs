//! Adam and AdamW over flat vectors, in one pass.
//!
//! ```text
//! m <- b1 m + (1 - b1) g,   v <- b2 v + (1 - b2) g^2
//! w <- w - rate (weight_decay w + m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon))
//! ```
//!
//! Kingma and Ba (2015), Loshchilov and Hutter (2019); weight decay is 0 for Adam.

use std::ops::Range;

use rayon::prelude::*;

use super::OptimizerRecipe;

/// Entries that one thread updates at a time.
const BLOCK: usize = 1 << 13;

/// Adam's two moments of one weight vector.
pub struct Moments<'a> {
    /// The running mean of gradients.
    pub first: &'a mut [f32],
    /// The running mean of squared gradients.
    pub second: &'a mut [f32],
}

/// The numbers of one update.
#[derive(Debug, Clone, Copy)]
pub struct Update<'a> {
    /// The learning rate.
    pub rate: f64,
    /// Which update it is, from 1.
    pub time: u64,
    /// What the gradient is multiplied by.
    pub scale: f64,
    /// The stretches of the weights that decay, in order.
    pub decayed: &'a [Range<usize>],
}

/// One update.
pub fn adam_step(
    recipe: &OptimizerRecipe,
    update: Update<'_>,
    weights: &mut [f32],
    gradient: &[f32],
    moments: Moments<'_>,
) {
    let (b1, b2) = (recipe.beta1 as f32, recipe.beta2 as f32);
    let t = update.time.min(i32::MAX as u64) as i32;
    let step = (update.rate / (1.0 - recipe.beta1.powi(t))) as f32;
    let correction = (1.0 - recipe.beta2.powi(t)).sqrt().recip() as f32;
    let (scale, epsilon) = (update.scale as f32, recipe.epsilon as f32);
    let shrink = (1.0 - update.rate * recipe.weight_decay) as f32;
    let pass = |range: Range<usize>, shrink: f32, weights: &mut [f32], moments: &mut Moments<'_>| {
        let blocks =
            weights[range.clone()].par_chunks_mut(BLOCK).zip(gradient[range.clone()].par_chunks(BLOCK)).zip(
                moments.first[range.clone()]
                    .par_chunks_mut(BLOCK)
                    .zip(moments.second[range].par_chunks_mut(BLOCK)),
            );
        blocks.for_each(|((weights, gradient), (first, second))| {
            let entries = weights.iter_mut().zip(gradient).zip(first.iter_mut().zip(second));
            pulp::Arch::new().dispatch(|| {
                entries.for_each(|((w, g), (m, v))| {
                    let g = g * scale;
                    *m = b1 * *m + (1.0 - b1) * g;
                    *v = b2 * *v + (1.0 - b2) * g * g;
                    *w = shrink * *w - step * *m / (v.sqrt() * correction + epsilon);
                });
            });
        });
    };
    let (mut moments, mut done) = (moments, 0);
    if recipe.weight_decay > 0.0 {
        for range in update.decayed {
            pass(done..range.start, 1.0, weights, &mut moments);
            pass(range.clone(), shrink, weights, &mut moments);
            done = range.end;
        }
    }
    pass(done..weights.len(), 1.0, weights, &mut moments);
}

/// `average <- decay average + (1 - decay) weights`.
pub fn average(average: &mut [f32], weights: &[f32], decay: f32) {
    average.par_chunks_mut(BLOCK).zip(weights.par_chunks(BLOCK)).for_each(|(average, weights)| {
        pulp::Arch::new().dispatch(|| {
            average.iter_mut().zip(weights).for_each(|(a, w)| *a = decay * *a + (1.0 - decay) * w);
        });
    });
}

/// The largest norm of gradients whose squares and their running means are numbers in f32.
const LARGEST: f64 = 1e18;

/// What gradients of norm `norm` are multiplied by so that it is at most `clip_norm`, 0 being no bound; none where the norm is
/// no number, or what is left is too large for moments in f32.
pub fn clipping(clip_norm: f64, norm: f64) -> Option<f64> {
    let scale = if clip_norm > 0.0 && norm > clip_norm { clip_norm / norm } else { 1.0 };
    (norm * scale <= LARGEST).then_some(scale)
}

/// The sum of squares: in f32 over fixed blocks, sixteen partial sums in each, and in f64 over the blocks; all in f64 where a
/// block's is not finite.
pub fn norm_squared(values: &[f32]) -> f64 {
    let block = |block: &[f32]| {
        let mut sums = [0.0f32; 16];
        let (whole, rest) = block.as_chunks::<16>();
        whole.iter().for_each(|values| sums.iter_mut().zip(values).for_each(|(sum, v)| *sum += v * v));
        sums.iter_mut().zip(rest).for_each(|(sum, v)| *sum += v * v);
        f64::from(sums.iter().sum::<f32>())
    };
    let part = |part: &[f32]| pulp::Arch::new().dispatch(|| part.chunks(256).map(block).sum());
    let blocks: Vec<f64> = values.par_chunks(BLOCK).map(part).collect();
    let sum: f64 = blocks.iter().sum();
    if sum.is_finite() { sum } else { values.iter().map(|value| f64::from(*value).powi(2)).sum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_follow_the_formula() {
        let recipe = OptimizerRecipe { weight_decay: 0.1, ..OptimizerRecipe::default() };
        let (mut w, mut m, mut v) = (vec![1.0f32, -2.0, 0.5], vec![0.0; 3], vec![0.0; 3]);
        let (mut w64, mut m64, mut v64) = (vec![1.0f64, -2.0, 0.5], [0.0f64; 3], [0.0f64; 3]);
        for t in 1..=20u64 {
            let g: Vec<f32> = (0..3).map(|i| ((t * 7 + i * 3) % 5) as f32 - 1.9).collect();
            let update = Update { rate: 0.01, time: t, scale: 0.5, decayed: &[0..1, 2..3] };
            adam_step(&recipe, update, &mut w, &g, Moments { first: &mut m, second: &mut v });
            for i in 0..3 {
                let g = 0.5 * f64::from(g[i]);
                m64[i] = 0.9 * m64[i] + 0.1 * g;
                v64[i] = 0.999 * v64[i] + 0.001 * g * g;
                let mean = m64[i] / (1.0 - 0.9f64.powi(t as i32));
                let root = (v64[i] / (1.0 - 0.999f64.powi(t as i32))).sqrt();
                let decay = if i == 1 { 0.0 } else { 0.1 };
                w64[i] -= 0.01 * (decay * w64[i] + mean / (root + 1e-8));
            }
        }
        w.iter().zip(&w64).for_each(|(w, w64)| assert!((f64::from(*w) - w64).abs() < 1e-5, "{w} {w64}"));
    }

    /// Gradients whose squares are no f32 have a norm; clipped, they step as smaller ones do, and as they are, they are refused.
    #[test]
    fn large_gradients_are_clipped_or_refused() {
        let gradient = [3e25f32, -4e25];
        let norm = norm_squared(&gradient).sqrt();
        assert!((norm / 5e25 - 1.0).abs() < 1e-6, "{norm}");
        let scale = clipping(1.0, norm).expect("it is clipped");
        let recipe = OptimizerRecipe::default();
        let (mut w, mut m, mut v) = ([0.0; 2], [0.0; 2], [0.0; 2]);
        let update = Update { rate: 0.01, time: 1, scale, decayed: &[] };
        adam_step(&recipe, update, &mut w, &gradient, Moments { first: &mut m, second: &mut v });
        assert!((w[0] + 0.01).abs() < 1e-6 && (w[1] - 0.01).abs() < 1e-6, "{w:?}");
        assert_eq!((clipping(0.0, norm), clipping(1e20, norm)), (None, None));
        assert_eq!((clipping(0.0, f64::NAN), clipping(1.0, f64::INFINITY)), (None, None));
        assert_eq!(
            (clipping(0.0, 7.0), clipping(1.0, 0.5), clipping(1.0, 4.0)),
            (Some(1.0), Some(1.0), Some(0.25))
        );
    }

    #[test]
    fn norms_count_every_entry_once() {
        for length in [0, 1, 15, 16, 17, 255, 256, 257, 1000] {
            let values: Vec<f32> = (1..=length).map(|i| (i % 7) as f32).collect();
            let exact: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
            assert_eq!(norm_squared(&values), exact, "{length} entries");
        }
    }
}
