//! Coordinate ascent, which has no paths: every factor of a guide moves to its exact optimum given the others.
//!
//! ```text
//! all rows     lambda <- lambda^(all)                                                    a round of coordinate ascent
//! some rows    lambda <- (1 - rho_t) lambda + rho_t lambda^(rows),   rho_t = (t + delay)^-forgetting      t = 1, 2, ...
//! ```
//!
//! Steps add up to infinity and their squares do not where `1/2 < forgetting <= 1`: then stochastic steps converge (Hoffman et al.
//! 2013, eq. 26). Which targets know their optimum is told by
//! [`Target::bayesian_mixture`](crate::target::Target::bayesian_mixture).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use crate::error::Result;

/// Coordinate ascent on all rows, or stochastic variational inference on some.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CoordinateAscent {
    /// Rows of the target's data in each step, drawn at random; 0: all of them.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub rows: usize,
    /// Added to the step, where rows are drawn.
    #[schemars(range(min = 0.0, max = 1e9))]
    pub delay: f64,
    /// How fast steps shrink, where rows are drawn.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.5))]
    pub forgetting: f64,
}

impl Default for CoordinateAscent {
    fn default() -> Self {
        Self { rows: 0, delay: 1.0, forgetting: 0.7 }
    }
}

impl CoordinateAscent {
    pub(super) fn check(&self, check: &Check<'_>) -> Result<()> {
        check.within("rows", self.rows as f64, 0.0, 1e7)?;
        check.within("delay", self.delay, 0.0, 1e9)?;
        let forgetting = self.forgetting;
        let fine = forgetting > 0.5 && forgetting <= 1.0;
        check.that("forgetting", forgetting, fine, "a number above 0.5, up to 1")
    }

    /// The share of the way that step `step` (from 0) goes.
    pub fn rate(&self, step: u64) -> f64 {
        match self.rows {
            0 => 1.0,
            _ => (step as f64 + 1.0 + self.delay).powf(-self.forgetting),
        }
    }
}
