//! Learning an energy over categories from data ([`EnergyLoss`]).
//!
//! ```text
//! contrastive    k moves of the kernel from the step's own rows
//! persistent     k moves of chains that started at the base and go on, as many as a step has rows
//! ```
//!
//! Where chains are is kept in checkpoints, so that a run resumes bit for bit.

use super::chain::Score;
use super::epochs::{Epochs, gathered, redrawn};
use super::learner::{Learner, Player};
use super::{Trainer, TrainingRecipe};
use crate::array::weights::Weights;
use crate::error::Failure;
use crate::model::Model;
use crate::model::energy::Annealed;
use crate::objective::energy::{EnergyLoss, contrast, noise_contrastive, pseudo_likelihood, ratio_matching};
use crate::optim::OptimizerRecipe;
use crate::rng::{Address, Counted, Noise, Purpose};
use crate::target::learned::Energy;

/// An energy, alone or with a flow network, with all that its training needs.
pub struct EnergyTask<'a> {
    /// The model, one segment, with its first weights.
    pub model: Model,
    /// The training split, `[rows, sites]`.
    pub rows: Vec<u8>,
    /// Where they are binary, the chances of a 1 by which they are drawn afresh in every epoch, laid out as they are.
    pub chances: Option<&'a [f32]>,
    /// The validation score.
    pub score: Score<'a>,
    /// How long, and how many rows, or trajectories, a step has.
    pub training: TrainingRecipe,
    /// How weights are updated.
    pub optimizer: OptimizerRecipe,
    /// The seed of every random stream.
    pub seed: u64,
}

impl EnergyTask<'_> {
    /// The rows of step `step`, which have these numbers.
    pub(super) fn batch(&self, numbers: &[u32], step: u64) -> Vec<u8> {
        let sites = self.model.dimension();
        match self.chances {
            Some(chances) => {
                let rows = redrawn(chances, sites, numbers, step, self.seed);
                rows.into_iter().map(|value| value as u8).collect()
            }
            None => gathered(&self.rows, sites, numbers),
        }
    }
}

/// An energy in training.
pub struct EnergyLearner<'a> {
    task: EnergyTask<'a>,
    annealed: Annealed,
    epochs: Epochs,
    /// Chains that go on, `[batch, sites]`.
    particles: Vec<u8>,
}

impl<'a> Trainer<EnergyLearner<'a>> {
    /// A run at its first step.
    ///
    /// # Panics
    /// If the model is no annealed energy.
    pub fn of_energy(task: EnergyTask<'a>) -> Self {
        let annealed = task.model.segments()[0].as_energy().expect("an annealed energy").clone();
        let (training, optimizer, seed) = (task.training.clone(), task.optimizer.clone(), task.seed);
        let particles = match annealed.loss {
            EnergyLoss::Persistent => {
                annealed.family().base().draw(training.batch, &Noise::new(seed, Purpose::Source))
            }
            _ => Vec::new(),
        };
        let learner = EnergyLearner { task, annealed, epochs: Epochs::default(), particles };
        Self::start(learner, training, optimizer, seed)
    }
}

impl EnergyLearner<'_> {
    /// Moves every chain; chain `i` by row `i` of `noise`.
    fn walk(&self, energy: &dyn Energy, states: &mut [u8], noise: &Noise) {
        self.annealed.kernel.walk(energy, states, self.annealed.moves, noise, false);
    }
}

impl Learner for EnergyLearner<'_> {
    fn players(&self) -> Vec<Player> {
        let of = |weights: &Weights| Player::model(weights.name(), weights.values(), weights.slots());
        let mut players = vec![of(&self.annealed.weights), of(&self.annealed.base)];
        if self.annealed.loss == EnergyLoss::NoiseContrastive {
            let optimizer = &self.task.optimizer;
            players.push(Player::log_z(optimizer.log_z_rate / optimizer.learning_rate));
        }
        players
    }

    fn learn(
        &mut self,
        weights: &mut [Vec<f32>],
        step: u64,
        _epoch: u64,
        gradients: &mut [Option<Vec<f32>>],
    ) -> Result<f64, Failure> {
        let (sites, batch, seed) = (self.task.model.dimension(), self.task.training.batch, self.task.seed);
        let numbers = self.epochs.batch(self.task.rows.len() / sites, batch, step, seed);
        let data = self.task.batch(&numbers, step);
        let noise = Noise::new(seed, Purpose::Forward).at(Address::of_step(Counted::Rows, step, batch));
        let family = self.annealed.family();
        let energy = family.with(&weights[0]);
        let energy = energy.as_ref();
        let mut gradient = gradients[0].take().unwrap_or_default();
        gradient.clear();
        gradient.resize(weights[0].len(), 0.0);
        let mut loss = match self.annealed.loss {
            EnergyLoss::Contrastive => {
                let mut negatives = data.clone();
                self.walk(energy, &mut negatives, &noise);
                contrast(energy, &data, &negatives, &mut gradient)
            }
            EnergyLoss::Persistent => {
                let mut particles = std::mem::take(&mut self.particles);
                self.walk(energy, &mut particles, &noise);
                self.particles = particles;
                contrast(energy, &data, &self.particles, &mut gradient)
            }
            EnergyLoss::PseudoLikelihood => pseudo_likelihood(energy, &data, &mut gradient),
            EnergyLoss::RatioMatching => ratio_matching(energy, &data, &mut gradient),
            EnergyLoss::NoiseContrastive => {
                let drawn = family.base().draw(batch, &noise.purpose(Purpose::Source));
                let log_z = f64::from(weights[2][0]);
                let (loss, slope) =
                    noise_contrastive(energy, family.base(), [&data, &drawn], log_z, &mut gradient);
                gradients[2] = Some(vec![slope as f32]);
                loss
            }
        };
        loss += self.annealed.add_l1(&weights[0], &mut gradient);
        gradients[0] = Some(gradient);
        Ok(loss)
    }

    fn detail(&self) -> String {
        "log R of the data or of the states that it is compared with".to_owned()
    }

    fn score(&self, weights: &[Vec<f32>]) -> Result<f64, Failure> {
        (self.task.score)(&self.task.model.with_weights(weights))
    }

    fn memory(&self) -> Vec<(String, Vec<u8>)> {
        vec![("particles".to_owned(), self.particles.clone())]
    }

    fn restore(&mut self, memory: &[(String, Vec<u8>)]) -> Result<(), String> {
        let kept = memory.iter().find(|(known, _)| known == "particles").map(|(_, bytes)| &bytes[..]);
        let kept = kept.unwrap_or_default();
        let values = self.annealed.values;
        if kept.len() != self.particles.len() || kept.iter().any(|value| usize::from(*value) >= values) {
            return Err("of another run (its chains)".to_owned());
        }
        self.particles = kept.to_vec();
        Ok(())
    }
}
