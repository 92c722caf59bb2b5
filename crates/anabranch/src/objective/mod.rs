//! Objectives: losses that are functions of path log-weights, for any chain.
//!
//! ```text
//! forward KL          -E_backward[ log mu + sum (log P_F - log P_B) ]      maximum likelihood of the bound
//! importance-weighted -E log mean_k exp(.)                                 IWAE
//! reverse KL          -E_forward[ log w ]
//! trajectory balance   E (log Z - log w)^2
//! log-variance         Var(log w)                                          VarGrad, log Z by the batch mean
//! ```
//!
//! The last two hold for paths drawn from any law, so they may be drawn without a tape and scored afterwards.

pub mod balance;
pub mod path;

use burn::tensor::Tensor;

use crate::chain::{LogWeight, State};
use crate::model::{Goal, Model};
use crate::network::weights::Weights;
use crate::rng::{Noise, Purpose};
use crate::target::Energy;
use path::Path;

/// How strongly a latent variable model's divergences count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KlTerms {
    /// The factor of every divergence: 1 is the bound, rising from 0 is warm-up, above 1 is beta-VAE.
    pub weight: f32,
    /// Nats per latent level below which its divergence is not pushed (Kingma et al. 2016).
    pub free_nats: f32,
}

impl Default for KlTerms {
    fn default() -> Self {
        Self { weight: 1.0, free_nats: 0.0 }
    }
}

/// Negative bound on the data's log-likelihood, averaged over the batch `x`: nats, `[1]`.
///
/// Simulation-free where the model's first segment allows it.
pub fn forward_kl(model: &Model, x: State, noise: &Noise, terms: KlTerms) -> Tensor<1> {
    let path = Path::backward(model, x, noise, Goal::Loss);
    let loss = if terms == KlTerms::default() { -path.total() } else { path.weighted_loss(terms) };
    loss.mean()
}

/// The importance-weighted bound's negative with `samples` paths per datum, averaged over the batch: nats, `[1]`.
pub fn importance_weighted(model: &Model, x: State, samples: usize, noise: &Noise) -> Tensor<1> {
    -model.importance_bound(x, samples, noise).mean()
}

/// `log w = log R(x) - log mu(s_0) + sum_t [log P_B - log P_F]` of `rows` forward paths, `[rows]`, nats, f64.
pub fn forward_log_weights(model: &Model, target: &dyn Energy, rows: usize, noise: &Noise) -> LogWeight {
    let trajectory = model.chain().generate(rows, noise);
    trajectory.log_weight + crate::chain::double(target.log_density(&trajectory.end))
}

/// `-E[log w]` over `rows` forward paths, `[1]`: its minimum is `-log Z`.
pub fn reverse_kl(model: &Model, target: &dyn Energy, rows: usize, noise: &Noise) -> Tensor<1> {
    -forward_log_weights(model, target, rows, noise).mean()
}

/// `E (log Z - log w)^2` with a learned `log Z`, `[1]` (Malkin et al. 2022, eq. 14).
pub fn trajectory_balance(
    model: &Model,
    target: &dyn Energy,
    log_z: &Weights,
    rows: usize,
    noise: &Noise,
) -> Tensor<1> {
    let log_weights = detached_path_weights(model, target, rows, noise);
    let log_z = crate::chain::double(log_z.tensor());
    (log_z - log_weights).square().mean()
}

/// The variance of `log w` over the batch, `[1]` (Richter et al. 2020; Zhang et al. 2023).
pub fn log_variance(model: &Model, target: &dyn Energy, rows: usize, noise: &Noise) -> Tensor<1> {
    let log_weights = detached_path_weights(model, target, rows, noise);
    (log_weights.clone() - log_weights.mean()).square().mean()
}

/// `log w` of forward paths whose states carry no gradient: only the kernels' own numbers are differentiated.
///
/// The states of each path are drawn from an untracked copy; the tracked chain then scores them. A chain of
/// bijections has its paths decided by their end, so there the end is re-encoded.
fn detached_path_weights(model: &Model, target: &dyn Energy, rows: usize, noise: &Noise) -> LogWeight {
    let frozen = model.frozen();
    let mut states: Vec<State> = Vec::new();
    frozen.chain().sample_observed(rows, noise, |_, state| states.push(state.clone()));
    let device = model.device();
    let end = states[states.len() - 1].clone();
    let reward = crate::chain::double(target.log_density(&end)).to_device(&device);
    let states: Vec<State> = states.into_iter().map(|state| state.to_device(&device)).collect();
    reward - Path::scored(model, states, &noise.purpose(Purpose::Backward)).total()
}
