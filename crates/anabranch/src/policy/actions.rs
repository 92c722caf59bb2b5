//! Masked softmax policies over the moves and removals of an environment.
//!
//! ```text
//! row  =  [ moves | stop, if it is a choice | removals, if P_B is learned | log F, if it is needed ]
//! log P_F(a | s) = l_a - log sum_{possible a'} exp(l_a'),     impossible: -inf
//! d log P_F(a | s) / d l_j = 1[j = a] - P_F(j | s)
//! ```

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::softmax::{choose, log_softmax, spread, weigh};
use super::{Behaviour, LogProbabilities, LogProbabilitySlopes, NoLaw, Policy, Visit, unit};
use crate::array::math::exp;
use crate::environment::{Ahead, Cell, Edge, Environment, States};
use crate::error::{Problem, Result};
use crate::math::Risk;
use crate::network::taped::Inputs;
use crate::rng::Stream;

/// Which law the removals follow.
#[derive(Debug, Clone)]
pub enum BackwardPolicy {
    /// Every possible removal alike.
    Uniform,
    /// The network's.
    Learned,
    /// That of edge flows, `F(parent -> s) / sum_p F(p -> s)`: what a policy of balanced flows has anyway. It takes what the
    /// network says of all parents ([`Policy::implied`]).
    Implied,
    /// `n(parent) / n(s)` with `n` the number of ways from the source: every way to `x` alike (Mohammadpour et al. 2024).
    MaximumEntropy(Ways),
}

/// The numbers of ways `log n(s)`.
#[derive(Debug, Clone)]
pub enum Ways {
    /// By the environment's closed form.
    Closed,
    /// By enumeration.
    Counted(Arc<HashMap<Box<[Cell]>, f64>>),
}

impl Ways {
    /// The closed form where the environment has one, else counts over at most `limit` states.
    ///
    /// # Errors
    /// If there are more states.
    pub fn of(environment: &dyn Environment, limit: usize) -> Result<Self> {
        if environment.cyclic() {
            return Err(Problem::new("policy.backward", "\"maximum-entropy\" where walks can come back")
                .allowed("uniform, learned")
                .into());
        }
        let mut source = vec![0; environment.cells()];
        environment.source(&mut source);
        if environment.log_paths(&source).is_some() {
            return Ok(Self::Closed);
        }
        let states = States::of(environment, limit).map_err(|_| {
            Problem::new("policy.backward", "\"maximum-entropy\" on more states than can be counted")
                .allowed(format!("uniform, learned; or an environment of at most {limit} states"))
        })?;
        let mut ways = vec![0.0; states.len()];
        for i in 1..states.len() {
            let parents: Vec<f64> =
                states.parents(i).iter().map(|(parent, _)| ways[*parent as usize]).collect();
            ways[i] = crate::math::log_sum_exp(&parents);
        }
        Ok(Self::Counted(Arc::new((0..states.len()).map(|i| (states.state(i).into(), ways[i])).collect())))
    }

    fn at(&self, environment: &dyn Environment, state: &[Cell]) -> f64 {
        match self {
            Self::Closed => environment.log_paths(state).unwrap_or(0.0),
            Self::Counted(ways) => ways.get(state).copied().unwrap_or(0.0),
        }
    }
}

/// Where `log F` comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FlowHead {
    /// No objective reads it.
    None,
    /// The network's last output.
    Output,
    /// The logarithm of the sum of the exponentiated logits: logits are then edge flows, or soft Q-values. Where the environment
    /// itself moves it is the network's last output, of which each move has the share that the environment says.
    Logits,
    /// The same of logits that are a risk measure of random edge flows, whose log-quantiles are the network's last outputs.
    Quantiles {
        /// How many quantiles each flow has.
        count: usize,
        /// How they are weighed.
        risk: Risk,
    },
}

/// The masked softmax policy of an environment.
#[derive(Debug, Clone)]
pub struct Actions {
    environment: Arc<dyn Environment>,
    backward: BackwardPolicy,
    flow: FlowHead,
}

/// Memory of [`Actions`].
#[derive(Debug, Default)]
pub struct Work {
    mask: Vec<bool>,
    weights: Vec<f32>,
    state: Vec<Cell>,
}

