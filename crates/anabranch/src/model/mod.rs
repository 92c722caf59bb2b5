//! Models: named assemblies of kernels.
//!
//! A [`Model`] is a source and a list of [`Segment`]s, stretches of a chain that one family supplies, ordered from
//! the source to the target:
//!
//! ```text
//! diffusion                      N(0, I) -> [diffusion] -> data
//! normalizing flow               N(0, I) -> [flow] -> [dequantisation] -> data
//! variational autoencoder        N(0, I) -> [vae] -> data
//! implicit nonlinear diffusion   N(0, I) -> [diffusion] -> [flow] -> [dequantisation] -> data
//! latent diffusion               N(0, I) -> [diffusion] -> [vae] -> data
//! ```
//!
//! Everything else - training, likelihood, sampling, log Z - sees the chain, and never the family.

pub mod annealed;
pub mod autoregressive;
pub mod coordinate_ascent;
pub mod denoiser;
pub mod diffusion;
pub mod energy;
pub mod exact;
pub mod flow;
pub mod gflownet;
pub mod guide;
pub mod jump;
pub mod ode;
pub mod part;
pub mod path;
pub mod recipe;
pub mod schedule;
pub mod start;
pub mod state_flow;
pub mod trained;
mod tuning;
pub mod vae;

pub use tuning::Watch;

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use crate::array::described::Described;
use crate::array::weights::{Weights, matrix};
use crate::chain::{Chain, Given, LogWeight, Source, State, Transition, double};
use crate::error::Failure;
use crate::kernel::law::{Gaussian, Law, LogStd};
use crate::rng::Noise;
use crate::target::Target;

/// What a simulation-free estimate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// An unbiased estimate of the evidence lower bound of the chain itself, whose steps are [`Segment::transitions`].
    Bound,
    /// The bound in the limit of ever more steps, where the segment has one (a diffusion with a learned schedule); else as
    /// [`Goal::Bound`].
    ContinuousBound,
    /// A training loss of the segment's own weighting, its negative returned.
    Loss,
}

/// A stretch of a chain that one family supplies.
pub trait Segment: Send + Sync {
    /// The family's name in recipes.
    fn kind(&self) -> &'static str;

    /// The dimension of states on the source's side.
    fn inner_dimension(&self) -> usize;

    /// The dimension of states on the target's side.
    fn outer_dimension(&self) -> usize;

    /// The most coordinates of a state on the way.
    fn widest(&self) -> usize {
        self.inner_dimension().max(self.outer_dimension())
    }

    /// The steps, the first next to the source.
    fn transitions(&self) -> Vec<Box<dyn Transition + '_>>;

    /// How many steps there are.
    fn steps(&self) -> usize {
        self.transitions().len()
    }

    /// The law of `s_0` that belongs to it where it stands next to the source, if that is not the standard normal.
    fn source(&self) -> Option<Arc<dyn Source>> {
        None
    }

    /// Whether [`Segment::local`] answers.
    fn is_local(&self) -> bool {
        false
    }

    /// Whether [`Segment::local`] answers the log-likelihood itself, without noise.
    fn is_exact(&self) -> bool {
        false
    }

    /// `log p(x)` of the states `[count, dimension]`, where it has few enough to go through its chain with all of them.
    fn listed_law(&self, _states: &[f32]) -> Option<Vec<f64>> {
        None
    }

    /// Where this segment stands next to its own source: an estimate, without simulating the path, of
    /// what the segment and the source add to the bound on `log p(x)`, `[batch]`, nats.
    fn local(&self, _x: &State, _given: &Given, _noise: &Noise, _goal: Goal) -> Option<LogWeight> {
        None
    }

    /// The trainable weights.
    fn weights(&self) -> Vec<&Weights> {
        Vec::new()
    }

