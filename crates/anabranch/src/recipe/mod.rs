//! Recipes: a TOML file that names a space, a target, kernels, an objective and how to train.
//!
//! A recipe is read, overridden (`--set key.path=value`), checked once as a whole, and only a checked recipe can be
//! built into a [`Plan`]. Every problem names the key, what was found and what is allowed.
//!
//! There is one list of keys. The target says of what a recipe is: of `data`, of `energies` or of `objects`. Keys that only some of
//! these read bear `x-of` in the schema, and keys that are something else for some of them where nobody sets them bear `x-default`.

mod chain;
mod draft;
mod evaluation;
mod finished;
pub mod gflownet;
mod inference_data;
mod library;
mod memory;
pub mod objects;
mod read;
pub mod saved;
mod schema;
mod scores;
mod shape;
mod target;

pub(crate) use crate::error::within;
use crate::model::Watch;
use crate::model::flow::fixed::WhitenRecipe;
use crate::model::flow::probit::ProbitRecipe;
pub use crate::model::recipe::SegmentRecipe;
pub use crate::network::NetworkRecipe;
pub use crate::objective::ObjectiveRecipe;
pub use crate::optim::{OptimizerKind, OptimizerRecipe, RateSchedule};
pub use crate::train::TrainingRecipe;
pub use chain::{ChainPlan, ChainPrior, Condition, SampleTable, StateFlowRecipe, TargetData};
pub use draft::{Draft, FAMILIES, draft};
pub use evaluation::EvaluationRecipe;
pub use gflownet::GFlowNetPlan;
pub use inference_data::{Known, inference_data};
pub use library::{Entry, library, locate, named};
pub use read::{Override, Source, read};
pub use schema::schema;
pub use target::{
    CategoriesRecipe, CharactersRecipe, Energy, EnergyRecipe, FactorialRecipe, LatticeRecipe, LearnedRecipe,
    ListedLaw, PlanarBitsRecipe, ReadGiven, Rows, SimulatorRecipe, TableRecipe, TargetRecipe, ToyDataRecipe,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Summary;
use crate::error::{Problem, Result, quoted};
use crate::objective::BackwardObjective;
use crate::sampler::Sampler;
use crate::sampler::smc::Smc;
use crate::target::ConditionLaw;
use crate::train::Training;
use gflownet::{ExplorationRecipe, PolicyRecipe, RootsRecipe, RoundsRecipe, Task};

/// A whole recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The recipe's name: task, then method.
    #[schemars(extend("pattern" = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"))]
    pub name: String,
    /// One line that says what it does.
    #[serde(default)]
    pub title: String,
    /// The seed of every random stream.
    #[serde(default)]
    pub seed: u64,
    /// What is to be modelled: data, an energy, or a reward of objects that are built move by move.
    pub target: TargetRecipe,
    /// The chain's segments, from the source to the target; those of the prior unless given, where there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-of" = ["data", "energies"]))]
    pub model: Vec<SegmentRecipe>,
    /// Where conditions come from: the laws of their parts, one behind the other. Needed where the reward or the energy depends
    /// on a condition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-of" = ["energies", "objects"]))]
    pub conditions: Vec<ConditionLaw>,
    /// The states that walks start from, if not the source alone: one network then learns the flow of all objects ahead of any
    /// of them, and with it free energies, probabilities of supersets and entropies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-of" = ["objects"]))]
    pub roots: Option<RootsRecipe>,
    /// How actions are chosen, and what is held to.
    #[serde(default)]
    #[schemars(extend("x-of" = ["energies", "objects"]))]
    pub policy: PolicyRecipe,
    /// The training objective.
    #[serde(default)]
    #[schemars(extend(
        "x-default" = {"data": {"kind": "forward-kl"}, "energies": {"kind": "forward-kl"}}
    ))]
    pub objective: ObjectiveRecipe,
    /// What learned encoders are trained by.
    #[serde(default, skip_serializing_if = "BackwardObjective::is_joint")]
    #[schemars(extend("x-of" = ["data", "energies"]))]
    pub backward: BackwardObjective,
    /// The network of state flows, where the objective needs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-of" = ["data", "energies"]))]
    pub state_flow: Option<StateFlowRecipe>,
    /// Which trajectories training learns from, besides the policy's own.
    #[serde(default)]
    #[schemars(extend("x-of" = ["objects"]))]
    pub exploration: ExplorationRecipe,
    /// How weights are updated.
    #[serde(default)]
    pub optimizer: OptimizerRecipe,
    /// How long, and what is written when.
    #[serde(default)]
    pub training: TrainingRecipe,
    /// How samples are drawn.
    #[serde(default)]
    #[schemars(extend("x-of" = ["data", "energies"]))]
    pub sampler: Sampler,
    /// How particles are resampled on their way, where samples are drawn so and log Z is estimated by them, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-of" = ["energies"]))]
    pub smc: Option<Smc>,
    /// What is measured at the end.
    #[serde(default)]
    pub evaluation: EvaluationRecipe,
    /// How objects are proposed, scored and learned from, round by round, where the reward is a regressor: read by `anabranch propose`
    /// alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-of" = ["objects"]))]
    pub rounds: Option<RoundsRecipe>,
}