impl Actions {
    /// The policy of an environment.
    ///
    /// # Panics
    /// If the backward policy is that of edge flows, and there are none.
    pub fn new(environment: Arc<dyn Environment>, backward: BackwardPolicy, flow: FlowHead) -> Self {
        let of_edges = matches!(flow, FlowHead::Logits | FlowHead::Quantiles { .. });
        assert!(of_edges || !matches!(backward, BackwardPolicy::Implied), "edges have flows");
        Self { environment, backward, flow }
    }

    /// The environment.
    pub fn environment(&self) -> &Arc<dyn Environment> {
        &self.environment
    }

    /// The moves and, if it is a choice, stopping.
    pub fn forward_range(&self) -> Range<usize> {
        0..self.environment.moves() + usize::from(self.environment.stops())
    }

    /// The removals; none where `P_B` is not learned.
    pub fn backward_range(&self) -> Range<usize> {
        let start = self.forward_range().end;
        start..start + if self.learns_backward() { self.environment.removals() } else { 0 }
    }

    /// Where `log F` stands, if there is one.
    pub fn flow_place(&self) -> Option<usize> {
        (self.flow != FlowHead::None).then(|| self.backward_range().end)
    }

    fn mask_forward(&self, state: &[Cell], work: &mut Work) {
        let environment = self.environment.as_ref();
        work.mask.resize(environment.moves(), false);
        environment.allowed(state, &mut work.mask);
        if environment.stops() {
            work.mask.push(environment.is_object(state));
        }
    }

    fn mask_backward(&self, state: &[Cell], work: &mut Work) {
        work.mask.resize(self.environment.removals(), false);
        self.environment.removable(state, &mut work.mask);
    }

    /// Whether the environment itself moves at a state.
    fn chance(&self, state: &[Cell], work: &mut Work) -> bool {
        work.weights.resize(self.environment.moves(), 0.0);
        self.environment.chance(state, &mut work.weights)
    }

    /// Draws an action; the one behind all moves is stopping.
    fn choose_action(
        &self,
        state: &[Cell],
        row: &[f32],
        behaviour: Behaviour,
        stream: &mut Stream<'_>,
        work: &mut Work,
    ) -> Result<usize, NoLaw> {
        let row = &row[self.forward_range()];
        let (place, exploration) = (unit(stream.word()), unit(stream.word()));
        // Exploration does not change what the environment itself does.
        let inverse = match self.chance(state, work) {
            true => 1.0,
            false if exploration < f64::from(behaviour.epsilon) => 0.0,
            false => 1.0 / behaviour.temperature,
        };
        work.weights.resize(row.len(), 0.0);
        weigh(row, inverse, &mut work.weights);
        choose(&work.weights, place)
    }

    /// Draws a removal; none is at the source.
    fn choose_removal(
        &self,
        state: &[Cell],
        row: &[f32],
        stream: &mut Stream<'_>,
        work: &mut Work,
    ) -> Result<Option<usize>, NoLaw> {
        self.mask_backward(state, work);
        if !work.mask.contains(&true) {
            return Ok(None);
        }
        work.weights.resize(work.mask.len(), 0.0);
        match &self.backward {
            BackwardPolicy::Learned => {
                weigh(&row[self.backward_range()], 1.0, &mut work.weights);
            }
            BackwardPolicy::Implied => weigh(row, 1.0, &mut work.weights),
            BackwardPolicy::Uniform => {
                work.weights
                    .iter_mut()
                    .zip(&work.mask)
                    .for_each(|(w, may)| *w = if *may { 1.0 } else { 0.0 });
            }
            BackwardPolicy::MaximumEntropy(ways) => {
                let environment = self.environment.as_ref();
                let here = ways.at(environment, state);
                work.state.resize(state.len(), 0);
                for removal in 0..work.mask.len() {
                    work.weights[removal] = 0.0;
                    if work.mask[removal] {
                        work.state.copy_from_slice(state);
                        environment.undo(&mut work.state, removal);
                        work.weights[removal] = (ways.at(environment, &work.state) - here).exp() as f32;
                    }
                }
            }
        }
        choose(&work.weights, unit(stream.word())).map(Some)
    }

    /// `log P_B` of the removal at a state.
    fn log_backward(&self, state: &[Cell], edge: Edge, before: &[Cell], row: &[f32], work: &mut Work) -> f64 {
        match &self.backward {
            BackwardPolicy::Learned => f64::from(row[self.backward_range()][edge.removal as usize]),
            // The state alone does not say it.
            BackwardPolicy::Implied => f64::NAN,
            BackwardPolicy::Uniform => {
                self.mask_backward(state, work);
                -(work.mask.iter().filter(|may| **may).count() as f64).ln()
            }
            BackwardPolicy::MaximumEntropy(ways) => {
                let environment = self.environment.as_ref();
                ways.at(environment, before) - ways.at(environment, state)
            }
        }
    }
}

