//! Energy-based flow networks: an energy and a flow network that samples it, trained together (EB-GFN).
//!
//! ```text
//! s_0 all sites empty,  s_t one site more set,  s_D = x        P_F(site, value | s),   P_B: every site that is set alike
//! log w = log R(x) + sum_t [log P_B - log P_F],                log p(x) of the flow network = log mean_k exp(log P_F - log P_B)
//! flow network   trajectory balance with R = exp(-E), from its own draws and backward from data, a share `back_ratio` of them
//! energy         mean log R(y) - mean log R(x),    y: data x with K sites erased by P_B and set anew by P_F, accepted or not
//! K              from 1 to D along a line
//! ```
//!
//! Accepted by Metropolis' rule or Barker's, the negatives leave the energy's law invariant whatever the flow network; a good one makes
//! them independent of the data. As a chain the segment is the flow network alone: its steps have both densities, so that likelihoods by
//! backward trajectories are those of any chain. An empty site stands as the value behind the last one.
//!
//! Zhang, Malkin, Liu, Volokhova, Courville and Bengio, "Generative flow networks for discrete probabilistic modeling" (2022).

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Annealed;
use crate::array::weights::{Weights, matrix, to_vec};
use crate::chain::{Densities, Given, LogWeight, Score, Source, State, Step, Transition};
use crate::environment::{Cell, Growth, Strings};
use crate::error::{Failure, Result};
use crate::kernel::discrete_mcmc::drawn;
use crate::model::Segment;
use crate::model::gflownet::GFlowNet;
use crate::network::taped::{Mlp, NONE, Tape, TapedNetwork as _};
use crate::policy::{Actions, BackwardPolicy, FlowHead, Policy};
use crate::rng::{Noise, Purpose};

/// When a negative takes the place of its datum, by the log-ratio `r` of the move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AcceptanceRule {
    /// With probability `min(1, e^r)`.
    Metropolis,
    /// With probability `1 / (1 + e^-r)`.
    Barker,
}

/// How the two learn from each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The share of a step's trajectories that are walked backward from data.
    pub back_ratio: f64,
    /// When a negative takes the place of its datum.
    pub acceptance: AcceptanceRule,
    /// Steps over which the number of erased sites grows from 1 to all.
    pub warm_up: u64,
    /// The energy's learning rate over the flow network's.
    pub energy_rate: f64,
}

/// An energy and a flow network that samples it.
#[derive(Debug, Clone)]
pub struct FlowNetwork {
    /// The energy.
    pub energy: Annealed,
    /// The policy's network.
    pub network: Arc<Mlp>,
    /// Its weights.
    pub weights: Weights,
    /// How they learn.
    pub settings: Settings,
    policy: Actions,
}

/// The policy over sites that are set in any order, each to one of so many values.
///
/// # Errors
/// If there are too many sites or values.
pub fn policy(sites: usize, values: usize) -> Result<Actions> {
    let letters: Vec<String> = (0..values).map(|value| value.to_string()).collect();
    let environment = Strings::new(&letters, sites..=sites, Growth::Anywhere)?;
    Ok(Actions::new(Arc::new(environment), BackwardPolicy::Uniform, FlowHead::None))
}

/// States of the chain as cells: 0 where a site is empty, else one more than its value.
fn cells(state: &State, values: usize) -> Vec<Cell> {
    let cell = |x: f32| if x as usize == values { 0 } else { x as Cell + 1 };
    to_vec(state.clone()).into_iter().map(cell).collect()
}

fn numbers(values: Vec<f64>) -> LogWeight {
    let rows = values.len();
    Tensor::from_data(TensorData::new(values, [rows]), (&Device::flex(), DType::F64))
}

impl FlowNetwork {
    /// The two with their first weights.
    pub fn new(
        energy: Annealed,
        policy: Actions,
        network: Mlp,
        weights: Weights,
        settings: Settings,
    ) -> Self {
        Self { energy, network: Arc::new(network), weights, settings, policy }
    }

    /// The flow network.
    pub fn flow(&self) -> GFlowNet<Actions> {
        GFlowNet { policy: self.policy.clone(), network: self.network.clone() }
    }

    fn sites(&self) -> usize {
        self.policy.cells()
    }
}

impl Segment for FlowNetwork {
    fn kind(&self) -> &'static str {
        "energy-flow-network"
    }

    fn inner_dimension(&self) -> usize {
        self.sites()
    }

    fn outer_dimension(&self) -> usize {
        self.sites()
    }

    fn steps(&self) -> usize {
        self.sites()
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        let weights: Arc<[f32]> = self.weights.values().into();
        let step = |_| Box::new(SetSite { network: self, weights: weights.clone() }) as Box<dyn Transition>;
        (0..self.sites()).map(step).collect()
    }

    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::new(Empty { sites: self.sites(), values: self.energy.values }))
    }

    fn weights(&self) -> Vec<&Weights> {
        let mut all = vec![&self.weights];
        all.extend(self.energy.weights());
        all
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        let mut all = vec![&mut self.weights];
        all.extend(self.energy.weights_mut());
        all
    }

    fn as_flow_network(&self) -> Option<&FlowNetwork> {
        Some(self)
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}

/// All sites empty.
#[derive(Debug)]
struct Empty {
    sites: usize,
    values: usize,
}

impl Source for Empty {
    fn sample(&self, rows: usize, _: &Given, _: &Noise) -> Result<State, Failure> {
        Ok(Tensor::full([rows, self.sites], self.values as f32, &Device::flex()))
    }

