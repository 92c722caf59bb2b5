//! What recipes know of a family of segments: its keys, what they may be, and what becomes of them.
//!
//! A family's keys are a struct beside its mathematics that implements [`Part`]; the list of all families is
//! [`super::recipe::SegmentRecipe`].

use std::sync::Arc;

use super::jump::sampling::Sampling;
use super::{Model, Segment};
use crate::data::Dataset;
use crate::error::{Problem, Result, quoted};
use crate::network::recipe::Asked;
use crate::network::{Network, NetworkRecipe};
use crate::target::Target;

/// A family of segments, as recipes name it.
pub trait Part {
    /// The family's name in recipes.
    fn kind(&self) -> &'static str;

    /// Checks every value that needs no data to be checked.
    ///
    /// # Errors
    /// The first problem found.
    fn check(&self, _place: &Place) -> Result<()> {
        Ok(())
    }

    /// Whether anything of it is learned by gradients.
    fn learns(&self) -> bool {
        self.network().is_some()
    }

    /// What its kernels ask the energy.
    fn asks(&self) -> Asks {
        Asks::Nothing
    }

    /// What one step adds to the path log-weight, as a formula.
    fn formula(&self) -> &'static str;

    /// The law of `s_0` where it stands next to the source, in words, if that is not the standard normal.
    fn source(&self) -> Option<&'static str> {
        None
    }

    /// The papers behind it, as BibTeX.
    fn papers(&self, _place: &Place) -> Vec<&'static str> {
        Vec::new()
    }

    /// Its networks, if it has any.
    fn network(&self) -> Option<NetworkRecipe> {
        None
    }

    /// Whether its forward kernels make choices at random whose chances are learned: gradients through the states do not see them.
    fn learns_choices(&self) -> bool {
        false
    }

    /// Whether its backward kernels have weights.
    fn learns_backward(&self) -> bool {
        false
    }

    /// What of it learns through the states alone, and not at states that are given.
    fn learns_through_states(&self) -> Option<&'static str> {
        None
    }

    /// Whether it knows the densities on the way, by which particles are resampled.
    fn knows_levels(&self) -> bool {
        false
    }

    /// Whether it draws coordinates in turn: states on the way are rows masked in part, of which a reward may know something.
    fn draws_in_turn(&self) -> bool {
        false
    }

    /// Whether all its kernels leave densities between one base and the target invariant, by which particles persist.
    fn persists(&self) -> bool {
        false
    }

    /// Whether a probability-flow ODE can take the place of its steps.
    fn has_ode(&self) -> bool {
        false
    }

    /// Checks that its categories can be sampled so.
    ///
    /// # Errors
    /// If they cannot, or it has none.
    fn check_sampling(&self, _sampling: &Sampling) -> Result<()> {
        let found = format!("\"discrete\" of a model with a {}", quoted(self.kind()));
        Sampling::refused("kind", &found, "\"ancestral\"; or it of a \"jump\" or an \"autoregressive\" model")
    }

    /// Whether the states on the target's side may be integers.
    fn takes_integers(&self) -> bool {
        false
    }

    /// Whether its networks read states before those of a row, which are its condition.
    fn reads_prefix(&self) -> bool {
        false
    }

    /// Whether the states on the target's side may have columns of few values beside real ones.
    fn takes_few_values(&self) -> bool {
        false
    }

    /// Keeps what it will need of data whose rows are here, where it needs more than is kept of all data.
    fn fit(&self, _data: &mut Dataset) {}

    /// What is allowed in continuous data, where `value` is not.
    fn excludes(&self, _value: f32, _place: &Place) -> Option<String> {
        None
    }

    /// What it needs, reckoned before anything of it is built.
    fn size(&self, around: &Surroundings<'_>) -> Size;

    /// The segment with its initial weights.
    ///
    /// # Errors
    /// If what surrounds it does not allow it.
    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>>;
}

/// What kernels ask an energy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asks {
    /// Nothing: they stand before any target.
    Nothing,
    /// `log R`.
    Values,
    /// `log R` and its gradient.
    Scores,
    /// Both and, where an objective is differentiated through the states, the gradient's derivative.
    Curvature,
}

