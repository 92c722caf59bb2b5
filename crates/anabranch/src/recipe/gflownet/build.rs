//! From a checked recipe to an environment, a reward, a policy and its network.

use std::sync::Arc;

use super::settings::{objects, settings};
use super::{BackwardName, CandidatesRecipe, Trunk, size};
use crate::environment::continuous::Continuous;
use crate::environment::{Cell, Environment, States};
use crate::error::{Failure, Problem, Result};
use crate::model::gflownet::GFlowNet;
use crate::network::NetworkRecipe;
use crate::network::recipe::perceptron;
use crate::network::taped::{Answers, DeepSets, Inputs, Shape, Tabular, TapedNetwork, Transformer, Trunks};
use crate::policy::{Actions, BackwardPolicy, ContinuousActions, FlowHead, Heads, Policy, Ways};
use crate::recipe::Recipe;
use crate::recipe::objects::{Built, GrowthName, Rewarded};
use crate::rng::{Address, Noise, Purpose};
use crate::target::{AtRisk, Target};
use crate::train::gflownet::{FlowTrainer, Settings};

/// The most states of an environment that a table, or the counting of ways, may list.
const MOST_LISTED: usize = 2_000_000;

/// A checked recipe of a flow network with all that it names.
pub struct GFlowNetPlan {
    /// The recipe.
    pub recipe: Recipe,
    /// What is learned.
    pub task: Task,
}

/// A flow network with the reward that it learns, by what its states are made of.
pub enum Task {
    /// Of integers.
    Discrete(FlowTask<Actions>),
    /// Of real numbers.
    Continuous(FlowTask<ContinuousActions>),
}

/// A flow network with the reward that it learns.
#[derive(Debug, Clone)]
pub struct FlowTask<P: Policy> {
    /// The network.
    pub model: GFlowNet<P>,
    /// The reward.
    pub reward: Arc<dyn Target<P::Cell>>,
    /// How it is trained.
    pub settings: Settings<P>,
    /// The environment that is rooted, with its own reward, where walks start from any of its states.
    pub inner: Option<Rewarded>,
}

impl<P: Policy + Clone> FlowTask<P> {
    /// A run at its first step.
    ///
    /// # Errors
    /// If the objective does not fit the rest.
    pub fn start(&self, seed: u64) -> Result<FlowTrainer<P>> {
        FlowTrainer::new(self.model.clone(), self.reward.clone(), self.settings.clone(), seed)
    }
}

impl FlowTask<Actions> {
    /// The environment that the objects are states of: where walks start from any state, the one that is rooted.
    pub fn objects(&self) -> &Arc<dyn Environment> {
        self.inner.as_ref().map_or(self.model.policy.environment(), |(environment, _)| environment)
    }
}

impl GFlowNetPlan {
    /// Builds what a checked recipe names.
    pub(in crate::recipe) fn new(recipe: Recipe) -> Result<Self> {
        let task = match recipe.objects().build()? {
            Built::Discrete((environment, reward)) => match recipe.roots {
                None => Task::Discrete(discrete(&recipe, environment, reward)?),
                Some(roots) => {
                    let (rooted, ahead, starts) =
                        roots.build(&recipe, environment.clone(), reward.clone())?;
                    let mut task = discrete(&recipe, rooted, ahead)?;
                    task.settings.sources = Some(starts);
                    task.settings.check(&task.model.policy)?;
                    task.inner = Some((environment, reward));
                    Task::Discrete(task)
                }
            },
            Built::Continuous(_) if recipe.roots.is_some() => {
                return refused("roots", "states as roots", "none");
            }
            Built::Continuous((environment, reward)) => {
                Task::Continuous(continuous(&recipe, environment, reward)?)
            }
        };
        Ok(Self { recipe, task })
    }

    /// What candidates are, where the reward is a regressor.
    pub fn candidates(&self) -> CandidatesRecipe {
        self.recipe.evaluation.candidates.unwrap_or_default()
    }

    /// The noise of evaluations.
    pub fn evaluation_noise(&self) -> Noise {
        Noise::of_evaluation(self.recipe.seed, Purpose::Choice)
    }

    /// The noise of the samples that a run writes.
    pub fn sampling_noise(&self) -> Noise {
        Noise::new(self.recipe.seed, Purpose::Choice).at(Address::FLOW_SAMPLES)
    }
}

