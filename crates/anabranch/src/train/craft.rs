//! Learning the flows of an annealed path, each from the particles in front of it ([`Craft`]).
//!
//! A step walks particles through the chain as it is, resampling where few of them count, then makes every map again on a tape, from
//! the particles that stood before it to the next level. No map sees the others' gradients.

use std::ops::Range;

use burn::tensor::{Bool, DType, Device, Tensor, TensorData};

use super::chain::Score;
use super::learner::{Learner, Player};
use super::tuning::Tuning;
use super::{Trainer, TrainingRecipe};
use crate::array::scratch;
use crate::array::weights::{Weights, to_vec_f64};
use crate::chain::{Chain, Given, LogWeight, State, double};
use crate::error::Failure;
use crate::math::log_sum_exp;
use crate::model::{Model, Watch};
use crate::objective::Craft;
use crate::optim::OptimizerRecipe;
use crate::rng::{Address, Counted, Noise, Purpose};
use crate::sampler::smc::Smc;
use crate::target::{Target, log_density};

/// A model of flows between Markov kernels with all that its training needs.
pub struct CraftTask<'a> {
    /// The model with its first weights.
    pub model: Model,
    /// The energy.
    pub target: &'a dyn Target,
    /// When particles are resampled.
    pub objective: Craft,
    /// The validation score.
    pub score: Score<'a>,
    /// How long, and how many particles a step has.
    pub training: TrainingRecipe,
    /// How weights are updated.
    pub optimizer: OptimizerRecipe,
    /// The seed of every random stream.
    pub seed: u64,
    /// Whether the weights are a checkpoint's, which has the kernels tuned already.
    pub restored: bool,
}

/// A model of flows between Markov kernels in training.
pub struct CraftLearner<'a> {
    task: CraftTask<'a>,
    tuning: Tuning,
    detail: String,
}

/// Particles in front of a map.
#[derive(Debug, Clone)]
pub struct Front {
    /// The steps of the map, by their numbers.
    pub steps: Range<usize>,
    /// The particles, `[particles, dimension]`.
    pub states: State,
    /// `W_i`, of sum 1.
    pub weights: Vec<f64>,
    /// `log gamma_{k-1}(x_i)`, nats.
    pub log_densities: Vec<f64>,
}

/// The stretches of steps between those that leave a density invariant.
fn maps(chain: &Chain<'_>) -> Vec<Range<usize>> {
    let invariant: Vec<bool> = chain.transitions.iter().map(|step| step.leaves_invariant()).collect();
    let mut start = 0;
    let mut maps = Vec::new();
    for stretch in invariant.chunk_by(|a, b| a == b) {
        if !stretch[0] {
            maps.push(start..start + stretch.len());
        }
        start += stretch.len();
    }
    maps
}

impl Front {
    /// The particles in front of every map of an untracked model.
    ///
    /// # Errors
    /// As [`Smc::run`].
    pub fn all(
        model: &Model,
        objective: Craft,
        particles: usize,
        noise: &Noise,
    ) -> Result<Vec<Self>, Failure> {
        let Craft { threshold, resampling } = objective;
        let smc = Smc { particles, resampling, threshold, ..Smc::default() };
        let chain = model.chain();
        let maps = maps(&chain);
        let levels = |index: usize, x: &State, given: &Given| chain.transitions[index].level(x, given);
        let mut fronts = Vec::new();
        let mut walk = smc.begin(&chain, particles, &Given::nothing(), noise)?;
        while fronts.len() < maps.len() {
            if let Some(map) = maps.iter().find(|map| map.start == walk.steps()) {
                let log_weights = &walk.particles.log_weights;
                let sum = log_sum_exp(log_weights);
                fronts.push(Self {
                    steps: map.clone(),
                    states: walk.particles.states.clone(),
                    weights: log_weights.iter().map(|weight| (weight - sum).exp()).collect(),
                    log_densities: walk.known[0].clone(),
                });
            }
            smc.step(&mut walk, &chain, &levels, noise)?;
        }
        Ok(fronts)
    }

