//! A chain of bijections as a density: what its draws are distributed by, and the gradient of that.

use burn::tensor::{DType, Tensor, TensorData};

use crate::array::weights::{matrix, to_vec, to_vec_f64};
use crate::chain::{Given, LogWeight, Source, State};
use crate::error::Failure;
use crate::model::Model;
use crate::rng::{Noise, Purpose};

/// A flow whose density and score are asked for: a chain of bijections without gradients by weights.
#[derive(Clone)]
pub struct Flowing {
    /// Its numbers on no tape.
    frozen: Model,
    /// The same on the tape of states.
    stopped: Model,
}

impl std::fmt::Debug for Flowing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Flowing").field("dimension", &self.dimension()).finish_non_exhaustive()
    }
}

impl Flowing {
    /// The flow as it is now.
    pub fn new(model: &Model) -> Self {
        Self { frozen: model.frozen(), stopped: model.stopped() }
    }

    /// How many coordinates there are.
    pub fn dimension(&self) -> usize {
        self.frozen.dimension()
    }

    /// `log q` of points, `[batch, dimension]`, nats, and its gradient where one is wanted, `[batch, dimension]`.
    ///
    /// # Errors
    /// If a kernel fails.
    pub fn log_density(
        &self,
        points: &[f32],
        out: &mut [f64],
        score: Option<&mut [f64]>,
    ) -> Result<(), Failure> {
        let (none, noise) = (Given::nothing(), Noise::new(0, Purpose::Backward));
        let model = if score.is_some() { &self.stopped } else { &self.frozen };
        let mut x = matrix(points.to_vec(), model.dimension(), &model.device());
        if score.is_some() {
            x = x.require_grad();
        }
        let log_density = model.chain().encode(x.clone(), &none, &noise)?.log_weight;
        out.copy_from_slice(&to_vec_f64(log_density.clone().detach()));
        if let Some(score) = score {
            let gradient = x.grad(&log_density.sum().backward()).expect("x takes part");
            score.iter_mut().zip(to_vec(gradient)).for_each(|(to, slope)| *to = f64::from(slope));
        }
        Ok(())
    }
}

impl Source for &Flowing {
    fn sample(&self, rows: usize, given: &Given, noise: &Noise) -> Result<State, Failure> {
        self.frozen.chain().sample(rows, given, noise)
    }

    fn log_density(&self, state: &State, _: &Given) -> Result<LogWeight, Failure> {
        let mut out = vec![0.0; state.dims()[0]];
        Flowing::log_density(self, &to_vec(state.clone()), &mut out, None)?;
        Ok(column(out, state))
    }
}

/// f64 numbers on the device of states, `[batch]`.
pub(super) fn column(values: Vec<f64>, like: &State) -> LogWeight {
    let rows = values.len();
    Tensor::from_data(TensorData::new(values, [rows]), (&like.device(), DType::F64))
}
