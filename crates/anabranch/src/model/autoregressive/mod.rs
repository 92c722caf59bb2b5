//! Autoregressive models of categories in a fixed order: chains whose backward half only forgets.
//!
//! ```text
//! states    x with the coordinates o_1 .. o_i known and the rest masked; the source masks all
//! forward   x_{o_i} ~ p(. given x_{o_1} .. x_{o_{i-1}})    for the coordinates of a stretch, one after the other
//! backward  masks the coordinates of the stretch again                            P_B = 1
//! log p(x) = sum_i log p(x_{o_i} given those before) = -log w + log R             exact, along the one path there is
//! ```
//!
//! A step of the chain is a stretch of turns; how many stretches there are changes nothing but where a path can be looked at. Networks
//! answer for all coordinates in one pass, a masked perceptron (Germain et al. 2015) or a causal transformer, and draw a coordinate at
//! what it costs beyond those before. At a temperature `tau` every conditional law is `~ p^{1/tau}`, in draws and in log-probabilities
//! alike: it is the likelihood of the model that draws.

pub mod recipe;

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;

use super::jump::sampling::Sampling;
use super::jump::unmasking::AllMasked;
use super::{Goal, Segment};
use crate::array::weights::Weights;
use crate::chain::{Densities, Given, LogWeight, Score, Source, State, Step, Transition};
use crate::error::Failure;
use crate::kernel::categorical::{UNASKED, categories, drawn, log_masses, numbers, softmax, state_of};
use crate::network::{CausalTransformer, MaskedNetwork};
use crate::rng::Noise;

/// A network over categories in a row, whose answer for a coordinate depends on those before it alone.
#[derive(Debug, Clone)]
pub enum SequenceNetwork {
    /// A masked perceptron over indicators of the values.
    Masked(MaskedNetwork),
    /// A causal transformer.
    Transformer(CausalTransformer),
}

impl SequenceNetwork {
    /// Coordinates of a row.
    pub fn columns(&self) -> usize {
        match self {
            Self::Masked(network) => network.blocks(),
            Self::Transformer(network) => network.columns(),
        }
    }

    /// Values of a coordinate.
    pub fn values(&self) -> usize {
        match self {
            Self::Masked(network) => network.answers(),
            Self::Transformer(network) => network.values(),
        }
    }

    fn context(&self) -> usize {
        match self {
            Self::Masked(network) => network.context(),
            Self::Transformer(network) => network.context(),
        }
    }

    /// Logits of every coordinate given those before, `[rows, columns * values]`, at the categories `x`, `[rows, columns]`; what is masked
    /// is not read.
    pub fn logits(&self, x: &[u16], given: &Given, state: &State) -> Tensor<2> {
        let (device, context) = (state.device(), given.read(self.context(), &state.device()));
        match self {
            Self::Masked(network) => {
                let values = network.answers();
                let mut hot = vec![0.0; x.len() * values];
                for (own, x) in hot.chunks_exact_mut(values).zip(x) {
                    if let Some(own) = own.get_mut(usize::from(*x)) {
                        *own = (values as f32).sqrt();
                    }
                }
                network.apply(crate::array::weights::matrix(hot, network.blocks() * values, &device), context)
            }
            Self::Transformer(network) => network.apply(state_of(x, network.columns(), &device), context),
        }
    }

    /// Draws the coordinates `asked` of every row, `[rows, columns]`, those before being known, one after the other by `choose`: it is given
    /// a row, a coordinate and its logits.
    pub fn draw(
        &self,
        rows: &mut [u16],
        asked: Range<usize>,
        given: &Given,
        choose: &(dyn Fn(usize, usize, &[f32]) -> u16 + Sync),
    ) {
        let context = given.read(self.context(), &burn::tensor::Device::flex());
        match self {
            Self::Masked(network) => network.draw(rows, asked, context, choose),
            Self::Transformer(network) => network.draw(rows, asked, context, choose),
        }
    }

    /// The weights.
    pub fn weights(&self) -> &Weights {
        match self {
            Self::Masked(network) => network.weights(),
            Self::Transformer(network) => network.weights(),
        }
    }

    /// The weights, to update.
    pub fn weights_mut(&mut self) -> &mut Weights {
        match self {
            Self::Masked(network) => network.weights_mut(),
            Self::Transformer(network) => network.weights_mut(),
        }
    }
}

/// An autoregressive model.
#[derive(Debug, Clone)]
pub struct Autoregressive {
    /// The network, over coordinates in the order of their turns.
    pub network: SequenceNetwork,
    /// Which coordinate has which turn.
    pub order: Arc<[usize]>,
    /// Steps of the chain.
    pub steps: usize,
    /// The temperature of every conditional law.
    pub temperature: f32,
}

impl Autoregressive {
    fn columns(&self) -> usize {
        self.order.len()
    }

    fn values(&self) -> usize {
        self.network.values()
    }

    /// Rows in the order of turns.
    fn in_turn(&self, rows: &[u16]) -> Vec<u16> {
        rows.chunks_exact(self.columns()).flat_map(|row| self.order.iter().map(|d| row[*d])).collect()
    }

