//! Restricted Boltzmann machines over bits (Smolensky 1986; Hinton 2002).
//!
//! ```text
//! log R(x)   = log sum_h exp(a^T x + c^T h + x^T W h) = a^T x + sum_j softplus(b_j),      b_j = c_j + x^T W_j
//! h_j | x    ~ sigmoid(b_j),      x_i | h ~ sigmoid(a_i + W_i h)
//! Z          = sum_h exp(c^T h) prod_i (1 + exp(a_i + W_i h))
//! on the way   a, c, W times the place, and the base's logits in the rest of a's (Salakhutdinov and Murray 2008, section 4)
//! ```

use super::listed::{Listed, cumulated, placed};
use super::{Energy, ExactLaw, Family, Independent};
use crate::array::weights::{Slot, layout};
use crate::kernel::discrete_mcmc::CategoricalDensity;
use crate::rng::{Noise, Stream};

/// Restricted Boltzmann machines.
#[derive(Debug, Clone)]
pub struct Rbm {
    base: Independent,
    hidden: usize,
}

/// The most hidden units whose configurations are listed.
const MOST_HIDDEN: usize = 18;

/// The standard deviation of initial weights.
const INITIAL: f32 = 0.01;

impl Rbm {
    /// Machines with so many hidden units.
    ///
    /// # Panics
    /// If the base is not one of bits, or there is no hidden unit.
    pub fn new(base: Independent, hidden: usize) -> Self {
        assert!(base.values() == 2 && hidden > 0, "bits and hidden units");
        Self { base, hidden }
    }
}

impl Family for Rbm {
    fn base(&self) -> &Independent {
        &self.base
    }

    fn layout(&self) -> Vec<Slot> {
        let (sites, hidden) = (self.base.sites(), self.hidden);
        layout([("weight", vec![sites, hidden]), ("visible", vec![sites]), ("hidden", vec![hidden])])
    }

    fn initial(&self, noise: &Noise) -> Vec<f32> {
        let weight = noise.normal(1, self.base.sites() * self.hidden).into_iter().map(|z| INITIAL * z);
        let visible = self.base.logits().map(|logit| logit as f32);
        weight.chain(visible).chain(std::iter::repeat_n(0.0, self.hidden)).collect()
    }

    fn on_the_way(&self, weights: &[f32], place: f64) -> Vec<f32> {
        let mut on_the_way: Vec<f32> = weights.iter().map(|w| (place * f64::from(*w)) as f32).collect();
        let visible = &mut on_the_way[self.base.sites() * self.hidden..];
        visible.iter_mut().zip(self.base.logits()).for_each(|(a, base)| *a += ((1.0 - place) * base) as f32);
        on_the_way
    }

    fn with(&self, weights: &[f32]) -> Box<dyn Energy> {
        let (weight, biases) = weights.split_at(self.base.sites() * self.hidden);
        let (visible, hidden) = biases.split_at(self.base.sites());
        let doubles = |part: &[f32]| part.iter().map(|w| f64::from(*w)).collect::<Vec<f64>>();
        Box::new(Machine { weight: doubles(weight), visible: doubles(visible), hidden: doubles(hidden) })
    }

    fn has_hidden(&self) -> bool {
        true
    }
}

/// A machine with weights.
#[derive(Debug, Clone)]
struct Machine {
    /// `[sites, hidden]`.
    weight: Vec<f64>,
    visible: Vec<f64>,
    hidden: Vec<f64>,
}

/// `log(1 + e^x)`.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl Machine {
    fn row(&self, site: usize) -> &[f64] {
        &self.weight[site * self.hidden.len()..][..self.hidden.len()]
    }

    /// Writes `b_j`, the inputs of the hidden units.
    fn inputs(&self, state: &[u8], out: &mut [f64]) {
        out.copy_from_slice(&self.hidden);
        for (site, _) in state.iter().enumerate().filter(|(_, x)| **x == 1) {
            out.iter_mut().zip(self.row(site)).for_each(|(out, w)| *out += w);
        }
    }

    /// `a_i + W_i h`, with which of the hidden units are on.
    fn input_of(&self, site: usize, on: &[bool]) -> f64 {
        let weights = self.row(site).iter().zip(on).filter(|(_, on)| **on);
        self.visible[site] + weights.map(|(w, _)| w).sum::<f64>()
    }
}

impl CategoricalDensity for Machine {
    fn sites(&self) -> usize {
        self.visible.len()
    }

    fn values(&self) -> usize {
        2
    }

    fn log_density(&self, states: &[u8], out: &mut [f64]) {
        let mut inputs = vec![0.0; self.hidden.len()];
        for (out, state) in out.iter_mut().zip(states.chunks_exact(self.sites())) {
            self.inputs(state, &mut inputs);
            let biases = state.iter().zip(&self.visible).filter(|(x, _)| **x == 1).map(|(_, a)| a);
            *out = biases.sum::<f64>() + inputs.iter().map(|b| softplus(*b)).sum::<f64>();
        }
    }