fn discrete(
    recipe: &Recipe,
    environment: Arc<dyn Environment>,
    reward: Arc<dyn Target<Cell>>,
) -> Result<FlowTask<Actions>> {
    if let Some(components) = recipe.policy.components {
        return Err(Problem::new(
            "policy.components",
            format!("{components}, over objects that are no points"),
        )
        .allowed("none: only laws of real numbers have components")
        .into());
    }
    let backward = match recipe.policy.backward {
        BackwardName::Uniform => BackwardPolicy::Uniform,
        BackwardName::Learned | BackwardName::TrajectoryLikelihood => BackwardPolicy::Learned,
        BackwardName::Implied => BackwardPolicy::Implied,
        BackwardName::MaximumEntropy => {
            BackwardPolicy::MaximumEntropy(Ways::of(environment.as_ref(), MOST_LISTED)?)
        }
    };
    let policy = Actions::new(environment.clone(), backward, recipe.flow_head());
    if environment.stochastic() && matches!(recipe.flow_head(), FlowHead::Quantiles { .. }) {
        let found = "quantiles of flows, where the environment itself makes moves";
        let allowed = "one of plain flows, such as \"flow-matching\" or \"detailed-balance\"";
        return Err(Problem::new("objective.kind", found).allowed(allowed).into());
    }
    // A fixed law of removals is that of one environment's flows at most.
    let fixed = matches!(recipe.policy.backward, BackwardName::Uniform | BackwardName::MaximumEntropy);
    if environment.stochastic() && fixed && recipe.reads_backward() {
        let found = "a fixed law of removals, where the environment itself makes moves and so decides what leads back";
        return Err(Problem::new("policy.backward", found).allowed("learned, trajectory-likelihood").into());
    }
    let reward = match recipe.flow_head() {
        FlowHead::Quantiles { count, risk } => Arc::new(AtRisk::new(reward, risk, count)),
        _ => reward,
    };
    size::check(recipe, &policy)?;
    let inputs = inputs(&policy, reward.as_ref());
    let network = match recipe.policy.trunk {
        Trunk::Shared => network(recipe, &policy, inputs, policy.outputs())?,
        Trunk::Separate => separate(recipe, &policy, inputs)?,
    };
    let settings = settings(recipe, &policy, reward.as_ref(), network.parameters(), &|path| {
        objects("exploration.data.file", path, environment.as_ref())
    })?;
    Ok(FlowTask { model: GFlowNet { policy, network }, reward, settings, inner: None })
}

/// A network with so many outputs.
fn network(
    recipe: &Recipe,
    policy: &Actions,
    inputs: Inputs,
    outputs: usize,
) -> Result<Arc<dyn TapedNetwork>> {
    Ok(match &recipe.policy.network {
        NetworkRecipe::Mlp { hidden, activation, residual } => {
            Arc::new(perceptron(inputs, hidden, outputs, *activation, *residual))
        }
        NetworkRecipe::Transformer { layers, heads, width, inner, activation, .. } => {
            let Some((alphabet, growth)) = recipe.objects().words() else {
                return Err(Problem::new(
                    "policy.network.kind",
                    "a transformer over objects that are no words",
                )
                .allowed("mlp; or a target of kind strings, bits or spins")
                .into());
            };
            let inner = inner.unwrap_or(4 * width);
            let activation = *activation;
            let shape = Shape { layers: *layers, heads: *heads, width: *width, inner, activation };
            let slots = growth == GrowthName::Anywhere;
            let places = slots && policy.learns_backward();
            let of_places =
                if slots { policy.forward_range().len() + policy.backward_range().len() } else { 0 };
            let answers = Answers { letters: slots, places, whole: outputs - of_places };
            Arc::new(Transformer::new(alphabet, inputs.dense, shape, answers))
        }
        NetworkRecipe::DeepSets { width, hidden, activation, .. } => {
            let Some(features) = recipe.objects().elements().filter(|_| recipe.roots.is_none()) else {
                return Err(Problem::new("policy.network.kind", "deep sets over objects that are no sets")
                    .allowed("mlp; or a target of kind sets or multisets, without roots")
                    .into());
            };
            Arc::new(DeepSets::new(features, inputs.dense, *width, hidden, outputs, *activation))
        }
        NetworkRecipe::Table {} => {
            if inputs.dense > 0 {
                return Err(Problem::new("policy.network.kind", "a table, with conditions")
                    .allowed("mlp")
                    .into());
            }
            let states = States::of(policy.environment().as_ref(), MOST_LISTED).map_err(|_| {
                Problem::new("policy.network.kind", "a table of more states than can be listed")
                    .allowed(format!("mlp; or an environment of at most {MOST_LISTED} states"))
            })?;
            let features = (0..states.len()).map(|i| {
                let mut on = Vec::new();
                policy.environment().encode(states.state(i), &mut on);
                on
            });
            Arc::new(Tabular::new(inputs, features, outputs))
        }
    })
}

