//! The objects that flow networks build, with their rewards, as recipes name them.

mod graphs;
mod grids;
mod points;
mod programs;
mod sets;
mod words;

pub use graphs::{GraphRecipe, LabelledDagsRecipe, TreesRecipe};
pub use grids::{CyclicGridRecipe, HypergridRecipe, SlipperyGridRecipe};
pub use points::{
    BoxRecipe, BoxSteps, ChartRecipe, DomainName, HybridRecipe, LineRecipe, Points, TorusRecipe,
};
pub use programs::ProgramRecipe;
pub use sets::{MultisetsRecipe, PermutationsRecipe, SetsRecipe};
pub use words::{Alphabet, BitsRecipe, GrowthName, SpinsRecipe, StringsRecipe};

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::environment::{Cell, Environment, States};
use crate::error::{Error, Problem, Result, quoted};
use crate::network::taped;
use crate::recipe::Recipe;
use crate::target::{Describe, RewardRecipe, Shape, Space, Target};

/// The most states that are listed to find out whether a table of rewards has a row for every object.
const MOST_LISTED: usize = 1_000_000;

/// Objects that are built move by move, as a recipe names them.
pub trait Objects {
    /// The objects in words.
    fn space(&self) -> String;

    /// The reward as a formula.
    fn formula(&self) -> String;

    /// The papers behind them, as BibTeX.
    fn papers(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// The environment and the reward.
    ///
    /// # Errors
    /// If a value is wrong, or a file cannot be read.
    fn build(&self) -> Result<Built>;

    /// The letters and places of words and where letters are put, where objects are words.
    fn words(&self) -> Option<(taped::Alphabet, GrowthName)> {
        None
    }

    /// What each feature of a state means, where objects are sets or multisets: which element, and how often it is there.
    fn elements(&self) -> Option<Vec<(u32, u32)>> {
        None
    }

    /// How many coordinates a point has, where objects are points of one space.
    fn coordinates(&self) -> Option<usize> {
        None
    }

    /// The side of the grid, where objects are points of one in the plane.
    fn plane(&self) -> Option<usize> {
        None
    }

    /// The side of the lattice, where objects are spins on a square one.
    fn lattice(&self) -> Option<usize> {
        None
    }
}

/// Discrete objects, as an environment builds them, with their reward.
pub type Rewarded = (Arc<dyn Environment>, Arc<dyn Target<Cell>>);

/// What objects are made of.
pub enum Built {
    /// Integers.
    Discrete(Rewarded),
    /// Real numbers.
    Continuous(Points),
}

/// The sizes from the least, where it is given, to the most.
fn between(least: Option<usize>, most: usize) -> RangeInclusive<usize> {
    least.unwrap_or(most)..=most
}

/// The same in words.
fn sizes(least: Option<usize>, most: usize) -> String {
    match least {
        Some(least) if least != most => format!("{least} to {most}"),
        _ => most.to_string(),
    }
}

/// An environment; what is wrong with it stands below `target` in a recipe.
fn environment<E: Environment>(built: Result<E, Problem>) -> Result<Arc<E>> {
    Ok(Arc::new(built.map_err(|problem| {
        let place = format!("target.{}", problem.place());
        problem.at(place)
    })?))
}

/// The objects of an environment with a reward that reads their shape.
fn rewarded<E: Environment + 'static>(
    built: Result<E, Problem>,
    shape: impl FnOnce(&E) -> Shape,
    recipe: &RewardRecipe,
) -> Result<Built> {
    let environment = environment(built)?;
    let shape = shape(&environment);
    let reward = reward(environment.clone(), shape, recipe)?;
    Ok(Built::Discrete((environment, reward)))
}

/// Reads objects as `environment` writes them, and refuses states at which one cannot stop.
pub(crate) fn parse_object(
    environment: &dyn Environment,
) -> impl Fn(&str, &mut [Cell]) -> Result<(), String> {
    |text, object| {
        environment.parse(text, object)?;
        match environment.is_object(object) {
            true => Ok(()),
            false => Err(format!("{}, which is no object; allowed: one at which one can stop", quoted(text))),
        }
    }
}

/// The objects of a recipe with another reward, in place of its own.
pub(crate) fn rewarded_by(recipe: &Recipe, reward: &RewardRecipe) -> Result<Rewarded> {
    let recipe = recipe.with_reward(reward)?;
    match recipe.objects().build()? {
        Built::Discrete(rewarded) => Ok(rewarded),
        Built::Continuous(_) => Err(Problem::new("target.kind", "points, with scores of objects")
            .allowed("objects of integers, such as words")
            .into()),
    }
}

/// The reward of an environment's objects.
fn reward(
    environment: Arc<dyn Environment>,
    shape: Shape,
    recipe: &RewardRecipe,
) -> Result<Arc<dyn Target<Cell>>> {
    let listed = matches!(recipe, RewardRecipe::Table { .. })
        .then(|| States::of(environment.as_ref(), MOST_LISTED).ok())
        .flatten();
    let objects: Option<Vec<Cell>> = listed.map(|states| {
        let objects = states.objects().iter();
        objects.flat_map(|i| states.state(*i as usize).iter().copied()).collect()
    });
    let describes = environment.clone();
    let space = Space {
        shape,
        describe: Describe::new(move |object| describes.describe(object)),
        parse: &parse_object(environment.as_ref()),
        objects: objects.as_deref(),
    };
    recipe.build(&space).map_err(|error| match error {
        Error::Input(problem) if problem.place().starts_with("reward") => {
            let place = format!("target.{}", problem.place());
            Error::from((*problem).at(place))
        }
        other => other,
    })
}
