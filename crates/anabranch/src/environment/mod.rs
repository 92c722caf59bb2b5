//! Environments: spaces of discrete objects that are built move by move.
//!
//! An environment is a pointed directed acyclic graph. Its nodes are states, rows of small integers; its edges are
//! moves. The source `s_0` is the empty object; a state is an *object* `x` where the edge `x -> s_f` to the sink exists.
//!
//! ```text
//! s_0 -> s_1 -> ... -> s_n = x -> s_f       moves, then stop
//! s_0 <- s_1 <- ... <- s_n = x              removals: each move is undone by one removal
//! ```
//!
//! Moves and removals are numbered; which of them exist at a state is a mask. Two edges between the same two states
//! (the same letter put in front of, or behind, the empty word) are two moves and two removals. A new environment is one
//! file with one implementation of [`Environment`]; [`check`] tests that its two directions agree.
//!
//! Two kinds of environments go further. At a *chance node* the environment itself moves, with known probabilities
//! ([`Environment::chance`]). In a *cyclic* one a walk can come back to a state ([`Environment::cyclic`]).
//!
//! Bengio et al., "GFlowNet Foundations" (2023), sections 2 and 3.

pub mod check;
pub mod continuous;
mod cyclic;
mod dags;
mod distance;
mod explicit;
mod hypergrid;
mod multisets;
mod number;
mod permutations;
mod process;
mod rooted;
mod sets;
mod states;
mod stochastic;
mod strings;
mod text;
mod trees;

use std::fmt::Debug;
use std::time::Duration;

use crate::error::Problem;

pub use cyclic::CyclicGrid;
pub use dags::LabelledDags;
pub use distance::{mean_distance, spread_out};
pub use explicit::ExplicitGraph;
pub use hypergrid::Hypergrid;
pub use multisets::Multisets;
pub use number::Number;
pub use permutations::Permutations;
pub use process::ProcessEnvironment;
pub use rooted::Rooted;
pub use sets::Sets;
pub use states::{Distinct, States, TooMany};
pub use stochastic::SlipperyGrid;
pub use strings::{Growth, Strings};
pub use trees::Trees;

/// One number of a state.
pub type Cell = u16;

/// One edge of the graph: a move and the removal that undoes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Edge {
    /// The move's number, below [`Environment::moves`].
    pub action: u32,
    /// The removal's number, below [`Environment::removals`].
    pub removal: u32,
}

/// What is going to be asked about some states, `[count, cells]`.
#[derive(Debug, Clone, Copy)]
pub enum Ahead<'a> {
    /// What they are.
    Here,
    /// The move of that number from each, `[count]`, and the state behind it.
    Moves(&'a [u32]),
    /// The removal of that number from each, `[count]`, and the state before it.
    Removals(&'a [u32]),
    /// All moves from each, and the states behind them.
    AllMoves,
    /// All removals from each, and the states before them.
    AllRemovals,
    /// All moves and all removals from each, and what undoes them.
    Around,
}

/// A space of objects built move by move.
///
/// The two directions must agree: `undo` of the removal that `apply` returned restores the state, and the other way
/// round; a removal is possible exactly where it undoes a possible move; every state that moves reach has an object
/// ahead of it.
pub trait Environment: Send + Sync + Debug {
    /// How many numbers a state has.
    fn cells(&self) -> usize;

    /// How many moves there are, stopping not counted.
    fn moves(&self) -> usize;

    /// How many removals there are.
    fn removals(&self) -> usize;

    /// The most moves that lead from the source to an object; where there are cycles, the moves after which a walk is cut.
    fn longest(&self) -> usize;

    /// Whether some object can be moved on from, so that stopping is a choice.
    fn stops(&self) -> bool;

    /// Writes the source `s_0`.
    fn source(&self, state: &mut [Cell]);

    /// Whether the state is an object, at which one can stop.
    fn is_object(&self, state: &[Cell]) -> bool;

    /// Whether every state is an object, so that one can stop anywhere.
    fn all_objects(&self) -> bool {
        false
    }

    /// Sets `mask[a]` to whether move `a` is possible.
    fn allowed(&self, state: &[Cell], mask: &mut [bool]);

    /// Sets `mask[r]` to whether removal `r` is possible: none is at the source.
    fn removable(&self, state: &[Cell], mask: &mut [bool]);

    /// Makes a possible move; answers the removal that undoes it.
    fn apply(&self, state: &mut [Cell], action: usize) -> usize;

    /// Makes a possible removal; answers the move that it undoes.
    fn undo(&self, state: &mut [Cell], removal: usize) -> usize;

    /// How many binary features [`Environment::encode`] chooses from.
    fn features(&self) -> usize;

    /// Appends the features that are on: distinct states have distinct sets, so that a table over sets is a table over
    /// states.
    fn encode(&self, state: &[Cell], on: &mut Vec<u32>);

    /// The state as its users write it.
    fn describe(&self, state: &[Cell]) -> String;

    /// Reads what [`Environment::describe`] writes: the name of an object in a table, for one.
    ///
    /// # Errors
    /// If the text is no state: what was found and what is allowed, as a [`Problem`] says it after
    /// "found". What `state` holds then means nothing.
    fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String>;

    /// Whether a walk can come back to a state. Nothing leads back to the source even then.
    fn cyclic(&self) -> bool {
        false
    }

    /// Whether the environment itself moves at this state, which then is no object; if so, writes `log P_env` of every
    /// move, `-inf` where it is not possible. Nats.
    fn chance(&self, _state: &[Cell], _log_probabilities: &mut [f32]) -> bool {
        false
    }

    /// Whether there are states at which the environment itself moves.
    fn stochastic(&self) -> bool {
        false
    }

    /// For a state that moves reach from `root`, or `root` itself: sets `mask[r]` to whether removal `r` leaves another such
    /// state.
    ///
    /// For other states it may set any that are possible: none of them in a row ends at `root`.
    fn removable_above(&self, root: &[Cell], state: &[Cell], mask: &mut [bool]) {
        rooted::search(self, root, state, mask);
    }

    /// Whether a question is dear, so that those who ask many say so beforehand ([`Environment::foresee`]).
    fn foresees(&self) -> bool {
        false
    }

    /// Hears what is going to be asked, all of which may be found out at once.
    fn foresee(&self, _states: &[Cell], _ahead: Ahead<'_>) {}

    /// Why the environment can answer no more, where it is another program; what it has said since means nothing, and whoever
    /// asked fails with this.
    fn failure(&self) -> Option<Problem> {
        None
    }

    /// How many questions another program was asked so far, and how long it was waited for in all, where one answers.
    fn asked(&self) -> Option<(u64, Duration)> {
        None
    }

    /// `log n(s)`, the logarithm of the number of ways from the source to the state, where a closed form is known
    /// (Mohammadpour et al. 2024).
    fn log_paths(&self, _state: &[Cell]) -> Option<f64> {
        None
    }

    /// How far two objects are from each other, 0 for the same one alone: cells that differ, unless there is more to say.
    fn distance(&self, a: &[Cell], b: &[Cell]) -> usize {
        a.iter().zip(b).filter(|(a, b)| a != b).count()
    }

    /// The number of objects as a floating-point number, infinite where it does not fit, where a closed form is known.
    fn objects(&self) -> Option<f64> {
        None
    }
}
