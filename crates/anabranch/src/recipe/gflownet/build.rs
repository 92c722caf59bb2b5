//! From a checked recipe to an environment, a reward, a policy and its network.

use std::sync::Arc;

use super::settings::settings;
use super::{BackwardName, GFlowNetRecipe, NetworkRecipe, size};
use crate::environment::{Environment, States};
use crate::error::{Problem, Result};
use crate::model::gflownet::GFlowNet;
use crate::network::taped::{Mlp, Network, Table};
use crate::policy::{Actions, BackwardPolicy, Policy, Ways};
use crate::recipe::evaluation_noise;
use crate::reward::Reward;
use crate::rng::{Noise, Purpose};
use crate::train::gflownet::Settings;

/// The most states of an environment that a table, or the counting of ways, may list.
const MOST_LISTED: usize = 2_000_000;

/// A checked recipe of a flow network with all that it names.
pub struct GFlowNetPlan {
    /// The recipe.
    pub recipe: GFlowNetRecipe,
    /// What is learned.
    pub task: Task,
}

/// A flow network with the reward that it learns, by what its states are made of.
pub enum Task {
    /// Of integers.
    Discrete(FlowTask<Actions>),
}

/// A flow network with the reward that it learns.
#[derive(Debug, Clone)]
pub struct FlowTask<P: Policy> {
    /// The network.
    pub model: GFlowNet<P>,
    /// The reward.
    pub reward: Arc<dyn Reward<P::Cell>>,
    /// How it is trained.
    pub settings: Settings<P>,
}

impl GFlowNetPlan {
    /// Builds what a checked recipe names.
    pub(in crate::recipe) fn new(recipe: GFlowNetRecipe) -> Result<Self> {
        let (environment, reward) = recipe.target.build()?;
        size::check(&recipe, environment.as_ref())?;
        let backward = match recipe.policy.backward {
            BackwardName::Uniform => BackwardPolicy::Uniform,
            BackwardName::Learned | BackwardName::TrajectoryLikelihood => BackwardPolicy::Learned,
            BackwardName::MaximumEntropy => {
                BackwardPolicy::MaximumEntropy(Ways::of(environment.as_ref(), MOST_LISTED)?)
            }
        };
        let policy = Actions::new(environment.clone(), backward, recipe.flow_head());
        let network = network(&recipe.policy.network, environment.as_ref(), &policy)?;
        let settings = settings(&recipe, environment.as_ref())?;
        settings.check()?;
        let task = FlowTask { model: GFlowNet { policy, network }, reward, settings };
        Ok(Self { recipe, task: Task::Discrete(task) })
    }

    /// The noise of evaluations.
    pub fn evaluation_noise(&self) -> Noise {
        evaluation_noise(self.recipe.seed, Purpose::Choice)
    }

    /// The noise of the samples that a run writes.
    pub fn sampling_noise(&self) -> Noise {
        Noise::new(self.recipe.seed, Purpose::Choice).from_trajectory(1 << 47)
    }
}

fn network(
    recipe: &NetworkRecipe,
    environment: &dyn Environment,
    policy: &Actions,
) -> Result<Arc<dyn Network>> {
    match recipe {
        NetworkRecipe::Mlp { hidden, activation } => {
            Ok(Arc::new(Mlp::new(policy.inputs(), hidden, policy.outputs(), (*activation).into())))
        }
        NetworkRecipe::Table {} => {
            let states = States::of(environment, MOST_LISTED).map_err(|_| {
                Problem::new("policy.network.kind", "a table of more states than can be listed")
                    .allowed(format!("mlp; or an environment of at most {MOST_LISTED} states"))
            })?;
            let features = (0..states.len()).map(|i| {
                let mut on = Vec::new();
                environment.encode(states.state(i), &mut on);
                on
            });
            Ok(Arc::new(Table::new(policy.inputs(), features, policy.outputs())))
        }
    }
}

impl Task {
    /// How many trainable numbers there are, log Z not counted.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Discrete(task) => task.model.network.parameters(),
        }
    }

    /// How many numbers an object has.
    pub fn columns(&self) -> usize {
        match self {
            Self::Discrete(task) => task.model.policy.cells(),
        }
    }
}
