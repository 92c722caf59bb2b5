//! Learning a flow from a buffer of annealed samples that it begins itself ([`Fab`]).
//!
//! ```text
//! every step       batch paths from the flow to g = R^a q^(1 - a), added to the buffer;   log h_b += (acceptance - .651) / 2
//! every update     batch samples of the buffer, the loss, the correction of their weights
//! ```

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::chain::Score;
use super::learner::{Learner, Player};
use super::trainer::count;
use super::{Trainer, TrainingRecipe};
use crate::array::scratch;
use crate::array::weights::{Weights, matrix, to_vec, to_vec_f64};
use crate::chain::Given;
use crate::error::{Failure, Problem};
use crate::kernel::mcmc::{Hamiltonian, LogDensity, Proposal};
use crate::model::Model;
use crate::model::annealed::{Bootstrap, Flowing, bootstrap_chain};
use crate::model::path::Path;
use crate::objective::Fab;
use crate::optim::OptimizerRecipe;
use crate::rng::{Address, Counted, Noise, Purpose};
use crate::target::Target;
use crate::train::buffer::WeightedBuffer;

/// Paths drawn together; also the unit of parallelism.
const CHUNK: usize = 128;

/// Batches in a row that may bring the buffer no sample while it has not its least.
const MOST_ROUNDS: usize = 100;

/// A flow with all that its training needs.
pub struct FabTask<'a> {
    /// The flow, a chain of bijections, with its first weights.
    pub model: Model,
    /// The energy.
    pub target: &'a dyn Target,
    /// How it learns.
    pub objective: Fab,
    /// The validation score.
    pub score: Score<'a>,
    /// How long, and how many samples a step has.
    pub training: TrainingRecipe,
    /// How weights are updated.
    pub optimizer: OptimizerRecipe,
    /// The seed of every random stream.
    pub seed: u64,
}

/// A flow in training.
pub struct FabLearner<'a> {
    task: FabTask<'a>,
    buffer: WeightedBuffer,
    /// The step size of each level.
    steps: Vec<f32>,
    /// Batches of new samples so far.
    rounds: u64,
}

impl<'a> Trainer<FabLearner<'a>> {
    /// A run at its first step.
    pub fn of_flow(mut task: FabTask<'a>) -> Self {
        task.model.track();
        let (training, optimizer, seed) = (task.training.clone(), task.optimizer.clone(), task.seed);
        let Fab { buffer, levels, step, .. } = task.objective;
        let buffer = WeightedBuffer::new(buffer, task.model.dimension());
        let learner = FabLearner { task, buffer, steps: vec![step as f32; levels], rounds: 0 };
        Self::start(learner, training, optimizer, seed)
    }
}

/// New samples: the points, their log-weights and the flow's log-densities there, and the acceptance of each level.
struct Annealed {
    points: Vec<f32>,
    log_weights: Vec<f64>,
    log_densities: Vec<f64>,
    acceptance: Vec<f64>,
}

