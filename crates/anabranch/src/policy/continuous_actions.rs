//! Policies over moves with real coordinates: a masked softmax over the numbered moves, and a mixture for each coordinate.
//!
//! ```text
//! row  =  [ moves | stop, if it is a choice | a mixture for each coordinate of moves
//!         | removals | a mixture for each coordinate of removals            if P_B is learned
//!         | log F                                                           if it is needed ]
//!
//! log P_F(s' | s) = log softmax_a + sum_i ln p_i(z_i) + log |dz / ds'|
//! ```
//!
//! Where `P_B` is not learned it is what outputs of 0 would make it: uniform over removals, and on each domain the uniform
//! or standard normal law. Exploring draws moves from the same law.
//!
//! Lahlou et al., "A theory of continuous generative flow networks" (2023).

use std::ops::Range;
use std::sync::Arc;

use super::law::{Concentrations, CoordinateLaw};
use super::mixture::MixtureLaw;
use super::softmax::{choose, log_softmax, spread, weigh};
use super::{Behaviour, LogProbabilities, LogProbabilitySlopes, NoLaw, Policy, Visit};
use crate::environment::Edge;
use crate::environment::continuous::{Continuous, Domain};
use crate::error::{Problem, Result};
use crate::network::taped::Inputs;
use crate::rng::Stream;

/// What a policy over continuous moves reads of its network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heads {
    /// Components of each mixture.
    pub components: usize,
    /// Bounds of the parameters of Beta laws.
    pub concentrations: Concentrations,
    /// Whether `P_B` is the network's.
    pub backward: bool,
    /// Whether the last output is `log F(s)`.
    pub flow: bool,
}

impl Default for Heads {
    /// Two components, a learned `P_B`, no flow.
    fn default() -> Self {
        Self { components: 2, concentrations: Concentrations::default(), backward: true, flow: false }
    }
}

/// One direction's part of a row.
#[derive(Debug, Clone)]
struct Side {
    /// Where the softmax stands.
    choices: Range<usize>,
    /// Where the first mixture stands, the others following it.
    start: usize,
    /// The mixture of each coordinate.
    mixtures: Vec<MixtureLaw>,
}

impl Side {
    fn new(first: usize, choices: usize, domains: &[Domain], heads: Heads) -> Self {
        let law = |domain: &Domain| match domain {
            Domain::Unit => CoordinateLaw::Beta(heads.concentrations),
            Domain::Line => CoordinateLaw::Gaussian,
            Domain::Circle => CoordinateLaw::VonMises,
        };
        let mixture = |domain| MixtureLaw { law: law(domain), components: heads.components };
        Self {
            choices: first..first + choices,
            start: first + choices,
            mixtures: domains.iter().map(mixture).collect(),
        }
    }

    fn end(&self) -> usize {
        self.start + self.mixtures.iter().map(|mixture| mixture.outputs()).sum::<usize>()
    }

    /// The mixtures of some coordinates, and where each stands in a row.
    fn part(&self, coordinates: Range<usize>) -> impl Iterator<Item = (MixtureLaw, Range<usize>)> + '_ {
        coordinates.map(|index| {
            let mixture = self.mixtures[index];
            let first = self.start + index * mixture.outputs();
            (mixture, first..first + mixture.outputs())
        })
    }

    fn prepare(&self, row: &mut [f32], mask: &[bool]) {
        log_softmax(&mut row[self.choices.clone()], mask);
        self.part(0..self.mixtures.len()).for_each(|(mixture, place)| mixture.prepare(&mut row[place]));
    }

    /// `log p` of a choice and of its coordinates.
    fn log_density(&self, row: &[f32], choice: usize, coordinates: Range<usize>, z: &[f64]) -> f64 {
        let parts = self.part(coordinates).zip(z);
        f64::from(row[self.choices.start + choice])
            + parts.map(|((mixture, place), z)| mixture.log_density(&row[place], *z)).sum::<f64>()
    }

    /// Draws coordinates; without a row, those of outputs of 0.
    ///
    /// # Errors
    /// If one is no number.
    fn draw(
        &self,
        row: Option<&[f32]>,
        coordinates: Range<usize>,
        temperature: f64,
        z: &mut [f64],
        stream: &mut Stream<'_>,
    ) -> Result<(), NoLaw> {
        for ((mixture, place), z) in self.part(coordinates).zip(z) {
            *z = match row {
                Some(row) => mixture.draw(&row[place], temperature, stream),
                None => mixture.law.draw_plain(stream),
            };
            if !z.is_finite() {
                return Err(NoLaw);
            }
        }
        Ok(())
    }

    /// Adds `slope` times the slopes of [`Side::log_density`].
    fn add_slopes(
        &self,
        row: &[f32],
        choice: usize,
        coordinates: Range<usize>,
        z: &[f64],
        slope: f64,
        out: &mut [f32],
    ) {
        out[self.choices.start + choice] += slope as f32;
        spread(&row[self.choices.clone()], slope as f32, &mut out[self.choices.clone()]);
        for ((mixture, place), z) in self.part(coordinates).zip(z) {
            mixture.add_slopes(&row[place.clone()], *z, slope, &mut out[place]);
        }
    }
}