    /// The trainable weights, to update.
    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        Vec::new()
    }

    /// Sets data-dependent initial values from a batch on the target's side.
    fn initialise(&mut self, _x: &State, _given: &Given) {}

    /// Whether it has something to tune before training.
    fn tunes(&self) -> bool {
        false
    }

    /// Tunes what is not learned by gradients, such as step sizes, before training, by states on the source's side; answers states on
    /// the target's side.
    ///
    /// # Errors
    /// If a kernel fails, or `watch` asked to stop.
    fn warm_up(
        &mut self,
        x: State,
        given: &Given,
        noise: &Noise,
        _watch: &Watch<'_>,
    ) -> Result<State, Failure> {
        walked(self.transitions(), x, given, noise)
    }

    /// How far the density behind each of its steps lies on the way from a base (0) to the target (1), where it is on such a way.
    fn ladder(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Whether it wants to be fitted to an energy before training.
    fn starts(&self) -> bool {
        false
    }

    /// Fits it to the density that the segments behind it pull an energy back to.
    ///
    /// # Errors
    /// As the energy, or if there is no fit.
    fn start(&mut self, _density: &start::Pulled<'_>, _noise: &Noise) -> Result<(), Failure> {
        Ok(())
    }

    /// What a reader of exported weights must know of its parts besides them, the first next to the source, each with the number of
    /// its transitions; where it can be told.
    fn described(&self) -> Option<Vec<(Described, usize)>> {
        None
    }

    /// The diffusion behind this segment, for samplers that know more of it than its chain.
    fn as_diffusion(&self) -> Option<&diffusion::Diffusion> {
        None
    }

    /// The same weights in another chain, of models of categories that can be sampled so.
    fn sampled(&self, _sampling: &jump::sampling::Sampling) -> Option<Box<dyn Segment>> {
        None
    }

    /// The same model with a step for every coordinate, where it draws them in turn.
    fn one_by_one(&self) -> Option<Box<dyn Segment>> {
        None
    }

    /// The energy behind this segment, where its chain anneals to one that learns.
    fn as_energy(&self) -> Option<&energy::Annealed> {
        None
    }

    /// The flow network behind this segment, where it is one that learns with an energy.
    fn as_flow_network(&self) -> Option<&energy::flow_network::FlowNetwork> {
        None
    }

    /// A copy behind a new box.
    fn boxed(&self) -> Box<dyn Segment>;
}

/// States that transitions lead to, one after the other.
fn walked(
    transitions: Vec<Box<dyn Transition + '_>>,
    x: State,
    given: &Given,
    noise: &Noise,
) -> Result<State, Failure> {
    transitions
        .iter()
        .enumerate()
        .try_fold(x, |x, (step, transition)| transition.sample(x, given, &noise.step(step as u32)))
}

/// The standard normal source, whatever the condition.
#[derive(Debug, Clone)]
pub struct StandardNormal {
    dimension: usize,
}

impl StandardNormal {
    /// `N(0, I)` in `dimension` dimensions.
    pub fn new(dimension: usize) -> Self {
        Self { dimension }
    }
}

impl Source for StandardNormal {
    fn sample(&self, rows: usize, _: &Given, noise: &Noise) -> Result<State, Failure> {
        Ok(matrix(noise.normal(rows, self.dimension), self.dimension, &Device::flex()))
    }

    fn log_density(&self, state: &State, _: &Given) -> Result<LogWeight, Failure> {
        let mean = Tensor::zeros(state.dims(), &state.device());
        Ok(Gaussian { mean, log_std: LogStd::Shared(0.0) }.log_density(state))
    }
}

/// A source whose draws lie on the device of a model.
struct Placed<'a> {
    source: &'a dyn Source,
    device: Device,
}

impl Source for Placed<'_> {
    fn sample(&self, rows: usize, given: &Given, noise: &Noise) -> Result<State, Failure> {
        Ok(self.source.sample(rows, given, noise)?.to_device(&self.device))
    }

    fn log_density(&self, state: &State, given: &Given) -> Result<LogWeight, Failure> {
        self.source.log_density(state, given)
    }
}

/// A source and the segments that lead from it to the target.
pub struct Model {
    /// The law of `s_0`, and whether it is the first segment's own.
    source: Arc<dyn Source>,
    own: bool,
    segments: Vec<Box<dyn Segment>>,
    device: Device,
    tracked: bool,
}

impl Clone for Model {
    fn clone(&self) -> Self {
        Self {
            source: self.source.clone(),
            own: self.own,
            segments: self.segments.iter().map(|segment| segment.boxed()).collect(),
            device: self.device.clone(),
            tracked: self.tracked,
        }
    }
}

