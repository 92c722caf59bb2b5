//! Learning an energy and a flow network that samples it, in turn ([`FlowNetwork`]).
//!
//! ```text
//! every step   the flow network   trajectory balance against the energy as it is
//!              the energy         data against negatives of the flow network as it is
//! ```
//!
//! Both moves of a step see the weights of its beginning. Nothing is kept from step to step but the weights.

use std::sync::Arc;

use super::energy::EnergyTask;
use super::epochs::Epochs;
use super::gflownet::exploration::{DataSettings, Exploration};
use super::gflownet::{FlowLearner, Settings};
use super::learner::{Learner, Player, Rule};
use super::{Trainer, TrainingRecipe};
use crate::array::weights::Weights;
use crate::environment::Cell;
use crate::error::{Failure, Result};
use crate::model::energy::Annealed;
use crate::model::energy::flow_network::{AcceptanceRule, FlowNetwork};
use crate::model::gflownet::GFlowNet;
use crate::objective::energy::contrast;
use crate::objective::{Objective, TrajectoryBalance};
use crate::policy::Actions;
use crate::rng::{Address, Counted, Noise, Purpose};
use crate::sampler::back_and_forth::{Acceptance, BackAndForth, Particles, Removals};
use crate::target::Target;
use crate::target::learned::Energy;

/// The two in training.
pub struct EnergyFlowLearner<'a> {
    task: EnergyTask<'a>,
    pair: FlowNetwork,
    flow: GFlowNet<Actions>,
    learner: FlowLearner<Actions>,
    epochs: Epochs,
    search: BackAndForth<Actions>,
    /// Negatives that were accepted, of all of them.
    accepted: u64,
}

/// An energy as the reward of a flow network.
struct EnergyReward(Box<dyn Energy>);

impl std::fmt::Debug for EnergyReward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnergyReward")
    }
}

/// Objects as states of the energy.
fn states(objects: &[Cell]) -> Vec<u8> {
    objects.iter().map(|cell| (cell - 1) as u8).collect()
}

fn objects(states: &[u8]) -> Vec<Cell> {
    states.iter().map(|value| Cell::from(*value) + 1).collect()
}

impl Target<Cell> for EnergyReward {
    fn log_rewards(&self, objects: &[Cell], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        self.0.log_density(&states(objects), out);
        Ok(())
    }
}

impl<'a> Trainer<EnergyFlowLearner<'a>> {
    /// A run at its first step.
    ///
    /// # Errors
    /// If the batch has no trajectory of the flow network's own.
    ///
    /// # Panics
    /// If the model is no energy with a flow network.
    pub fn of_energy_flow(task: EnergyTask<'a>) -> Result<Self> {
        let pair = task.model.segments()[0].as_flow_network().expect("an energy with a flow network").clone();
        let (training, optimizer, seed) = (task.training.clone(), task.optimizer.clone(), task.seed);
        let back = (pair.settings.back_ratio * training.batch as f64).round() as usize;
        let back = back.min(training.batch.saturating_sub(1));
        let data = DataSettings { objects: Arc::new(objects(&task.rows)), batch: back };
        let settings = Settings {
            training: TrainingRecipe { batch: training.batch - back, ..training.clone() },
            optimizer: optimizer.clone(),
            objective: Objective::Paths(Arc::new(TrajectoryBalance::default())),
            exploration: Exploration { data: Some(data).filter(|_| back > 0), ..Exploration::default() },
            conditions: None,
            sources: None,
            prior: None,
            start: None,
        };
        let flow = pair.flow();
        let reward = Arc::new(EnergyReward(pair.energy.energy()));
        let learner = FlowLearner::new(flow.clone(), reward, settings, seed)?;
        let (epochs, search) = (Epochs::default(), BackAndForth::default());
        let learner = EnergyFlowLearner { task, pair, flow, learner, epochs, search, accepted: 0 };
        Ok(Self::start(learner, training, optimizer, seed))
    }
}

/// The places of the players.
const POLICY: usize = 0;
const ENERGY: usize = 1;
const LOG_Z: usize = 3;