impl Recipe {
    /// The programs that it starts for its rewards, each with its arguments.
    pub fn programs(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        programs(&serde_json::to_value(self).expect("a recipe is plain values"), &mut found);
        found
    }

    /// Checks every value that needs no data to be checked.
    ///
    /// # Errors
    /// The first problem found.
    pub fn check(&self) -> Result<()> {
        // Run directories bear it.
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name = &self.name;
        if name.len() > 100 || !name.chars().all(fine) || !name.starts_with(char::is_alphanumeric) {
            return Err(Problem::new("name", quoted(name))
                .allowed("up to 100 letters, digits, \"-\", \"_\" and \".\", a letter or digit first")
                .into());
        }
        if self.seed > i64::MAX as u64 {
            return Err(Problem::new("seed", self.seed.to_string())
                .allowed(format!("an integer from 0 to {}", i64::MAX))
                .into());
        }
        if self.training.steps == 0 && (self.target.objects().is_some() || chain::learns(self)) {
            return Err(Problem::new("training.steps", "0").allowed("an integer of at least 1").into());
        }
        self.training.check()?;
        self.optimizer.check()?;
        self.evaluation.check()?;
        match self.target.objects() {
            None => chain::check(self),
            Some(_) => gflownet::check(self),
        }
    }

    /// Puts a whitening map next to a table of real numbers whose model has no map of its own there: whatever its units are, the model
    /// then begins at their Gaussian. Columns of few values get the map that tells these.
    fn whiten(&mut self) {
        let TargetRecipe::Table(table) = &self.target else { return };
        let measured = table.levels == 0 && table.threshold.is_none();
        let few = !(table.categories.is_empty() && table.integers.is_empty());
        let last = self.model.last();
        let real = matches!(
            last,
            Some(SegmentRecipe::Flow(_) | SegmentRecipe::Diffusion(_) | SegmentRecipe::Vae(_))
        );
        if measured && real {
            self.model.push(SegmentRecipe::Whiten(WhitenRecipe {}));
        }
        if measured
            && few
            && !self.model.is_empty()
            && !matches!(self.model.last(), Some(SegmentRecipe::Probit(_)))
        {
            self.model.push(SegmentRecipe::Probit(ProbitRecipe {}));
        }
    }

    /// The directories of the finished runs that it names: a prior, what comes to its segments, its target.
    pub fn runs(&self) -> Vec<String> {
        let proposal = match self.model.first() {
            Some(SegmentRecipe::Run(part)) => Some(part.run.clone()),
            _ => None,
        };
        let target = match &self.target {
            TargetRecipe::Run(target) => Some(target.run.clone()),
            _ => None,
        };
        [self.policy.prior.clone(), proposal, target].into_iter().flatten().collect()
    }

    /// The recipe as TOML, with all keys that its target reads.
    pub fn to_toml(&self) -> String {
        let all = toml::to_string(self).expect("a recipe is a table of plain values");
        let mut table: toml::Table = toml::from_str(&all).expect("it was written as TOML");
        shape::keep_read(&mut table);
        toml::to_string_pretty(&table).expect("a table of plain values")
    }

    /// The BibTeX entries of the target and the methods it uses, then those of the runs it names, as far as they are there, without
    /// repetition.
    pub fn citations(&self) -> Vec<&'static str> {
        let named = finished::named(self);
        let mut entries: Vec<&str> =
            std::iter::once(self).chain(&named).flat_map(Self::own_citations).collect();
        let mut seen = std::collections::HashSet::new();
        entries.retain(|entry| seen.insert(*entry));
        entries
    }

    fn own_citations(&self) -> Vec<&'static str> {
        match self.target.objects() {
            None => chain::citations(self),
            Some(objects) => gflownet::citations(self, objects),
        }
    }
}

/// The commands of all programs in a part of a recipe, whatever it stands for.
fn programs(part: &serde_json::Value, found: &mut Vec<Vec<String>>) {
    use serde_json::Value::{Array, Object};
    match part {
        Object(table) => {
            if let (Some("process"), Some(Array(command))) =
                (table.get("kind").and_then(|kind| kind.as_str()), table.get("command"))
            {
                found.push(command.iter().filter_map(|word| Some(word.as_str()?.to_owned())).collect());
            }
            table.values().for_each(|part| programs(part, found));
        }
        Array(parts) => parts.iter().for_each(|part| programs(part, found)),
        _ => {}
    }
}

