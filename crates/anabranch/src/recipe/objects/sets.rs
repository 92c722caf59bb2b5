//! Sets, multisets and orders of numbered items.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Built, Objects, between, rewarded, sizes};
use crate::environment::{Multisets, Permutations, Sets};
use crate::error::Result;
use crate::target::{RewardRecipe, Shape};

/// Subsets of numbered items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetsRecipe {
    /// How many items there are.
    #[schemars(range(min = 1))]
    pub items: usize,
    /// How many a set has; the most, where `smallest` is given.
    pub size: usize,
    /// The fewest; `size` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest: Option<usize>,
    /// The reward.
    pub reward: RewardRecipe,
}

/// Multisets of numbered kinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MultisetsRecipe {
    /// How many kinds there are.
    #[schemars(range(min = 1))]
    pub kinds: usize,
    /// How many elements a multiset has; the most, where `smallest` is given.
    pub size: usize,
    /// The fewest; `size` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest: Option<usize>,
    /// The reward.
    pub reward: RewardRecipe,
}

/// Orders of numbered items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermutationsRecipe {
    /// How many items.
    #[schemars(range(min = 1))]
    pub items: usize,
    /// The reward.
    pub reward: RewardRecipe,
}

impl Objects for SetsRecipe {
    fn space(&self) -> String {
        let sizes = sizes(self.smallest, self.size);
        format!("sets of {sizes} out of {} items, by adding one", self.items)
    }

    fn formula(&self) -> String {
        self.reward.formula()
    }

    fn build(&self) -> Result<Built> {
        let (items, sizes) = (self.items, between(self.smallest, self.size));
        rewarded(Sets::new(items, sizes.clone()), |_| Shape::Sets { items, sizes }, &self.reward)
    }

    fn elements(&self) -> Option<Vec<(u32, u32)>> {
        Some((0..self.items as u32).map(|item| (item, 1)).collect())
    }
}

impl Objects for MultisetsRecipe {
    fn space(&self) -> String {
        let sizes = sizes(self.smallest, self.size);
        format!("multisets of {sizes} elements of {} kinds, by adding one", self.kinds)
    }

    fn formula(&self) -> String {
        self.reward.formula()
    }

    fn build(&self) -> Result<Built> {
        let (kinds, totals) = (self.kinds, between(self.smallest, self.size));
        rewarded(Multisets::new(kinds, totals.clone()), |_| Shape::Multisets { kinds, totals }, &self.reward)
    }

    fn elements(&self) -> Option<Vec<(u32, u32)>> {
        let counts = 1..=self.size as u32;
        Some((0..self.kinds as u32).flat_map(|kind| counts.clone().map(move |n| (kind, n))).collect())
    }
}

impl Objects for PermutationsRecipe {
    fn space(&self) -> String {
        format!("orders of {} items, from first to last", self.items)
    }

    fn formula(&self) -> String {
        self.reward.formula()
    }

    fn build(&self) -> Result<Built> {
        rewarded(Permutations::new(self.items), |_| Shape::Other { cells: self.items }, &self.reward)
    }
}
