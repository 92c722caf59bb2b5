//! Policies: learned kernels over actions.
//!
//! A policy turns what a network answers at a state into conditional laws of both directions, draws from them, and carries
//! slopes of log-probabilities back to the network's outputs:
//!
//! ```text
//! outputs at s  ->  log P_F(. | s),  log P_B(. | s),  log F(s)
//! ```
//!
//! `log P_B(s_t | s_{t+1})` is read at `s_{t+1}`. Discrete policies are masked softmaxes ([`Actions`]); continuous ones are
//! densities over one reference measure for both directions (Lahlou et al. 2023).

mod actions;
mod continuous_actions;
mod law;
mod mixture;
mod softmax;

use std::fmt::Debug;
use std::ops::Range;

pub use crate::environment::Number;
use crate::environment::{Ahead, Edge};
use crate::error::Problem;
use crate::network::taped::Inputs;
use crate::rng::Stream;

pub use actions::{Actions, BackwardPolicy, FlowHead, Ways};
pub use continuous_actions::{ContinuousActions, Heads};
pub use law::Concentrations;

/// How actions are drawn while exploring; probabilities are always the policy's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Behaviour {
    /// The chance of a uniform action in place of the policy's.
    pub epsilon: f32,
    /// What logits are divided by before drawing.
    pub temperature: f32,
}

impl Default for Behaviour {
    /// On-policy.
    fn default() -> Self {
        Self { epsilon: 0.0, temperature: 1.0 }
    }
}

/// A state on a trajectory and its two neighbours.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a, C> {
    /// `s_t`.
    pub state: &'a [C],
    /// The edge into it with `s_{t-1}`; none at a trajectory's start.
    pub came: Option<(Edge, &'a [C])>,
    /// The edge out of it with `s_{t+1}`; none where the trajectory stops.
    pub went: Option<(Edge, &'a [C])>,
}

/// What a policy says of a visit. Nats.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LogProbabilities {
    /// `log P_F` of the edge out of the state, or of stopping.
    pub forward: f64,
    /// `log P_B` of the edge into the state, read at the state; 0 at a start.
    pub backward: f64,
    /// `log P_F(s_f | s)`, `-inf` where the state is no object.
    pub stop: f64,
    /// `log F(s)`, 0 where the policy has no flow.
    pub flow: f64,
}

/// Slopes of a loss by [`LogProbabilities`] and by `KL(pi || pi_reference)` at the same state.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LogProbabilitySlopes {
    /// By [`LogProbabilities::forward`].
    pub forward: f64,
    /// By [`LogProbabilities::backward`].
    pub backward: f64,
    /// By [`LogProbabilities::stop`].
    pub stop: f64,
    /// By [`LogProbabilities::flow`].
    pub flow: f64,
    /// By the divergence from the reference.
    pub divergence: f64,
}

/// A policy has no law of the next action at a state: a log-probability or a parameter is not finite, or every possible
/// action has probability 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoLaw;

/// A learned kernel pair over actions.
///
/// A `row` is what the network answered at a state, which [`Policy::prepare`] has turned into log-probabilities in place;
/// it is empty for a state at which the network was not asked because nothing there needs it.
pub trait Policy: Send + Sync + Debug {
    /// One number of a state.
    type Cell: Number;
    /// Memory that calls share, so that none allocates.
    type Work: Default + Send;

    /// How many numbers a state has.
    fn cells(&self) -> usize;

    /// What a network reads of a state.
    fn inputs(&self) -> Inputs;

    /// How many numbers a network must answer.
    fn outputs(&self) -> usize;

    /// The most moves of a trajectory.
    fn longest(&self) -> usize;

    /// Whether a walk can come back to a state: one that has not stopped after the most moves is then cut short.
    fn cyclic(&self) -> bool {
        false
    }

    /// Writes the source `s_0`.
    fn source(&self, state: &mut [Self::Cell]);

    /// Whether nothing leads to the state: it is where walks begin.
    fn is_start(&self, state: &[Self::Cell], _work: &mut Self::Work) -> bool {
        let mut source = vec![Self::Cell::default(); self.cells()];
        self.source(&mut source);
        state == source
    }

    /// Whether stopping is the only action.
    fn must_stop(&self, state: &[Self::Cell]) -> bool;

    /// Whether the network must be asked at a state where stopping is the only action.
    fn reads_last(&self) -> bool;

    /// Whether backward draws need a network.
    fn learns_backward(&self) -> bool;

