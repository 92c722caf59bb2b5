//! The policies a recipe can name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::network::NetworkRecipe;
use crate::objective::BackwardObjective;

/// How actions are chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyRecipe {
    /// Which law the removals follow.
    #[schemars(extend("x-of" = ["objects"]))]
    pub backward: BackwardName,
    /// What answers for a state.
    #[schemars(extend("x-of" = ["objects"]))]
    pub network: NetworkRecipe,
    /// Whether both directions, and flows, have a network each.
    #[serde(skip_serializing_if = "Trunk::is_shared")]
    #[schemars(extend("x-of" = ["objects"]))]
    pub trunk: Trunk,
    /// Over points: how many laws each coordinate of a move is a mixture of; 2 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-of" = ["objects"]))]
    pub components: Option<usize>,
    /// For relative objectives: the directory of a finished run over the same objects, or of the same chain, which is the prior and
    /// where training starts. Of a chain the target's R is then the likelihood, over the prior's space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<String>,
    /// A file of weights to start training from, as `anabranch propose` writes it: of the same objects, policy and objective.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-of" = ["objects"]))]
    pub start: Option<String>,
}

impl Default for PolicyRecipe {
    fn default() -> Self {
        Self {
            backward: BackwardName::Learned,
            network: NetworkRecipe::default(),
            trunk: Trunk::Shared,
            components: None,
            prior: None,
            start: None,
        }
    }
}

/// Which law the removals follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackwardName {
    /// Every possible removal alike.
    Uniform,
    /// Learned with the forward policy.
    Learned,
    /// Every way to an object alike.
    MaximumEntropy,
    /// That of the edge flows of flow matching, `F(s -> s') / sum_p F(p -> s')`: nothing has to be learned for it, and log-weights
    /// are `log Z` where flows balance.
    Implied,
    /// Learned by the likelihood of the forward policy's trajectories, which the other objective then takes as given
    /// (Gritsaev et al. 2025).
    TrajectoryLikelihood,
}

impl BackwardName {
    /// How it is trained.
    pub fn objective(self) -> BackwardObjective {
        match self {
            Self::TrajectoryLikelihood => BackwardObjective::TrajectoryLikelihood,
            _ => BackwardObjective::Joint,
        }
    }

    /// Whether the network says it.
    pub fn is_learned(self) -> bool {
        matches!(self, Self::Learned | Self::TrajectoryLikelihood)
    }
}

/// Which outputs share a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trunk {
    /// All of them.
    #[default]
    Shared,
    /// Those of the forward policy, of the backward policy, and of flows each have their own.
    Separate,
}

impl Trunk {
    fn is_shared(&self) -> bool {
        *self == Self::Shared
    }
}

impl PolicyRecipe {
    pub(super) fn check(&self) -> Result<()> {
        self.network.check("policy.network")?;
        self.network.without_coordinates("policy.network")
    }
}
