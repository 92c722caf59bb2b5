//! Constraints on coordinates, behind any guide or flow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Problem, Result, within};
use crate::kernel::bijection::{Constrain, Constraint};
use crate::model::Segment;
use crate::model::flow::Flow;
use crate::model::part::{Part, Place, Size, Surroundings};
use crate::papers::ADVI;

/// A constraining segment: blocks of coordinates in order, each with its set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConstrainRecipe {
    /// The blocks, which together have all coordinates; a last one without `count` has what is left.
    pub blocks: Vec<BlockRecipe>,
}

/// Neighbouring coordinates and the set that they are kept in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum BlockRecipe {
    /// Any numbers.
    Free {
        /// How many coordinates.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<usize>,
    },
    /// Numbers above 0.
    Positive {
        /// How many coordinates.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<usize>,
        /// By which map.
        #[serde(default)]
        map: PositiveMap,
    },
    /// Numbers between two ends.
    Interval {
        /// How many coordinates.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<usize>,
        /// The lower end.
        low: f32,
        /// The upper end.
        high: f32,
    },
    /// Each number above the one before it.
    Ordered {
        /// How many coordinates.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<usize>,
    },
    /// Shares: these and one more, which is what is left, add up to 1.
    Simplex {
        /// How many coordinates: one fewer than there are shares.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<usize>,
    },
}

/// A map onto the positive numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PositiveMap {
    /// `e^z`.
    #[default]
    Exp,
    /// `log(1 + e^z)`.
    Softplus,
}

impl BlockRecipe {
    fn count(&self) -> Option<usize> {
        match self {
            Self::Free { count }
            | Self::Positive { count, .. }
            | Self::Interval { count, .. }
            | Self::Ordered { count }
            | Self::Simplex { count } => *count,
        }
    }

    fn constraint(&self) -> Constraint {
        match *self {
            Self::Free { .. } => Constraint::Free,
            Self::Positive { map: PositiveMap::Exp, .. } => Constraint::Exp,
            Self::Positive { map: PositiveMap::Softplus, .. } => Constraint::Softplus,
            Self::Interval { low, high, .. } => Constraint::Interval { low, high },
            Self::Ordered { .. } => Constraint::Ordered,
            Self::Simplex { .. } => Constraint::Simplex,
        }
    }
}

impl ConstrainRecipe {
    /// The blocks with their counts, which together are all coordinates.
    fn counted(&self, around: &Surroundings<'_>) -> Result<Vec<(Constraint, usize)>> {
        let mut left = around.dimension;
        let mut found = Vec::new();
        let last = self.blocks.len() - 1;
        for (at, block) in self.blocks.iter().enumerate() {
            let count = block.count().unwrap_or(if at == last { left } else { 0 });
            let fits = if at == last { count == left } else { count < left };
            if !fits || count == 0 {
                let place = around.place.of(&format!("blocks.{at}.count"));
                let allowed = match at == last {
                    true => {
                        format!("{left}: what the blocks before it leave of {} coordinates", around.dimension)
                    }
                    false => format!("from 1 to {}, or fewer blocks", left.saturating_sub(1)),
                };
                return Err(Problem::new(place, count.to_string()).allowed(allowed).into());
            }
            left -= count;
            found.push((block.constraint(), count));
        }
        Ok(found)
    }
}

impl Part for ConstrainRecipe {
    fn kind(&self) -> &'static str {
        "constrain"
    }

    fn check(&self, place: &Place) -> Result<()> {
        if self.blocks.is_empty() {
            return Err(place.problem("blocks", "none").allowed("at least one block").into());
        }
        for (at, block) in self.blocks.iter().enumerate() {
            let key = |name: &str| place.of(&format!("blocks.{at}.{name}"));
            if let BlockRecipe::Interval { low, high, .. } = block {
                within(&key("low"), f64::from(*low), -1e30, 1e30)?;
                within(&key("high"), f64::from(*high), -1e30, 1e30)?;
                if low >= high {
                    let problem = Problem::new(key("high"), high.to_string());
                    return Err(problem.allowed(format!("a number above low = {low}")).into());
                }
            }
            if block.count().is_none() && at + 1 < self.blocks.len() {
                let problem = Problem::new(key("count"), "nothing");
                return Err(problem
                    .allowed("how many coordinates; only the last block may leave it out")
                    .into());
            }
        }
        Ok(())
    }

    fn formula(&self) -> &'static str {
        "log |det dg/dz|, fixed"
    }

    fn papers(&self, _place: &Place) -> Vec<&'static str> {
        vec![ADVI]
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        Size { weights: 0.0, row: 6.0 * around.dimension as f64, steps: 1.0, inner: around.dimension }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let map = Constrain::new(self.counted(around)?);
        Ok(Box::new(Flow::new(around.dimension, vec![Box::new(map)])))
    }
}
