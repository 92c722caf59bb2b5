//! Flows between the levels of an annealed path, each learned from particles (Matthews et al. 2022).
//!
//! ```text
//! loss = sum_k sum_i W_i [log gamma_{k-1}(x_i) - log gamma_k(T_k x_i) - log |det DT_k(x_i)|]
//! ```
//!
//! `x_i` with the weights `W_i` are the particles of sequential Monte Carlo in front of the map `T_k`, drawn with the weights as they
//! are: each term is `KL(T_k # pi_{k-1} || pi_k)` less the ratio of their constants, and teaches `T_k` alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use crate::chain::Resampling;
use crate::error::Result;

/// Flows learned each from the particles in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Craft {
    /// The share of their number below which the effective size of the particles makes them be resampled.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: f64,
    /// The scheme.
    pub resampling: Resampling,
}

impl Default for Craft {
    fn default() -> Self {
        Self { threshold: 0.3, resampling: Resampling::default() }
    }
}

impl Craft {
    pub(super) fn check(&self, check: &Check<'_>) -> Result<()> {
        check.within("threshold", self.threshold, 0.0, 1.0)
    }
}