/// The policy of a continuous environment.
#[derive(Debug, Clone)]
pub struct ContinuousActions {
    environment: Arc<dyn Continuous>,
    forward: Side,
    /// As the network answers it; not in the row where `P_B` is not learned.
    backward: Side,
    heads: Heads,
}

/// Memory of [`ContinuousActions`].
#[derive(Debug, Default)]
pub struct Work {
    mask: Vec<bool>,
    weights: Vec<f32>,
    z: Vec<f64>,
}

impl Work {
    /// Room for coordinates.
    fn z(&mut self, count: usize) -> &mut [f64] {
        self.z.clear();
        self.z.resize(count, 0.0);
        &mut self.z
    }
}

impl ContinuousActions {
    /// The policy of an environment.
    ///
    /// # Errors
    /// Unless there are from 1 to 1000 components.
    pub fn new(environment: Arc<dyn Continuous>, heads: Heads) -> Result<Self> {
        if !(1..=1000).contains(&heads.components) {
            return Err(Problem::new("policy.components", heads.components.to_string())
                .allowed("an integer from 1 to 1000")
                .into());
        }
        let choices = environment.moves() + usize::from(environment.stops());
        let forward = Side::new(0, choices, &environment.move_domains(), heads);
        let removals = environment.removals();
        let backward = Side::new(forward.end(), removals, &environment.removal_domains(), heads);
        Ok(Self { environment, forward, backward, heads })
    }

    /// The environment.
    pub fn environment(&self) -> &Arc<dyn Continuous> {
        &self.environment
    }

    /// Where `log F` stands, if there is one.
    pub fn flow_place(&self) -> Option<usize> {
        let end = if self.heads.backward { self.backward.end() } else { self.forward.end() };
        self.heads.flow.then_some(end)
    }

    fn mask_forward(&self, state: &[f32], work: &mut Work) {
        let environment = self.environment.as_ref();
        work.mask.clear();
        work.mask.resize(environment.moves(), false);
        environment.allowed(state, &mut work.mask);
        if environment.stops() {
            work.mask.push(environment.is_object(state));
        }
    }

    fn mask_backward(&self, state: &[f32], work: &mut Work) {
        work.mask.clear();
        work.mask.resize(self.environment.removals(), false);
        self.environment.removable(state, &mut work.mask);
    }

    /// `log P_F` of the move to `next`; leaves its coordinates in `work`.
    fn log_forward(&self, state: &[f32], action: usize, next: &[f32], row: &[f32], work: &mut Work) -> f64 {
        let coordinates = self.environment.move_coordinates(action);
        let z = work.z(coordinates.len());
        let log_slope = self.environment.read_move(state, action, next, z);
        self.forward.log_density(row, action, coordinates, z) + log_slope
    }

    /// `log P_B` of the removal to `before`; leaves its coordinates in `work`.
    fn log_backward(
        &self,
        state: &[f32],
        removal: usize,
        before: &[f32],
        row: &[f32],
        work: &mut Work,
    ) -> f64 {
        let coordinates = self.environment.removal_coordinates(removal);
        let z = work.z(coordinates.len());
        let log_slope = self.environment.read_removal(state, removal, before, z);
        if self.heads.backward {
            return self.backward.log_density(row, removal, coordinates, z) + log_slope;
        }
        let laws = self.backward.part(coordinates).zip(z);
        let plain: f64 = laws.map(|((mixture, _), z)| mixture.law.plain_log_density(*z)).sum();
        self.mask_backward(state, work);
        plain + log_slope - (work.mask.iter().filter(|may| **may).count() as f64).ln()
    }
}