    /// `sum log p` over the turns `asked` of rows in the order of turns, `[rows]`.
    fn log_masses(&self, rows: &[u16], asked: Range<usize>, given: &Given, state: &State) -> LogWeight {
        let (columns, values) = (self.columns(), self.values());
        let logits = self.network.logits(rows, given, state) * self.temperature.recip();
        let own = |(at, x): (usize, &u16)| if asked.contains(&(at % columns)) { *x } else { UNASKED };
        let asked = rows.iter().enumerate().map(own).collect();
        log_masses(logits, asked, [columns, values, values])
    }
}

/// The step that draws some turns.
struct Stretch<'a> {
    model: &'a Autoregressive,
    turns: Range<usize>,
}

impl Stretch<'_> {
    /// Rows after the step, in the order of turns, from some before it.
    fn drawn(&self, before: &[u16], given: &Given, noise: &Noise) -> Vec<u16> {
        let (model, columns) = (self.model, self.model.columns());
        let mut rows = model.in_turn(before);
        let uniform = noise.uniform(rows.len() / columns, self.turns.len());
        let choose = |row: usize, turn: usize, logits: &[f32]| {
            let mut masses = vec![0.0; logits.len()];
            let tempered: Vec<f32> = logits.iter().map(|logit| logit * model.temperature.recip()).collect();
            softmax(&tempered, &mut masses);
            drawn(&masses, uniform[row * self.turns.len() + turn - self.turns.start])
        };
        model.network.draw(&mut rows, self.turns.clone(), given, &choose);
        rows
    }

    /// Rows in the order of turns as a state.
    fn state(&self, rows: &[u16], like: &State) -> State {
        let columns = self.model.columns();
        let mut values = vec![0; rows.len()];
        for (to, from) in values.chunks_exact_mut(columns).zip(rows.chunks_exact(columns)) {
            self.model.order.iter().zip(from).for_each(|(d, x)| to[*d] = *x);
        }
        state_of(&values, columns, &like.device())
    }

    /// The same rows with the step's turns masked.
    fn masked(&self, rows: &[u16]) -> Vec<u16> {
        let (columns, mask) = (self.model.columns(), self.model.values() as u16);
        let own = |(at, x): (usize, &u16)| if self.turns.contains(&(at % columns)) { mask } else { *x };
        rows.iter().enumerate().map(own).collect()
    }
}

impl Transition for Stretch<'_> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let after = self.drawn(&categories(&from), given, noise);
        let forward = self.model.log_masses(&after, self.turns.clone(), given, &from);
        let backward = Tensor::zeros(forward.dims(), &forward.device());
        Ok(Densities { forward, backward }.forward_step(self.state(&after, &from)))
    }

    fn backward(&self, from: State, given: &Given, _: &Noise) -> Result<Step, Failure> {
        let after = self.model.in_turn(&categories(&from));
        let forward = self.model.log_masses(&after, self.turns.clone(), given, &from);
        let backward = Tensor::zeros(forward.dims(), &forward.device());
        Ok(Densities { forward, backward }.backward_step(self.state(&self.masked(&after), &from)))
    }

    fn sample(&self, from: State, given: &Given, noise: &Noise) -> Result<State, Failure> {
        Ok(self.state(&self.drawn(&categories(&from), given, noise), &from))
    }

    fn score(&self, before: &State, after: &State, given: &Given) -> Result<Score, Failure> {
        let columns = self.model.columns();
        let [from, to] = [before, after].map(|state| self.model.in_turn(&categories(state)));
        let (untouched, masked) = (self.masked(&from), self.masked(&to));
        // Forward all but the step's turns stay; backward the one way is to mask these.
        let pairs = [(&untouched, &masked), (&from, &masked)];
        let [kept, back] = pairs.map(|(a, b)| {
            let rows = a.chunks_exact(columns).zip(b.chunks_exact(columns));
            let logs = rows.map(|(a, b)| if a == b { 0.0 } else { f64::NEG_INFINITY });
            numbers(logs.collect(), &after.device())
        });
        let forward = self.model.log_masses(&to, self.turns.clone(), given, after) + kept;
        Ok(Score::Densities(Densities { forward, backward: back }))
    }
}

impl Segment for Autoregressive {
    fn kind(&self) -> &'static str {
        "autoregressive"
    }

    fn inner_dimension(&self) -> usize {
        self.columns()
    }

    fn outer_dimension(&self) -> usize {
        self.columns()
    }

    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::new(AllMasked { columns: self.columns(), values: self.values() }))
    }

    fn steps(&self) -> usize {
        self.steps
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        let columns = self.columns();
        let end = |step: usize| step * columns / self.steps;
        let step = |step: usize| {
            Box::new(Stretch { model: self, turns: end(step)..end(step + 1) }) as Box<dyn Transition + '_>
        };
        (0..self.steps).map(step).collect()
    }

    fn is_local(&self) -> bool {
        true
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn local(&self, x: &State, given: &Given, _: &Noise, _: Goal) -> Option<LogWeight> {
        let rows = self.in_turn(&categories(x));
        Some(self.log_masses(&rows, 0..self.columns(), given, x))
    }

    fn sampled(&self, sampling: &Sampling) -> Option<Box<dyn Segment>> {
        let temperature = self.temperature * sampling.temperature as f32;
        Some(Box::new(Self { temperature, ..self.clone() }))
    }

    fn one_by_one(&self) -> Option<Box<dyn Segment>> {
        Some(Box::new(Self { steps: self.columns(), ..self.clone() }))
    }

    fn weights(&self) -> Vec<&Weights> {
        vec![self.network.weights()]
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        vec![self.network.weights_mut()]
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}