impl Policy for Actions {
    type Cell = Cell;
    type Work = Work;

    fn cells(&self) -> usize {
        self.environment.cells()
    }

    fn inputs(&self) -> Inputs {
        Inputs { features: self.environment.features(), dense: 0 }
    }

    fn outputs(&self) -> usize {
        let known = self.backward_range().end + usize::from(self.flow != FlowHead::None);
        known + self.quantiles() * self.forward_range().len()
    }

    fn longest(&self) -> usize {
        self.environment.longest()
    }

    fn cyclic(&self) -> bool {
        self.environment.cyclic()
    }

    fn source(&self, state: &mut [Cell]) {
        self.environment.source(state);
    }

    fn is_start(&self, state: &[Cell], work: &mut Work) -> bool {
        self.mask_backward(state, work);
        !work.mask.contains(&true)
    }

    fn must_stop(&self, state: &[Cell]) -> bool {
        !self.environment.stops() && self.environment.is_object(state)
    }

    fn reads_last(&self) -> bool {
        self.learns_backward()
    }

    fn learns_backward(&self) -> bool {
        matches!(self.backward, BackwardPolicy::Learned)
    }

    fn implied(&self) -> Option<usize> {
        matches!(self.backward, BackwardPolicy::Implied).then(|| self.environment.removals())
    }

    fn encode(&self, state: &[Cell], on: &mut Vec<u32>, _dense: &mut Vec<f32>) {
        self.environment.encode(state, on);
    }

    fn prepare(&self, state: &[Cell], row: &mut [f32], work: &mut Work) {
        let moves = self.environment.moves();
        if let FlowHead::Quantiles { risk, .. } = self.flow {
            for action in self.forward_range() {
                row[action] = risk.log_flow(&row[self.quantile_range(action)]) as f32;
            }
        }
        if self.environment.chance(state, &mut row[..moves]) {
            row[moves..self.forward_range().end].fill(f32::NEG_INFINITY);
        } else {
            self.mask_forward(state, work);
            let total = log_softmax(&mut row[self.forward_range()], &work.mask);
            if matches!(self.flow, FlowHead::Logits | FlowHead::Quantiles { .. })
                && let Some(place) = self.flow_place()
            {
                row[place] = total;
            }
        }
        if self.learns_backward() {
            self.mask_backward(state, work);
            log_softmax(&mut row[self.backward_range()], &work.mask);
        }
    }

    fn draw_forward(
        &self,
        state: &mut [Cell],
        row: &[f32],
        behaviour: Behaviour,
        stream: &mut Stream<'_>,
        work: &mut Work,
    ) -> Result<Option<Edge>, NoLaw> {
        let action = self.choose_action(state, row, behaviour, stream, work)?;
        Ok((action < self.environment.moves()).then(|| {
            let removal = self.environment.apply(state, action) as u32;
            Edge { action: action as u32, removal }
        }))
    }

    fn draw_backward(
        &self,
        state: &mut [Cell],
        row: &[f32],
        stream: &mut Stream<'_>,
        work: &mut Work,
    ) -> Result<Option<Edge>, NoLaw> {
        let Some(removal) = self.choose_removal(state, row, stream, work)? else { return Ok(None) };
        let action = self.environment.undo(state, removal) as u32;
        Ok(Some(Edge { action, removal: removal as u32 }))
    }

    fn foresees(&self) -> bool {
        self.environment.foresees()
    }

    fn foresee(&self, states: &[Cell], ahead: Ahead<'_>) {
        // Removals are then weighed by what stands before each of them.
        let ahead = match (&self.backward, ahead) {
            (BackwardPolicy::MaximumEntropy(_), Ahead::Here) => Ahead::AllRemovals,
            (_, ahead) => ahead,
        };
        self.environment.foresee(states, ahead);
    }

    fn next_move(
        &self,
        state: &[Cell],
        row: &[f32],
        behaviour: Behaviour,
        stream: &mut Stream<'_>,
        work: &mut Work,
    ) -> Option<u32> {
        let action = self.choose_action(state, row, behaviour, stream, work).ok()?;
        (action < self.environment.moves()).then_some(action as u32)
    }

