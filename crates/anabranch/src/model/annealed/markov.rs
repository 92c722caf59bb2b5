//! Annealed importance sampling (Neal 2001): Markov kernels, each of which leaves its level invariant.
//!
//! ```text
//! log w = sum_k [log gamma_k - log gamma_{k-1}](x_{k-1})
//! ```
//!
//! which is what the ratios `log gamma_k(x_{k-1}) - log gamma_k(x_k)` of the kernels add up to.

use std::sync::Arc;

use super::{Base, Flowing, KernelRecipe, Ladder, Level, PathKind, Strides, WarmUp};
use crate::array::weights::Weights;
use crate::chain::{Given, State, Transition};
use crate::error::Failure;
use crate::kernel::bijection::{Bijection as _, BijectionStep};
use crate::model::{Segment, Watch, walked};
use crate::rng::Noise;
use crate::target::Target;

/// Markov kernels from the base to an energy.
#[derive(Debug, Clone)]
pub struct Annealing {
    /// The energy.
    pub target: Arc<dyn Target>,
    /// Where the path begins.
    pub base: Base,
    /// Where it begins instead, where what comes to it are draws of a flow.
    pub flow: Option<Arc<Flowing>>,
    /// Whether the segment begins with a draw of the base, as it does next to the source; elsewhere states come to it as they are.
    pub draws_base: bool,
    /// The part of the path that it walks, from 0 to 1.
    pub stretch: [f64; 2],
    /// The densities on the way.
    pub path: PathKind,
    /// Where they lie.
    pub ladder: Ladder,
    /// The kernel of every level.
    pub kernel: KernelRecipe,
    /// How often it moves.
    pub moves: usize,
    /// How far it moves at each level.
    pub strides: Strides,
    /// How that is found; none where it is given.
    pub warm_up: Option<WarmUp>,
}

impl Annealing {
    /// Hamiltonian Monte Carlo along the geometric path from a base to an energy, through so many densities; step sizes and ladder
    /// are found by [`Model::warm_up`](crate::model::Model::warm_up).
    pub fn new(target: Arc<dyn Target>, base: Base, levels: usize) -> Self {
        let dimension = base.dimension();
        Self {
            target,
            base,
            flow: None,
            draws_base: true,
            stretch: [0.0, 1.0],
            path: PathKind::Geometric,
            ladder: Ladder::new("ladder", levels, false),
            kernel: KernelRecipe::default(),
            moves: 1,
            strides: Strides::new("strides", levels, dimension, 0.1),
            warm_up: Some(WarmUp { rounds: 20, ladder: true, strides: true }),
        }
    }

    /// The places of its levels.
    pub(super) fn places(&self) -> Vec<f64> {
        let [from, to] = self.stretch;
        self.ladder.places().into_iter().map(|place| from + (to - from) * place).collect()
    }

    /// The density at a place of the path.
    pub(super) fn level(&self, place: f64) -> Level<'_> {
        Level::new(&self.base, &self.target, self.path, place, None).from_flow(self.flow.as_deref())
    }
}

impl Segment for Annealing {
    fn kind(&self) -> &'static str {
        "annealing"
    }

    fn inner_dimension(&self) -> usize {
        self.base.dimension()
    }

    fn outer_dimension(&self) -> usize {
        self.base.dimension()
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        let (places, [from, to]) = (self.places(), self.stretch);
        let on_tape = self.ladder.on_tape().map(|places| places * (to - from) + from);
        let kernels =
            places.iter().zip(self.strides.all()).enumerate().map(|(k, (place, (stride, centre)))| {
                let learned = on_tape.as_ref().map(|all| all.clone().slice([0..1, k..k + 1]).squeeze_dim(0));
                let density = Level::new(&self.base, &self.target, self.path, *place, learned);
                let density = density.from_flow(self.flow.as_deref());
                self.kernel.at(density, self.target.as_ref(), (stride, centre), self.moves).boxed()
            });
        let base = self.draws_base.then(|| Box::new(BijectionStep(&self.base)) as Box<dyn Transition>);
        base.into_iter().chain(kernels).collect()
    }

    fn weights(&self) -> Vec<&Weights> {
        let mut all = self.base.weights();
        all.extend([self.ladder.weights(), self.strides.weights()]);
        all
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        let mut all = self.base.weights_mut();
        all.extend([self.ladder.weights_mut(), self.strides.weights_mut()]);
        all
    }

    fn tunes(&self) -> bool {
        self.warm_up.is_some()
    }

    fn warm_up(
        &mut self,
        x: State,
        given: &Given,
        noise: &Noise,
        watch: &Watch<'_>,
    ) -> Result<State, Failure> {
        let Some(warm_up) = self.warm_up.clone() else {
            return walked(self.transitions(), x, given, noise);
        };
        warm_up.run(self, x, given, noise, watch)
    }

    fn ladder(&self) -> Vec<f64> {
        self.draws_base.then_some(0.0).into_iter().chain(self.places()).collect()
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}
