//! What energies of categories learn by.
//!
//! ```text
//! contrastive        mean log R(y) - mean log R(x)      y: k moves from the data (Hinton 2002), or of chains that go on (Tieleman 2008)
//! pseudo-likelihood  -sum_i log p(x_i | x_{not i}) = sum_i log sum_v exp(d_iv)                                (Besag 1975)
//! ratio matching     sum_i sum_{v != x_i} sigmoid(d_iv)^2                                                     (Hyvärinen 2007)
//! noise-contrastive  mean softplus(-g(x)) + mean softplus(g(y)),   g = log R - log Z - log q,  y ~ q   (Gutmann and Hyvärinen 2010)
//! ```
//!
//! with `d_iv = log R(x, x_i = v) - log R(x)`. The first is no loss but has the gradient of one: that of the negative log-likelihood, where
//! `y` are draws of the energy's law. The others need no draws of it and no constant, or learn the constant as a weight.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::target::learned::{Energy, Independent};

/// A loss of energies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EnergyLoss {
    /// Data against states that a few moves lead to from them.
    Contrastive,
    /// Data against chains that go on from step to step.
    Persistent,
    /// Every coordinate given all others.
    PseudoLikelihood,
    /// Ratios of neighbours.
    RatioMatching,
    /// Data against draws of the base; `log Z` is learned.
    NoiseContrastive,
}

/// The contrast of data and `negatives`, per row; its gradient is added to `gradient`.
pub fn contrast(energy: &dyn Energy, data: &[u8], negatives: &[u8], gradient: &mut [f32]) -> f64 {
    let mean = |states: &[u8], sign: f64, gradient: &mut [f32]| {
        let mut out = vec![0.0; states.len() / energy.sites()];
        energy.log_density(states, &mut out);
        let slope = sign / out.len() as f64;
        energy.pull(states, &vec![slope; out.len()], gradient);
        slope * out.iter().sum::<f64>()
    };
    mean(data, -1.0, gradient) + mean(negatives, 1.0, gradient)
}

/// A sum of terms of changes per row, each with its slope; the gradient is added to `gradient`.
fn of_changes(
    energy: &dyn Energy,
    data: &[u8],
    gradient: &mut [f32],
    term: impl Fn(usize, &mut [f64]) -> f64,
) -> f64 {
    let (sites, values) = (energy.sites(), energy.values());
    let rows = (data.len() / sites) as f64;
    let mut changes = vec![0.0; data.len() * values];
    energy.changes(data, &mut changes);
    let each = data.iter().zip(changes.chunks_exact_mut(values));
    let loss: f64 = each.map(|(x, changes)| term(usize::from(*x), changes)).sum();
    changes.iter_mut().for_each(|slope| *slope /= rows);
    energy.pull_changes(data, &changes, gradient);
    loss / rows
}

/// The negative log-pseudo-likelihood per row, nats; its gradient is added to `gradient`.
pub fn pseudo_likelihood(energy: &dyn Energy, data: &[u8], gradient: &mut [f32]) -> f64 {
    of_changes(energy, data, gradient, |_, changes| {
        let largest = changes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = changes.iter().map(|change| (change - largest).exp()).sum();
        changes.iter_mut().for_each(|change| *change = (*change - largest).exp() / sum);
        sum.ln() + largest
    })
}

/// The ratio-matching loss per row; its gradient is added to `gradient`.
pub fn ratio_matching(energy: &dyn Energy, data: &[u8], gradient: &mut [f32]) -> f64 {
    of_changes(energy, data, gradient, |x, changes| {
        let mut loss = 0.0;
        for (value, change) in changes.iter_mut().enumerate() {
            let share = if value == x { 0.0 } else { 1.0 / (1.0 + (-*change).exp()) };
            loss += share * share;
            *change = 2.0 * share * share * (1.0 - share);
        }
        loss
    })
}

/// The loss of telling data from draws of the base; its gradient is added to `gradient`, its slope by `log Z` is answered beside it.
pub fn noise_contrastive(
    energy: &dyn Energy,
    base: &Independent,
    [data, drawn]: [&[u8]; 2],
    log_z: f64,
    gradient: &mut [f32],
) -> (f64, f64) {
    let (mut loss, mut slope) = (0.0, 0.0);
    for (states, sign) in [(data, -1.0), (drawn, 1.0)] {
        let rows = states.len() / energy.sites();
        let (mut own, mut of_base) = (vec![0.0; rows], vec![0.0; rows]);
        energy.log_density(states, &mut own);
        base.log_density(states, &mut of_base);
        for (own, of_base) in own.iter_mut().zip(&of_base) {
            let g: f64 = sign * (*own - log_z - of_base);
            loss += (g.max(0.0) + (-g.abs()).exp().ln_1p()) / rows as f64;
            *own = sign / (1.0 + (-g).exp()) / rows as f64;
        }
        slope -= own.iter().sum::<f64>();
        energy.pull(states, &own, gradient);
    }
    (loss, slope)
}
