//! A finished run before the segments of another recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TrainedChain;
use crate::error::{Problem, Result, quoted};
use crate::model::Segment;
use crate::model::part::{Part, Place, Size, Surroundings};

/// What another run has learned, as the law of what comes to the segments behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunRecipe {
    /// Its directory.
    pub run: String,
}

impl Part for RunRecipe {
    fn kind(&self) -> &'static str {
        "run"
    }

    fn check(&self, place: &Place) -> Result<()> {
        match place.before.last() {
            Some(kind) => {
                let problem = place.problem("kind", format!("\"run\" behind \"{kind}\""));
                Err(problem.allowed("it as the first segment: a run's chain begins at its own source").into())
            }
            None => Ok(()),
        }
    }

    fn formula(&self) -> &'static str {
        "as in the run, whose weights stay"
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        let Some(model) = around.run else {
            return Size { weights: 0.0, row: 0.0, steps: 0.0, inner: around.dimension };
        };
        let chain = TrainedChain::new(model);
        let inner = chain.inner_dimension();
        Size { weights: 0.0, row: chain.widest() as f64, steps: chain.steps() as f64, inner }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let place = || around.place.of("run");
        let Some(model) = around.run else {
            let found = format!("{}, where there is no run", quoted(&self.run));
            return Err(Problem::new(place(), found).allowed("the directory of a finished run").into());
        };
        if model.dimension() != around.dimension {
            let found = format!("a run of {} numbers before {}", model.dimension(), around.dimension);
            return Err(Problem::new(place(), found)
                .allowed("one over as many numbers as the target has")
                .into());
        }
        Ok(Box::new(TrainedChain::new(model)))
    }
}