impl EnergyFlowLearner<'_> {
    fn annealed(&self) -> &Annealed {
        &self.pair.energy
    }

    /// How many sites are erased at a step.
    fn erased(&self, step: u64) -> u32 {
        let (sites, warm_up) = (self.task.model.dimension() as f64, self.pair.settings.warm_up);
        let share = if step >= warm_up { 1.0 } else { step as f64 / warm_up as f64 };
        (1.0 + (sites - 1.0) * share).round() as u32
    }

    /// Data of the step.
    fn data(&mut self, step: u64) -> Vec<u8> {
        let (sites, batch, seed) = (self.task.model.dimension(), self.task.training.batch, self.task.seed);
        let numbers = self.epochs.batch(self.task.rows.len() / sites, batch, step, seed);
        self.task.batch(&numbers, step)
    }

    /// The negatives that the flow network makes of data.
    fn negatives(
        &mut self,
        policy: &[f32],
        reward: &EnergyReward,
        data: &[u8],
        step: u64,
    ) -> Result<Vec<u8>, Failure> {
        let (batch, seed) = (self.task.training.batch, self.task.seed);
        let (mut moved, mut log_rewards) = (objects(data), vec![0.0; batch]);
        reward.0.log_density(data, &mut log_rewards);
        let particles = Particles { objects: &mut moved, log_rewards: &mut log_rewards, conditions: &[] };
        let acceptance = match self.pair.settings.acceptance {
            AcceptanceRule::Metropolis => Acceptance::MetropolisHastings,
            AcceptanceRule::Barker => Acceptance::Barker,
        };
        let removals = Removals::Exactly(self.erased(step));
        let noise = Noise::new(seed, Purpose::Local).at(Address::of_step(Counted::Search, step, batch));
        let evaluator = self.flow.network.with(policy);
        let GFlowNet { policy, .. } = &self.flow;
        let accepted =
            self.search.round(policy, evaluator.as_ref(), reward, particles, removals, acceptance, &noise)?;
        self.accepted += accepted as u64;
        Ok(states(&moved))
    }
}

impl Learner for EnergyFlowLearner<'_> {
    fn players(&self) -> Vec<Player> {
        let rate = self.pair.settings.energy_rate;
        let of = |weights: &Weights| Player::model(weights.name(), weights.values(), weights.slots());
        let rule = Rule::Loss { factor: rate };
        let energy = Player { rule, ..of(&self.annealed().weights) };
        let optimizer = &self.task.optimizer;
        let log_z = Player::log_z(optimizer.log_z_rate / optimizer.learning_rate);
        vec![of(&self.pair.weights), energy, of(&self.annealed().base), log_z]
    }

    fn threads(&self) -> usize {
        self.learner.threads()
    }

    fn learn(
        &mut self,
        weights: &mut [Vec<f32>],
        step: u64,
        epoch: u64,
        gradients: &mut [Option<Vec<f32>>],
    ) -> Result<f64, Failure> {
        let family = self.annealed().family();
        let reward = Arc::new(EnergyReward(family.with(&weights[ENERGY])));
        self.learner.set_reward(reward.clone());
        let data = self.data(step);
        if self.task.chances.is_some() {
            // Trajectories from data start at rows that were drawn afresh, too.
            self.learner.set_data(objects(&data));
        }
        let mut of_flow = [POLICY, LOG_Z].map(|place| std::mem::take(&mut weights[place]));
        let mut slopes = [POLICY, LOG_Z].map(|place| gradients[place].take());
        let loss = self.learner.learn(&mut of_flow, step, epoch, &mut slopes);
        for (place, (own, slopes)) in [POLICY, LOG_Z].into_iter().zip(of_flow.into_iter().zip(slopes)) {
            (weights[place], gradients[place]) = (own, slopes);
        }
        let loss = loss?;
        let negatives = self.negatives(&weights[POLICY], &reward, &data, step)?;
        let mut gradient = vec![0.0; weights[ENERGY].len()];
        let contrast = contrast(reward.0.as_ref(), &data, &negatives, &mut gradient);
        self.annealed().add_l1(&weights[ENERGY], &mut gradient);
        gradients[ENERGY] = Some(gradient);
        // The contrast is no loss: it must be a number, and is not reported.
        Ok(if contrast.is_finite() { loss } else { contrast })
    }

    fn detail(&self) -> String {
        self.learner.detail()
    }

    fn score(&self, weights: &[Vec<f32>]) -> Result<f64, Failure> {
        (self.task.score)(&self.task.model.with_weights(weights))
    }

    fn memory(&self) -> Vec<(String, Vec<u8>)> {
        let mut memory = self.learner.memory();
        memory.push(("accepted".to_owned(), self.accepted.to_le_bytes().to_vec()));
        memory
    }

    fn restore(&mut self, memory: &[(String, Vec<u8>)]) -> Result<(), String> {
        self.accepted = super::trainer::count(memory, "accepted");
        self.learner.restore(memory)
    }

    fn counted(&self) -> Vec<(&'static str, u64)> {
        vec![("accepted_negatives", self.accepted)]
    }
}