/// A checked recipe with all that it names.
pub enum Plan {
    /// Of a chain.
    Chain(Box<ChainPlan>),
    /// Of a flow network.
    GFlowNet(Box<GFlowNetPlan>),
}

impl Plan {
    /// Checks a recipe, loads its data and builds its model.
    ///
    /// # Errors
    /// The first problem found.
    pub fn new(recipe: Recipe) -> Result<Self> {
        Self::build(recipe, None)
    }

    /// The same without the rows of its data, of which `summary` is left.
    ///
    /// # Errors
    /// The first problem found.
    pub(crate) fn remembered(recipe: Recipe, summary: &Summary) -> Result<Self> {
        Self::build(recipe, Some(summary))
    }

    fn build(mut recipe: Recipe, summary: Option<&Summary>) -> Result<Self> {
        recipe.training.count_steps();
        if recipe.target.objects().is_none() && !chain::learns(&recipe) {
            recipe.training.steps = 0;
        }
        recipe.check()?;
        Ok(match recipe.target.objects() {
            None => Self::Chain(Box::new(ChainPlan::new(recipe, summary)?)),
            Some(_) => Self::GFlowNet(Box::new(GFlowNetPlan::new(recipe)?)),
        })
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        match self {
            Self::Chain(plan) => &plan.recipe,
            Self::GFlowNet(plan) => &plan.recipe,
        }
    }

    /// How many trainable numbers there are.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Chain(plan) => plan.model.parameters(),
            Self::GFlowNet(plan) => plan.task.parameters(),
        }
    }

    /// How many numbers a sample has.
    pub fn columns(&self) -> usize {
        match self {
            Self::Chain(plan) => plan.dimension(),
            Self::GFlowNet(plan) => plan.task.columns(),
        }
    }

    /// A run at its first step.
    ///
    /// # Errors
    /// If the objective does not fit the rest of the recipe.
    pub fn start(&self) -> Result<Box<dyn Training + '_>> {
        self.trainer(false, &|_| true)
    }

    /// [`Plan::start`], telling `watch` how far kernels are tuned, which they are before the first step.
    ///
    /// # Errors
    /// As [`Plan::start`]; with [`Error::Interrupted`](crate::error::Error::Interrupted) where `watch` asked to stop.
    pub fn start_observed(&self, watch: &Watch<'_>) -> Result<Box<dyn Training + '_>> {
        self.trainer(false, watch)
    }

    /// Whether kernels are tuned before the first step.
    pub fn tunes(&self) -> bool {
        match self {
            Self::Chain(plan) => plan.model.segments().iter().any(|segment| segment.tunes()),
            Self::GFlowNet(_) => false,
        }
    }

    /// [`Plan::start`] for what a checkpoint is to be restored into: kernels that particles tune are left as they are.
    ///
    /// # Errors
    /// As [`Plan::start`].
    pub fn blank(&self) -> Result<Box<dyn Training + '_>> {
        self.trainer(true, &|_| true)
    }

    fn trainer(&self, restored: bool, watch: &Watch<'_>) -> Result<Box<dyn Training + '_>> {
        Ok(match self {
            Self::Chain(plan) => match plan.ascent()? {
                Some(ascent) => Box::new(ascent),
                None => plan.training(restored, watch)?,
            },
            Self::GFlowNet(plan) => match &plan.task {
                Task::Discrete(task) => Box::new(task.start(plan.recipe.seed)?),
                Task::Continuous(task) => Box::new(task.start(plan.recipe.seed)?),
            },
        })
    }

    /// What is to be said of the data before training: columns on which a density means little.
    pub fn notes(&self) -> Vec<String> {
        match self {
            Self::Chain(plan) => plan.notes(),
            Self::GFlowNet(_) => Vec::new(),
        }
    }

    /// What the validation score is: lower is better.
    pub fn score(&self) -> &'static str {
        if self.recipe().target.rows().is_some() { "nll" } else { "negative_elbo" }
    }

    /// Space, target, kernels with the formula of their step ratio, objective and estimators.
    pub fn explain(&self) -> String {
        let recipe = self.recipe();
        let (mut facts, estimators) = match self {
            Self::Chain(plan) => chain::facts(plan),
            Self::GFlowNet(plan) => gflownet::facts(plan),
        };
        facts.insert(0, ("recipe", format!("{}: {}", recipe.name, recipe.title)));
        let learns = recipe.target.objects().is_some() || chain::learns(recipe);
        let objective = if learns { recipe.objective.formula() } else { "none: no gradient moves anything" };
        facts.push(("objective", objective.to_owned()));
        facts.push(("estimators", estimators.to_owned()));
        facts.push(("parameters", self.parameters().to_string()));
        facts.iter().map(|(label, value)| format!("{label:<11} {value}\n")).collect()
    }
}
