//! The table: numbers of its own for every state.
//!
//! A state's set of features is its key; its row of outputs are weights. States are listed beforehand, so that a table is
//! a network with exact capacity for an environment that can be enumerated: the oracle's network.

use std::collections::HashMap;

use super::{Evaluator, Inputs, Tape, TapedNetwork};
use crate::array::matmul::row_stride;
use crate::array::weights::{Slot, layout};
use crate::rng::Noise;

/// A table over states.
#[derive(Debug, Clone)]
pub struct Tabular {
    inputs: Inputs,
    outputs: usize,
    rows: HashMap<Box<[u32]>, u32>,
}

impl Tabular {
    /// A table over states with these features each, in any order; a state that is not listed reads zeros and is never
    /// learned.
    pub fn new(inputs: Inputs, states: impl IntoIterator<Item = Vec<u32>>, outputs: usize) -> Self {
        let mut rows = HashMap::new();
        for features in states {
            let next = rows.len() as u32;
            rows.entry(sorted(features)).or_insert(next);
        }
        Self { inputs, outputs, rows }
    }

    /// The row of a state with these features.
    pub fn row(&self, features: &[u32]) -> Option<usize> {
        self.rows.get(&sorted(features.to_vec())).map(|row| *row as usize)
    }
}

fn sorted(mut features: Vec<u32>) -> Box<[u32]> {
    features.sort_unstable();
    features.into()
}

impl TapedNetwork for Tabular {
    fn inputs(&self) -> Inputs {
        self.inputs
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn layout(&self) -> Vec<Slot> {
        layout([("table", vec![self.rows.len(), self.outputs])])
    }

    /// Zeros: every action equally likely, every flow 1.
    fn initial(&self, _noise: &Noise) -> Vec<f32> {
        vec![0.0; self.parameters()]
    }

    fn with<'a>(&'a self, weights: &'a [f32]) -> Box<dyn Evaluator + 'a> {
        assert_eq!(weights.len(), self.parameters(), "the weights of the table");
        Box::new(WithWeights { table: self, weights })
    }
}

struct WithWeights<'a> {
    table: &'a Tabular,
    weights: &'a [f32],
}

impl Evaluator for WithWeights<'_> {
    fn evaluate(&self, tape: &mut Tape, first: usize) {
        let outputs = self.table.outputs;
        tape.outputs.resize(tape.rows() * row_stride(outputs), 0.0);
        for row in first..tape.rows() {
            let known = self.table.row(tape.features(row));
            let out = tape.output_mut(row, outputs);
            match known {
                Some(at) => out.copy_from_slice(&self.weights[at * outputs..][..outputs]),
                None => out.fill(0.0),
            }
        }
    }

    /// The table reads no real inputs: its derivative by them is zero.
    fn gradients(
        &self,
        tape: &mut Tape,
        slopes: &[f32],
        gradient: &mut [f32],
        of_inputs: Option<&mut [f32]>,
    ) {
        if let Some(of_inputs) = of_inputs {
            of_inputs.fill(0.0);
        }
        gradient.fill(0.0);
        let outputs = self.table.outputs;
        for (row, slopes) in slopes.chunks_exact(row_stride(outputs)).enumerate() {
            if let Some(at) = self.table.row(tape.features(row)) {
                let to = &mut gradient[at * outputs..][..outputs];
                to.iter_mut().zip(slopes).for_each(|(to, slope)| *to += slope);
            }
        }
    }
    fn push_forward(&self, _tape: &mut Tape, _count: usize, _tangents: &[f32], out: &mut [f32]) {
        out.fill(0.0);
    }
}
