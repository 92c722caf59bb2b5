//! Targets: what a model samples in proportion to.
//!
//! ```text
//! R(x) = exp(-E(x)),     P(x) = R(x) / Z,     Z = sum_x R(x), or the integral
//! ```
//!
//! All is in log space: a target answers `log R(x)` in nats, for a batch at once. A condition `c` (temperature,
//! preference, context) is a row of numbers beside each object.
//!
//! | target | objects | log Z |
//! |---|---|---|
//! | [`GridReward`] | points of a grid | closed form |
//! | [`Ising`] | spins | ring, torus: transfer matrices |
//! | [`PlantedModes`] | bit sequences | of one mode |
//! | [`Landscape`] | words of one length | by transfer matrices |
//! | [`Items`], [`AdditiveEnergies`] | sets, multisets, bits | closed form, at any condition |
//! | [`TableReward`] | any that can be written in a file | the sum of all rows |
//! | [`Expression`] | any | |
//! | [`Process`] | any | |
//! | [`EnvironmentReward`] | those of another program | |
//! | [`Classifier`] | words | |
//! | [`RowClassifier`] | rows of numbers | |
//! | [`Regressor`] | any that can be written in a file | |
//! | [`Ahead`] | states of a rooted environment | |
//! | [`Leading`] | states whose first numbers are an object | where the object's says it |
//! | [`Gamble`], [`AtRisk`] | any; random, and as a risk measure sees it | |
//! | [`Preference`], [`Tempered`], [`Entropic`] | those of the rewards they are made of | where theirs say it |
//! | [`continuous`] | real vectors, points of a box, the torus | closed form |
//!
//! [`simulator`] holds problems of simulation-based inference, which are data with conditions.
//!
//! [`checked`] asks a reward and says which object has one that is no number; [`Conditions`] draws conditions;
//! [`RewardRecipe`] names the discrete ones in a recipe.

mod ahead;
mod at_risk;
mod checked;
mod classifier;
mod conditions;
pub mod continuous;
mod counted;
mod entropic;
mod environment;
mod expression;
mod fitting;
mod gamble;
mod graph;
mod hypergrid;
mod ising;
mod items;
mod landscape;
mod leading;
pub mod learned;
mod modes;
mod multi;
mod of_cells;
mod process;
mod recipe;
mod regressor;
mod row_classifier;
pub mod simulator;
mod space;
mod table;
mod tape;
mod unscored;

use std::fmt::Debug;

use rayon::prelude::*;

pub use ahead::Ahead;
pub use at_risk::AtRisk;
pub use checked::checked;
pub use classifier::{Classifier, ClassifierSettings};
pub use conditions::{ConditionLaw, Conditions, parse_condition, read_conditions};
pub use continuous::{
    BayesianMixture, Density, DiagonalGaussian, FullGaussian, Funnel, ManyWell, Mixture, MixtureInverse,
    PointTargetRecipe, Toy, toy,
};
pub use counted::{Cost, Counted};
pub use entropic::Entropic;
pub use environment::EnvironmentReward;
pub use expression::Expression;
pub use gamble::Gamble;
pub use graph::GraphReward;
pub use hypergrid::GridReward;
pub use ising::Ising;
pub use items::{AdditiveEnergies, Counting, Items};
pub use landscape::Landscape;
pub use leading::Leading;
pub use modes::PlantedModes;
pub use multi::{Beta, Combination, Preference, Tempered};
pub use of_cells::OfCells;
pub use process::{Process, ProcessSettings};
pub(crate) use recipe::inside;
pub use recipe::{BetaRecipe, ByCondition, LatticeName, ProcessRecipe, RewardRecipe};
pub use regressor::{
    Acquisition, Direction, HeldOutFit, Missing, Prediction, Regressor, RegressorRecipe, RegressorSettings,
    ScoreTable,
};
pub use row_classifier::{RowClassifier, RowClassifierSettings};
pub use space::{Describe, Parse, Shape, Space};
pub use table::{TableReward, Transform};
pub use tape::{log_density, score};
pub use unscored::Unscored;

pub use crate::error::Failure;
use crate::error::Problem;
use crate::math::Estimate;
use crate::rng::Noise;

