//! An energy by a perceptron over indicators of all values, beside a base.
//!
//! ```text
//! log R(x) = log q(x) + f(e(x)),       e(x)_{iv} = [x_i = v]
//! estimates  d_iv = df/de_iv - df/de_{i x_i} + log q_i(v) - log q_i(x_i)       to first order in the change of e
//! on the way f's last layer times the place
//! ```

use super::listed::Listed;
use super::{Energy, ExactLaw, Family, Independent};
use crate::array::matmul::row_stride;
use crate::array::weights::Slot;
use crate::kernel::discrete_mcmc::CategoricalDensity;
use crate::network::Activation;
use crate::network::taped::{Inputs, Mlp, NONE, Tape, TapedNetwork};
use crate::rng::Noise;

/// Energies by a perceptron.
#[derive(Debug, Clone)]
pub struct Perceptron {
    base: Independent,
    network: Mlp,
}

impl Perceptron {
    /// Energies with hidden layers of these widths.
    pub fn new(base: Independent, hidden: &[usize], activation: Activation) -> Self {
        let inputs = Inputs { features: 0, dense: base.sites() * base.values() };
        let network = Mlp::new(inputs, hidden, 1, activation);
        Self { base, network }
    }
}

impl Family for Perceptron {
    fn base(&self) -> &Independent {
        &self.base
    }

    fn layout(&self) -> Vec<Slot> {
        self.network.layout()
    }

    fn initial(&self, noise: &Noise) -> Vec<f32> {
        self.network.initial(noise)
    }

    fn on_the_way(&self, weights: &[f32], place: f64) -> Vec<f32> {
        let mut on_the_way = weights.to_vec();
        let layout = self.network.layout();
        // The last layer's weight and bias.
        let first = layout[layout.len() - 2].range.start;
        on_the_way[first..].iter_mut().for_each(|w| *w = (place * f64::from(*w)) as f32);
        on_the_way
    }

    fn with(&self, weights: &[f32]) -> Box<dyn Energy> {
        Box::new(NetworkEnergy { family: self.clone(), weights: weights.to_vec() })
    }
}

/// An energy by a network with weights.
struct NetworkEnergy {
    family: Perceptron,
    weights: Vec<f32>,
}

/// Rows that the network answers together.
const CHUNK: usize = 256;

impl NetworkEnergy {
    fn tape(&self, states: &[u8]) -> Tape {
        let values = self.family.base.values();
        let mut tape = Tape::default();
        for state in states.chunks_exact(self.family.base.sites()) {
            tape.push(NONE, |_, dense| {
                let first = dense.len();
                dense.resize(first + state.len() * values, 0.0);
                let on = state.iter().enumerate().map(|(i, x)| first + i * values + usize::from(*x));
                on.for_each(|at| dense[at] = 1.0);
            });
        }
        tape
    }
}

impl CategoricalDensity for NetworkEnergy {
    fn sites(&self) -> usize {
        self.family.base.sites()
    }

    fn values(&self) -> usize {
        self.family.base.values()
    }

    fn log_density(&self, states: &[u8], out: &mut [f64]) {
        self.family.base.log_density(states, out);
        let evaluator = self.family.network.with(&self.weights);
        for (states, out) in states.chunks(CHUNK * self.sites()).zip(out.chunks_mut(CHUNK)) {
            let mut tape = self.tape(states);
            evaluator.evaluate(&mut tape, 0);
            out.iter_mut().enumerate().for_each(|(row, out)| *out += f64::from(tape.output(row, 1)[0]));
        }
    }

    fn estimates(&self, states: &[u8], out: &mut [f64]) {
        let (sites, values) = (self.sites(), self.values());
        let (width, rows) = (sites * values, states.len() / sites);
        let evaluator = self.family.network.with(&self.weights);
        let mut tape = self.tape(states);
        evaluator.evaluate(&mut tape, 0);
        let stride = row_stride(1);
        let mut slopes = vec![0.0; rows * stride];
        slopes.iter_mut().step_by(stride).for_each(|slope| *slope = 1.0);
        let (mut gradient, mut inputs) = (vec![0.0; self.weights.len()], vec![0.0; rows * width]);
        evaluator.gradients(&mut tape, &slopes, &mut gradient, Some(&mut inputs));
        let all = out.chunks_exact_mut(values).zip(inputs.chunks_exact(values)).zip(states);
        let masses = self.family.base.log_masses().chunks_exact(values).cycle();
        for (((out, slopes), x), masses) in all.zip(masses) {
            let worth = |v: usize| f64::from(slopes[v]) + masses[v];
            let here = worth(usize::from(*x));
            out.iter_mut().enumerate().for_each(|(v, out)| *out = worth(v) - here);
        }
    }
}

impl Energy for NetworkEnergy {
    fn pull(&self, states: &[u8], slopes: &[f64], gradient: &mut [f32]) {
        let evaluator = self.family.network.with(&self.weights);
        let (stride, mut part) = (row_stride(1), vec![0.0; gradient.len()]);
        for (states, slopes) in states.chunks(CHUNK * self.sites()).zip(slopes.chunks(CHUNK)) {
            let mut tape = self.tape(states);
            evaluator.evaluate(&mut tape, 0);
            let mut wide = vec![0.0; slopes.len() * stride];
            wide.iter_mut().step_by(stride).zip(slopes).for_each(|(to, slope)| *to = *slope as f32);
            evaluator.backward(&mut tape, &wide, &mut part);
            gradient.iter_mut().zip(&part).for_each(|(to, part)| *to += part);
        }
    }

    fn exact(&self) -> Option<Box<dyn ExactLaw>> {
        Listed::of(self).map(|listed| Box::new(listed) as Box<dyn ExactLaw>)
    }
}