    /// How many removals there are, where `P_B` is what edge flows imply, `F(p -> s) / sum_p F(p -> s)`. What [`Policy::log_probabilities`]
    /// then says of `P_B` is no number; [`Policy::draw_backward`] reads `log P_B` of every removal in the place of a row.
    fn implied(&self) -> Option<usize> {
        None
    }

    /// Appends the features that are on and the real inputs.
    fn encode(&self, state: &[Self::Cell], on: &mut Vec<u32>, dense: &mut Vec<f32>);

    /// Turns the network's outputs into log-probabilities, in place.
    fn prepare(&self, state: &[Self::Cell], row: &mut [f32], work: &mut Self::Work);

    /// Draws an action and makes it; none is stopping.
    ///
    /// # Errors
    /// If the row has no law; the state has then not changed.
    fn draw_forward(
        &self,
        state: &mut [Self::Cell],
        row: &[f32],
        behaviour: Behaviour,
        stream: &mut Stream<'_>,
        work: &mut Self::Work,
    ) -> Result<Option<Edge>, NoLaw>;

    /// Draws a removal and makes it; none is at the source.
    ///
    /// # Errors
    /// If the row has no law; the state has then not changed.
    fn draw_backward(
        &self,
        state: &mut [Self::Cell],
        row: &[f32],
        stream: &mut Stream<'_>,
        work: &mut Self::Work,
    ) -> Result<Option<Edge>, NoLaw>;

    /// Whether asking about states is dear ([`Environment::foresees`](crate::environment::Environment::foresees)).
    fn foresees(&self) -> bool {
        false
    }

    /// Hears what is going to be asked about some states, `[count, cells]`.
    fn foresee(&self, _states: &[Self::Cell], _ahead: Ahead<'_>) {}

    /// The move that [`Policy::draw_forward`] will make with the same numbers, if it makes one and it is known beforehand.
    fn next_move(
        &self,
        _state: &[Self::Cell],
        _row: &[f32],
        _behaviour: Behaviour,
        _stream: &mut Stream<'_>,
        _work: &mut Self::Work,
    ) -> Option<u32> {
        None
    }

    /// The removal that [`Policy::draw_backward`] will make with the same numbers, if it makes one and it is known beforehand.
    fn next_removal(
        &self,
        _state: &[Self::Cell],
        _row: &[f32],
        _stream: &mut Stream<'_>,
        _work: &mut Self::Work,
    ) -> Option<u32> {
        None
    }

    /// Why states can be asked about no more, where another program answers for them.
    fn failure(&self) -> Option<Problem> {
        None
    }

    /// The log-probabilities at a visit.
    fn log_probabilities(
        &self,
        visit: Visit<'_, Self::Cell>,
        row: &[f32],
        work: &mut Self::Work,
    ) -> LogProbabilities;

    /// Adds to `out` the slopes by the network's outputs; `reference` is another network's row at the same state, empty
    /// where there is none.
    fn slopes(
        &self,
        visit: Visit<'_, Self::Cell>,
        row: &[f32],
        reference: &[f32],
        slopes: LogProbabilitySlopes,
        out: &mut [f32],
        work: &mut Self::Work,
    );

    /// How many of a row's first entries are log-probabilities of moves; 0 for continuous actions.
    fn moves(&self) -> usize {
        0
    }

    /// How many quantiles the flow of each action has in a row; 0 where flows are plain numbers.
    fn quantiles(&self) -> usize {
        0
    }

    /// Where in a row the log-quantiles of an action's flow stand; stopping is the action behind all moves.
    fn quantile_range(&self, _action: usize) -> Range<usize> {
        0..0
    }

    /// Hands every parent of a state with its edge to `each`; a continuous policy has none to name.
    fn parents(
        &self,
        _state: &[Self::Cell],
        _work: &mut Self::Work,
        _each: &mut dyn FnMut(&[Self::Cell], Edge),
    ) {
    }

    /// Whether the state is an object.
    fn is_object(&self, state: &[Self::Cell]) -> bool;

    /// Whether every state is an object.
    fn all_objects(&self) -> bool {
        false
    }

    /// The state as its users write it.
    fn describe(&self, state: &[Self::Cell]) -> String;

    /// `KL(pi || pi_reference)` over the actions at a state, nats.
    fn divergence(&self, row: &[f32], reference: &[f32]) -> f64;
}

/// A uniform number in [0, 1) from a random word.
fn unit(word: u32) -> f64 {
    f64::from(word) * (1.0 / 4_294_967_296.0)
}