    fn log_density(&self, state: &State, _: &Given) -> Result<LogWeight, Failure> {
        let empty = |row: &[f32]| row.iter().all(|x| *x as usize == self.values);
        let log_mass = |row: &[f32]| if empty(row) { 0.0 } else { f64::NEG_INFINITY };
        Ok(numbers(to_vec(state.clone()).chunks_exact(self.sites).map(log_mass).collect()))
    }
}

/// Rows that the network answers together.
const CHUNK: usize = 128;

/// The step that sets one more site.
struct SetSite<'a> {
    network: &'a FlowNetwork,
    weights: Arc<[f32]>,
}

impl SetSite<'_> {
    /// `log P_F` of every move at each state, `[rows, sites * values]`, `-inf` where a site is set.
    fn log_policy(&self, states: &[Cell]) -> Vec<f32> {
        let FlowNetwork { policy, network, .. } = self.network;
        let (sites, evaluator) = (policy.cells(), network.with(&self.weights));
        let answer = |states: &[Cell]| {
            let (mut tape, mut work) = (Tape::default(), <Actions as Policy>::Work::default());
            for state in states.chunks_exact(sites) {
                tape.push(NONE, |on, dense| policy.encode(state, on, dense));
            }
            evaluator.evaluate(&mut tape, 0);
            let mut all = Vec::with_capacity(states.len() * self.network.energy.values);
            for (row, state) in states.chunks_exact(sites).enumerate() {
                policy.prepare(state, tape.output_mut(row, policy.outputs()), &mut work);
                all.extend_from_slice(&tape.output(row, policy.outputs())[..policy.moves()]);
            }
            all
        };
        states.par_chunks(CHUNK * sites).map(answer).collect::<Vec<Vec<f32>>>().concat()
    }

    /// Both densities of the steps between two batches, with what the network says of the first one.
    fn densities(&self, before: &[Cell], after: &[Cell], log_policy: &[f32]) -> Densities {
        let (sites, values) = (self.network.sites(), self.network.energy.values);
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        let rows = before.chunks_exact(sites).zip(after.chunks_exact(sites));
        for ((before, after), log_policy) in rows.zip(log_policy.chunks_exact(sites * values)) {
            let mut changed = (0..sites).filter(|site| before[*site] != after[*site]);
            let (site, another) = (changed.next(), changed.next());
            let set = site.filter(|site| another.is_none() && before[*site] == 0);
            let log_mass = |site: usize| f64::from(log_policy[site * values + usize::from(after[site]) - 1]);
            forward.push(set.map_or(f64::NEG_INFINITY, log_mass));
            let there = after.iter().filter(|cell| **cell > 0).count() as f64;
            backward.push(set.map_or(f64::NEG_INFINITY, |_| -there.ln()));
        }
        Densities { forward: numbers(forward), backward: numbers(backward) }
    }

    fn state(&self, cells: &[Cell]) -> State {
        let values = self.network.energy.values;
        let float = |cell: &Cell| if *cell == 0 { values as f32 } else { f32::from(*cell - 1) };
        matrix(cells.iter().map(float).collect(), self.network.sites(), &Device::flex())
    }

    /// The next states, and what the network said of those before.
    fn walk(&self, before: &[Cell], noise: &Noise) -> (Vec<Cell>, Vec<f32>) {
        let (sites, values) = (self.network.sites(), self.network.energy.values);
        let (log_policy, mut after) = (self.log_policy(before), before.to_vec());
        let mut masses = vec![0.0; sites * values];
        for (row, state) in after.chunks_exact_mut(sites).enumerate() {
            let said = &log_policy[row * sites * values..][..sites * values];
            masses.iter_mut().zip(said).for_each(|(mass, log)| *mass = f64::from(*log));
            let at = drawn(&mut masses, noise.stream(row).uniform());
            state[at / values] = (at % values) as Cell + 1;
        }
        (after, log_policy)
    }
}

impl Transition for SetSite<'_> {
    fn forward(&self, from: State, _: &Given, noise: &Noise) -> Result<Step, Failure> {
        let before = cells(&from, self.network.energy.values);
        let (after, log_policy) = self.walk(&before, noise);
        Ok(self.densities(&before, &after, &log_policy).forward_step(self.state(&after)))
    }

    fn backward(&self, from: State, _: &Given, noise: &Noise) -> Result<Step, Failure> {
        let after = cells(&from, self.network.energy.values);
        let (mut before, noise) = (after.clone(), noise.purpose(Purpose::Backward));
        for (row, state) in before.chunks_exact_mut(self.network.sites()).enumerate() {
            let there: Vec<usize> = (0..state.len()).filter(|site| state[*site] > 0).collect();
            if !there.is_empty() {
                state[there[noise.from_row(row).below(0, there.len())]] = 0;
            }
        }
        let densities = self.densities(&before, &after, &self.log_policy(&before));
        Ok(densities.backward_step(self.state(&before)))
    }

    fn sample(&self, from: State, _: &Given, noise: &Noise) -> Result<State, Failure> {
        Ok(self.state(&self.walk(&cells(&from, self.network.energy.values), noise).0))
    }

    fn score(&self, before: &State, after: &State, _: &Given) -> Result<Score, Failure> {
        let [before, after] = [before, after].map(|state| cells(state, self.network.energy.values));
        Ok(Score::Densities(self.densities(&before, &after, &self.log_policy(&before))))
    }
}
