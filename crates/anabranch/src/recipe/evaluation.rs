//! What is measured at the end of a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gflownet::CandidatesRecipe;
use crate::error::{Problem, Result, positive, within};
use crate::estimate::likelihood::Bound;
use crate::model::ode::Divergence;

/// What is measured at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationRecipe {
    /// Samples drawn for the sample metrics and written to samples.npy.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub samples: usize,
    /// Draws per row of a simulation-free bound, as of a diffusion: at least so many, and 7000 over all rows; a bound that is simulated
    /// takes one path.
    #[schemars(range(min = 1, max = 10_000), extend("x-of" = ["data"]))]
    pub draws: usize,
    /// Paths per row of the importance-weighted likelihood; 0 leaves it out.
    #[schemars(extend("x-of" = ["data"]))]
    pub importance_samples: usize,
    /// Runge-Kutta steps of the likelihood along a diffusion's probability-flow ODE; 0 leaves it out.
    #[schemars(range(min = 0, max = 100_000), extend("x-of" = ["data"]))]
    pub ode_steps: usize,
    /// Sign vectors per row and step that estimate the divergence along the ODE; 0 finds it exactly, at the cost of one
    /// derivative per coordinate.
    #[schemars(extend("x-of" = ["data"]))]
    pub ode_probes: usize,
    /// Paths for ELBO, EUBO, log Z and ESS.
    #[schemars(range(min = 1, max = 100_000_000), extend("x-of" = ["energies", "objects"]))]
    pub paths: usize,
    /// Whether samples are compared with the test split (on an energy, with exact samples).
    #[schemars(extend("x-of" = ["data", "energies"]))]
    pub sample_metrics: bool,
    /// How often the discrepancy by Hamming's distance is measured, each time between other samples and, where they can be drawn, other exact
    /// ones; its error is then that of the mean.
    #[schemars(range(min = 1, max = 1000), extend("x-of" = ["data"]))]
    pub repeats: usize,
    /// The most states of an environment that is enumerated, so that the learned distribution of objects is compared with
    /// the exact one; 0 leaves that out.
    #[schemars(range(min = 0, max = 100_000_000), extend("x-of" = ["objects"]))]
    pub exact_states: usize,
    /// What is proposed to be measured next, where the reward is a regressor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-of" = ["objects"]))]
    pub candidates: Option<CandidatesRecipe>,
}

impl Default for EvaluationRecipe {
    fn default() -> Self {
        Self {
            samples: 1000,
            draws: 20,
            importance_samples: 0,
            ode_steps: 0,
            ode_probes: 0,
            paths: 10_000,
            sample_metrics: true,
            repeats: 1,
            exact_states: 250_000,
            candidates: None,
        }
    }
}

impl EvaluationRecipe {
    /// How the likelihood along the probability-flow ODE is found, where it is asked for.
    pub fn ode(&self) -> Option<Bound> {
        let divergence = match self.ode_probes {
            0 => Divergence::Exact,
            probes => Divergence::Hutchinson { probes },
        };
        (self.ode_steps > 0).then_some(Bound::Ode { steps: self.ode_steps, divergence })
    }

    /// Checks all values; they stand below `evaluation` in a recipe.
    pub(super) fn check(&self) -> Result<()> {
        positive("evaluation.samples", self.samples as u64)?;
        positive("evaluation.draws", self.draws as u64)?;
        positive("evaluation.paths", self.paths as u64)?;
        within("evaluation.samples", self.samples as f64, 1.0, 1e8)?;
        within("evaluation.draws", self.draws as f64, 1.0, 10_000.0)?;
        within("evaluation.paths", self.paths as f64, 1.0, 1e8)?;
        within("evaluation.ode_steps", self.ode_steps as f64, 0.0, 1e5)?;
        within("evaluation.repeats", self.repeats as f64, 1.0, 1000.0)?;
        within("evaluation.exact_states", self.exact_states as f64, 0.0, 1e8)?;
        self.candidates.map_or(Ok(()), |candidates| candidates.check())?;
        if self.ode_probes > 0 && self.ode_steps == 0 {
            let found = format!("{} without an ODE", self.ode_probes);
            return Err(Problem::new("evaluation.ode_probes", found)
                .allowed("0 where evaluation.ode_steps is 0")
                .into());
        }
        Ok(())
    }
}
