//! A gate on gradients: the identity forward, a factor per row backward.
//!
//! The factors may be set after the forward pass has gone through, as long as they are there when the backward
//! pass arrives. This trains a noise schedule on the *square* of each row's loss (the variance of the estimate)
//! while all else trains on the loss, in one backward pass: `d L_i^2 = 2 L_i d L_i`.

use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;

use super::bridge::{Fused, Saved, fused};

/// Factors for the gradient of each row, set once.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    factors: Arc<OnceLock<Vec<f32>>>,
}

impl Gate {
    /// Passes `values`, `[rows, columns]`, through the gate.
    pub fn apply(&self, values: Tensor<2>) -> Tensor<2> {
        let columns = values.dims()[1];
        let none = Tensor::<1>::zeros([1], &values.device());
        fused::<2, 1, 1>(Arc::new(GateOp { gate: self.clone(), columns }), values, none, None)
    }

    /// Sets the factors; later calls are ignored.
    pub fn set(&self, factors: Vec<f32>) {
        self.factors.get_or_init(|| factors);
    }
}

#[derive(Debug)]
struct GateOp {
    gate: Gate,
    columns: usize,
}

impl Fused for GateOp {
    fn shape(&self, [values, ..]: [&[f32]; 3]) -> [usize; 2] {
        [values.len() / self.columns, self.columns]
    }

    fn forward(&self, [values, ..]: [&[f32]; 3]) -> Vec<f32> {
        values.to_vec()
    }

    fn forward_saving(&self, inputs: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        (self.forward(inputs), Arc::new(()))
    }

    fn backward(&self, _: [&[f32]; 3], _: &Saved, grad: &[f32], wanted: [bool; 3]) -> [Option<Vec<f32>>; 3] {
        let scaled = || {
            let factors =
                self.gate.factors.get().expect("the gate's factors are set before the backward pass");
            let rows = grad.chunks_exact(self.columns).zip(factors);
            rows.flat_map(|(row, factor)| row.iter().map(move |g| g * factor)).collect()
        };
        [wanted[0].then(scaled), None, None]
    }
}