impl FabLearner<'_> {
    /// A batch of paths from the flow to `g`.
    fn anneal(&self) -> Result<Vec<Annealed>, Failure> {
        let FabTask { target, objective: Fab { alpha, moves, leapfrogs, .. }, training, .. } = &self.task;
        let (flow, steps) = (Flowing::new(&self.task.model), &self.steps);
        let batch = training.batch;
        let noise = Noise::new(self.task.seed, Purpose::Forward);
        let noise = noise.at(Address::of_step(Counted::Rows, self.rounds, batch));
        let starts: Vec<usize> = (0..batch).step_by(CHUNK).collect();
        let draw = |first: &usize| {
            let rows = CHUNK.min(batch - first);
            let chain = bootstrap_chain(&flow, *target, *alpha, [*moves, *leapfrogs], steps);
            let mut acceptance = Vec::new();
            let (none, noise) = (Given::nothing(), noise.from_row(*first));
            let path = chain.generate_observed(rows, &none, &noise, |_, _, info| {
                let told = info.iter().filter(|(name, _)| *name == "acceptance");
                acceptance.extend(told.map(|(_, all)| all.iter().map(|a| f64::from(*a)).sum::<f64>()));
            })?;
            let points = to_vec(path.end);
            let last = Bootstrap { flow: &flow, target: *target, alpha: *alpha, place: 1.0 };
            let (mut log_g, mut log_densities) = (vec![0.0; rows], vec![0.0; rows]);
            last.evaluate(&points, &none, &mut log_g, None)?;
            flow.log_density(&points, &mut log_densities, None)?;
            let log_weights = to_vec_f64(path.log_weight).iter().zip(log_g).map(|(w, g)| w + g).collect();
            Ok(Annealed { points, log_weights, log_densities, acceptance })
        };
        starts.par_iter().map(draw).collect()
    }

    /// Adds a batch of new samples to the buffer, and lets step sizes follow their acceptance.
    fn refresh(&mut self) -> Result<(), Failure> {
        let (found, columns) = (self.anneal()?, self.task.model.dimension());
        self.rounds += 1;
        let best = Hamiltonian { leapfrogs: self.task.objective.leapfrogs, kept: 0.0 }.best_acceptance();
        for (level, step) in self.steps.iter_mut().enumerate() {
            let sum: f64 = found.iter().map(|part| part.acceptance[level]).sum();
            let mean = sum / self.task.training.batch as f64;
            *step = (f64::from(*step).ln() + 0.5 * (mean - best)).exp().clamp(1e-6, 1e6) as f32;
        }
        for part in found {
            let numbers = part.log_weights.iter().zip(&part.log_densities);
            for (point, (log_weight, log_density)) in part.points.chunks_exact(columns).zip(numbers) {
                self.buffer.add(point, *log_weight, *log_density);
            }
        }
        Ok(())
    }

    /// The loss of a batch of the buffer on the tape, whose weights are corrected.
    fn loss(&mut self, step: u64, epoch: u64) -> Result<(f64, Tensor<1>), Failure> {
        let Fab { clip, updates, .. } = self.task.objective;
        let noise = Noise::new(self.task.seed, Purpose::Data).long_step(step * updates as u64 + epoch);
        let places = self.buffer.draw(self.task.training.batch, &noise);
        let model = &self.task.model;
        let x = matrix(self.buffer.points(&places), model.dimension(), &model.device());
        let log_q = Path::backward(model, x, &Given::nothing(), &noise, None)?.total();
        let now = to_vec_f64(log_q.clone().detach());
        let mut slopes = Vec::with_capacity(places.len());
        let mut loss = 0.0;
        for (place, log_q) in places.iter().zip(&now) {
            let change = self.task.objective.correction(self.buffer.log_density(*place), *log_q);
            let slope = -change.exp().min(clip) / places.len() as f64;
            let finite = log_q.is_finite() && slope.is_finite();
            slopes.push(if finite { slope } else { 0.0 });
            loss += if finite { slope * log_q } else { 0.0 };
            self.buffer.correct(*place, *log_q, change);
        }
        let data = TensorData::new(slopes, [places.len()]);
        let slopes = Tensor::<1>::from_data(data, (&log_q.device(), burn::tensor::DType::F64));
        Ok((loss, (log_q * slopes).sum()))
    }

    fn learn_here(&mut self, step: u64, epoch: u64) -> Result<(f64, Tensor<1>), Failure> {
        if epoch == 0 {
            self.refresh()?;
            let mut idle = 0;
            while self.buffer.len() < self.task.objective.least {
                let before = self.buffer.len();
                self.refresh()?;
                idle = if self.buffer.len() > before { 0 } else { idle + 1 };
                if idle > MOST_ROUNDS {
                    let found = format!("{MOST_ROUNDS} batches in a row without a sample of finite weight");
                    let problem = Problem::new("objective.least", found);
                    return Err(problem.allowed("a flow that reaches the target").into());
                }
            }
        }
        self.loss(step, epoch)
    }
}

impl Learner for FabLearner<'_> {
    fn players(&self) -> Vec<Player> {
        let of = |weights: &Weights| Player::model(weights.name(), weights.values(), weights.slots());
        self.task.model.weights().into_iter().map(of).collect()
    }

    fn epochs(&self) -> u64 {
        self.task.objective.updates as u64
    }

    fn learn(
        &mut self,
        weights: &mut [Vec<f32>],
        step: u64,
        epoch: u64,
        gradients: &mut [Option<Vec<f32>>],
    ) -> Result<f64, Failure> {
        gradients.iter_mut().filter_map(Option::take).for_each(scratch::give_back);
        for (vector, values) in self.task.model.weights_mut().into_iter().zip(weights.iter_mut()) {
            vector.set(std::mem::take(values));
        }
        let found = self.learn_here(step, epoch).map(|(loss, pull)| (loss, pull.backward()));
        let (loss, mut found) = match found {
            Ok((loss, found)) => (Ok(loss), Some(found)),
            Err(failure) => (Err(failure), None),
        };
        let own = weights.iter_mut().zip(gradients.iter_mut());
        for (vector, (values, gradient)) in self.task.model.weights_mut().into_iter().zip(own) {
            *gradient = found.as_mut().and_then(|found| vector.gradient(found));
            *values = vector.take();
        }
        loss
    }

    fn detail(&self) -> String {
        format!("{} samples in the buffer", self.buffer.len())
    }

    fn score(&self, weights: &[Vec<f32>]) -> Result<f64, Failure> {
        (self.task.score)(&self.task.model.with_weights(weights))
    }

    fn memory(&self) -> Vec<(String, Vec<u8>)> {
        let steps = self.steps.iter().flat_map(|step| step.to_le_bytes()).collect();
        vec![
            ("buffer".to_owned(), self.buffer.to_bytes()),
            ("step_sizes".to_owned(), steps),
            ("rounds".to_owned(), self.rounds.to_le_bytes().to_vec()),
        ]
    }

    fn restore(&mut self, memory: &[(String, Vec<u8>)]) -> Result<(), String> {
        let of = |name: &str| memory.iter().find(|(known, _)| known == name).map(|(_, bytes)| &bytes[..]);
        let steps: &[[u8; 4]] = of("step_sizes").ok_or("its step sizes are missing")?.as_chunks::<4>().0;
        if steps.len() != self.steps.len() {
            return Err("it has other levels".to_owned());
        }
        self.buffer.restore(of("buffer").ok_or("its buffer is missing")?)?;
        self.steps = steps.iter().map(|step| f32::from_le_bytes(*step)).collect();
        self.rounds = count(memory, "rounds");
        Ok(())
    }
}