impl Policy for ContinuousActions {
    type Cell = f32;
    type Work = Work;

    fn cells(&self) -> usize {
        self.environment.cells()
    }

    fn inputs(&self) -> Inputs {
        Inputs { features: self.environment.features(), dense: self.environment.dense() }
    }

    fn outputs(&self) -> usize {
        let end = if self.heads.backward { self.backward.end() } else { self.forward.end() };
        end + usize::from(self.heads.flow)
    }

    fn longest(&self) -> usize {
        self.environment.longest()
    }

    fn source(&self, state: &mut [f32]) {
        self.environment.source(state);
    }

    fn must_stop(&self, state: &[f32]) -> bool {
        self.environment.is_last(state)
    }

    fn is_object(&self, state: &[f32]) -> bool {
        self.environment.is_object(state)
    }

    fn describe(&self, state: &[f32]) -> String {
        self.environment.describe(state)
    }

    fn reads_last(&self) -> bool {
        self.heads.backward
    }

    fn learns_backward(&self) -> bool {
        self.heads.backward
    }

    fn encode(&self, state: &[f32], on: &mut Vec<u32>, dense: &mut Vec<f32>) {
        self.environment.encode(state, on, dense);
    }

    fn prepare(&self, state: &[f32], row: &mut [f32], work: &mut Work) {
        self.mask_forward(state, work);
        self.forward.prepare(row, &work.mask);
        if self.heads.backward {
            self.mask_backward(state, work);
            self.backward.prepare(row, &work.mask);
        }
    }

    fn draw_forward(
        &self,
        state: &mut [f32],
        row: &[f32],
        behaviour: Behaviour,
        stream: &mut Stream<'_>,
        work: &mut Work,
    ) -> Result<Option<Edge>, NoLaw> {
        let (place, exploration) = (stream.uniform(), stream.uniform());
        let plain = exploration < f64::from(behaviour.epsilon);
        let choices = &row[self.forward.choices.clone()];
        work.weights.resize(choices.len(), 0.0);
        weigh(choices, if plain { 0.0 } else { 1.0 / behaviour.temperature }, &mut work.weights);
        let action = choose(&work.weights, place)?;
        if action >= self.environment.moves() {
            return Ok(None);
        }
        let coordinates = self.environment.move_coordinates(action);
        let z = work.z(coordinates.len());
        let (row, temperature) = ((!plain).then_some(row), f64::from(behaviour.temperature));
        self.forward.draw(row, coordinates, temperature, z, stream)?;
        let removal = self.environment.apply(state, action, z) as u32;
        Ok(Some(Edge { action: action as u32, removal }))
    }

    fn draw_backward(
        &self,
        state: &mut [f32],
        row: &[f32],
        stream: &mut Stream<'_>,
        work: &mut Work,
    ) -> Result<Option<Edge>, NoLaw> {
        self.mask_backward(state, work);
        if !work.mask.contains(&true) {
            return Ok(None);
        }
        work.weights.resize(work.mask.len(), 0.0);
        let row = self.heads.backward.then_some(row);
        match row {
            Some(row) => weigh(&row[self.backward.choices.clone()], 1.0, &mut work.weights),
            None => {
                work.weights.iter_mut().zip(&work.mask).for_each(|(w, may)| *w = f32::from(u8::from(*may)));
            }
        }
        let removal = choose(&work.weights, stream.uniform())?;
        let coordinates = self.environment.removal_coordinates(removal);
        let z = work.z(coordinates.len());
        self.backward.draw(row, coordinates, 1.0, z, stream)?;
        let action = self.environment.undo(state, removal, z) as u32;
        Ok(Some(Edge { action, removal: removal as u32 }))
    }

