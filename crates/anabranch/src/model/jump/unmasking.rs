//! Masked coordinates that take values some at a time: any-order autoregression, and the steps of masked diffusion in an order of
//! one's own.
//!
//! ```text
//! forward   m of the D - k masked coordinates are chosen, each takes a value:   prod_d p(x_d given the k known ones), times
//! backward  m of the k + m known ones are masked again
//!
//! order            chance of the choice, forward      backward                  the bound on log p(x)
//! any              1 / C(D - k, m)                    1 / C(k + m, m)           over the law of orders, all alike
//! left to right    1: the next m                      1: the last m             exact
//! confidence       1: the m of largest max_v p(v)     1: those chosen last      exact: x decides the order
//! ```
//!
//! In any order the chances of the choices cancel along a path: `log w` is a sum of `log p` alone. With one coordinate a step nothing is
//! lost of what coordinates have to do with each other, but to the mean over orders; `m` at once are drawn independently, and the bound
//! says what that costs. By confidence, which coordinate comes next is a function of what is known, so that a datum has one path: which, is
//! found by going along it from the first step on, `n (n + 1) / 2` evaluations for all of `n` steps.
//!
//! Hoogeboom et al., "Autoregressive diffusion models" (2022), eq. 6 and section 3.1 for any order; Chang et al., "MaskGIT" (2022), section
//! 3.2, for confidence, there with noise and without a likelihood.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::clock::Clock;
use super::denoiser::{CategoricalDenoiser, Tempered};
use super::sampling::{Sampling, SamplingOrder};
use crate::array::weights::{Weights, matrix, to_vec};
use crate::chain::{Batch, Densities, Given, LogWeight, Score, Source, State, Step, Transition};
use crate::error::Failure;
use crate::kernel::categorical::{UNASKED, categories, drawn, log_masses, numbers, softmax, state_of};
use crate::math::ln_factorial;
use crate::model::schedule::times;
use crate::model::{Goal, Segment};
use crate::rng::{Noise, Purpose};

/// The source of chains that take masks away: every coordinate masked.
#[derive(Debug, Clone, Copy)]
pub struct AllMasked {
    /// Coordinates of a row.
    pub columns: usize,
    /// Values of a coordinate; the mask is behind them.
    pub values: usize,
}

impl Source for AllMasked {
    fn sample(&self, rows: usize, _: &Given, _: &Noise) -> Result<State, Failure> {
        Ok(Tensor::full([rows, self.columns], self.values as f32, &Device::flex()))
    }

    fn log_density(&self, state: &State, _: &Given) -> Result<LogWeight, Failure> {
        let all = categories(state);
        let masked = |row: &[u16]| row.iter().all(|x| usize::from(*x) == self.values);
        let logs =
            all.chunks_exact(self.columns).map(|row| if masked(row) { 0.0 } else { f64::NEG_INFINITY });
        Ok(numbers(logs.collect(), &state.device()))
    }
}

/// Which coordinates come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Any, alike.
    Any,
    /// The first.
    First,
    /// Those whose likeliest value is likeliest.
    Confident,
}

/// A chain that takes masks away.
#[derive(Debug, Clone)]
pub struct Unmasking {
    /// What is known of masked coordinates: `dimension * (values + 1)` logits, those of masks unread.
    pub denoiser: Box<dyn CategoricalDenoiser>,
    /// Values of a coordinate.
    pub values: usize,
    /// Which coordinates come next.
    pub next: Next,
    /// Steps of the chain: at most one for each coordinate.
    pub steps: usize,
    /// How many are known after each step, and which time the denoiser is told: that at which as many are known in the mean.
    pub clock: Clock,
}

impl Unmasking {
    fn columns(&self) -> usize {
        self.denoiser.dimension()
    }

    fn mask(&self) -> u16 {
        self.values as u16
    }

    /// How many coordinates are known after `step` steps: the clock's share at even times, and at least one more than before.
    fn known(&self, step: usize) -> usize {
        let (columns, steps) = (self.columns(), self.steps);
        let share = self.clock.survival(1.0 - step as f64 / steps as f64);
        ((share * columns as f64).round() as usize).clamp(step, columns - (steps - step))
    }