/// An unnormalised density or mass `R` over objects that are rows of `C`: [`Cell`](crate::environment::Cell) for discrete,
/// `f32` for real vectors and other points.
pub trait Target<C = f32>: Send + Sync + Debug {
    /// Writes `log R(x | c)` of each object, nats. `objects` is `[batch, cells]`, `conditions` `[batch, width]` or empty,
    /// `out` `[batch]`.
    ///
    /// # Errors
    /// If the reward could not be found. A value that is no number or infinite is written as it is: the caller says
    /// which object it belongs to ([`checked`] does).
    fn log_rewards(&self, objects: &[C], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure>;

    /// Whether [`Target::log_rewards_with_scores`] answers: objects are points, and `log R` has a gradient.
    fn has_scores(&self) -> bool {
        false
    }

    /// [`Target::log_rewards`], and the score of each point: the gradient of its `log R` by its coordinates, `[batch, cells]`. Where
    /// `log R` is not finite the score says nothing.
    ///
    /// # Errors
    /// As [`Target::log_rewards`]; [`Failure::Stop`] if there are no scores ([`Target::has_scores`]).
    fn log_rewards_with_scores(
        &self,
        _objects: &[C],
        _conditions: &[f32],
        _out: &mut [f64],
        _scores: &mut [f64],
    ) -> Result<(), Failure> {
        Err(no_scores())
    }

    /// Whether [`Target::score_derivatives`] answers: scores have a derivative of their own.
    fn has_curvature(&self) -> bool {
        false
    }

    /// Writes the derivative of each point's score along its own direction, `H(x) v` with `H` the Hessian of `log R`. `directions`
    /// and `out` are `[batch, cells]`. Where `log R` is not finite it says nothing.
    ///
    /// # Errors
    /// As [`Target::log_rewards`]; [`Failure::Stop`] if there is none ([`Target::has_curvature`]).
    fn score_derivatives(
        &self,
        _objects: &[C],
        _conditions: &[f32],
        _directions: &[f64],
        _out: &mut [f64],
    ) -> Result<(), Failure> {
        Err(no_curvature())
    }

    /// Sets of coordinates each of whose conditional laws, given all others, is Gaussian, and that are independent of each other given
    /// the rest: [`Target::score_derivatives`] tells the precision of each. Empty where there is none.
    fn conditional_blocks(&self) -> Vec<Vec<usize>> {
        Vec::new()
    }

    /// Whether `log R` is finite everywhere. Where it is not, its gradient says nothing, and means of `log w` over forward
    /// paths are minus infinity: no objective can learn from them.
    fn positive_everywhere(&self) -> bool {
        self.made_of().is_none_or(|target| target.positive_everywhere())
    }

    /// The reward of the same objects that this one is made of, where it is made of one: what is not said of this one is said
    /// of that.
    fn made_of(&self) -> Option<&dyn Target<C>> {
        None
    }

    /// How many numbers a condition has; 0 where the reward depends on none.
    fn condition_width(&self) -> usize {
        self.made_of().map_or(0, |reward| reward.condition_width())
    }

    /// Replaces the means in `log_rewards`, `[batch]`, by one observation each, from row `i` of `noise`, where the reward is
    /// random; leaves them where it is not.
    ///
    /// # Errors
    /// As [`Target::log_rewards`].
    fn observe(
        &self,
        _objects: &[C],
        _conditions: &[f32],
        _noise: &Noise,
        _log_rewards: &mut [f64],
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// Writes the quantiles of `log R(x)` at `levels` in (0, 1), `[batch, levels]`, where the reward is random; answers whether
    /// it is.
    ///
    /// # Errors
    /// As [`Target::log_rewards`].
    fn log_quantiles(
        &self,
        _objects: &[C],
        _conditions: &[f32],
        _levels: &[f64],
        _out: &mut [f64],
    ) -> Result<bool, Failure> {
        Ok(false)
    }

    /// Writes what is known of the reward on the way to an object, as `-E(s)`: at an object `log R(x)` less a constant that
    /// is the same for all of them, so that only differences matter. Answers whether it is known. Where every state is an
    /// object it is `log R(s)`.
    ///
    /// # Errors
    /// As [`Target::log_rewards`].
    fn partial(&self, _states: &[C], _conditions: &[f32], _out: &mut [f64]) -> Result<bool, Failure> {
        Ok(false)
    }

    /// `log Z` of the whole space at a condition (empty for none), where it is known exactly. Nats.
    fn log_z(&self, condition: &[f32]) -> Option<f64> {
        self.log_z_tempered(1.0, condition)
    }

    /// `log sum_x R(x)^beta` for `beta > 0`, where it is known exactly: the `log Z` of [`Tempered`]. Nats.
    fn log_z_tempered(&self, _beta: f64, _condition: &[f32]) -> Option<f64> {
        None
    }

    /// A published estimate of `log Z`, nats, with its standard error, where Z is not known exactly.
    fn reference_log_z(&self) -> Option<Estimate> {
        None
    }

    /// The entropy of `R / Z`, nats, where it has a closed form.
    fn entropy(&self) -> Option<f64> {
        None
    }

    /// Exact draws from `R / Z`, `[count, cells]`, where there is a direct way to them: draw `i` from row `i` of `noise`.
    fn draw(&self, _count: usize, _noise: &Noise) -> Option<Vec<C>> {
        None
    }

    /// Exact draws from `R(. | c) / Z(c)`, one for each of `conditions`, `[count, width]`, where there is a direct way to them: draw `i`
    /// from row `i` of `noise`. `[count, cells]`.
    fn draw_given(&self, _conditions: &[f32], _noise: &Noise) -> Option<Vec<C>> {
        None
    }

    /// Draws from the target's own law of conditions, `[count, width]`, where it has one: row `i` from row `i` of `noise`.
    fn draw_conditions(&self, _count: usize, _noise: &Noise) -> Option<Vec<f32>> {
        None
    }

    /// Appends the rewards `r_k(x)` that a preference weighs, `[batch, count]`, and answers their count: 0 where the reward
    /// is of one piece.
    ///
    /// # Errors
    /// As [`Target::log_rewards`].
    fn parts(&self, _objects: &[C], _batch: usize, _out: &mut Vec<f64>) -> Result<usize, Failure> {
        Ok(0)
    }

    /// The Bayesian mixture that it is the posterior of, where it is one: coordinate ascent knows what to do with it.
    fn bayesian_mixture(&self) -> Option<&BayesianMixture> {
        None
    }

    /// The regressor that the reward is made of, where it is one that was fitted to scores.
    fn regressor<'a>(&'a self) -> Option<&'a Regressor>
    where
        C: 'a,
    {
        self.made_of()?.regressor()
    }

    /// What it was asked so far, where it counts that.
    fn cost(&self) -> Option<Cost> {
        self.made_of()?.cost()
    }

    /// What was measured of the reward itself when it was made, by the names of metrics.
    fn figures(&self) -> Vec<(&'static str, f64)> {
        self.made_of().map_or_else(Vec::new, |reward| reward.figures())
    }

    /// Into which class the target itself puts each of `objects`, `[count, cells]`, where it knows classes.
    fn classify(&self, objects: &[C]) -> Option<Classified> {
        self.made_of()?.classify(objects)
    }

    /// Whether the object belongs to one of the reward's modes, where it has such.
    fn is_mode(&self, object: &[C]) -> Option<bool> {
        self.made_of()?.is_mode(object)
    }

    /// How many modes there are, where it is known exactly.
    fn modes(&self) -> Option<f64> {
        self.made_of()?.modes()
    }

    /// Tells `found` the numbers of the modes, below [`Target::modes`], that the object belongs to. Nothing is told where
    /// each object that [`Target::is_mode`] is a mode of its own.
    fn modes_of(&self, object: &[C], found: &mut dyn FnMut(usize)) {
        if let Some(reward) = self.made_of() {
            reward.modes_of(object, found);
        }
    }
}

/// What a classifier says of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified {
    /// The class of each, `[count]`, below `count`.
    pub classes: Vec<usize>,
    /// How many classes there are.
    pub count: usize,
    /// The class whose probability is the reward.
    pub wanted: usize,
}