    fn changes(&self, states: &[u8], out: &mut [f64]) {
        let sites = self.sites();
        let mut inputs = vec![0.0; self.hidden.len()];
        for (state, out) in states.chunks_exact(sites).zip(out.chunks_exact_mut(2 * sites)) {
            self.inputs(state, &mut inputs);
            let here: f64 = inputs.iter().map(|b| softplus(*b)).sum();
            for (site, (x, out)) in state.iter().zip(out.chunks_exact_mut(2)).enumerate() {
                let sign = if *x == 1 { -1.0 } else { 1.0 };
                let there: f64 = inputs.iter().zip(self.row(site)).map(|(b, w)| softplus(b + sign * w)).sum();
                out[usize::from(*x)] = 0.0;
                out[usize::from(1 - *x)] = sign * self.visible[site] + there - here;
            }
        }
    }

    fn through_hidden(&self, states: &mut [u8], streams: &mut [Stream<'_>]) -> bool {
        let (mut inputs, mut on) = (vec![0.0; self.hidden.len()], vec![false; self.hidden.len()]);
        for (state, stream) in states.chunks_exact_mut(self.sites()).zip(streams) {
            self.inputs(state, &mut inputs);
            on.iter_mut().zip(&inputs).for_each(|(on, b)| *on = stream.uniform() < sigmoid(*b));
            for (site, x) in state.iter_mut().enumerate() {
                *x = u8::from(stream.uniform() < sigmoid(self.input_of(site, &on)));
            }
        }
        true
    }
}

impl Energy for Machine {
    fn pull(&self, states: &[u8], slopes: &[f64], gradient: &mut [f32]) {
        let (sites, units) = (self.sites(), self.hidden.len());
        let mut inputs = vec![0.0; units];
        let (weight, biases) = gradient.split_at_mut(sites * units);
        let (visible, hidden) = biases.split_at_mut(sites);
        for (state, slope) in states.chunks_exact(sites).zip(slopes).filter(|(_, slope)| **slope != 0.0) {
            self.inputs(state, &mut inputs);
            inputs.iter_mut().for_each(|b| *b = slope * sigmoid(*b));
            hidden.iter_mut().zip(&inputs).for_each(|(to, b)| *to += *b as f32);
            for (site, _) in state.iter().enumerate().filter(|(_, x)| **x == 1) {
                visible[site] += *slope as f32;
                let to = weight[site * units..][..units].iter_mut();
                to.zip(&inputs).for_each(|(to, b)| *to += *b as f32);
            }
        }
    }

    fn exact(&self) -> Option<Box<dyn ExactLaw>> {
        if self.hidden.len() > MOST_HIDDEN {
            return Listed::of(self).map(|listed| Box::new(listed) as Box<dyn ExactLaw>);
        }
        // Units in the order of Gray's code: from one configuration to the next a single one changes.
        let mut inputs = self.visible.clone();
        let mut log_masses = vec![0.0; 1 << self.hidden.len()];
        let (mut code, mut of_hidden) = (0usize, 0.0);
        for step in 0..log_masses.len() {
            if step > 0 {
                let unit = step.trailing_zeros() as usize;
                code ^= 1 << unit;
                let sign = if code >> unit & 1 == 1 { 1.0 } else { -1.0 };
                of_hidden += sign * self.hidden[unit];
                inputs.iter_mut().enumerate().for_each(|(site, a)| *a += sign * self.row(site)[unit]);
            }
            log_masses[code] = of_hidden + inputs.iter().map(|a| softplus(*a)).sum::<f64>();
        }
        let (log_z, cumulative) = cumulated(log_masses);
        Some(Box::new(HiddenListed { machine: self.clone(), log_z, cumulative }))
    }
}

/// A machine whose hidden configurations are listed.
struct HiddenListed {
    machine: Machine,
    log_z: f64,
    cumulative: Vec<f64>,
}

impl ExactLaw for HiddenListed {
    fn log_z(&self) -> f64 {
        self.log_z
    }

    fn draw(&self, count: usize, noise: &Noise) -> Vec<u8> {
        let mut all = Vec::with_capacity(count * self.machine.sites());
        let mut on = vec![false; self.machine.hidden.len()];
        for row in 0..count {
            let mut stream = noise.stream(row);
            let code = placed(&self.cumulative, stream.uniform());
            on.iter_mut().enumerate().for_each(|(unit, on)| *on = code >> unit & 1 == 1);
            let bit = |site| u8::from(stream.uniform() < sigmoid(self.machine.input_of(site, &on)));
            all.extend((0..self.machine.sites()).map(bit));
        }
        all
    }
}
