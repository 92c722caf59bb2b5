//! Samplers: ways of drawing from a trained model's chain.

pub mod back_and_forth;
pub mod chain_moves;
pub mod smc;

use rayon::prelude::*;

use crate::array::weights::to_vec;
use crate::chain::{Chain, Given, State};
use crate::error::Failure;
use crate::model::Model;
use crate::model::jump::sampling::Sampling;
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
        #[schemars(range(min = 2, max = 1_000_000))]
        steps: usize,
        /// The share of the posterior's standard deviation that is kept.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 1.0))]
        eta: f64,
    },
    /// A diffusion's probability-flow ODE from a draw of the source, deterministic from there to the lowest noise level,
    /// of fourth order in the number of steps. Other segments are sampled as they are.
    Ode {
        /// Runge-Kutta steps, evenly spaced in the log-SNR; four evaluations of the network each.
        #[schemars(range(min = 1, max = 1_000_000))]
        steps: usize,
    },
    /// A chain of another kind on the weights of a jump process or an autoregressive model: other numbers of steps, orders, temperatures.
    Discrete(Sampling),
}

/// `count` of `levels`, evenly spread, the first and the last among them.
fn thinned(levels: &[Level], count: usize) -> Vec<Level> {
    let (last, count) = (levels.len() - 1, count.clamp(2, levels.len()));
    (0..count).map(|i| levels[(i * last + (count - 1) / 2) / (count - 1)]).collect()
}

impl Sampler {
    /// The model whose chain this sampler runs: another one on the same weights, where categories are sampled otherwise than as trained.
    /// What holds of models holds of it, likelihoods and path weights above all.
    pub fn model(&self, model: &Model) -> Model {
        match self {
            Self::Discrete(sampling) => {
                let segments = model.segments().iter();
                Model::new(segments.map(|own| own.sampled(sampling).unwrap_or_else(|| own.boxed())).collect())
            }
            Self::Ancestral | Self::Ddim { .. } | Self::Ode { .. } => model.clone(),
        }
    }

    /// The chain this sampler runs, of a model that is its own ([`Sampler::model`]).
    fn chain<'a>(&self, model: &'a Model) -> Chain<'a> {
        match *self {
            Self::Ancestral | Self::Discrete(_) => model.chain(),
            Self::Ddim { steps, eta } => model.chain_with(|diffusion| {
                diffusion.transitions_over(&thinned(&diffusion.schedule.levels(), steps), eta)
            }),
            Self::Ode { steps } => model.ode_chain(steps, Divergence::Exact),
        }
    }

    /// `rows` samples, row-major, each under its condition. Row `i` depends on the seed, `i` and its condition alone: on neither
    /// chunks nor threads.
    ///
    /// # Errors
    /// If a kernel fails.
    pub fn sample(
        &self,
        model: &Model,
        rows: usize,
        given: &Given,
        noise: &Noise,
    ) -> Result<Vec<f32>, Failure> {
        let all = self.sample_observed(model, rows, given, noise, &|_| true)?;
        Ok(all.expect("nobody asks to stop"))
    }

    /// [`Sampler::sample`], telling `seen` the rows of every finished chunk; `None` where `seen` answered that this is
    /// enough.
    ///
    /// # Errors
    /// If a kernel fails.
    pub fn sample_observed(
        &self,
        model: &Model,
        rows: usize,
        given: &Given,
        noise: &Noise,
        seen: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Option<Vec<f32>>, Failure> {
        let model = self.model(&model.frozen());
        let chain = self.chain(&model);
        let starts: Vec<usize> = (0..rows).step_by(CHUNK).collect();
        let draw = |start: &usize| -> Result<Option<Vec<f32>>, Failure> {
            let count = CHUNK.min(rows - start);
            let address = noise.from_row(*start);
            let samples = to_vec(chain.sample(count, &given.range(*start, count), &address)?);
            Ok(seen(count).then_some(samples))
        };
        let chunks: Result<Vec<_>, Failure> = starts.par_iter().map(draw).collect();
        Ok(chunks?.into_iter().collect::<Option<Vec<_>>>().map(|chunks| chunks.concat()))
    }

    /// The states of `rows` paths at about `frames` times from the source to the target, with their place in the
    /// chain from 0 to 1.
    ///
    /// States of other dimension than the target's (latent ones) are included as they are.
    ///
    /// # Errors
    /// If a kernel fails.
    pub fn trajectory(
        &self,
        model: &Model,
        rows: usize,
        frames: usize,
        given: &Given,
        noise: &Noise,
    ) -> Result<Vec<(f64, State)>, Failure> {
        let model = self.model(&model.frozen());
        let chain = self.chain(&model);
        let last = chain.transitions.len();
        let frames = frames.max(2);
        let wanted: Vec<usize> =
            (0..frames).map(|frame| (frame * last + (frames - 1) / 2) / (frames - 1)).collect();
        let mut states = Vec::new();
        chain.sample_observed(rows, given, noise, |index, state| {
            if wanted.contains(&index) {
                states.push((index as f64 / last as f64, state.clone()));
            }
        })?;
        Ok(states)
    }
}