/// Where in a model a part stands.
#[derive(Debug, Clone)]
pub struct Place {
    /// How many parts stand before it.
    pub index: usize,
    /// The kinds of the parts between the source and it.
    pub before: Vec<&'static str>,
    /// The kinds of the parts between it and the target.
    pub after: Vec<&'static str>,
    /// Whether one of these learns.
    pub learned_after: bool,
}

impl Place {
    /// The part's key in a recipe.
    pub fn key(&self) -> String {
        format!("model.{}", self.index)
    }

    /// The full name of one of its keys.
    pub fn of(&self, key: &str) -> String {
        format!("model.{}.{key}", self.index)
    }

    /// Whether it stands next to the target.
    pub fn is_last(&self) -> bool {
        self.after.is_empty()
    }

    /// A problem with one of its keys.
    pub fn problem(&self, key: &str, found: impl Into<String>) -> Problem {
        Problem::new(self.of(key), found)
    }
}

/// What a part is built into.
#[derive(Clone)]
pub struct Surroundings<'a> {
    /// Where in the model it stands.
    pub place: Place,
    /// Coordinates of the states on the target's side.
    pub dimension: usize,
    /// Integer levels of the data; 0 for continuous states.
    pub levels: u32,
    /// The data, where the target is data: what fitted maps are fitted to.
    pub data: Option<&'a Dataset>,
    /// The seed of initial weights.
    pub seed: u64,
    /// The energy, where the target is one.
    pub energy: Option<&'a Arc<dyn Target>>,
    /// What the run has learned that the first part names, where it names one.
    pub run: Option<&'a Model>,
    /// Numbers of the condition, which networks read beside their input.
    pub condition: usize,
    /// How many states stand before those of a row, as its condition; 0 where the condition is none, or something else.
    pub prefix: usize,
    /// Whether training runs the chain backward: from data, and not from the source.
    pub backward: bool,
}

impl Surroundings<'_> {
    /// The levels of the states on the target's side, where those are the data's integers.
    pub fn integers(&self) -> Option<u32> {
        (self.place.is_last() && self.levels > 0).then_some(self.levels)
    }

    /// The energy, of a part that asks for it.
    ///
    /// # Errors
    /// If there is none, or it does not answer what is asked.
    pub(crate) fn asked(&self, part: &dyn Part) -> Result<Arc<dyn Target>> {
        let Some(energy) = self.energy else {
            return Err(self
                .place
                .problem("kind", format!("{} where the target is data", quoted(part.kind())))
                .allowed("it where the target is an energy, which its kernels ask")
                .into());
        };
        if part.asks() >= Asks::Scores && !energy.has_scores() {
            return Err(self
                .place
                .problem("kind", "kernels that need the gradient of a target that has none")
                .allowed("a kernel that needs none, such as \"random-walk\"; or gradients = true, if the program answers them")
                .into());
        }
        Ok(energy.clone())
    }

    /// The name of a weight vector.
    pub(crate) fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.place.index)
    }

    /// The stream of a weight vector's initial values.
    pub(crate) fn stream(&self, part: usize) -> u32 {
        (self.place.index << 12 | part) as u32
    }

    /// A network with its initial weights; `zero` starts its last layer at 0.
    ///
    /// # Errors
    /// If it cannot be over such coordinates.
    pub(crate) fn network(
        &self,
        name: &str,
        stream: usize,
        recipe: &NetworkRecipe,
        asked: Asked,
        zero: bool,
    ) -> Result<Network> {
        let architecture = recipe.over_coordinates(&self.place.of("network"), asked)?;
        Ok(Network::new(self.name(name), architecture, self.seed, self.stream(stream), zero))
    }
}

/// What a part needs, in f64, which does not overflow.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Weights.
    pub weights: f64,
    /// Numbers that a row leaves on the tape at each step.
    pub row: f64,
    /// Steps of its chain.
    pub steps: f64,
    /// Coordinates of the states on the source's side.
    pub inner: usize,
}
