//! Where walks start, if not at the source alone: flows conditional on a state.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BackwardName;
use crate::environment::{Cell, Environment, Rooted, States};
use crate::error::{Problem, Result};
use crate::network::NetworkRecipe;
use crate::recipe::Recipe;
use crate::target::{Ahead, Target};
use crate::train::gflownet::{Roots, Sources, WalkedRoots};

/// The most states that are listed as roots.
const MOST_LISTED: usize = 2_000_000;

/// The states that walks start from: the flow at each of them is that of all objects ahead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RootsRecipe {
    /// Every state alike, where all can be listed.
    Listed {},
    /// States that a walk of as many moves as chance says comes to, every move as likely as another.
    Walked {},
}

/// A rooted environment, its reward and its starts.
pub(super) type RootedParts = (Arc<dyn Environment>, Arc<dyn Target<Cell>>, Arc<dyn Sources<u16>>);

impl RootsRecipe {
    /// The rooted environment over an environment, with its reward and where its walks start.
    pub(super) fn build(
        self,
        recipe: &Recipe,
        environment: Arc<dyn Environment>,
        reward: Arc<dyn Target<Cell>>,
    ) -> Result<RootedParts> {
        let refused =
            |key: &str, found: &str, allowed: &str| Err(Problem::new(key, found).allowed(allowed).into());
        if !recipe.conditions.is_empty() || recipe.policy.prior.is_some() {
            return refused("roots", "roots beside conditions or a prior", "one of them");
        }
        if !matches!(recipe.policy.network, NetworkRecipe::Mlp { .. }) {
            return refused("policy.network.kind", "another than \"mlp\", with roots", "mlp");
        }
        if recipe.policy.backward == BackwardName::MaximumEntropy {
            return refused("policy.backward", "maximum-entropy, with roots", "uniform, learned");
        }
        let rooted = Rooted::new(environment.clone()).map_err(|problem| problem.at("roots"))?;
        let starts: Arc<dyn Sources<u16>> = match self {
            Self::Listed {} => {
                let states = States::of(environment.as_ref(), MOST_LISTED).map_err(|_| {
                    Problem::new("roots.kind", "listed, of more states than can be listed")
                        .allowed(format!("walked; or an environment of at most {MOST_LISTED} states"))
                })?;
                let all = (0..states.len()).flat_map(|i| states.state(i).iter().copied()).collect();
                Arc::new(Roots::new(all, environment.cells()))
            }
            Self::Walked {} => Arc::new(WalkedRoots::new(environment.clone())),
        };
        let cells = environment.cells();
        Ok((Arc::new(rooted), Arc::new(Ahead::new(reward, cells)), starts))
    }
}
