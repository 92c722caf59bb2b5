//! Recipes: a TOML file that names a space, a target, kernels, an objective and how to train.
//!
//! A recipe is read, overridden (`--set key.path=value`), checked once as a whole, and only a checked recipe can be
//! built into a [`Plan`]. Every problem names the key, what was found and what is allowed. There are two kinds, which
//! `target.kind` tells apart: chains of segments onto data or an energy, and flow networks over objects.

mod chain;
pub mod gflownet;
mod library;
mod read;
pub mod saved;
mod shape;

pub(crate) use crate::error::{positive, within};
pub use crate::model::recipe::SegmentRecipe;
pub use crate::network::NetworkRecipe;
pub use crate::objective::ObjectiveRecipe;
pub use crate::optim::{OptimizerKind, OptimizerRecipe, RateSchedule};
pub use crate::train::TrainingRecipe;
pub use chain::{
    ChainPlan, ChainRecipe, EvaluationRecipe, StateFlowRecipe, TableRecipe, TargetData, TargetRecipe,
    ToyDataRecipe,
};
pub use gflownet::{GFlowNetPlan, GFlowNetRecipe};
pub use library::{Entry, library, locate, named};
pub use read::{Override, Source, read};

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Problem, Result, quoted};
use crate::train::Training;
use gflownet::Task;

/// A whole recipe. `target.kind` says of which kind it is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Recipe {
    /// A chain of segments onto data or an energy.
    Chain(Box<ChainRecipe>),
    /// A flow network over objects.
    GFlowNet(Box<GFlowNetRecipe>),
}

/// What recipes of both kinds say.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview<'a> {
    /// The recipe's name: task, then method.
    pub name: &'a str,
    /// One line that says what it does.
    pub title: &'a str,
    /// The seed of every random stream.
    pub seed: u64,
    /// How long training takes, and what is written when.
    pub training: TrainingRecipe,
    /// How weights are updated.
    pub optimizer: &'a OptimizerRecipe,
}

impl Recipe {
    /// What recipes of both kinds say.
    pub fn overview(&self) -> Overview<'_> {
        match self {
            Self::Chain(recipe) => recipe.overview(),
            Self::GFlowNet(recipe) => recipe.overview(),
        }
    }

    /// Gives every random stream another seed.
    pub fn set_seed(&mut self, seed: u64) {
        match self {
            Self::Chain(recipe) => recipe.seed = seed,
            Self::GFlowNet(recipe) => recipe.seed = seed,
        }
    }

    /// Checks every value that needs no data to be checked.
    ///
    /// # Errors
    /// The first problem found.
    pub fn check(&self) -> Result<()> {
        let Overview { name, seed, training, optimizer, .. } = self.overview();
        // Run directories bear it.
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.len() > 100 || !name.chars().all(fine) || !name.starts_with(char::is_alphanumeric) {
            return Err(Problem::new("name", quoted(name))
                .allowed("up to 100 letters, digits, \"-\", \"_\" and \".\", a letter or digit first")
                .into());
        }
        if seed > i64::MAX as u64 {
            return Err(Problem::new("seed", seed.to_string())
                .allowed(format!("an integer from 0 to {}", i64::MAX))
                .into());
        }
        training.check()?;
        optimizer.check()?;
        match self {
            Self::Chain(recipe) => recipe.check(),
            Self::GFlowNet(recipe) => recipe.check(),
        }
    }

    /// The recipe as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a recipe is a table of plain values")
    }

    /// The BibTeX entries of the target and the methods it uses, without repetition.
    pub fn citations(&self) -> Vec<&'static str> {
        let mut entries = match self {
            Self::Chain(recipe) => chain::citations(recipe),
            Self::GFlowNet(recipe) => gflownet::citations(recipe),
        };
        let mut seen = std::collections::HashSet::new();
        entries.retain(|entry| seen.insert(*entry));
        entries
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
        recipe.check()?;
        Ok(match recipe {
            Recipe::Chain(recipe) => Self::Chain(Box::new(ChainPlan::new(*recipe)?)),
            Recipe::GFlowNet(recipe) => Self::GFlowNet(Box::new(GFlowNetPlan::new(*recipe)?)),
        })
    }

    /// The recipe.
    pub fn recipe(&self) -> Recipe {
        match self {
            Self::Chain(plan) => Recipe::Chain(Box::new(plan.recipe.clone())),
            Self::GFlowNet(plan) => Recipe::GFlowNet(Box::new(plan.recipe.clone())),
        }
    }

    /// What recipes of both kinds say.
    pub fn overview(&self) -> Overview<'_> {
        match self {
            Self::Chain(plan) => plan.recipe.overview(),
            Self::GFlowNet(plan) => plan.recipe.overview(),
        }
    }

    /// How many trainable numbers there are.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Chain(plan) => plan.model.parameters(),
            Self::GFlowNet(plan) => plan.task.parameters(),
        }
    }

    /// A run at its first step.
    ///
    /// # Errors
    /// If the objective does not fit the rest of the recipe.
    pub fn start(&self) -> Result<Box<dyn Training + '_>> {
        Ok(match self {
            Self::Chain(plan) => Box::new(plan.start()?),
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
        match self {
            Self::Chain(plan) if !plan.recipe.target.is_energy() => "nll",
            _ => "negative_elbo",
        }
    }

    /// Space, target, kernels with the formula of their step ratio, objective and estimators.
    pub fn explain(&self) -> String {
        match self {
            Self::Chain(plan) => chain::explain(plan),
            Self::GFlowNet(plan) => gflownet::explain(plan),
        }
    }
}
