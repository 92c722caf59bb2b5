//! Deep sets: a function of a sum over a collection's elements.
//!
//! ```text
//! y = rho( sum_k n_k phi(k),  u )          n_k how often element k is there, u the real inputs
//! ```
//!
//! `phi` of finitely many elements is a table of vectors, and `rho` a perceptron. Its first layer is linear in the sum, so that
//! `n_k phi(k) W` is found once for all states, and a state's first layer is gathered from it.
//!
//! Zaheer et al., "Deep Sets" (2017), theorem 2.

use std::borrow::Cow;

use super::mlp::{self, Mlp};
use super::{Evaluator, Inputs, Tape, TapedNetwork};
use crate::array::scratch::Scratch;
use crate::array::weights::{Slot, layout};
use crate::network::Activation;
use crate::rng::Noise;

/// A function of a sum over elements.
#[derive(Debug, Clone)]
pub struct DeepSets {
    /// What each feature means: which element, and how often.
    features: Vec<(u32, u32)>,
    elements: usize,
    /// How many numbers `phi` has.
    width: usize,
    rho: Mlp,
    /// Outputs of `rho`'s first layer.
    first: usize,
}

impl DeepSets {
    /// A network over features that each say an element and how often it is there, with `width` numbers for an element and a
    /// perceptron behind their sum.
    ///
    /// # Panics
    /// If there is no feature, or no hidden layer.
    pub fn new(
        features: Vec<(u32, u32)>,
        dense: usize,
        width: usize,
        hidden: &[usize],
        outputs: usize,
        activation: Activation,
    ) -> Self {
        let elements = 1 + features.iter().map(|(element, _)| *element).max().expect("a feature") as usize;
        let inputs = Inputs { features: features.len(), dense };
        let rho = Mlp::new(inputs, hidden, outputs, activation);
        Self { features, elements, width, rho, first: hidden[0] }
    }

    fn dense(&self) -> usize {
        self.rho.inputs().dense
    }

    /// The table of elements, the first layer's weights, and all that is `rho`'s alone.
    fn parts<'a>(&self, weights: &'a [f32]) -> [&'a [f32]; 3] {
        let (table, rest) = weights.split_at(self.elements * self.width);
        let (first, rest) = rest.split_at((self.width + self.dense()) * self.first);
        [table, first, rest]
    }

    /// Weights of `rho`'s first layer as a perceptron over features.
    fn rho_first(&self) -> usize {
        (self.features.len() + self.dense()) * self.first
    }
}

impl TapedNetwork for DeepSets {
    fn inputs(&self) -> Inputs {
        self.rho.inputs()
    }

    fn outputs(&self) -> usize {
        self.rho.outputs()
    }

    fn layout(&self) -> Vec<Slot> {
        let rest = self.rho.layout();
        let own = [
            ("elements", vec![self.elements, self.width]),
            ("0.weight", vec![self.width + self.dense(), self.first]),
        ];
        layout(own.into_iter().chain(rest[1..].iter().map(|slot| (slot.name.as_str(), slot.shape.clone()))))
    }

    /// Elements uniform within 1, all else as a perceptron's.
    fn initial(&self, noise: &Noise) -> Vec<f32> {
        let rows = self.width + self.dense();
        let bound = 1.0 / (rows as f32).sqrt();
        let uniform = |index: u64, rows: usize, columns: usize| {
            noise.from_trajectory(index << 32).uniform(rows, columns).into_iter().map(|u| 2.0 * u - 1.0)
        };
        let first = uniform(1 << 10, rows, self.first).map(|u| bound * u);
        let mut weights: Vec<f32> = uniform(1 << 11, self.elements, self.width).chain(first).collect();
        weights.extend_from_slice(&self.rho.initial(noise)[self.rho_first()..]);
        weights
    }

    fn with<'a>(&'a self, weights: &'a [f32]) -> Box<dyn Evaluator + 'a> {
        assert_eq!(weights.len(), self.parameters(), "the weights of the network");
        let [table, first, rest] = self.parts(weights);
        let mut folded = vec![0.0; self.elements * self.first];
        for (to, phi) in folded.chunks_exact_mut(self.first).zip(table.chunks_exact(self.width)) {
            for (x, row) in phi.iter().zip(first.chunks_exact(self.first)) {
                to.iter_mut().zip(row).for_each(|(to, w)| *to = x.mul_add(*w, *to));
            }
        }
        let mut rows = Vec::with_capacity(self.rho_first());
        for (element, count) in &self.features {
            let row = &folded[*element as usize * self.first..][..self.first];
            rows.extend(row.iter().map(|value| *count as f32 * value));
        }
        rows.extend_from_slice(&first[self.width * self.first..]);
        Box::new(WithWeights {
            network: self,
            table,
            first,
            rho: self.rho.with_first(Cow::Owned(rows), rest),
        })
    }
}

struct WithWeights<'a> {
    network: &'a DeepSets,
    table: &'a [f32],
    first: &'a [f32],
    rho: mlp::WithWeights<'a>,
}

impl Evaluator for WithWeights<'_> {
    fn evaluate(&self, tape: &mut Tape, first: usize) {
        self.rho.evaluate(tape, first);
    }

    fn gradients(
        &self,
        tape: &mut Tape,
        slopes: &[f32],
        gradient: &mut [f32],
        of_inputs: Option<&mut [f32]>,
    ) {
        let network = self.network;
        let (width, columns) = (network.width, network.first);
        let mut of_rho = Scratch::take(network.rho.parameters());
        self.rho.gradients(tape, slopes, &mut of_rho, of_inputs);
        let (rows, rest) = of_rho.split_at(network.rho_first());
        let mut of_folded = vec![0.0; network.elements * columns];
        for ((element, count), row) in network.features.iter().zip(rows.chunks_exact(columns)) {
            let to = &mut of_folded[*element as usize * columns..][..columns];
            to.iter_mut().zip(row).for_each(|(to, g)| *to = (*count as f32).mul_add(*g, *to));
        }
        let (of_table, tail) = gradient.split_at_mut(network.elements * width);
        let (of_first, of_rest) = tail.split_at_mut(self.first.len());
        of_rest.copy_from_slice(rest);
        let (of_sum, of_dense) = of_first.split_at_mut(width * columns);
        of_dense.copy_from_slice(&rows[network.features.len() * columns..]);
        of_sum.fill(0.0);
        for (k, g) in of_folded.chunks_exact(columns).enumerate() {
            let phi = &self.table[k * width..][..width];
            let to = &mut of_table[k * width..][..width];
            let layer = self.first.chunks_exact(columns).zip(of_sum.chunks_exact_mut(columns));
            for ((to, x), (w, of_w)) in to.iter_mut().zip(phi).zip(layer) {
                *to = w.iter().zip(g).map(|(w, g)| w * g).sum();
                of_w.iter_mut().zip(g).for_each(|(of_w, g)| *of_w = x.mul_add(*g, *of_w));
            }
        }
    }
    fn push_forward(&self, tape: &mut Tape, count: usize, tangents: &[f32], out: &mut [f32]) {
        self.rho.push_forward(tape, count, tangents, out);
    }
}
