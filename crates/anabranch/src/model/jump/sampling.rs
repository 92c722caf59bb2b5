//! How models of categories are sampled otherwise than they were trained.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Problem, Result, within};

/// Ways of drawing categories. Each is a chain on the trained weights with log-probabilities of its own, by which weights stay right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Steps of the chain; as trained unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub steps: Option<usize>,
    /// In which order masked coordinates take values, as many in each step as the clock says; of a jump process, if it is not given, each
    /// when its own time comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<SamplingOrder>,
    /// Every law that the network answers is raised to 1 / temperature.
    #[schemars(range(min = 1e-3, max = 1e3))]
    pub temperature: f64,
    /// Of a jump process: Gibbs updates of single coordinates behind every step, which leave the law at that time as it is.
    #[schemars(range(min = 0, max = 10_000))]
    pub corrector: usize,
    /// Of a jump process with uniform or absorbing rates: steps by the rates of discrete flow matching, which noise what has come to its
    /// value again, at this rate per unit of the data that survive; 0 is without. The trained steps unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1e3))]
    pub eta: Option<f64>,
}

/// In which order masked coordinates take values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SamplingOrder {
    /// Any, alike.
    Any,
    /// From the first on.
    LeftToRight,
    /// Those first whose likeliest value is likeliest.
    Confidence,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { steps: None, order: None, temperature: 1.0, corrector: 0, eta: None }
    }
}

impl Sampling {
    /// Checks the values.
    ///
    /// # Errors
    /// The first problem found.
    pub fn check(&self) -> Result<()> {
        within("sampler.steps", self.steps.unwrap_or(1) as f64, 1.0, 1e5)?;
        within("sampler.temperature", self.temperature, 1e-3, 1e3)?;
        within("sampler.eta", self.eta.unwrap_or(0.0), 0.0, 1e3)?;
        within("sampler.corrector", self.corrector as f64, 0.0, 1e4)
    }

    /// A problem with one of its keys.
    pub(crate) fn refused(key: &str, found: &str, allowed: &str) -> Result<()> {
        Err(Problem::new(format!("sampler.{key}"), found).allowed(allowed.to_owned()).into())
    }
}
