//! Samplers: ways of drawing from a trained model's chain.

pub mod back_and_forth;

use rayon::prelude::*;

use crate::array::weights::to_vec;
use crate::chain::{Chain, State};
use crate::model::Model;
use crate::model::ode::Divergence;
use crate::model::schedule::Level;
use crate::rng::Noise;

/// Rows drawn together; also the unit of parallelism. Small enough for a network's activations to stay in cache.
const CHUNK: usize = 128;

/// How samples are drawn.
#[derive(
    Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema, Default,
)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Sampler {
    /// Every step of the chain, as trained.
    #[default]
    Ancestral,
    /// A diffusion's chain over fewer levels with less noise (Song et al. 2021): `eta = 0` is deterministic,
    /// `eta = 1` ancestral over those levels. Other segments are sampled as they are.
    Ddim {
        /// How many of the diffusion's levels are visited.
        steps: usize,
        /// The share of the posterior's standard deviation that is kept.
        #[serde(default)]
        eta: f64,
    },
    /// A diffusion's probability-flow ODE from a draw of the source, deterministic from there to the lowest noise level,
    /// of fourth order in the number of steps. Other segments are sampled as they are.
    Ode {
        /// Runge-Kutta steps, evenly spaced in the log-SNR; four evaluations of the network each.
        steps: usize,
    },
}

/// `count` of `levels`, evenly spread, the first and the last among them.
fn thinned(levels: &[Level], count: usize) -> Vec<Level> {
    let (last, count) = (levels.len() - 1, count.clamp(2, levels.len()));
    (0..count).map(|i| levels[(i * last + (count - 1) / 2) / (count - 1)]).collect()
}

impl Sampler {
    /// The chain this sampler runs.
    pub fn chain<'a>(&self, model: &'a Model) -> Chain<'a> {
        match *self {
            Self::Ancestral => model.chain(),
            Self::Ddim { steps, eta } => model.chain_with(|diffusion| {
                diffusion.transitions_over(&thinned(&diffusion.schedule.levels(), steps), eta)
            }),
            Self::Ode { steps } => model.ode_chain(steps, Divergence::Exact),
        }
    }

    /// `rows` samples, row-major. Row `i` depends on the seed and `i` alone: on neither chunks nor threads.
    pub fn sample(&self, model: &Model, rows: usize, noise: &Noise) -> Vec<f32> {
        self.sample_observed(model, rows, noise, &|_| true).expect("nobody asks to stop")
    }

    /// [`Sampler::sample`], telling `seen` the rows of every finished chunk; `None` where `seen` answered that this is
    /// enough.
    pub fn sample_observed(
        &self,
        model: &Model,
        rows: usize,
        noise: &Noise,
        seen: &(dyn Fn(usize) -> bool + Sync),
    ) -> Option<Vec<f32>> {
        let model = model.frozen();
        let chain = self.chain(&model);
        let starts: Vec<usize> = (0..rows).step_by(CHUNK).collect();
        let draw = |start: &usize| -> Option<Vec<f32>> {
            let count = CHUNK.min(rows - start);
            let address = noise.from_row(*start);
            let samples = to_vec(chain.sample(count, &address));
            seen(count).then_some(samples)
        };
        starts.par_iter().map(draw).collect::<Option<Vec<_>>>().map(|chunks| chunks.concat())
    }

    /// The states of `rows` paths at about `frames` times from the source to the target, with their place in the
    /// chain from 0 to 1.
    ///
    /// States of other dimension than the target's (latent ones) are included as they are.
    pub fn trajectory(&self, model: &Model, rows: usize, frames: usize, noise: &Noise) -> Vec<(f64, State)> {
        let model = model.frozen();
        let chain = self.chain(&model);
        let last = chain.transitions.len();
        let frames = frames.max(2);
        let wanted: Vec<usize> =
            (0..frames).map(|frame| (frame * last + (frames - 1) / 2) / (frames - 1)).collect();
        let mut states = Vec::new();
        chain.sample_observed(rows, noise, |index, state| {
            if wanted.contains(&index) {
                states.push((index as f64 / last as f64, state.clone()));
            }
        });
        states
    }
}