impl Model {
    /// Joins segments, ordered from the source to the target, behind the first one's own source: the standard normal, unless it has
    /// another.
    ///
    /// # Panics
    /// If there is none, or two neighbours disagree on the dimension between them.
    pub fn new(segments: Vec<Box<dyn Segment>>) -> Self {
        let first = segments.first().expect("a model has at least one segment");
        for pair in segments.windows(2) {
            assert_eq!(
                pair[0].outer_dimension(),
                pair[1].inner_dimension(),
                "{} meets {}",
                pair[0].kind(),
                pair[1].kind()
            );
        }
        Self {
            source: first.source().unwrap_or_else(|| Arc::new(StandardNormal::new(first.inner_dimension()))),
            own: true,
            segments,
            device: Device::flex(),
            tracked: false,
        }
    }

    /// The same segments behind another law of `s_0`, over states of the first segment's inner dimension.
    pub fn with_source(self, source: Arc<dyn Source>) -> Self {
        Self { source, own: false, ..self }
    }

    /// Without the last segment, where `unwanted` says so of it and it is not the only one.
    pub fn without_last(mut self, unwanted: impl Fn(&dyn Segment) -> bool) -> Self {
        if self.segments.len() > 1 && self.segments.last().is_some_and(|last| unwanted(last.as_ref())) {
            self.segments.pop();
        }
        self
    }

    /// The segments, from the source to the target.
    pub fn segments(&self) -> &[Box<dyn Segment>] {
        &self.segments
    }

    /// The source.
    pub fn source(&self) -> &dyn Source {
        self.source.as_ref()
    }

