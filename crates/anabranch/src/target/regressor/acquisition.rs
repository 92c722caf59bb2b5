//! How good it looks to measure an object, of which a regressor predicts the score with an uncertainty.
//!
//! ```text
//! mean                   m(x)
//! upper-confidence       m(x) + beta s(x)
//! expected-improvement   E max(y - best, 0),  y ~ N(m(x), s(x)^2)   =   s h((m - best) / s),   h(z) = f(z) + z F(z)
//! ```
//!
//! Higher is better; scores that are to be small are turned over before. Srinivas et al., "Gaussian process optimization in the bandit
//! setting" (2010); Jones, Schonlau, Welch, "Efficient global optimization" (1998), equation 15.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::math::log_improvement;
use crate::target::within;

/// What is made of a predicted score and its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Acquisition {
    /// The predicted score alone.
    Mean {},
    /// The predicted score and `beta` of its standard deviations: what is not known looks good.
    UpperConfidence {
        /// How many standard deviations.
        #[serde(default = "one")]
        #[schemars(range(min = 0.0, max = 1e3))]
        beta: f64,
    },
    /// By how much the score is expected to be above the best one of the table.
    ExpectedImprovement {},
}

fn one() -> f64 {
    1.0
}

impl Default for Acquisition {
    fn default() -> Self {
        Self::UpperConfidence { beta: one() }
    }
}

impl Acquisition {
    pub(super) fn check(&self) -> Result<(), Problem> {
        match self {
            Self::UpperConfidence { beta } => within("acquisition.beta", *beta, 0.0, 1e3),
            Self::Mean {} | Self::ExpectedImprovement {} => Ok(()),
        }
    }

    /// Its name and formula.
    pub fn formula(&self) -> String {
        match self {
            Self::Mean {} => "a = mean".to_owned(),
            Self::UpperConfidence { beta } => format!("a = mean + {beta} sd"),
            Self::ExpectedImprovement {} => "a = E max(y - best, 0)".to_owned(),
        }
    }

    /// The acquisition of a score of mean `mean` and standard deviation `sd`, where the best known one is `best`.
    pub fn value(&self, mean: f64, sd: f64, best: f64) -> f64 {
        match self {
            Self::Mean {} => mean,
            Self::UpperConfidence { beta } => mean + beta * sd,
            Self::ExpectedImprovement {} => log_expected(mean, sd, best).exp(),
        }
    }

    /// `log r` of the positive number `r` that it is: the expected improvement itself, the exponential of the others.
    pub(super) fn log_value(&self, mean: f64, sd: f64, best: f64) -> f64 {
        match self {
            Self::ExpectedImprovement {} => log_expected(mean, sd, best),
            _ => self.value(mean, sd, best),
        }
    }
}

fn log_expected(mean: f64, sd: f64, best: f64) -> f64 {
    if sd > 0.0 { sd.ln() + log_improvement((mean - best) / sd) } else { (mean - best).max(0.0).ln() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the integral of `max(y - best, 0) N(y; mean, sd)`, by the midpoint rule over twelve standard deviations.
    #[test]
    fn expected_improvement_is_its_integral() {
        for (mean, sd, best) in [(0.0, 1.0, 0.5), (-1.0, 0.3, 0.2), (2.0, 0.7, -1.0), (0.1, 2.5, 0.1)] {
            let cells = 400_000;
            let width = 24.0 * sd / f64::from(cells);
            let integral: f64 = (0..cells)
                .map(|cell| {
                    let y = mean - 12.0 * sd + (f64::from(cell) + 0.5) * width;
                    let z = (y - mean) / sd;
                    (y - best).max(0.0) * (-0.5 * z * z).exp() / (std::f64::consts::TAU.sqrt() * sd) * width
                })
                .sum();
            let found = Acquisition::ExpectedImprovement {}.value(mean, sd, best);
            assert!((found - integral).abs() < 1e-8 * integral.max(1e-3), "{found} against {integral}");
        }
        let certain = |mean| Acquisition::ExpectedImprovement {}.value(mean, 0.0, 1.0);
        assert_eq!((certain(3.0), certain(0.5)), (2.0, 0.0));
    }

    #[test]
    fn more_is_better_of_what_is_not_known() {
        let bound = Acquisition::UpperConfidence { beta: 2.0 };
        assert_eq!(bound.value(0.5, 0.25, 9.0), 1.0);
        assert_eq!(Acquisition::Mean {}.value(0.5, 0.25, 9.0), 0.5);
        assert!(bound.check().is_ok() && Acquisition::UpperConfidence { beta: -1.0 }.check().is_err());
    }
}
