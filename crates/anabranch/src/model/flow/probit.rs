//! Columns of few values as the cells of latent real ones: the last segment before a table of mixed columns. Its kernel is
//! [`kernel::probit`](crate::kernel::probit).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::array::described::Described;
use crate::chain::Transition;
use crate::data::Discrete;
use crate::error::Result;
use crate::kernel::pair::Pair;
use crate::kernel::probit::{Behind, Columns, Told, probit};
use crate::model::Segment;
use crate::model::part::{Part, Place, Size, Surroundings};
use crate::papers::PROBIT;

/// A segment of columns of few values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbitRecipe {}

/// Values of few as the cells of latent numbers, beside real columns.
#[derive(Debug, Clone)]
pub struct Probit {
    dimension: usize,
    discrete: Vec<Discrete>,
    kernel: Pair<Told, Behind>,
}

impl Probit {
    /// For `dimension` coordinates, of which the `discrete` ones have few values.
    ///
    /// # Panics
    /// If one of them is not among the coordinates.
    pub fn new(dimension: usize, discrete: &[Discrete]) -> Self {
        let kernel = probit(&Columns::new(dimension, discrete));
        Self { dimension, discrete: discrete.to_vec(), kernel }
    }
}

impl Segment for Probit {
    fn kind(&self) -> &'static str {
        "probit"
    }

    fn inner_dimension(&self) -> usize {
        self.dimension
    }

    fn outer_dimension(&self) -> usize {
        self.dimension
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        vec![Box::new(self.kernel.clone())]
    }

    fn described(&self) -> Option<Vec<(Described, usize)>> {
        let column = |found: &Discrete| {
            let Discrete { column, first, words, .. } = found;
            json!({ "column": column, "first": first, "words": words, "cuts": found.thresholds().cuts() })
        };
        let columns: Vec<Value> = self.discrete.iter().map(column).collect();
        Some(vec![(Described::new("probit", json!({ "columns": columns })), 1)])
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}

impl Part for ProbitRecipe {
    fn kind(&self) -> &'static str {
        "probit"
    }

    fn check(&self, place: &Place) -> Result<()> {
        match place.after.first() {
            Some(next) => {
                let problem = place.problem("kind", format!("\"probit\" before \"{next}\""));
                Err(problem.allowed("it as the last segment, next to the data").into())
            }
            None => Ok(()),
        }
    }

    fn formula(&self) -> &'static str {
        "log N(z; 0, 1) - log f_k, of columns of few values: k against z on its cell"
    }

    fn papers(&self, _place: &Place) -> Vec<&'static str> {
        vec![PROBIT]
    }

    fn takes_few_values(&self) -> bool {
        true
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        Size { weights: 0.0, row: 2.0 * around.dimension as f64, steps: 1.0, inner: around.dimension }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let discrete = around.data.map_or(&[][..], |data| &data.summary.discrete);
        if discrete.is_empty() {
            let problem = around.place.problem("kind", "\"probit\" where no column has few values");
            return Err(problem
                .allowed("it where target.categories or target.integers names a column of a table")
                .into());
        }
        Ok(Box::new(Probit::new(around.dimension, discrete)))
    }
}