    fn placed(&self) -> Box<dyn Source + '_> {
        Box::new(Placed { source: self.source(), device: self.device() })
    }

    /// The dimension of the target's space.
    pub fn dimension(&self) -> usize {
        self.segments.last().map_or(0, |segment| segment.outer_dimension())
    }

    /// The device that batches must live on.
    pub fn device(&self) -> Device {
        self.device.clone()
    }

    /// The whole chain pair.
    pub fn chain(&self) -> Chain<'_> {
        let transitions = self.segments.iter().flat_map(|segment| segment.transitions()).collect();
        Chain { source: self.placed(), transitions }
    }

    /// The chain with the given transitions in the place of the diffusions' own; other segments as they are.
    pub fn chain_with<'a>(
        &'a self,
        diffusion: impl Fn(&'a diffusion::Diffusion) -> Vec<Box<dyn Transition + 'a>>,
    ) -> Chain<'a> {
        let transitions = self.segments.iter().flat_map(|segment| match segment.as_diffusion() {
            Some(found) => diffusion(found),
            None => segment.transitions(),
        });
        Chain { source: self.placed(), transitions: transitions.collect() }
    }

    /// The chain along the probability-flow ODE of its diffusions, in `steps` steps each ([`ode`]).
    ///
    /// # Panics
    /// If there are no steps, or no probes.
    pub fn ode_chain(&self, steps: usize, divergence: ode::Divergence) -> Chain<'_> {
        self.chain_with(|diffusion| diffusion.ode_transitions(steps, divergence))
    }

    /// The chain of all segments but the first, which stands next to the source; and that first one.
    pub fn head(&self) -> (&dyn Segment, Vec<Box<dyn Transition + '_>>) {
        let rest = self.segments[1..].iter().flat_map(|segment| segment.transitions()).collect();
        (self.segments[0].as_ref(), rest)
    }

    /// How many of the chain's transitions belong to the first segment.
    pub fn chain_offset(&self) -> usize {
        self.segments[0].steps()
    }

    /// An estimate of the evidence lower bound of the chain on each row of `x`, `[batch]`, nats, f64. It depends on the row and
    /// the row's own address alone.
    ///
    /// Where the segment at the source has a simulation-free estimate it is used; otherwise the whole chain runs
    /// backward.
    ///
    /// # Errors
    /// If a kernel fails.
    pub fn bound(&self, x: State, given: &Given, noise: &Noise) -> Result<LogWeight, Failure> {
        Ok(path::Path::backward(self, x, given, noise, Some(Goal::Bound))?.total())
    }

    /// What the first segment and the source add to the bound at `x`, without simulation, where there is such an estimate: it is
    /// one of paths from the segment's own source.
    fn local(&self, x: &State, given: &Given, noise: &Noise, goal: Goal) -> Option<LogWeight> {
        self.segments[0].local(x, given, noise, goal).filter(|_| self.own)
    }

    /// The importance-weighted bound with `samples` backward paths per row, `[batch]`, nats, f64:
    /// `log mean_k exp(log p(x, path_k) - log q(path_k | x))` (Burda, Grosse, Salakhutdinov 2016, eq. 8).
    ///
    /// # Errors
    /// If a kernel fails.
    pub fn importance_bound(
        &self,
        x: State,
        samples: usize,
        given: &Given,
        noise: &Noise,
    ) -> Result<LogWeight, Failure> {
        let [rows, dimension] = x.dims();
        let repeated =
            x.reshape([rows, 1, dimension]).repeat_dim(1, samples).reshape([rows * samples, dimension]);
        let found = self.chain().encode(repeated, &given.repeat(samples), noise)?;
        Ok(crate::math::log_mean_exp_rows(double(found.log_weight.reshape([rows, samples]))))
    }

    /// All trainable weights.
    pub fn weights(&self) -> Vec<&Weights> {
        self.segments.iter().flat_map(|segment| segment.weights()).collect()
    }

    /// All trainable weights, to update.
    pub fn weights_mut(&mut self) -> Vec<&mut Weights> {
        self.segments.iter_mut().flat_map(|segment| segment.weights_mut()).collect()
    }

    /// How many trainable numbers there are.
    pub fn parameters(&self) -> usize {
        self.weights().iter().map(|weights| weights.len()).sum()
    }

    /// Sets data-dependent initial values, walking from the target to the source.
    ///
    /// # Errors
    /// If a kernel fails.
    pub fn initialise(&mut self, x: State, given: &Given, noise: &Noise) -> Result<(), Failure> {
        let mut x = x;
        for (index, segment) in self.segments.iter_mut().enumerate().rev() {
            segment.initialise(&x, given);
            if index > 0 {
                for (step, transition) in segment.transitions().iter().enumerate().rev() {
                    // Longer chains go on at further trajectories.
                    let (high, low) = ((step >> 16) as u64, step & 0xFFFF);
                    let noise = noise.from_trajectory(high << 32).step((index << 16 | low) as u32);
                    x = transition.backward(x, given, &noise)?.state;
                }
            }
        }
        Ok(())
    }

    /// Fits the segments that want it to an energy, from the one next to it on.
    ///
    /// # Errors
    /// As [`Segment::start`].
    pub fn start(&mut self, target: &dyn Target, noise: &Noise) -> Result<(), Failure> {
        for index in
            (0..self.segments.len()).rev().filter(|index| self.segments[*index].starts()).collect::<Vec<_>>()
        {
            let fixed = self.stopped();
            let outer =
                fixed.segments[index + 1..].iter().flat_map(|segment| segment.transitions()).collect();
            self.segments[index].start(&start::Pulled { target, outer }, noise)?;
        }
        Ok(())
    }

    /// Tracks all weights for training.
    pub fn track(&mut self) {
        self.weights_mut().into_iter().for_each(Weights::track);
        self.device = Device::flex().autodiff();
        self.tracked = true;
    }

    /// Whether the weights are tracked.
    pub fn is_tracked(&self) -> bool {
        self.tracked
    }

    /// A copy whose weights are not tracked: evaluating it records nothing.
    pub fn frozen(&self) -> Self {
        let mut model = self.clone();
        model.weights_mut().into_iter().for_each(Weights::freeze);
        model.device = Device::flex();
        model.tracked = false;
        model
    }

    /// A copy whose weights are numbers, for states that carry gradients.
    pub fn stopped(&self) -> Self {
        let mut model = self.clone();
        model.weights_mut().into_iter().for_each(Weights::stop);
        model.device = Device::flex().autodiff();
        model.tracked = false;
        model
    }

    /// An untracked copy with other numbers, one vector per entry of [`Model::weights`].
    ///
    /// # Panics
    /// If the vectors do not fit.
    pub fn with_weights(&self, values: &[Vec<f32>]) -> Self {
        let mut model = self.frozen();
        for (weights, values) in model.weights_mut().into_iter().zip(values) {
            weights.set(values.clone());
        }
        model
    }
}
