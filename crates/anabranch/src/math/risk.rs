//! Risk measures of random quantities that are given by their quantiles.
//!
//! ```text
//! int_0^1 F(q) dw(q),     w a distortion of levels, w(0) = 0, w(1) = 1
//! ```
//!
//! Dabney et al., "Implicit quantile networks" (2018), section 3.1.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A distortion `w` of levels: the risk measure `int_0^1 F(q) dw(q)` of a flow's quantile function.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Risk {
    /// The mean.
    Neutral {},
    /// Conditional value at risk: the mean below level `eta`, `w(q) = min(q / eta, 1)`.
    Cvar {
        /// In (0, 1]; 1 is the mean.
        #[schemars(range(min = 0.0, max = 1.0))]
        eta: f64,
    },
    /// A power: `w(q) = q^(1 + eta)` seeks risk for `eta > 0`; `w(q) = 1 - (1 - q)^(1 - eta)` shuns it for `eta < 0`.
    Power {
        /// 0 is the mean.
        eta: f64,
    },
}

impl Default for Risk {
    fn default() -> Self {
        Self::Neutral {}
    }
}

impl Risk {
    /// `w(q)`: the weight of all levels up to `q`.
    pub fn weight_below(&self, q: f64) -> f64 {
        match *self {
            Self::Neutral {} => q,
            Self::Cvar { eta } => (q / eta).min(1.0),
            Self::Power { eta } if eta >= 0.0 => q.powf(1.0 + eta),
            Self::Power { eta } => 1.0 - (1.0 - q).powf(1.0 - eta),
        }
    }

    /// The level at which to read a quantile function so that uniform `u` give the risk measure as a mean: `w^{-1}(u)`.
    pub fn level(&self, u: f64) -> f64 {
        match *self {
            Self::Neutral {} => u,
            Self::Cvar { eta } => eta * u,
            Self::Power { eta } if eta >= 0.0 => u.powf(1.0 / (1.0 + eta)),
            Self::Power { eta } => 1.0 - (1.0 - u).powf(1.0 / (1.0 - eta)),
        }
    }

    /// The logarithm of the risk measure of a flow, from its log-quantiles at the levels `(i + 1/2) / n`. They need not be
    /// ascending, and where they are not they are not sorted: regression orders them.
    pub fn log_flow<T: Copy + Into<f64>>(&self, log_quantiles: &[T]) -> f64 {
        let n = log_quantiles.len() as f64;
        let logs = || log_quantiles.iter().map(|log| (*log).into());
        let largest = logs().fold(f64::NEG_INFINITY, f64::max);
        if largest == f64::NEG_INFINITY {
            return largest;
        }
        let weight = |i: usize| self.weight_below((i + 1) as f64 / n) - self.weight_below(i as f64 / n);
        let sum: f64 = logs().enumerate().map(|(i, log)| weight(i) * (log - largest).exp()).sum();
        largest + sum.ln()
    }

    /// The levels `(i + 1/2) / n` of `n` quantiles.
    pub fn midpoints(n: usize) -> impl Iterator<Item = f64> {
        (0..n).map(move |i| (i as f64 + 0.5) / n as f64)
    }
}
