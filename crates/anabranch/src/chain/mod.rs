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
//! is why the ratio, and not two log-probabilities, is what every [`Transition`] answers. A chain knows nothing of its
//! space: states are any [`Batch`], kernels may depend on a condition ([`Given`]), and a step may fail.

mod batch;
mod flows;
mod paths;
mod resample;
mod step;

use burn::tensor::{FloatDType, Tensor};

use crate::error::Failure;
use crate::rng::{Noise, Purpose};

pub use batch::{Batch, Given, Rows, beside};
pub use flows::{QuantileFlowSlopes, QuantileFlows, StateFlowSlopes, StateFlows};
pub(crate) use paths::Scratch;
pub use paths::{Paths, Reference, Slopes};
pub use resample::Resampling;
pub use step::{Between, Densities, Info, LogWeight, Score, Source, State, Step, Transition};

/// A source and the transitions that lead from it to the target.
pub struct Chain<'a, S = State> {
    /// The law of `s_0`.
    pub source: Box<dyn Source<S> + 'a>,
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

/// A chain whose kernels and source do not fail does not either; otherwise every method fails as the first of them.
impl<S: Clone> Chain<'_, S> {
    /// Runs the forward chain from the source: generates.
    ///
    /// The returned `log_weight` is `-log mu(s_0) + sum_t [log P_B - log P_F]`: add `log R(x)` for `log w`.
    pub fn generate(&self, rows: usize, given: &Given, noise: &Noise) -> Result<Trajectory<S>, Failure> {
        self.generate_observed(rows, given, noise, |_, _, _| {})
    }

    /// The end of a forward path alone: the same draws as [`Chain::generate`], without its weights.
    pub fn sample(&self, rows: usize, given: &Given, noise: &Noise) -> Result<S, Failure> {
        self.sample_observed(rows, given, noise, |_, _| {})
    }

    /// [`Chain::sample`], showing each state with its index `t` (0 is the source) as it is reached.
    pub fn sample_observed(
        &self,
        rows: usize,
        given: &Given,
        noise: &Noise,
        mut observe: impl FnMut(usize, &S),
    ) -> Result<S, Failure> {
        let mut state = self.source.sample(rows, given, &noise.purpose(Purpose::Source))?;
        observe(0, &state);
        for (index, transition) in self.transitions.iter().enumerate() {
            let noise = noise.purpose(Purpose::Forward).step(index as u32);
            state = transition.sample(state, given, &noise)?;
            observe(index + 1, &state);
        }
        Ok(state)
    }

    /// [`Chain::generate`], showing each state with its index `t` (0 is the source) as it is reached, and what the step that led
    /// there has to tell.
    pub fn generate_observed(
        &self,
        rows: usize,
        given: &Given,
        noise: &Noise,
        mut observe: impl FnMut(usize, &S, &Info),
    ) -> Result<Trajectory<S>, Failure> {
        let mut state = self.source.sample(rows, given, &noise.purpose(Purpose::Source))?;
        let mut log_weight = double(-self.source.log_density(&state, given)?);
        observe(0, &state, &Info::new());
        for (index, transition) in self.transitions.iter().enumerate() {
            let noise = noise.purpose(Purpose::Forward).step(index as u32);
            let step = transition.forward(state, given, &noise)?;
            log_weight = log_weight + double(step.log_ratio);
            state = step.state;
            observe(index + 1, &state, &step.info);
        }
        Ok(Trajectory { end: state, log_weight })
    }

    /// Runs the backward chain from `x`: encodes, noises, destroys.
    ///
    /// The returned `log_weight` is `log mu(s_0) + sum_t [log P_F - log P_B]`, an estimate of `log p(x)`: exact
    /// for a deterministic chain, a lower bound in expectation otherwise.
    pub fn encode(&self, x: S, given: &Given, noise: &Noise) -> Result<Trajectory<S>, Failure> {
        let mut state = x;
        let mut log_weight: Option<LogWeight> = None;
        for (index, transition) in self.transitions.iter().enumerate().rev() {
            let noise = noise.purpose(Purpose::Backward).step(index as u32);
            let step = transition.backward(state, given, &noise)?;
            let ratio = double(step.log_ratio);
            log_weight = Some(match log_weight {
                Some(sum) => sum + ratio,
                None => ratio,
            });
            state = step.state;
        }
        let source = double(self.source.log_density(&state, given)?);
        let log_weight = match log_weight {
            Some(sum) => sum + source,
            None => source,
        };
        Ok(Trajectory { end: state, log_weight })
    }
}

/// The same numbers in f64, in which log-weights are summed.
pub fn double<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    values.cast(FloatDType::F64)
}
