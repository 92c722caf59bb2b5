//! The policies a recipe can name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::within;
use crate::error::{Problem, Result};
use crate::objective::balance::BackwardObjective;
use crate::recipe::ActivationName;
use crate::recipe::chain::widths;

/// How actions are chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyRecipe {
    /// Which law the removals follow.
    pub backward: BackwardName,
    /// What answers for a state.
    pub network: NetworkRecipe,
    /// Whether both directions, and flows, have a network each.
    #[serde(skip_serializing_if = "Trunk::is_shared")]
    pub trunk: Trunk,
    /// Over points: how many laws each coordinate of a move is a mixture of; 2 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub components: Option<usize>,
    /// For relative objectives: the directory of a finished run over the same objects, whose policy is the prior and where
    /// training starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<String>,
}

impl Default for PolicyRecipe {
    fn default() -> Self {
        Self {
            backward: BackwardName::Learned,
            network: NetworkRecipe::default(),
            trunk: Trunk::Shared,
            components: None,
            prior: None,
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

/// The network that answers for a state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NetworkRecipe {
    /// A multilayer perceptron.
    Mlp {
        /// Widths of its hidden layers.
        #[serde(default = "hidden")]
        hidden: Vec<usize>,
        /// Its activation.
        #[serde(default = "activation")]
        activation: ActivationName,
    },
    /// A function of the sum of a vector for each element of a set or multiset.
    DeepSets {
        /// Numbers of an element's vector.
        #[serde(default = "token")]
        #[schemars(range(min = 1))]
        width: usize,
        /// Widths of the hidden layers behind the sum.
        #[serde(default = "hidden")]
        hidden: Vec<usize>,
        /// Their activation.
        #[serde(default = "activation")]
        activation: ActivationName,
    },
    /// Numbers of its own for every state: only where all states can be listed.
    Table {},
    /// A transformer over the letters of words, bits or spins. Where words grow at the end alone it is causal, and a letter
    /// costs one token; elsewhere every token sees the whole word.
    Transformer {
        /// Blocks of attention and perceptron.
        #[serde(default = "three")]
        #[schemars(range(min = 1))]
        layers: usize,
        /// Heads of each attention; they divide the width.
        #[serde(default = "eight")]
        #[schemars(range(min = 1))]
        heads: usize,
        /// Numbers of a token.
        #[serde(default = "token")]
        #[schemars(range(min = 1))]
        width: usize,
        /// Width of the hidden layer of each block; four times `width` unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inner: Option<usize>,
        /// Its activation.
        #[serde(default = "gelu")]
        activation: ActivationName,
    },
}

fn hidden() -> Vec<usize> {
    vec![256, 256]
}

fn three() -> usize {
    3
}

fn eight() -> usize {
    8
}

fn token() -> usize {
    64
}

fn gelu() -> ActivationName {
    ActivationName::Gelu
}

fn activation() -> ActivationName {
    ActivationName::Relu
}

impl Default for NetworkRecipe {
    fn default() -> Self {
        Self::Mlp { hidden: hidden(), activation: activation() }
    }
}

impl PolicyRecipe {
    pub(super) fn check(&self) -> Result<()> {
        match &self.network {
            NetworkRecipe::Mlp { hidden, .. } => widths("policy.network.hidden", hidden, false),
            NetworkRecipe::DeepSets { width, hidden, .. } => {
                within("policy.network.width", *width as f64, 1.0, 65_536.0)?;
                if hidden.is_empty() {
                    return Err(Problem::new("policy.network.hidden", "no layer")
                        .allowed("at least one width")
                        .into());
                }
                widths("policy.network.hidden", hidden, false)
            }
            NetworkRecipe::Table {} => Ok(()),
            NetworkRecipe::Transformer { layers, heads, width, inner, .. } => {
                within("policy.network.layers", *layers as f64, 1.0, 100.0)?;
                within("policy.network.width", *width as f64, 1.0, 65_536.0)?;
                within("policy.network.inner", inner.unwrap_or(1) as f64, 1.0, 65_536.0)?;
                if *heads == 0 || !width.is_multiple_of(*heads) {
                    let divisors: Vec<String> =
                        (1..=*width).filter(|d| width.is_multiple_of(*d)).map(|d| d.to_string()).collect();
                    return Err(Problem::new("policy.network.heads", heads.to_string())
                        .allowed(format!("a divisor of the width {width}: {}", divisors.join(", ")))
                        .into());
                }
                Ok(())
            }
        }
    }
}