    /// `sum_i W_i [log gamma_{k-1}(x_i) - log gamma_k(T_k x_i) - log |det DT_k(x_i)|]`, on the tape of the model's weights; levels are
    /// those of `fixed`, a [stopped](Model::stopped) copy of it.
    ///
    /// # Errors
    /// If a kernel or the target fails.
    pub fn loss(
        &self,
        chain: &Chain<'_>,
        fixed: &Chain<'_>,
        target: &dyn Target,
        device: &Device,
    ) -> Result<Tensor<1>, Failure> {
        let (none, noise) = (Given::nothing(), Noise::new(0, Purpose::Forward));
        let mut x = self.states.clone().to_device(device);
        let mut gained: Option<LogWeight> = None;
        for transition in &chain.transitions[self.steps.clone()] {
            let step = transition.forward(x, &none, &noise)?;
            let ratio = double(step.log_ratio);
            gained = Some(match gained {
                Some(sum) => sum + ratio,
                None => ratio,
            });
            x = step.state;
        }
        let level = match fixed.transitions.get(self.steps.end) {
            Some(next) => next.level(&x, &none)?.expect("kernels that leave a density invariant know it"),
            None => log_density(target, &x, &none)?,
        };
        let reached = level + gained.expect("a map has steps");
        let column = |values: &[f64]| {
            let data = TensorData::new(values.to_vec(), [values.len()]);
            Tensor::<1>::from_data(data, (device, DType::F64))
        };
        // A particle without weight is nobody's: what the density is there, even none, counts nothing.
        let idle: Vec<bool> = self.weights.iter().map(|weight| *weight == 0.0).collect();
        let mask = Tensor::<1, Bool>::from_bool(TensorData::new(idle, [self.weights.len()]), device);
        let gap = (column(&self.log_densities) - reached).mask_fill(mask, 0.0);
        Ok((gap * column(&self.weights)).sum())
    }
}

impl<'a> Trainer<CraftLearner<'a>> {
    /// A run at its first step, kernels tuned; `watch` is told how far.
    ///
    /// # Errors
    /// If a kernel fails, or `watch` asked to stop.
    pub fn of_maps(mut task: CraftTask<'a>, watch: &Watch<'_>) -> Result<Self, Failure> {
        let mut tuning = Tuning::default();
        if !task.restored {
            tuning = Tuning::of(&mut task.model, task.target, &Given::nothing(), task.seed, watch)?;
        }
        task.model.track();
        let (training, optimizer, seed) = (task.training.clone(), task.optimizer.clone(), task.seed);
        let learner = CraftLearner { task, tuning, detail: String::new() };
        Ok(Self::start(learner, training, optimizer, seed))
    }
}

impl CraftLearner<'_> {
    fn loss(&self, step: u64) -> Result<(f64, Tensor<1>), Failure> {
        let CraftTask { model, target, objective, training, seed, .. } = &self.task;
        let noise = Noise::new(*seed, Purpose::Source);
        let noise = noise.at(Address::of_step(Counted::Rows, step, training.batch));
        let fronts = Front::all(&model.frozen(), *objective, training.batch, &noise)?;
        let fixed = model.stopped();
        let (chain, fixed, device) = (model.chain(), fixed.chain(), model.device());
        let losses = fronts.iter().map(|front| front.loss(&chain, &fixed, *target, &device));
        let losses = losses.collect::<Result<Vec<_>, Failure>>()?;
        let loss =
            losses.into_iter().reduce(|sum, loss| sum + loss).expect("plans are checked: there are maps");
        Ok((to_vec_f64(loss.clone().detach())[0], loss))
    }
}

impl Learner for CraftLearner<'_> {
    fn players(&self) -> Vec<Player> {
        let of = |weights: &Weights| Player::model(weights.name(), weights.values(), weights.slots());
        self.task.model.weights().into_iter().map(of).collect()
    }

    fn learn(
        &mut self,
        weights: &mut [Vec<f32>],
        step: u64,
        _: u64,
        gradients: &mut [Option<Vec<f32>>],
    ) -> Result<f64, Failure> {
        gradients.iter_mut().filter_map(Option::take).for_each(scratch::give_back);
        for (vector, values) in self.task.model.weights_mut().into_iter().zip(weights.iter_mut()) {
            vector.set(std::mem::take(values));
        }
        let found = self.loss(step).map(|(loss, pull)| (loss, loss.is_finite().then(|| pull.backward())));
        let (loss, mut found) = match found {
            Ok((loss, found)) => (Ok(loss), found),
            Err(failure) => (Err(failure), None),
        };
        let own = weights.iter_mut().zip(gradients.iter_mut());
        for (vector, (values, gradient)) in self.task.model.weights_mut().into_iter().zip(own) {
            *gradient = found.as_mut().and_then(|found| vector.gradient(found));
            *values = vector.take();
        }
        self.detail = format!("particles {} onwards", step * self.task.training.batch as u64);
        loss
    }

    fn detail(&self) -> String {
        self.detail.clone()
    }

    fn score(&self, weights: &[Vec<f32>]) -> Result<f64, Failure> {
        (self.task.score)(&self.task.model.with_weights(weights))
    }

    fn memory(&self) -> Vec<(String, Vec<u8>)> {
        self.tuning.memory()
    }

    fn restore(&mut self, memory: &[(String, Vec<u8>)]) -> Result<(), String> {
        self.tuning = Tuning::remembered(memory)?;
        Ok(())
    }

    fn counted(&self) -> Vec<(&'static str, u64)> {
        self.tuning.counted()
    }
}
