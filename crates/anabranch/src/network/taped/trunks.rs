//! Networks side by side, each of which answers some of the outputs: separate trunks for both directions and the flow.

use std::sync::Arc;

use super::{Computed, Evaluator, Inputs, Tape, TapedNetwork};
use crate::array::matmul::row_stride;
use crate::array::scratch::Scratch;
use crate::array::weights::{Slot, layout};
use crate::rng::Noise;

/// Networks that share their inputs and nothing else.
#[derive(Debug, Clone)]
pub struct Trunks {
    parts: Vec<(Arc<dyn TapedNetwork>, Vec<usize>)>,
    outputs: usize,
}

impl Trunks {
    /// Each network with the places of its outputs among all.
    ///
    /// # Panics
    /// If there is no network, their inputs differ, or the places are not all of `0..n`, each once.
    pub fn new(parts: Vec<(Arc<dyn TapedNetwork>, Vec<usize>)>) -> Self {
        let mut places: Vec<usize> = parts.iter().flat_map(|(_, places)| places.iter().copied()).collect();
        places.sort_unstable();
        let outputs = places.len();
        assert!(places.into_iter().eq(0..outputs), "every output once");
        for (network, places) in &parts {
            assert_eq!(network.outputs(), places.len(), "a place for each output");
            assert_eq!(network.inputs(), parts[0].0.inputs(), "the same inputs");
        }
        Self { parts, outputs }
    }
}

impl TapedNetwork for Trunks {
    fn inputs(&self) -> Inputs {
        self.parts[0].0.inputs()
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn layout(&self) -> Vec<Slot> {
        let all = self.parts.iter().enumerate().flat_map(|(k, (network, _))| {
            network.layout().into_iter().map(move |slot| (format!("trunk{k}.{}", slot.name), slot.shape))
        });
        let all: Vec<(String, Vec<usize>)> = all.collect();
        layout(all.iter().map(|(name, shape)| (name.as_str(), shape.clone())))
    }

    fn initial(&self, noise: &Noise) -> Vec<f32> {
        let of = |(k, (network, _)): (usize, &(Arc<dyn TapedNetwork>, Vec<usize>))| {
            network.initial(&noise.clone().step(k as u32))
        };
        self.parts.iter().enumerate().flat_map(of).collect()
    }

    fn with<'a>(&'a self, weights: &'a [f32]) -> Box<dyn Evaluator + 'a> {
        assert_eq!(weights.len(), self.parameters(), "the weights of all trunks");
        let mut rest = weights;
        let parts = self.parts.iter().map(|(network, places)| {
            let (own, tail) = rest.split_at(network.parameters());
            rest = tail;
            Part { evaluator: network.with(own), places, parameters: own.len() }
        });
        Box::new(WithWeights { parts: parts.collect(), outputs: self.outputs })
    }
}

struct Part<'a> {
    evaluator: Box<dyn Evaluator + 'a>,
    places: &'a [usize],
    parameters: usize,
}

struct WithWeights<'a> {
    parts: Vec<Part<'a>>,
    outputs: usize,
}

impl Evaluator for WithWeights<'_> {
    fn evaluate(&self, tape: &mut Tape, first: usize) {
        let Computed { mut parts, mut outputs, buffers, words } = tape.set_aside();
        parts.resize_with(self.parts.len(), Computed::default);
        let width = row_stride(self.outputs);
        outputs.resize(tape.rows() * width, 0.0);
        for (part, computed) in self.parts.iter().zip(&mut parts) {
            tape.restore(std::mem::take(computed));
            part.evaluator.evaluate(tape, first);
            for (row, out) in outputs.chunks_exact_mut(width).enumerate().skip(first) {
                let own = tape.output(row, part.places.len());
                part.places.iter().zip(own).for_each(|(place, value)| out[*place] = *value);
            }
            *computed = tape.set_aside();
        }
        tape.restore(Computed { parts, outputs, buffers, words });
    }

    fn gradients(
        &self,
        tape: &mut Tape,
        slopes: &[f32],
        gradient: &mut [f32],
        mut of_inputs: Option<&mut [f32]>,
    ) {
        let mut own = tape.set_aside();
        let mut rest = gradient;
        if let Some(all) = &mut of_inputs {
            all.fill(0.0);
        }
        for (part, computed) in self.parts.iter().zip(&mut own.parts) {
            let (gradient, tail) = rest.split_at_mut(part.parameters);
            rest = tail;
            let width = row_stride(part.places.len());
            let mut of_part = Scratch::take(tape.rows() * width);
            of_part.fill(0.0);
            let rows = slopes.chunks_exact(row_stride(self.outputs)).zip(of_part.chunks_exact_mut(width));
            for (slopes, to) in rows {
                part.places.iter().zip(to).for_each(|(place, to)| *to = slopes[*place]);
            }
            tape.restore(std::mem::take(computed));
            match &mut of_inputs {
                Some(all) => {
                    let mut own = Scratch::take(all.len());
                    part.evaluator.gradients(tape, &of_part, gradient, Some(&mut own));
                    all.iter_mut().zip(&*own).for_each(|(all, own)| *all += own);
                }
                None => part.evaluator.gradients(tape, &of_part, gradient, None),
            }
            *computed = tape.set_aside();
        }
        tape.restore(own);
    }

    fn push_forward(&self, tape: &mut Tape, count: usize, tangents: &[f32], out: &mut [f32]) {
        let mut own = tape.set_aside();
        out.fill(0.0);
        for (part, computed) in self.parts.iter().zip(&mut own.parts) {
            let width = row_stride(part.places.len());
            let mut of_part = Scratch::take(tape.rows() * count * width);
            tape.restore(std::mem::take(computed));
            part.evaluator.push_forward(tape, count, tangents, &mut of_part);
            *computed = tape.set_aside();
            let rows = out.chunks_exact_mut(row_stride(self.outputs)).zip(of_part.chunks_exact(width));
            for (to, from) in rows {
                part.places.iter().zip(from).for_each(|(place, from)| to[*place] = *from);
            }
        }
        tape.restore(own);
    }
}
