//! Flow annealed importance sampling bootstrap (Midgley et al. 2023): a flow `q` learns from samples that annealing draws where it
//! should be and is not yet.
//!
//! ```text
//! minimised      int p^a / q^(a - 1)                                a = 2: the variance of the importance weights p / q
//! samples        of g = p^a q^(1 - a), by annealed importance sampling from q,   log g_b = (1 - b a) log q + b a log p
//! loss           -mean_i min(c, (q / q_i)^(1 - a)) log q(x_i)       x_i from a buffer in proportion to its weights w_i
//! afterwards     w_i <- w_i (q / q_i)^(1 - a),   q_i <- q           q_i: the density that w_i was reckoned with
//! ```
//!
//! The weights in the loss are constants. What the clip `c` cuts off the weight of a sample that the flow has left since, the buffer
//! makes good afterwards: it is drawn more often.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use crate::error::{Problem, Result};

/// A flow learned from a buffer of annealed samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fab {
    /// The order `a` of the divergence.
    #[schemars(range(min = 1.0, max = 10.0))]
    pub alpha: f64,
    /// Densities between the flow and `g`, which is the last of them.
    #[schemars(range(min = 1, max = 10_000))]
    pub levels: usize,
    /// Moves of Hamiltonian Monte Carlo at each of them.
    #[schemars(range(min = 1, max = 10_000))]
    pub moves: usize,
    /// Leapfrog steps of a move.
    #[schemars(range(min = 1, max = 10_000))]
    pub leapfrogs: usize,
    /// The first step size, which follows the acceptance from then on.
    #[schemars(range(min = 1e-6, max = 1e6))]
    pub step: f64,
    /// Samples that are kept.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub buffer: usize,
    /// Samples that are drawn before training.
    #[schemars(range(min = 1))]
    pub least: usize,
    /// Updates of the weights between two batches of new samples.
    #[schemars(range(min = 1, max = 10_000))]
    pub updates: usize,
    /// The largest weight of a sample in the loss.
    #[schemars(range(min = 1e-3, max = 1e6))]
    pub clip: f64,
}

impl Default for Fab {
    fn default() -> Self {
        Self {
            alpha: 2.0,
            levels: 4,
            moves: 1,
            leapfrogs: 5,
            step: 0.1,
            buffer: 50_000,
            least: 1000,
            updates: 4,
            clip: 10.0,
        }
    }
}

impl Fab {
    pub(super) fn check(&self, check: &Check<'_>) -> Result<()> {
        check.within("alpha", self.alpha, 1.0, 10.0)?;
        check.within("levels", self.levels as f64, 1.0, 1e4)?;
        check.within("moves", self.moves as f64, 1.0, 1e4)?;
        check.within("leapfrogs", self.leapfrogs as f64, 1.0, 1e4)?;
        check.within("step", self.step, 1e-6, 1e6)?;
        check.within("buffer", self.buffer as f64, 1.0, 1e8)?;
        check.within("updates", self.updates as f64, 1.0, 1e4)?;
        check.within("clip", self.clip, 1e-3, 1e6)?;
        if (1..=self.buffer).contains(&self.least) {
            return Ok(());
        }
        let place = format!("{}.least", check.0);
        Err(Problem::new(place, self.least.to_string())
            .allowed(format!("a number from 1 to the buffer's {}", self.buffer))
            .into())
    }

    /// The logarithm of what a sample's weight is multiplied by where the flow's log-density changed from `before` to `now`.
    pub fn correction(&self, before: f64, now: f64) -> f64 {
        (1.0 - self.alpha) * (now - before)
    }
}
