//! One step of a chain pair, and what is known of it.

use burn::tensor::Tensor;

use super::Given;
use crate::error::Failure;
use crate::rng::Noise;

/// A batch of continuous states, `[batch, dimension]`.
pub type State = Tensor<2>;

/// One number per trajectory in nats, `[batch]`.
pub type LogWeight = Tensor<1>;

/// The result of one step of a chain.
#[derive(Debug, Clone)]
pub struct Step<S = State> {
    /// Where the step ended.
    pub state: S,
    /// Forward steps: `log P_B - log P_F`; backward steps: `log P_F - log P_B`. Shape `[batch]`, nats.
    pub log_ratio: LogWeight,
    /// The two densities, where the kernel has them.
    pub densities: Option<Densities>,
    /// What else the kernel has to tell; no later step reads it.
    pub info: Info,
}

/// Measures of a step, such as which proposals were accepted: a name, and a number for each trajectory.
pub type Info = Vec<(&'static str, Vec<f32>)>;

/// The densities (or masses) of one step's two kernels, `[batch]` each, nats.
#[derive(Debug, Clone)]
pub struct Densities {
    /// `log P_F(s_t | s_{t-1})`.
    pub forward: LogWeight,
    /// `log P_B(s_{t-1} | s_t)`.
    pub backward: LogWeight,
}

impl Densities {
    /// A forward step to `state`.
    pub fn forward_step<S>(self, state: S) -> Step<S> {
        let log_ratio = self.backward.clone() - self.forward.clone();
        Step { state, log_ratio, densities: Some(self), info: Info::new() }
    }

    /// A backward step to `state`.
    pub fn backward_step<S>(self, state: S) -> Step<S> {
        let log_ratio = self.forward.clone() - self.backward.clone();
        Step { state, log_ratio, densities: Some(self), info: Info::new() }
    }
}

impl<S> Step<S> {
    /// A step without densities, of a bijection or a Metropolis-Hastings kernel.
    pub fn of_ratio(state: S, log_ratio: LogWeight) -> Self {
        Self { state, log_ratio, densities: None, info: Info::new() }
    }

    /// With more that the kernel has to tell.
    pub fn with_info(self, info: Info) -> Self {
        Self { info, ..self }
    }
}

/// What a kernel says of a given pair of states.
#[derive(Debug, Clone)]
pub enum Score {
    /// Both densities.
    Densities(Densities),
    /// `log P_B - log P_F` alone, `[batch]`, nats: a Metropolis-Hastings kernel, whose draws are random and whose densities have
    /// atoms. Such a step is scored as it was made, never made again.
    Ratio(LogWeight),
    /// Either state decides the other: the step can be made again from either side, and has its ratio then.
    Deterministic,
}

/// One step of a chain pair: a kernel forward and a kernel backward, on states `S`, `given` a condition.
///
/// Law 1 of the test harness: where densities exist, `forward`'s ratio is their difference and `backward`'s
/// is its negative; scoring the two ends of a step answers what the step did.
///
/// Every method fails where the kernel itself does, as one that asks a user's program may: with [`Failure::Skip`] for this batch,
/// with [`Failure::Stop`] for good.
pub trait Transition<S = State>: Send + Sync {
    /// From `s_{t-1}` to `s_t`, with `log_ratio = log P_B(s_{t-1} | s_t) - log P_F(s_t | s_{t-1})`.
    fn forward(&self, from: S, given: &Given, noise: &Noise) -> Result<Step<S>, Failure>;

    /// From `s_t` to `s_{t-1}`, with `log_ratio = log P_F(s_t | s_{t-1}) - log P_B(s_{t-1} | s_t)`.
    fn backward(&self, from: S, given: &Given, noise: &Noise) -> Result<Step<S>, Failure>;

    /// The state of [`Transition::forward`] alone, where no weight is wanted.
    fn sample(&self, from: S, given: &Given, noise: &Noise) -> Result<S, Failure> {
        Ok(self.forward(from, given, noise)?.state)
    }

    /// What is known of a step from `before = s_{t-1}` to `after = s_t`.
    fn score(&self, before: &S, after: &S, given: &Given) -> Result<Score, Failure>;

    /// `log gamma_t(s_t)`, `[batch]`, nats: the unnormalised density that states behind this step are meant to have, where the kernel
    /// knows one. Sequential Monte Carlo resamples by it.
    ///
    /// # Errors
    /// As the steps themselves.
    fn level(&self, _state: &S, _given: &Given) -> Result<Option<LogWeight>, Failure> {
        Ok(None)
    }

    /// Whether both kernels leave [`Transition::level`] invariant: what a step adds to the weight is then known before it is made.
    fn leaves_invariant(&self) -> bool {
        false
    }

    /// [`Transition::level`] as one of the densities between two others, where it is one.
    fn between(&self) -> Option<&dyn Between<S>> {
        None
    }
}

/// A density on the way from one to another, known at a state from the two there.
pub trait Between<S = State>: Send + Sync {
    /// `log q` and `log R` of states, `[batch]` each, nats.
    ///
    /// # Errors
    /// If a density does not answer.
    fn ends(&self, states: &S, given: &Given) -> Result<[Vec<f64>; 2], Failure>;

    /// `log gamma` where these two are known.
    fn log_density(&self, ends: [f64; 2]) -> f64;
}

/// The law of `s_0`, `given` a condition.
pub trait Source<S = State>: Send + Sync {
    /// `rows` independent draws.
    fn sample(&self, rows: usize, given: &Given, noise: &Noise) -> Result<S, Failure>;

    /// `log mu(s_0)`, `[batch]`, nats.
    fn log_density(&self, state: &S, given: &Given) -> Result<LogWeight, Failure>;
}
