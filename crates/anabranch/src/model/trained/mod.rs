//! What a finished run has learned, as a part of something else: the first stretch of another chain, or its target. Nothing of it learns
//! any more.
//!
//! ```text
//! proposal    s_0 -> [the run's chain] -> x -> [segments behind it] -> target        its path log-weight counts as any segment's
//! target      R(x) = q(x) of a chain of bijections;    R(z) = mu(z) P_F(x | z) of a datum x and a decoder P_F
//! ```

mod density;
pub mod recipe;

pub use density::{LatentPosterior, LearnedDensity};

use std::sync::Arc;

use super::{Model, Segment};
use crate::chain::{Given, Score, Source, State, Step, Transition};
use crate::error::Failure;
use crate::rng::Noise;

/// A trained chain as the first stretch of another one.
#[derive(Clone)]
pub struct TrainedChain {
    /// Its numbers on no tape.
    frozen: Arc<Model>,
    /// The same on the tape of states.
    stopped: Arc<Model>,
}

impl TrainedChain {
    /// The chain as it is now.
    pub fn new(model: &Model) -> Self {
        Self { frozen: Arc::new(model.frozen()), stopped: Arc::new(model.stopped()) }
    }
}

impl Segment for TrainedChain {
    fn kind(&self) -> &'static str {
        "run"
    }

    fn inner_dimension(&self) -> usize {
        self.frozen.segments[0].inner_dimension()
    }

    fn outer_dimension(&self) -> usize {
        self.frozen.dimension()
    }

    fn widest(&self) -> usize {
        self.frozen.segments.iter().map(|segment| segment.widest()).max().unwrap_or(0)
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        let [plain, taped] = [&self.frozen, &self.stopped].map(|model| model.chain().transitions);
        let both = plain.into_iter().zip(taped);
        both.map(|(plain, taped)| Box::new(OnEither { plain, taped }) as Box<dyn Transition>).collect()
    }

    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(self.frozen.source.clone())
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}

/// A step whose weights are constants, on whichever device the states are. The densities that it may be meant for are those of another
/// target: it tells none.
struct OnEither<'a> {
    plain: Box<dyn Transition + 'a>,
    taped: Box<dyn Transition + 'a>,
}

impl OnEither<'_> {
    fn of(&self, state: &State) -> &dyn Transition {
        if state.is_autodiff() { self.taped.as_ref() } else { self.plain.as_ref() }
    }
}

impl Transition for OnEither<'_> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        self.of(&from).forward(from, given, noise)
    }

    fn backward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        self.of(&from).backward(from, given, noise)
    }

    fn sample(&self, from: State, given: &Given, noise: &Noise) -> Result<State, Failure> {
        self.of(&from).sample(from, given, noise)
    }

    fn score(&self, before: &State, after: &State, given: &Given) -> Result<Score, Failure> {
        self.of(before).score(before, after, given)
    }
}