impl Classified {
    /// Whether each object is of the wanted class, as 0 or 1, `[count]`.
    pub fn hits(&self) -> Vec<f64> {
        self.classes.iter().map(|class| f64::from(u8::from(*class == self.wanted))).collect()
    }

    /// The share of each class.
    pub fn shares(&self) -> Vec<f64> {
        let mut counts = vec![0usize; self.count];
        self.classes.iter().for_each(|class| counts[*class] += 1);
        counts.into_iter().map(|count| count as f64 / self.classes.len() as f64).collect()
    }
}

/// That a target has no scores.
fn no_scores() -> Failure {
    let allowed = "one with a gradient, or an objective that needs none";
    Problem::new("the target", "one that has no gradient").allowed(allowed).into()
}

/// That a target's scores have no derivative.
fn no_curvature() -> Failure {
    let allowed = "one with second derivatives, or an objective that needs no derivative of the score";
    Problem::new("the target", "one whose score has no derivative").allowed(allowed).into()
}

/// Fills `out` with a value of each row of `objects`, `[out.len(), cells]`; by several threads where there is much to do.
fn fill_rows<C: Sync>(objects: &[C], out: &mut [f64], value: impl Fn(&[C]) -> f64 + Sync) {
    if objects.is_empty() {
        return out.fill_with(|| value(&[]));
    }
    let cells = objects.len() / out.len();
    let fill = |(out, objects): (&mut [f64], &[C])| {
        out.iter_mut().zip(objects.chunks_exact(cells)).for_each(|(out, row)| *out = value(row));
    };
    // Rows that one thread fills at a time.
    let rows = 4096_usize.div_ceil(cells);
    if out.len() <= rows {
        return fill((out, objects));
    }
    out.par_chunks_mut(rows).zip(objects.par_chunks(rows * cells)).for_each(fill);
}

/// Refuses a number outside of `least..=most`, or one that is none.
pub(crate) fn within(key: &str, value: f64, least: f64, most: f64) -> Result<(), Problem> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let range = format!("a number from {} to {}", short(least), short(most));
    Err(Problem::new(key, short(value)).allowed(range))
}

/// A number without a long row of zeros.
fn short(value: f64) -> String {
    let plain = value == 0.0 || !value.is_finite() || (1e-5..1e9).contains(&value.abs());
    if plain { value.to_string() } else { format!("{value:e}") }
}

/// The least and the largest reward, weight or exponent that may be given.
pub(crate) const LEAST: f64 = 1e-300;
pub(crate) const LARGEST: f64 = 1e300;
