//! Grids: points that are reached step by step.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Built, Objects, environment, reward, rewarded};
use crate::environment::{CyclicGrid, Environment as _, Hypergrid, SlipperyGrid};
use crate::error::Result;
use crate::papers::{FLOW_NETWORKS, NON_ACYCLIC, STOCHASTIC};
use crate::target::{Leading, RewardRecipe, Shape};

/// Points of a grid, built by adding one to a coordinate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HypergridRecipe {
    /// How many coordinates.
    #[schemars(range(min = 1, max = 65_535))]
    pub dim: usize,
    /// How many values each has.
    #[schemars(range(min = 2, max = 65_536))]
    pub side: usize,
    /// The reward.
    #[serde(default)]
    pub reward: RewardRecipe,
}

/// Points of a grid on which one walks in all directions, so that walks can come back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CyclicGridRecipe {
    /// How many coordinates.
    #[schemars(range(min = 1, max = 65_535))]
    pub dim: usize,
    /// How many values each has.
    #[schemars(range(min = 2, max = 65_536))]
    pub side: usize,
    /// The moves after which a walk is given up; four times as many as there are points on the longest way, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<usize>,
    /// The reward.
    #[serde(default)]
    pub reward: RewardRecipe,
}

/// Points of a grid, built by adding one to a coordinate, which may be another than the one that was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlipperyGridRecipe {
    /// How many coordinates.
    #[schemars(range(min = 1, max = 65_535))]
    pub dim: usize,
    /// How many values each has.
    #[schemars(range(min = 2, max = 65_536))]
    pub side: usize,
    /// The probability that any coordinate with room grows, each alike.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub slip: f64,
    /// The reward.
    #[serde(default)]
    pub reward: RewardRecipe,
}

fn plane(dim: usize, side: usize) -> Option<usize> {
    (dim == 2).then_some(side)
}

impl Objects for HypergridRecipe {
    fn space(&self) -> String {
        format!("{{0, ..., {}}}^{}, from 0 by adding 1 to a coordinate", self.side - 1, self.dim)
    }

    fn formula(&self) -> String {
        self.reward.formula()
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![FLOW_NETWORKS]
    }

    fn build(&self) -> Result<Built> {
        let Self { dim, side, .. } = *self;
        rewarded(Hypergrid::new(dim, side), |_| Shape::Grid { dim, side }, &self.reward)
    }

    fn plane(&self) -> Option<usize> {
        plane(self.dim, self.side)
    }
}

impl Objects for CyclicGridRecipe {
    fn space(&self) -> String {
        format!(
            "{{0, ..., {}}}^{}, entered at 0, by adding 1 to a coordinate or taking it away",
            self.side - 1,
            self.dim
        )
    }

    fn formula(&self) -> String {
        self.reward.formula()
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![NON_ACYCLIC]
    }

    fn build(&self) -> Result<Built> {
        let Self { dim, side, .. } = *self;
        let longest = self.longest.unwrap_or(4 * (1 + dim * side));
        rewarded(CyclicGrid::new(dim, side, longest), |_| Shape::Grid { dim, side }, &self.reward)
    }

    fn plane(&self) -> Option<usize> {
        plane(self.dim, self.side)
    }
}

impl Objects for SlipperyGridRecipe {
    fn space(&self) -> String {
        format!(
            "{{0, ..., {}}}^{}, from 0 by adding 1 to a coordinate; with probability {} to any, each alike",
            self.side - 1,
            self.dim,
            self.slip
        )
    }

    fn formula(&self) -> String {
        self.reward.formula()
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![STOCHASTIC]
    }

    fn build(&self) -> Result<Built> {
        let Self { dim, side, slip, .. } = *self;
        let slippery = environment(SlipperyGrid::new(dim, side, slip))?;
        // States have more numbers than the points that the reward reads.
        let grid = environment(Hypergrid::new(dim, side))?;
        let reward = reward(grid, Shape::Grid { dim, side }, &self.reward)?;
        let points = Leading::new(reward, dim, slippery.cells());
        Ok(Built::Discrete((slippery, Arc::new(points))))
    }

    fn plane(&self) -> Option<usize> {
        plane(self.dim, self.side)
    }
}