/// A network for the forward policy, one for the backward policy if it is learned, and one for flows if they are outputs.
fn separate(recipe: &Recipe, policy: &Actions, inputs: Inputs) -> Result<Arc<dyn TapedNetwork>> {
    if matches!(recipe.policy.network, NetworkRecipe::Transformer { .. } | NetworkRecipe::Table {}) {
        return Err(Problem::new("policy.trunk", "separate trunks of a transformer or a table")
            .allowed("shared; or a network of kind mlp or deep-sets")
            .into());
    }
    let (forward, backward) = (policy.forward_range(), policy.backward_range());
    let rest = backward.end..policy.outputs();
    let parts = match recipe.flow_head() {
        FlowHead::Output => [forward.collect(), backward.collect(), rest.collect()],
        // Flows are logits: what stands behind belongs to the forward policy.
        _ => [forward.chain(rest).collect(), backward.collect(), Vec::new()],
    };
    let part = |places: Vec<usize>| Ok((network(recipe, policy, inputs, places.len())?, places));
    let parts: Result<Vec<_>> = parts.into_iter().filter(|places| !places.is_empty()).map(part).collect();
    Ok(Arc::new(Trunks::new(parts?)))
}

fn continuous(
    recipe: &Recipe,
    environment: Arc<dyn Continuous>,
    reward: Arc<dyn Target>,
) -> Result<FlowTask<ContinuousActions>> {
    if recipe.policy.trunk != Trunk::Shared {
        return refused("policy.trunk", "separate trunks", "shared");
    }
    let backward = match recipe.policy.backward {
        BackwardName::Uniform => false,
        BackwardName::Learned | BackwardName::TrajectoryLikelihood => true,
        BackwardName::MaximumEntropy | BackwardName::Implied => {
            return refused(
                "policy.backward",
                "maximum-entropy, or what edge flows imply",
                "uniform, learned or trajectory-likelihood",
            );
        }
    };
    let flow = match recipe.flow_head() {
        FlowHead::None => false,
        FlowHead::Output => true,
        FlowHead::Logits | FlowHead::Quantiles { .. } => {
            let allowed = "one of trajectories or of transitions, such as \"trajectory-balance\"";
            return refused("objective.kind", "one that sums over all moves", allowed);
        }
    };
    let heads =
        Heads { components: recipe.policy.components.unwrap_or(2), backward, flow, ..Heads::default() };
    let policy = ContinuousActions::new(environment, heads)?;
    size::check(recipe, &policy)?;
    let NetworkRecipe::Mlp { hidden, activation, residual } = &recipe.policy.network else {
        return refused("policy.network.kind", recipe.policy.network.name(), "mlp");
    };
    let inputs = inputs(&policy, reward.as_ref());
    let network: Arc<dyn TapedNetwork> =
        Arc::new(perceptron(inputs, hidden, policy.outputs(), *activation, *residual));
    let settings = settings(recipe, &policy, reward.as_ref(), network.parameters(), &|_| {
        refused("exploration.data", "objects from a file", "replay, or the policy's own trajectories")
    })?;
    Ok(FlowTask { model: GFlowNet { policy, network }, reward, settings, inner: None })
}

fn refused<T>(key: &str, found: &str, allowed: &str) -> Result<T> {
    Err(Problem::new(key, format!("{found} over points")).allowed(allowed).into())
}

/// What a network reads of a state and of its condition.
fn inputs<P: Policy>(policy: &P, reward: &dyn Target<P::Cell>) -> Inputs {
    let Inputs { features, dense } = policy.inputs();
    Inputs { features, dense: dense + reward.condition_width() }
}

impl Task {
    /// How many trainable numbers there are, log Z not counted.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Discrete(task) => task.model.network.parameters(),
            Self::Continuous(task) => task.model.network.parameters(),
        }
    }

    /// The texts of objects that [`GFlowNetPlan::sample`] drew, `[count, columns]`.
    pub fn texts(&self, objects: &[f32]) -> Vec<String> {
        let rows = objects.chunks_exact(self.columns());
        match self {
            Self::Discrete(task) => {
                let cells = |row: &[f32]| row.iter().map(|cell| *cell as Cell).collect::<Vec<Cell>>();
                let environment = task.objects();
                rows.map(|row| environment.describe(&cells(row))).collect()
            }
            Self::Continuous(task) => rows.map(|row| task.model.policy.describe(row)).collect(),
        }
    }

    /// The log-rewards of objects that [`GFlowNetPlan::sample`] drew, `[count, columns]`, each under its condition; none of points, under
    /// conditions that are not known, or where a reward is no number.
    ///
    /// # Errors
    /// If the reward fails.
    pub fn log_rewards(&self, objects: &[f32], conditions: &[f32]) -> Result<Option<Vec<f64>>, Failure> {
        let Self::Discrete(task) = self else { return Ok(None) };
        let cells: Vec<Cell> = objects.iter().map(|cell| *cell as Cell).collect();
        let mut out = vec![0.0; objects.len() / self.columns()];
        if conditions.len() != out.len() * task.reward.condition_width() {
            return Ok(None);
        }
        task.reward.log_rewards(&cells, conditions, &mut out)?;
        Ok(out.iter().all(|value| value.is_finite()).then_some(out))
    }

    /// How many numbers an object has.
    pub fn columns(&self) -> usize {
        match self {
            Self::Discrete(task) => task.objects().cells(),
            Self::Continuous(task) => task.model.policy.cells(),
        }
    }
}