    fn next_removal(
        &self,
        state: &[Cell],
        row: &[f32],
        stream: &mut Stream<'_>,
        work: &mut Work,
    ) -> Option<u32> {
        self.choose_removal(state, row, stream, work).ok()?.map(|removal| removal as u32)
    }

    fn failure(&self) -> Option<Problem> {
        self.environment.failure()
    }

    fn log_probabilities(&self, visit: Visit<'_, Cell>, row: &[f32], work: &mut Work) -> LogProbabilities {
        let environment = self.environment.as_ref();
        let backward = match visit.came {
            Some((edge, before)) => self.log_backward(visit.state, edge, before, row, work),
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
            Some((edge, _)) => f64::from(row[edge.action as usize]),
            None => stop,
        };
        LogProbabilities { forward, backward, stop, flow }
    }

    fn slopes(
        &self,
        visit: Visit<'_, Cell>,
        row: &[f32],
        reference: &[f32],
        slopes: LogProbabilitySlopes,
        out: &mut [f32],
        work: &mut Work,
    ) {
        let environment = self.environment.as_ref();
        let chance = self.chance(visit.state, work);
        let place = if environment.stops() { Some(environment.moves()) } else { None };
        let forward = self.forward_range();
        let went = visit.went.map_or(place, |(edge, _)| Some(edge.action as usize));
        let mut total = 0.0;
        for (place, slope) in [(went, slopes.forward), (place, slopes.stop)] {
            if let Some(place) = place
                && slope != 0.0
                && !chance
            {
                out[place] += slope as f32;
                total += slope as f32;
            }
        }
        if let Some(place) = self.flow_place() {
            match self.flow {
                FlowHead::Logits if !chance => total -= slopes.flow as f32,
                _ => out[place] += slopes.flow as f32,
            }
        }
        if total != 0.0 {
            spread(&row[forward.clone()], total, &mut out[forward.clone()]);
        }
        if slopes.divergence != 0.0 && !chance {
            let mean = self.divergence(row, reference) as f32;
            let pairs = row[forward.clone()].iter().zip(&reference[forward.clone()]).zip(&mut out[forward]);
            for ((own, other), out) in pairs.filter(|((own, _), _)| exp(**own) != 0.0) {
                *out += slopes.divergence as f32 * exp(*own) * (own - other - mean);
            }
        }
        if slopes.backward != 0.0
            && let (true, Some((edge, _))) = (self.learns_backward(), visit.came)
        {
            let range = self.backward_range();
            let (row, out) = (&row[range.clone()], &mut out[range]);
            let slope = slopes.backward as f32;
            work.weights.clear();
            out[edge.removal as usize] += slope;
            spread(row, slope, out);
        }
    }

    fn moves(&self) -> usize {
        self.environment.moves()
    }

    fn quantiles(&self) -> usize {
        match self.flow {
            FlowHead::Quantiles { count, .. } => count,
            _ => 0,
        }
    }

    fn quantile_range(&self, action: usize) -> Range<usize> {
        let (count, forward) = (self.quantiles(), self.forward_range().len());
        let start = self.outputs() - count * (forward - action);
        start..start + count
    }

    fn parents(&self, state: &[Cell], work: &mut Work, each: &mut dyn FnMut(&[Cell], Edge)) {
        self.mask_backward(state, work);
        work.state.resize(state.len(), 0);
        for removal in (0..work.mask.len()).filter(|removal| work.mask[*removal]) {
            work.state.copy_from_slice(state);
            let action = self.environment.undo(&mut work.state, removal) as u32;
            each(&work.state, Edge { action, removal: removal as u32 });
        }
    }

    fn is_object(&self, state: &[Cell]) -> bool {
        self.environment.is_object(state)
    }

    fn all_objects(&self) -> bool {
        self.environment.all_objects()
    }

    fn describe(&self, state: &[Cell]) -> String {
        self.environment.describe(state)
    }

    fn divergence(&self, row: &[f32], reference: &[f32]) -> f64 {
        let range = self.forward_range();
        let pairs = row[range.clone()].iter().zip(&reference[range]);
        let possible = pairs.map(|(own, other)| (f64::from(exp(*own)), f64::from(own - other)));
        possible.filter(|(chance, _)| *chance != 0.0).map(|(chance, excess)| chance * excess).sum()
    }
}