    /// Logits where `known` coordinates are known.
    fn logits(&self, x: &State, known: usize, given: &Given) -> Tensor<2> {
        let time = self.clock.time(known as f64 / self.columns() as f64) as f32;
        self.denoiser.logits(x, Tensor::full([1, 1], time, &x.device()), given)
    }

    /// The masses of a row's coordinate.
    fn masses(&self, logits: &[f32], place: usize) -> Vec<f64> {
        let mut masses = vec![0.0; self.values];
        softmax(&logits[place * (self.values + 1)..][..self.values], &mut masses);
        masses
    }

    /// Those of a row's coordinates that are masked, or not.
    fn places(&self, row: &[u16], masked: bool) -> Vec<usize> {
        (0..row.len()).filter(|d| (row[*d] == self.mask()) == masked).collect()
    }

    /// The `count` masked coordinates of a row that come next where no chance is in it, by the row's logits.
    fn chosen(&self, row: &[u16], logits: &[f32], count: usize) -> Vec<usize> {
        let mut places = self.places(row, true);
        if self.next == Next::Confident {
            let confidence = |place: &usize| {
                self.masses(logits, *place).into_iter().fold(0.0f64, |most, mass| most.max(mass))
            };
            let mut all: Vec<(f64, usize)> = places.iter().map(|place| (confidence(place), *place)).collect();
            all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            places = all.into_iter().map(|(_, place)| place).collect();
        }
        places.truncate(count);
        places
    }

    /// `sum log p` of `after` at the masked coordinates of `before` that it knows.
    fn log_masses(&self, before: &[u16], after: &[u16], logits: Tensor<2>) -> LogWeight {
        let mask = self.mask();
        let asked = before.iter().zip(after);
        let asked = asked.map(|(b, a)| if *b == mask && *a != mask { *a } else { UNASKED }).collect();
        log_masses(logits, asked, [self.columns(), self.values + 1, self.values])
    }
}

/// A row's places in random order.
fn shuffled(mut places: Vec<usize>, noise: &Noise, row: usize) -> Vec<usize> {
    let mut stream = noise.stream(row);
    for last in (1..places.len()).rev() {
        places.swap(last, (stream.uniform() * (last + 1) as f64) as usize);
    }
    places
}

/// `ln C(n, k)`.
fn log_choose(n: usize, k: usize) -> f64 {
    ln_factorial(n as u64) - ln_factorial(k as u64) - ln_factorial((n - k) as u64)
}

/// The step from `known` coordinates to `after`, one of those of a chain, `step` being how many come before.
struct Unmask<'a> {
    model: &'a Unmasking,
    step: usize,
    known: usize,
    after: usize,
}

