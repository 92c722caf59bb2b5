//! Densities that a finished run has learned, as targets.

use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Energy;
use crate::error::{Error, Problem, Result};
use crate::model::trained::{LatentPosterior, LearnedDensity};
use crate::recipe::finished::Finished;
use crate::recipe::{Plan, TargetData, saved};
use crate::target::Target;

/// What a finished run has learned: the density of its draws, or the posterior of the latent code of one of its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnedRecipe {
    /// The run's directory.
    pub run: String,
    /// Of a run that decodes latent codes: which of its held-out rows (of the rows to learn from, where none are held out), from 0, the
    /// posterior is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<usize>,
}

/// Where it stands in messages.
const PLACE: &str = "target.run";

impl LearnedRecipe {
    /// The row that is asked for.
    fn row(&self, finished: &Finished, row: usize) -> Result<Vec<f32>> {
        let Plan::Chain(plan) = saved::open(Path::new(&self.run))? else {
            return finished.refused("a run of a flow network", "one of a chain");
        };
        let TargetData::Rows(data) = &plan.data else {
            return finished.refused("a run of an energy, which has no rows", "one of data; or no `row`");
        };
        let rows = if data.test.is_empty() { &data.train } else { &data.test };
        let mut rows = rows.chunks_exact(data.columns);
        let count = rows.len();
        rows.nth(row).map(<[f32]>::to_vec).ok_or_else(|| {
            Problem::new("target.row", row.to_string()).allowed(format!("from 0 to {}", count - 1)).into()
        })
    }
}

impl Energy for LearnedRecipe {
    fn check(&self, prior: bool) -> Result<()> {
        if prior {
            let found = "\"run\", which says its space, beside a prior, whose space it is";
            return Err(Problem::new("target.kind", found).allowed("\"energy\"; or no prior").into());
        }
        Ok(())
    }

    fn over(&self, _: usize) -> Result<Arc<dyn Target>> {
        self.build().map(|(energy, _)| energy)
    }

    fn build(&self) -> Result<(Arc<dyn Target>, usize)> {
        let finished = Finished::open(PLACE, &self.run)?;
        let mut model = finished.chain()?;
        let placed = |error| match error {
            Error::Input(problem) if problem.place().is_empty() => {
                (*problem).at(finished.place.clone()).into()
            }
            other => other,
        };
        if let Some(row) = self.row {
            let posterior = LatentPosterior::new(&model, &self.row(&finished, row)?).map_err(placed)?;
            let dimension = posterior.dimension();
            return Ok((Arc::new(posterior), dimension));
        }
        // The density is that of the states that integers are rounded from.
        model = model.without_last(|segment| segment.kind() == "dequantise");
        let dimension = model.dimension();
        Ok((Arc::new(LearnedDensity::new(&model).map_err(placed)?), dimension))
    }

    fn formula(&self) -> String {
        match self.row {
            None => format!("learned: the density of the draws of {}", self.run),
            Some(row) => format!("posterior: log p(x | z) + log p(z) of row {row} of {}", self.run),
        }
    }

    fn papers(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn levels(&self) -> u32 {
        0
    }

    fn image(&self) -> Option<[usize; 2]> {
        None
    }
}
