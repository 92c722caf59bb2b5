//! Pairs of Markov chains that run against each other, scored by the path log-weight.
//!
//! ```text
//! s_0 -> s_1 -> ... -> s_T = x      forward kernels  P_F(s_t | s_{t-1})   generate
//! s_0 <- s_1 <- ... <- s_T = x      backward kernels P_B(s_{t-1} | s_t)   destroy, encode, noise
//!
//! log w(tau) = log R(x) - log mu(s_0) + sum_t [ log P_B(s_{t-1} | s_t) - log P_F(s_t | s_{t-1}) ]
//! ```
//!
//! Along a path drawn forward, `E[w] = Z` and `E[log w] <= log Z`. Along a path drawn backward from a datum
//! `x`, `log mu(s_0) + sum_t [log P_F - log P_B]` has the log-likelihood of `x` as its upper bound in
//! expectation (the evidence lower bound), and equals it where every kernel is deterministic.
//!
//! Deterministic and Metropolis-Hastings kernels have no densities, only the ratio of the two chains: that
//! is why the ratio, and not two log-probabilities, is what every [`Transition`] answers.

mod flows;
mod paths;

use burn::tensor::{FloatDType, Tensor};

use crate::rng::{Noise, Purpose};

pub use flows::{QuantileFlowSlopes, QuantileFlows, StateFlowSlopes, StateFlows};
pub(crate) use paths::Scratch;
pub use paths::{Paths, Reference, Slopes};

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
}

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
        Step { state, log_ratio: self.backward.clone() - self.forward.clone(), densities: Some(self) }
    }

    /// A backward step to `state`.
    pub fn backward_step<S>(self, state: S) -> Step<S> {
        Step { state, log_ratio: self.forward.clone() - self.backward.clone(), densities: Some(self) }
    }
}

/// A step without densities: a bijection, or a Metropolis-Hastings kernel.
pub fn ratio_step<S>(state: S, log_ratio: LogWeight) -> Step<S> {
    Step { state, log_ratio, densities: None }
}

/// One step of a chain pair: a kernel forward and a kernel backward.
///
/// Law 1 of the test harness: where densities exist, `forward`'s ratio is their difference and `backward`'s
/// is its negative.
pub trait Transition<S = State>: Send + Sync {
    /// From `s_{t-1}` to `s_t`, with `log_ratio = log P_B(s_{t-1} | s_t) - log P_F(s_t | s_{t-1})`.
    fn forward(&self, from: S, noise: &Noise) -> Step<S>;

    /// From `s_t` to `s_{t-1}`, with `log_ratio = log P_F(s_t | s_{t-1}) - log P_B(s_{t-1} | s_t)`.
    fn backward(&self, from: S, noise: &Noise) -> Step<S>;

    /// The state of [`Transition::forward`] alone, where no weight is wanted.
    fn sample(&self, from: S, noise: &Noise) -> S {
        self.forward(from, noise).state
    }

    /// The two densities between `before = s_{t-1}` and `after = s_t`; `None` where there are none.
    fn densities(&self, _before: &S, _after: &S) -> Option<Densities> {
        None
    }
}

/// The law of `s_0`.
pub trait Source<S = State>: Send + Sync {
    /// `rows` independent draws.
    fn sample(&self, rows: usize, noise: &Noise) -> S;

    /// `log mu(s_0)`, `[batch]`, nats.
    fn log_density(&self, state: &S) -> LogWeight;
}

/// A source and the transitions that lead from it to the target.
pub struct Chain<'a, S = State> {
    /// The law of `s_0`.
    pub source: &'a dyn Source<S>,
    /// The steps, the first next to the source.
    pub transitions: Vec<Box<dyn Transition<S> + 'a>>,
}

/// The end of a path and the path's share of its log-weight.
#[derive(Debug, Clone)]
pub struct Trajectory<S = State> {
    /// Forward paths: `x = s_T`. Backward paths: `s_0`.
    pub end: S,
    /// Forward paths: `log w - log R(x)`. Backward paths: `log R(x) - log w`, which estimates `log p(x)`.
    /// `[batch]`, nats, f64.
    pub log_weight: LogWeight,
}

impl<S: Clone> Chain<'_, S> {
    /// Runs the forward chain from the source: generates.
    ///
    /// The returned `log_weight` is `-log mu(s_0) + sum_t [log P_B - log P_F]`: add `log R(x)` for `log w`.
    pub fn generate(&self, rows: usize, noise: &Noise) -> Trajectory<S> {
        self.generate_observed(rows, noise, |_, _| {})
    }

    /// The end of a forward path alone: the same draws as [`Chain::generate`], without its weights.
    pub fn sample(&self, rows: usize, noise: &Noise) -> S {
        self.sample_observed(rows, noise, |_, _| {})
    }

    /// [`Chain::sample`], showing each state with its index `t` (0 is the source) as it is reached.
    pub fn sample_observed(&self, rows: usize, noise: &Noise, mut observe: impl FnMut(usize, &S)) -> S {
        let mut state = self.source.sample(rows, &noise.purpose(Purpose::Source));
        observe(0, &state);
        for (index, transition) in self.transitions.iter().enumerate() {
            state = transition.sample(state, &noise.purpose(Purpose::Forward).step(index as u32));
            observe(index + 1, &state);
        }
        state
    }

    /// [`Chain::generate`], showing each state with its index `t` (0 is the source) as it is reached.
    pub fn generate_observed(
        &self,
        rows: usize,
        noise: &Noise,
        mut observe: impl FnMut(usize, &S),
    ) -> Trajectory<S> {
        let mut state = self.source.sample(rows, &noise.purpose(Purpose::Source));
        let mut log_weight = double(-self.source.log_density(&state));
        observe(0, &state);
        for (index, transition) in self.transitions.iter().enumerate() {
            let step = transition.forward(state, &noise.purpose(Purpose::Forward).step(index as u32));
            log_weight = log_weight + double(step.log_ratio);
            state = step.state;
            observe(index + 1, &state);
        }
        Trajectory { end: state, log_weight }
    }

    /// Runs the backward chain from `x`: encodes, noises, destroys.
    ///
    /// The returned `log_weight` is `log mu(s_0) + sum_t [log P_F - log P_B]`, an estimate of `log p(x)`: exact
    /// for a deterministic chain, a lower bound in expectation otherwise.
    pub fn encode(&self, x: S, noise: &Noise) -> Trajectory<S> {
        let mut state = x;
        let mut log_weight: Option<LogWeight> = None;
        for (index, transition) in self.transitions.iter().enumerate().rev() {
            let step = transition.backward(state, &noise.purpose(Purpose::Backward).step(index as u32));
            let ratio = double(step.log_ratio);
            log_weight = Some(match log_weight {
                Some(sum) => sum + ratio,
                None => ratio,
            });
            state = step.state;
        }
        let source = double(self.source.log_density(&state));
        let log_weight = match log_weight {
            Some(sum) => sum + source,
            None => source,
        };
        Trajectory { end: state, log_weight }
    }
}

/// The same numbers in f64, in which log-weights are summed.
pub fn double<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    values.cast(FloatDType::F64)
}