impl Unmask<'_> {
    fn count(&self) -> usize {
        self.after - self.known
    }

    fn drawn(&self, before: &[u16], logits: Tensor<2>, noise: &Noise) -> Vec<u16> {
        let (model, columns) = (self.model, self.model.columns());
        let (uniform, order) =
            (noise.uniform(before.len() / columns, columns), noise.purpose(Purpose::Choice));
        let logits = to_vec(logits.detach());
        let mut all = before.to_vec();
        let rows = all.chunks_exact_mut(columns).zip(logits.chunks_exact(columns * (model.values + 1)));
        for (row, (own, logits)) in rows.enumerate() {
            let places = match model.next {
                Next::Any => shuffled(model.places(own, true), &order, row),
                Next::First | Next::Confident => model.chosen(own, logits, self.count()),
            };
            for place in places.into_iter().take(self.count()) {
                own[place] = drawn(&model.masses(logits, place), uniform[row * columns + place]);
            }
        }
        all
    }

    /// What stood before the step, for those whose last coordinates `after` has none but this way.
    fn before(&self, after: &[u16], given: &Given, noise: &Noise, device: &Device) -> Vec<u16> {
        let (model, columns) = (self.model, self.model.columns());
        let mut before = after.to_vec();
        match model.next {
            Next::Any | Next::First => {
                let order = noise.purpose(Purpose::Choice);
                for (row, own) in before.chunks_exact_mut(columns).enumerate() {
                    let mut places = model.places(own, false);
                    match model.next {
                        Next::Any => places = shuffled(places, &order, row),
                        _ => places.reverse(),
                    }
                    places.into_iter().take(self.count()).for_each(|place| own[place] = model.mask());
                }
            }
            Next::Confident => {
                before.fill(model.mask());
                for step in model.made().iter().take(self.step) {
                    let logits = model.logits(&state_of(&before, columns, device), step.known, given);
                    let logits = to_vec(logits.detach());
                    let rows = before.chunks_exact_mut(columns).zip(after.chunks_exact(columns));
                    let rows = rows.zip(logits.chunks_exact(columns * (model.values + 1)));
                    for ((own, after), logits) in rows {
                        for place in model.chosen(own, logits, step.count()) {
                            own[place] = after[place];
                        }
                    }
                }
            }
        }
        before
    }

    /// The two densities, of the choice too, which `chosen` answers for each row in nats: forward and backward.
    fn densities(
        &self,
        before: &[u16],
        after: &[u16],
        logits: Tensor<2>,
        chosen: [Vec<f64>; 2],
    ) -> Densities {
        let device = logits.device();
        let [forward, backward] = chosen.map(|logs| numbers(logs, &device));
        Densities { forward: self.model.log_masses(before, after, logits) + forward, backward }
    }

    /// The chances of the choices of a step that was made, forward and backward.
    fn chances(&self, rows: usize) -> [Vec<f64>; 2] {
        let columns = self.model.columns();
        match self.model.next {
            Next::Any => {
                [log_choose(columns - self.known, self.count()), log_choose(self.after, self.count())]
                    .map(|ways| vec![-ways; rows])
            }
            Next::First | Next::Confident => [vec![0.0; rows], vec![0.0; rows]],
        }
    }
}

impl Transition for Unmask<'_> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let (before, logits) = (categories(&from), self.model.logits(&from, self.known, given));
        let after = self.drawn(&before, logits.clone(), noise);
        let to = state_of(&after, self.model.columns(), &from.device());
        Ok(self.densities(&before, &after, logits, self.chances(from.rows())).forward_step(to))
    }

    fn backward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let after = categories(&from);
        let before = self.before(&after, given, noise, &from.device());
        let to = state_of(&before, self.model.columns(), &from.device());
        let logits = self.model.logits(&to, self.known, given);
        Ok(self.densities(&before, &after, logits, self.chances(from.rows())).backward_step(to))
    }

    fn sample(&self, from: State, given: &Given, noise: &Noise) -> Result<State, Failure> {
        let after = self.drawn(&categories(&from), self.model.logits(&from, self.known, given), noise);
        Ok(state_of(&after, self.model.columns(), &from.device()))
    }

    fn score(&self, before: &State, after: &State, given: &Given) -> Result<Score, Failure> {
        let (model, columns) = (self.model, self.model.columns());
        let [from, to] = [before, after].map(categories);
        let logits = model.logits(before, self.known, given);
        let own = to_vec(logits.clone().detach());
        // The one state that may stand before, where no chance is in it; else any that keeps what is known.
        let only = match model.next {
            Next::Any => None,
            Next::First | Next::Confident => {
                Some(self.before(&to, given, &Noise::new(0, Purpose::Choice), &before.device()))
            }
        };
        let [mut forward, mut backward] = self.chances(before.rows());
        for row in 0..before.rows() {
            let range = row * columns..(row + 1) * columns;
            let (from, to) = (&from[range.clone()], &to[range.clone()]);
            let moved: Vec<usize> =
                (0..columns).filter(|d| from[*d] == model.mask() && to[*d] != model.mask()).collect();
            let kept = from.iter().zip(to).all(|(from, to)| from == to || *from == model.mask());
            let fits = kept && model.places(from, false).len() == self.known && moved.len() == self.count();
            let logits = &own[row * columns * (model.values + 1)..][..columns * (model.values + 1)];
            let by_rule = model.next == Next::Any || {
                let mut chosen = model.chosen(from, logits, self.count());
                chosen.sort_unstable();
                chosen == moved
            };
            if !(fits && by_rule) {
                forward[row] = f64::NEG_INFINITY;
            }
            if !only.as_ref().map_or(fits, |only| only[range] == *from) {
                backward[row] = f64::NEG_INFINITY;
            }
        }
        Ok(Score::Densities(self.densities(&from, &to, logits, [forward, backward])))
    }
}