    fn log_probabilities(&self, visit: Visit<'_, f32>, row: &[f32], work: &mut Work) -> LogProbabilities {
        let environment = self.environment.as_ref();
        let backward = match visit.came {
            Some((edge, before)) => self.log_backward(visit.state, edge.removal as usize, before, row, work),
            None => 0.0,
        };
        let flow = match self.flow_place() {
            Some(place) if !row.is_empty() => f64::from(row[place]),
            _ => 0.0,
        };
        let stop = match row.get(environment.moves()) {
            Some(stop) if environment.stops() => f64::from(*stop),
            _ if environment.is_object(visit.state) => 0.0,
            _ => f64::NEG_INFINITY,
        };
        let forward = match visit.went {
            Some((edge, next)) => self.log_forward(visit.state, edge.action as usize, next, row, work),
            None => stop,
        };
        LogProbabilities { forward, backward, stop, flow }
    }

    fn slopes(
        &self,
        visit: Visit<'_, f32>,
        row: &[f32],
        reference: &[f32],
        slopes: LogProbabilitySlopes,
        out: &mut [f32],
        work: &mut Work,
    ) {
        let environment = self.environment.as_ref();
        if let Some(place) = self.flow_place() {
            out[place] += slopes.flow as f32;
        }
        let mut stop = slopes.stop;
        match visit.went {
            Some((edge, next)) if slopes.forward != 0.0 => {
                let action = edge.action as usize;
                let coordinates = environment.move_coordinates(action);
                let z = work.z(coordinates.len());
                environment.read_move(visit.state, action, next, z);
                self.forward.add_slopes(row, action, coordinates, z, slopes.forward, out);
            }
            Some(_) => {}
            None => stop += slopes.forward,
        }
        if environment.stops() && stop != 0.0 {
            self.forward.add_slopes(row, environment.moves(), 0..0, &[], stop, out);
        }
        if slopes.divergence != 0.0 {
            self.add_divergence_slopes(row, reference, slopes.divergence, out);
        }
        if slopes.backward != 0.0
            && let (true, Some((edge, before))) = (self.heads.backward, visit.came)
        {
            let removal = edge.removal as usize;
            let coordinates = environment.removal_coordinates(removal);
            let z = work.z(coordinates.len());
            environment.read_removal(visit.state, removal, before, z);
            self.backward.add_slopes(row, removal, coordinates, z, slopes.backward, out);
        }
    }

    /// `sum_a p_a (ln p_a / q_a + sum_i KL(p_i || q_i))`, over the coordinates of each move by quadrature.
    fn divergence(&self, row: &[f32], reference: &[f32]) -> f64 {
        let possible = self.possible(row);
        possible.map(|(action, chance)| chance * self.excess(row, reference, action)).sum()
    }
}

impl ContinuousActions {
    /// The moves, and stopping, that are possible at a row, with their chances.
    fn possible<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = (usize, f64)> + 'a {
        let choices = row[self.forward.choices.clone()].iter().enumerate();
        choices.map(|(action, log)| (action, f64::from(*log).exp())).filter(|(_, chance)| *chance > 0.0)
    }

    fn coordinates(&self, action: usize) -> Range<usize> {
        if action < self.environment.moves() { self.environment.move_coordinates(action) } else { 0..0 }
    }

    /// `ln p_a / q_a` of an action, and the divergences of its coordinates.
    fn excess(&self, row: &[f32], reference: &[f32], action: usize) -> f64 {
        let at = self.forward.choices.start + action;
        let parts = self.forward.part(self.coordinates(action));
        f64::from(row[at]) - f64::from(reference[at])
            + parts
                .map(|(mixture, place)| mixture.divergence(&row[place.clone()], &reference[place]))
                .sum::<f64>()
    }

    fn add_divergence_slopes(&self, row: &[f32], reference: &[f32], slope: f64, out: &mut [f32]) {
        let mean = self.divergence(row, reference);
        for (action, chance) in self.possible(row) {
            let excess = self.excess(row, reference, action);
            out[self.forward.choices.start + action] += (slope * chance * (excess - mean)) as f32;
            for (mixture, place) in self.forward.part(self.coordinates(action)) {
                let (own, other) = (&row[place.clone()], &reference[place.clone()]);
                let divergence = mixture.divergence(own, other);
                let to = &mut out[place];
                mixture.add_divergence_slopes(own, other, divergence, slope * chance, to);
            }
        }
    }
}