impl Unmasking {
    /// The steps, the first from all masks.
    fn made(&self) -> Vec<Unmask<'_>> {
        let step =
            |step: usize| Unmask { model: self, step, known: self.known(step), after: self.known(step + 1) };
        (0..self.steps).map(step).collect()
    }

    /// The chain that a sampling asks for, of a denoiser trained on masks.
    pub(super) fn of(
        denoiser: &dyn CategoricalDenoiser,
        values: usize,
        clock: Clock,
        order: SamplingOrder,
        sampling: &Sampling,
    ) -> Self {
        let columns = denoiser.dimension();
        let next = match order {
            SamplingOrder::Any => Next::Any,
            SamplingOrder::LeftToRight => Next::First,
            SamplingOrder::Confidence => Next::Confident,
        };
        let steps = sampling.steps.unwrap_or(columns).clamp(1, columns);
        Self { denoiser: Tempered::at(denoiser.boxed(), sampling.temperature), values, next, steps, clock }
    }
}

impl Segment for Unmasking {
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
        Some(Arc::new(AllMasked { columns: self.columns(), values: self.values }))
    }

    fn steps(&self) -> usize {
        self.steps
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        self.made().into_iter().map(|step| Box::new(step) as Box<dyn Transition + '_>).collect()
    }

    fn is_local(&self) -> bool {
        self.next == Next::Any
    }

    /// A step of the chain drawn at random, with the known coordinates: `steps m / (D - k) sum over masked d of log p(x_d)`, which is
    /// the mean over which of them the step takes.
    fn local(&self, x: &State, given: &Given, noise: &Noise, goal: Goal) -> Option<LogWeight> {
        if self.next != Next::Any {
            return None;
        }
        let (columns, device, data) = (self.columns(), x.device(), categories(x));
        let steps = self.made();
        let order = noise.purpose(Purpose::Local);
        let (mut seen, mut told, mut weights) = (data.clone(), Vec::new(), Vec::new());
        for (row, (own, u)) in seen.chunks_exact_mut(columns).zip(times(x.rows(), noise, goal)).enumerate() {
            let step = &steps[((u * self.steps as f64) as usize).min(self.steps - 1)];
            let places = shuffled((0..columns).collect(), &order, row);
            places[step.known..].iter().for_each(|place| own[*place] = self.mask());
            told.push(self.clock.time(step.known as f64 / columns as f64) as f32);
            weights.push((self.steps * step.count()) as f32 / (columns - step.known) as f32);
        }
        let state = state_of(&seen, columns, &device);
        let logits = self.denoiser.logits(&state, matrix(told, 1, &device), given);
        let weights: Tensor<1> = matrix(weights, 1, &device).squeeze_dim(1);
        Some(self.log_masses(&seen, &data, logits) * weights)
    }

    fn sampled(&self, sampling: &Sampling) -> Option<Box<dyn Segment>> {
        let order = sampling.order.unwrap_or(SamplingOrder::Any);
        let steps = sampling.steps.or(Some(self.steps));
        let sampling = Sampling { steps, ..*sampling };
        Some(Box::new(Self::of(self.denoiser.as_ref(), self.values, self.clock, order, &sampling)))
    }

    fn one_by_one(&self) -> Option<Box<dyn Segment>> {
        Some(Box::new(Self { steps: self.columns(), ..self.clone() }))
    }

    fn weights(&self) -> Vec<&Weights> {
        self.denoiser.weights()
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        self.denoiser.weights_mut()
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}
